package recordstore

import (
	"cmp"
	"encoding/hex"
	"fmt"
	"strconv"
	"strings"
)

// Position is a place among the changes of a store, as text that readers can save. It
// is valid within one generation of the store. The empty Position means that nothing
// was read yet.
type Position string

// Place is where a Position is within its generation. The order of places is that of
// the changes.
type Place struct {
	// Transaction is that of the change, in a store whose transactions commit in
	// another order than they give out numbers; 0: the store needs none.
	Transaction uint64
	Number      uint64
}

// Compare orders places.
func (p Place) Compare(other Place) int {
	return cmp.Or(cmp.Compare(p.Transaction, other.Transaction), cmp.Compare(p.Number, other.Number))
}

// Before reports whether p is before other.
func (p Place) Before(other Place) bool { return p.Compare(other) < 0 }

// PositionOf returns the position of a place in a generation.
func PositionOf(gen Generation, at Place) Position {
	text := hex.EncodeToString(gen[:]) + "-"
	if at.Transaction != 0 {
		text += strconv.FormatUint(at.Transaction, 10) + "."
	}
	return Position(text + strconv.FormatUint(at.Number, 10))
}

// In returns the place of a position in the given generation, or ErrGap if the
// position is from another one.
func (p Position) In(gen Generation) (Place, error) {
	text, rest, found := strings.Cut(string(p), "-")
	var at Place
	var err error
	if transaction, number, both := strings.Cut(rest, "."); both {
		at.Transaction, err = strconv.ParseUint(transaction, 10, 64)
		rest = number
	}
	if err == nil {
		at.Number, err = strconv.ParseUint(rest, 10, 64)
	}
	if !found || err != nil || len(text) != hex.EncodedLen(len(gen)) {
		return Place{}, fmt.Errorf("%.80q is not a position", string(p))
	}
	if text != hex.EncodeToString(gen[:]) {
		return Place{}, ErrGap
	}
	return at, nil
}
