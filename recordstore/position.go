package recordstore

import (
	"encoding/hex"
	"fmt"
	"strconv"
	"strings"
)

// Position is a place among the changes of a store, as text that readers can save. It
// is valid within one generation of the store. The empty Position means that nothing
// was read yet.
type Position string

// PositionOf returns the position with the given number in a generation.
func PositionOf(gen Generation, number uint64) Position {
	return Position(hex.EncodeToString(gen[:]) + "-" + strconv.FormatUint(number, 10))
}

// In returns the number of a position in the given generation, or ErrGap if the
// position is from another one.
func (p Position) In(gen Generation) (uint64, error) {
	text, rest, found := strings.Cut(string(p), "-")
	number, err := strconv.ParseUint(rest, 10, 64)
	if !found || err != nil || len(text) != hex.EncodedLen(len(gen)) {
		return 0, fmt.Errorf("%.80q is not a position", string(p))
	}
	if text != hex.EncodeToString(gen[:]) {
		return 0, ErrGap
	}
	return number, nil
}
