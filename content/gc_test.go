package content

import (
	"errors"
	"iter"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/ipfs/go-cid"
	"github.com/multiformats/go-multihash"
)

// collect collects garbage, and returns how many blocks it deleted and the errors.
func collect(t testing.TB, s *Store, keep ...cid.Cid) (removed int, errs []error) {
	t.Helper()
	for g := range s.Collect(t.Context(), roots(keep...), Leave{}) {
		if g.Err != nil {
			errs = append(errs, g.Err)
		} else {
			removed++
		}
	}
	return removed, errs
}

func roots(cs ...cid.Cid) iter.Seq2[cid.Cid, error] {
	return func(yield func(cid.Cid, error) bool) {
		for _, c := range cs {
			if !yield(c, nil) {
				return
			}
		}
	}
}

// here reports whether all blocks of a tree are here.
func here(t testing.TB, s *Store, root cid.Cid) bool {
	t.Helper()
	_, all, err := s.Local(t.Context(), root)
	if err != nil {
		t.Fatal(err)
	}
	return all
}

func TestCollectionDeletesOnlyWhatNothingNeeds(t *testing.T) {
	s := offlineStore(t)
	tree := func(name string, pin bool) cid.Cid {
		return rootOf(t, add(t, s, entries(file(name+"/a", name), file(name+"/sub/b", name+"b")), AddOptions{Pin: pin})).CID
	}
	pinned, kept, garbage := tree("pinned", true), tree("kept", false), tree("garbage", false)
	direct := add(t, s, entries(file("direct", "direct")), AddOptions{})[0].CID
	if err := s.Pin(t.Context(), direct, Direct, ""); err != nil {
		t.Fatal(err)
	}
	removed, errs := collect(t, s, kept, mustCID(t, absent))
	if removed != 4 || len(errs) > 0 {
		t.Errorf("%d blocks deleted, %v; want 4", removed, errs)
	}
	for c, want := range map[cid.Cid]bool{pinned: true, kept: true, direct: true, garbage: false} {
		if here(t, s, c) != want {
			t.Errorf("%s: here is %t", c, !want)
		}
	}
	if removed, errs := collect(t, s, kept); removed != 0 || len(errs) > 0 {
		t.Errorf("again: %d, %v", removed, errs)
	}
}

// A block that was met as a raw one, or whose hash ends like another's, was not walked.
func TestCollectionTakesNoBlockForAnother(t *testing.T) {
	s := offlineStore(t)
	root := rootOf(t, add(t, s, entries(file("d/a", "a"), file("d/b", "b")), AddOptions{})).CID
	digest := root.Hash()[len(root.Hash())-16:]
	same, err := multihash.Encode(append([]byte("..."), digest...), multihash.IDENTITY)
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []cid.Cid{cid.NewCidV1(cid.Raw, root.Hash()), cid.NewCidV1(cid.Raw, same)} {
		if removed, errs := collect(t, s, c, root); removed != 0 || len(errs) > 0 || !here(t, s, root) {
			t.Errorf("with %s before it: %d blocks deleted, %v", c, removed, errs)
		}
	}
	if err := s.Pin(t.Context(), cid.NewCidV1(cid.Raw, root.Hash()), Recursive, ""); err != nil {
		t.Fatal(err)
	}
	if removed, errs := collect(t, s); removed != 2 || len(errs) > 0 {
		t.Errorf("a raw pin: %d blocks deleted, %v; want the 2 leaves", removed, errs)
	}
}

// Of a pin with a gap it is not known what else it needs.
func TestCollectionDeletesNothingIfAPinCannotBeRead(t *testing.T) {
	s := offlineStore(t)
	all := add(t, s, entries(file("d/a", "a"), file("d/b", "b")), AddOptions{Pin: true})
	garbage := add(t, s, entries(file("x", "x")), AddOptions{})[0].CID
	if err := s.DropBlock(t.Context(), all[0].CID); err != nil {
		t.Fatal(err)
	}
	removed, errs := collect(t, s)
	if removed != 0 || len(errs) != 2 || !errors.Is(errs[1], ErrGCAborted) || !strings.Contains(errs[0].Error(), "could not retrieve links for "+all[0].CID.String()) {
		t.Errorf("%d deleted, %v", removed, errs)
	}
	if !here(t, s, garbage) {
		t.Error("something was deleted")
	}
	if err := s.Unpin(t.Context(), rootOf(t, all).CID, Recursive); err != nil {
		t.Fatal(err)
	}
	if removed, errs := collect(t, s); removed != 3 || len(errs) > 0 {
		t.Errorf("unpinned: %d deleted, %v; want 3", removed, errs)
	}
}

// A collection need not wait for the end of a large add, whose files it keeps.
func TestCollectionRunsBetweenTwoFilesOfAnAdd(t *testing.T) {
	s := offlineStore(t)
	garbage := add(t, s, entries(file("x", "x")), AddOptions{})[0].CID
	type result struct {
		removed int
		errs    []error
	}
	collected := make(chan result)
	tree := func(yield func(Entry, error) bool) {
		if !yield(file("d/a", "a"), nil) {
			return
		}
		go func() {
			removed, errs := collect(t, s)
			collected <- result{removed, errs}
		}()
		for !s.gate.wanted() {
			time.Sleep(time.Millisecond)
		}
		yield(file("d/b", "b"), nil)
	}
	var got result
	var root cid.Cid
	for a, err := range s.Add(t.Context(), tree, AddOptions{Pin: true}) {
		if err != nil {
			t.Fatal(err)
		}
		if a.Name == "d/b" {
			got = <-collected // before the add has ended
		}
		root = a.CID
	}
	if got.removed != 1 || len(got.errs) > 0 || here(t, s, garbage) {
		t.Errorf("%+v", got)
	}
	if !here(t, s, root) {
		t.Error("the add lost a block")
	}
}

func TestHoldKeepsCollectionsAway(t *testing.T) {
	s := offlineStore(t)
	ctx, release, err := s.Hold(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	c := add(t, s, entries(file("x", "x")), AddOptions{})[0].CID
	done := make(chan int)
	go func() {
		removed, _ := collect(t, s)
		done <- removed
	}()
	for !s.gate.wanted() {
		time.Sleep(time.Millisecond)
	}
	// It is part of the hold: it does not wait for the collection, which waits for it.
	if err := s.Pin(ctx, c, Recursive, ""); err != nil {
		t.Fatal(err)
	}
	release()
	if removed := <-done; removed != 0 || !here(t, s, c) {
		t.Errorf("%d blocks deleted", removed)
	}
}

func TestPinsAreCheckedToTheirEnds(t *testing.T) {
	s := offlineStore(t)
	all := add(t, s, entries(file("d/a", "a"), file("d/sub/b", "b")), AddOptions{Pin: true})
	whole := rootOf(t, add(t, s, entries(file("w/a", "w")), AddOptions{Pin: true})).CID
	if err := s.DropBlock(t.Context(), all[1].CID); err != nil {
		t.Fatal(err)
	}
	got := map[cid.Cid][]cid.Cid{}
	for p, err := range s.CheckPins(t.Context()) {
		if err != nil {
			t.Fatal(err)
		}
		got[p.CID] = []cid.Cid{}
		for _, b := range p.Bad {
			got[p.CID] = append(got[p.CID], b.CID)
		}
	}
	root := rootOf(t, all).CID
	if len(got) != 2 || len(got[whole]) != 0 || !slices.Equal(got[root], []cid.Cid{all[1].CID}) {
		t.Errorf("%v", got)
	}
}

func TestAPinMovesWithItsName(t *testing.T) {
	s := offlineStore(t)
	a := rootOf(t, add(t, s, entries(file("d/a", "a"), file("d/b", "b")), AddOptions{Pin: true, PinName: "site"})).CID
	b := rootOf(t, add(t, s, entries(file("d/a", "a"), file("d/b", "changed")), AddOptions{})).CID
	if err := s.UpdatePin(t.Context(), b, a, false); err == nil {
		t.Error("moved from what is not pinned")
	}
	if err := s.UpdatePin(t.Context(), a, mustCID(t, absent), false); err == nil {
		t.Error("moved to what is not here")
	}
	if err := s.UpdatePin(t.Context(), a, b, false); err != nil {
		t.Fatal(err)
	}
	if got := pinned(t, s, Recursive); !slices.Equal(got, []string{b.String() + " recursive site"}) {
		t.Errorf("%q", got)
	}
}

func TestAPinMovedByHandIsNotOneOfAName(t *testing.T) {
	s := offlineStore(t)
	a := rootOf(t, add(t, s, entries(file("d/a", "a")), AddOptions{Pin: true, PinName: KeptFor("blog")})).CID
	b := rootOf(t, add(t, s, entries(file("d/a", "changed")), AddOptions{})).CID
	if err := s.UpdatePin(t.Context(), a, b, true); err != nil {
		t.Fatal(err)
	}
	got := pinned(t, s, Recursive)
	slices.Sort(got)
	want := []string{a.String() + " recursive " + KeptFor("blog"), b.String() + " recursive "}
	if slices.Sort(want); !slices.Equal(got, want) {
		t.Errorf("%q, want %q", got, want)
	}
}
