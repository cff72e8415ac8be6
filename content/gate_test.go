package content

import (
	"context"
	"iter"
	"strings"
	"testing"
	"time"

	"github.com/ipfs/go-cid"
)

// aloneNow reports whether a collection could run now.
func aloneNow(t *testing.T, s *Store) bool {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Millisecond)
	defer cancel()
	return s.gate.alone(ctx, func([]iter.Seq2[cid.Cid, error]) error { return nil }) == nil
}

// A hold within another lasts until its own end, and one that begins after the end of the outer is one of its own.
func TestHoldsOutliveTheirOuterOnes(t *testing.T) {
	s := offlineStore(t)
	hold := func(ctx context.Context) (context.Context, func()) {
		t.Helper()
		ctx, release, err := s.Hold(ctx)
		if err != nil {
			t.Fatal(err)
		}
		return ctx, release
	}
	ctx, release := hold(t.Context())
	_, inner := hold(ctx)
	release()
	release()
	if aloneNow(t, s) {
		t.Error("a collection runs beside an inner hold")
	}
	inner()
	if !aloneNow(t, s) {
		t.Error("a collection waits for nobody")
	}
	_, late := hold(ctx)
	if aloneNow(t, s) {
		t.Error("a collection runs beside a hold within one that has ended")
	}
	late()
	if !aloneNow(t, s) {
		t.Error("a collection waits for nobody")
	}
}

// A block that an add has found here is not removed before the add has pinned it.
func TestBlocksOfAnAddAreNotRemoved(t *testing.T) {
	s := offlineStore(t)
	found := add(t, s, entries(file("a", "a")), AddOptions{})[0].CID
	removed := make(chan error, 2)
	remove := func() {
		go func() { removed <- s.RemoveBlock(t.Context(), found) }()
		for !s.gate.wanted() {
			time.Sleep(time.Millisecond)
		}
	}
	var root cid.Cid
	files := func(yield func(Entry, error) bool) {
		if !yield(file("d/a", "a"), nil) {
			return
		}
		remove() // runs between two files
		if !yield(file("d/b", "b"), nil) {
			return
		}
		remove()
	}
	for a, err := range s.Add(t.Context(), files, AddOptions{Pin: true}) {
		if err != nil {
			t.Fatal(err)
		}
		root = a.CID
	}
	if err := <-removed; err == nil || !strings.Contains(err.Error(), "being added") {
		t.Errorf("in the middle of the add: %v", err)
	}
	if err := <-removed; err == nil || !strings.Contains(err.Error(), "pinned") {
		t.Errorf("at its end: %v", err)
	}
	if !here(t, s, root) {
		t.Error("the pin is not whole")
	}
}

// Blocks are listed by raw CIDs, whatever those have that lead to them.
func TestPinnedBlocksAreNotRemovedByAnotherCID(t *testing.T) {
	s := offlineStore(t)
	root := rootOf(t, add(t, s, entries(file("d/a", "a")), AddOptions{Pin: true})).CID
	for c, err := range s.Blocks(t.Context()) {
		if err != nil {
			t.Fatal(err)
		}
		if err := s.RemoveBlock(t.Context(), c); err == nil || !strings.Contains(err.Error(), "pinned") {
			t.Errorf("%s: %v", c, err)
		}
	}
	if !here(t, s, root) {
		t.Error("the pin is not whole")
	}
}
