package recordstore

import (
	"encoding/hex"
	"fmt"
	"strconv"
	"strings"
)

// Position is a place among the changes of a store, as text to be kept by those
// who read them: it is good for as long as the store lives that life. The empty
// Position is that of who has read nothing.
type Position string

// PositionOf returns the position with a number in one life of a store.
func PositionOf(life Generation, number uint64) Position {
	return Position(hex.EncodeToString(life[:]) + "-" + strconv.FormatUint(number, 10))
}

// In returns the number of a position in the given life. ErrGap says that it is
// one of another life.
func (p Position) In(life Generation) (uint64, error) {
	gen, rest, found := strings.Cut(string(p), "-")
	number, err := strconv.ParseUint(rest, 10, 64)
	if !found || err != nil || len(gen) != hex.EncodedLen(len(life)) {
		return 0, fmt.Errorf("%.80q is not a position", string(p))
	}
	if gen != hex.EncodeToString(life[:]) {
		return 0, ErrGap
	}
	return number, nil
}
