package dht

import (
	"encoding/binary"
	"fmt"
	"slices"
	"strconv"
	"testing"

	"pgregory.net/rapid"

	"github.com/goipns/ipns/internal/keyspace"
)

// numberedBudget returns a budget of items whose keys are numbers, which are also their
// distances.
func numberedBudget(limit Limit) *budget {
	b := newBudget("", limit, nil)
	b.kad = func(key string) keyspace.Key {
		n, err := strconv.ParseUint(key, 10, 64)
		if err != nil {
			panic(err)
		}
		var k keyspace.Key
		binary.BigEndian.PutUint64(k[:], n)
		return keyspace.Distance(k, b.self)
	}
	return b
}

func number(n int) string { return fmt.Sprintf("%06d", n) }

// put admits a number and returns the numbers that it displaced, or "refused".
func (b *budget) put(n int, who uint64, own bool) string {
	gone, ok := b.admit(number(n), 100, who, own)
	if !ok {
		return "refused"
	}
	keys := ""
	for _, k := range gone {
		keys += k.key
	}
	return keys
}

func TestPeerAboveHalfMakesRoomByItsOwnFarthest(t *testing.T) {
	b := numberedBudget(Limit{Count: 64, Bytes: 1 << 20})
	for i := range 32 {
		if gone := b.put(1000+i, 1, false); gone != "" {
			t.Fatalf("below half %q was dropped", gone)
		}
	}
	if !b.room(number(10), 100, 1) || b.room(number(2000), 100, 1) || !b.room(number(2000), 100, 2) {
		t.Error("room and admit disagree")
	}
	for _, c := range []struct {
		n    int
		who  uint64
		want string
	}{
		{10, 1, number(1031)}, // the peer's farthest item
		{2000, 1, "refused"},  // would be the peer's farthest item
		{2000, 2, ""},         // another peer still has room
		{3000, 2, ""},
		{11, 2, number(3000)}, // above the peer's part
		{11, 1, ""},           // an item that another peer put does not add to this peer's part
	} {
		if got := b.put(c.n, c.who, false); got != c.want {
			t.Errorf("%d put %d: %q was dropped, want %q", c.who, c.n, got, c.want)
		}
	}
	if b.byKey[number(11)].peer != 2 {
		t.Error("an item counts for a peer that another peer put first")
	}
}

func TestFarthestOfAllGoesAtTheLimit(t *testing.T) {
	b := numberedBudget(Limit{Count: 64, Bytes: 1 << 20})
	for i := range 64 {
		if gone := b.put(1000+i, uint64(1+i), false); gone != "" {
			t.Fatalf("below the limit %q was dropped", gone)
		}
	}
	if got := b.put(500, 100, false); got != number(1063) {
		t.Errorf("%q was dropped", got)
	}
	if got := b.put(5000, 101, false); got != "refused" {
		t.Errorf("%q was dropped for the farthest", got)
	}
	if got := b.put(6000, 0, true); got != "" || len(b.our.items) != 1 {
		t.Errorf("%q was dropped for this node's own item", got)
	}
}

func TestBudgetHolds(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		limit := Limit{Count: rapid.IntRange(1, 80).Draw(t, "count"), Bytes: rapid.Int64Range(400, 40_000).Draw(t, "bytes")}
		b := numberedBudget(limit)
		sizes := make(map[string]int64) // as in a store
		var owned []string
		for range rapid.IntRange(1, 300).Draw(t, "puts") {
			key := number(rapid.IntRange(0, 200).Draw(t, "key"))
			if rapid.IntRange(0, 9).Draw(t, "drop") == 0 {
				b.drop(key)
				delete(sizes, key)
				continue
			}
			size := rapid.IntRange(0, 1000).Draw(t, "size")
			own := rapid.IntRange(0, 9).Draw(t, "own") == 0
			who := rapid.Uint64Range(0, 5).Draw(t, "who")
			before := b.isOwn(key)
			if may := b.room(key, size, who); !own {
				gone, ok := b.admit(key, size, who, false)
				if may != ok {
					t.Fatalf("room says %v, admit %v", may, ok)
				}
				for _, k := range gone {
					if k.own && !before {
						t.Fatal("another peer's value displaced this node's own")
					}
					delete(sizes, k.key)
				}
				if ok {
					sizes[key] = b.byKey[key].size
				}
				continue
			}
			gone, ok := b.admit(key, size, 0, true)
			for _, k := range gone {
				delete(sizes, k.key)
			}
			if ok {
				sizes[key] = b.byKey[key].size
				owned = append(owned, key)
			}
		}
		if len(sizes) != len(b.byKey) {
			t.Fatalf("%d items are kept, the budget has %d", len(sizes), len(b.byKey))
		}
		var bytes int64
		for key, size := range sizes {
			if b.byKey[key] == nil || b.byKey[key].size != size {
				t.Fatalf("%s is kept with another size or owner", key)
			}
			bytes += size
		}
		peers := 0
		for _, s := range b.peers {
			peers += len(s.items)
		}
		switch {
		case b.theirs.exceeds(limit, 1) || b.our.exceeds(limit, 1):
			t.Fatal("above the limit")
		case bytes != b.theirs.bytes+b.our.bytes || peers != len(b.theirs.items):
			t.Fatal("the shares do not add up")
		case len(owned) > 0 && len(b.our.items) > len(slices.Compact(slices.Sorted(slices.Values(owned)))):
			t.Fatal("values of other peers count as own")
		}
	})
}
