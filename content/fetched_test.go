package content

import (
	"bytes"
	"slices"
	"testing"

	"github.com/cockroachdb/pebble/v2"
	blocks "github.com/ipfs/go-block-format"
	"github.com/ipfs/go-cid"
	"github.com/multiformats/go-multihash"
)

// fetch stores blocks of 1000 bytes as if they came from others, the first of them longest ago.
func fetch(t *testing.T, s *Store, count int) (all []cid.Cid) {
	t.Helper()
	for i := range count {
		data := bytes.Repeat([]byte{byte(i)}, 1000)
		h, err := multihash.Sum(data, multihash.SHA2_256, -1)
		if err != nil {
			t.Fatal(err)
		}
		b, err := blocks.NewBlockWithCid(data, cid.NewCidV1(cid.Raw, h))
		if err == nil {
			err = s.blocks.Blockstore().Put(t.Context(), b)
		}
		if err == nil {
			err = s.stored.change(func(batch *pebble.Batch) error {
				return batch.Set(fetchedKey(h), place{uint64(i + 1), 1000}.encode(), nil)
			})
		}
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, b.Cid())
	}
	return all
}

// stored returns which of the blocks are here.
func stored(t *testing.T, s *Store, all []cid.Cid) (is []int) {
	t.Helper()
	for i, c := range all {
		if has, err := s.stored.Has(t.Context(), c); err != nil {
			t.Fatal(err)
		} else if has {
			is = append(is, i)
		}
	}
	return is
}

func TestCacheKeepsWhatWasUsedLast(t *testing.T) {
	s := offlineStore(t)
	s.stored.cacheMax = 20_000
	all := fetch(t, s, 10)
	select {
	case <-s.FetchedMuch():
	default:
		t.Error("nobody is told of half a cache")
	}
	if err := s.Pin(t.Context(), all[0], Direct, ""); err != nil {
		t.Fatal(err)
	}
	own := rootOf(t, add(t, s, entries(file("d/a", "a"), file("d/b", "b")), AddOptions{})).CID
	if err := s.stored.writeUses(t.Context()); err != nil { // of the pin
		t.Fatal(err)
	}
	if _, err := s.Block(t.Context(), "/ipfs/"+all[3].String()); err != nil {
		t.Fatal(err)
	}
	if err := s.CheckBlock(t.Context(), all[4]); err != nil { // is no use
		t.Fatal(err)
	}
	remove := func(l Leave) (removed int) {
		t.Helper()
		for g := range s.Collect(t.Context(), roots(), l) {
			if g.Err != nil {
				t.Error(g.Err)
			}
			removed++
		}
		return removed
	}
	if n, err := s.Fetched(t.Context()); n != 10_000 || err != nil {
		t.Errorf("%d bytes fetched, %v", n, err)
	}
	if n := remove(Leave{Fetched: 3500, Rest: true}); n != 6 {
		t.Errorf("%d deleted, want 6", n)
	}
	if got := stored(t, s, all); !slices.Equal(got, []int{0, 3, 8, 9}) {
		t.Errorf("%v are here, want what is pinned, what was used, and the last two", got)
	}
	if n, err := s.Fetched(t.Context()); n != 3000 || err != nil {
		t.Errorf("then %d bytes fetched, %v: what is pinned is not one of them", n, err)
	}
	if !here(t, s, own) {
		t.Error("what was added here went with the cache")
	}
	if n := remove(Leave{Fetched: 1000}); n != 5 || here(t, s, own) {
		t.Errorf("%d deleted, want 5", n)
	}
	if got := stored(t, s, all); !slices.Equal(got, []int{0, 3}) {
		t.Errorf("%v are here", got)
	}
	if n := remove(Leave{}); n != 1 {
		t.Errorf("%d deleted, want 1", n)
	}
}

// Blocks of one minute do not all go for the last of them.
func TestCacheKeepsPartOfAMinute(t *testing.T) {
	s := offlineStore(t)
	all := fetch(t, s, 10)
	for _, c := range all {
		if _, err := s.stored.Get(t.Context(), c); err != nil {
			t.Fatal(err)
		}
	}
	for g := range s.Collect(t.Context(), roots(), Leave{Fetched: 7000, Rest: true}) {
		if g.Err != nil {
			t.Error(g.Err)
		}
	}
	if got := stored(t, s, all); len(got) != 7 {
		t.Errorf("%v are here, want 7", got)
	}
}
