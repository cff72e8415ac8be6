package ipns

import (
	"bytes"
	"math"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"github.com/goipns/ipns/internal/wire"
)

// at makes a good record with the given order.
func at(t testing.TB, sequence uint64, validity string, legacy bool, extra ...byte) *Record {
	t.Helper()
	c := newCraft(legacy).set(wire.KeySequence, cborUint(sequence)).set(wire.KeyValidity, cborBytes(validity))
	c.sequence, c.validity = sequence, []byte(validity)
	if len(extra) > 0 {
		c.after = wire.AppendBytes(nil, 99, extra)
	}
	r, err := Reopen(craftName(), c.raw())
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// R-51 V-70: sequence, then end of life to the nanosecond, then bytes.
func TestCompare(t *testing.T) {
	ascending := []*Record{
		at(t, 0, "9999-01-01T00:00:00Z", false),
		at(t, 1, "2125-01-01T00:00:00Z", true),
		at(t, 1, "2125-01-01T00:00:00Z", false),
		at(t, 1, "2125-01-01T00:00:00Z", false, 0),
		at(t, 1, "2125-01-01T00:00:00Z", false, 1),
		at(t, 1, "2125-01-01T00:00:00.000000001Z", false),
		at(t, 1, "2125-01-01T00:00:00-00:01", false),
		at(t, 2, "1970-01-01T00:00:00Z", true),
		at(t, math.MaxInt64, "1970-01-01T00:00:00Z", true),
		at(t, math.MaxInt64+1, "1970-01-01T00:00:00Z", true),
		at(t, math.MaxUint64, "1970-01-01T00:00:00Z", true),
	}
	for i, a := range ascending {
		for j, b := range ascending {
			if got := Compare(a, b); (got < 0) != (i < j) || (got == 0) != (i == j) {
				t.Errorf("Compare(%d, %d) = %d", i, j, got)
			}
		}
		same, err := Reopen(a.Name(), a.Raw())
		if err != nil || Compare(a, same) != 0 {
			t.Errorf("%d is not equal to itself, %v", i, err)
		}
	}
}

// a total order, on records that are close to each other.
func TestCompareIsTotal(t *testing.T) {
	rnd := rand.New(rand.NewPCG(3, 4))
	random := func() *Record {
		r := &Record{sequence: []uint64{0, 1, math.MaxInt64, math.MaxUint64}[rnd.IntN(4)], raw: make([]byte, rnd.IntN(3))}
		r.eol = time.Unix(int64(rnd.IntN(2)), int64(rnd.IntN(2)))
		for i := range r.raw {
			r.raw[i] = byte(rnd.IntN(2)) * 0xff
		}
		return r
	}
	for range 20_000 {
		a, b, c := random(), random(), random()
		ab, ba, bc, ac := Compare(a, b), Compare(b, a), Compare(b, c), Compare(a, c)
		if sign(ab) != -sign(ba) {
			t.Fatalf("%v %v: %d and %d", a, b, ab, ba)
		}
		if (ab == 0) != (a.sequence == b.sequence && a.eol.Equal(b.eol) && bytes.Equal(a.raw, b.raw)) {
			t.Fatalf("%v %v: %d", a, b, ab)
		}
		if ab <= 0 && bc <= 0 && ac > 0 {
			t.Fatalf("%v %v %v: %d %d %d", a, b, c, ab, bc, ac)
		}
	}
}

func sign(n int) int {
	switch {
	case n < 0:
		return -1
	case n > 0:
		return 1
	}
	return 0
}

// R-50 R-53: Best drops what is not good now, and does not depend on the order.
func TestBest(t *testing.T) {
	old, newer := at(t, 1, "2125-01-01T00:00:00Z", true), at(t, 2, "2125-01-01T00:00:00Z", true)
	expired := at(t, 9, "2020-01-01T00:00:00Z", true)
	for _, records := range [][]*Record{{old, newer, expired, nil}, {newer, nil, old}, {nil, expired, newer}, {newer}, {newer, newer}} {
		for range 10 {
			rand.Shuffle(len(records), func(i, j int) { records[i], records[j] = records[j], records[i] })
			if got := Best(corpusTime, records...); got != newer {
				t.Errorf("got %v", got)
			}
		}
	}
	if got := Best(corpusTime, old, expired); got != old {
		t.Errorf("an expired record hides an older good one: %v", got)
	}
	for _, none := range [][]*Record{nil, {nil, nil}, {expired}, {expired, nil}} {
		if got := Best(corpusTime, none...); got != nil {
			t.Errorf("got %v", got)
		}
	}
	if got := Best(expired.EOL().Add(-1), old, newer, expired); got != expired {
		t.Errorf("before its end: %v", got)
	}
	if !slices.Contains([]*Record{old, newer}, Best(corpusTime, old, newer)) {
		t.Error("Best made a record")
	}
}
