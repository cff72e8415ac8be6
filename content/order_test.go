package content

import (
	"fmt"
	"io/fs"
	"math/rand/v2"
	"runtime"
	"slices"
	"strings"
	"testing"
)

// Clients send files without their folders, folders after their files, and both in any order.
func TestOrderOfEntriesDoesNotMatter(t *testing.T) {
	tree := func() []Entry {
		return []Entry{
			dir("s"), file("s/a.txt", "1"), dir("s/a"), file("s/a/x", "2"), file("s/a/b/y", "3"), dir("s/a/empty"),
			file("s/a-b", "4"), dir("s/b"), file("s/b/x", "5"),
			{Path: "s/link", Mode: fs.ModeSymlink, Target: "a/x"},
		}
	}
	s := offlineStore(t)
	want := rootOf(t, add(t, s, entries(tree()...), AddOptions{CIDVersion: 1})).CID
	rng := rand.New(rand.NewPCG(1, 2))
	for range 50 {
		es := tree()
		rng.Shuffle(len(es), func(i, j int) { es[i], es[j] = es[j], es[i] })
		es = append(es, dir("s/a"), dir("s")) // a second time
		var order []string
		for _, e := range es {
			order = append(order, e.Path)
		}
		all := add(t, s, entries(es...), AddOptions{CIDVersion: 1, OnlyHash: rng.IntN(2) == 0})
		if got := rootOf(t, all).CID; got != want {
			t.Fatalf("%q: %s, want %s", order, got, want)
		}
		if got := names(all[len(all)-5:]); !slices.Equal(got, []string{"s/a/b", "s/a/empty", "s/a", "s/b", "s"}) {
			t.Fatalf("%q: directories %q", order, got)
		}
	}
}

// More links than fit in memory, ordered so that no directory stays together.
func TestLargeTreeInAnyOrder(t *testing.T) {
	const dirs = 200
	files := 2*linksInMemory + 1000
	if testing.Short() {
		files -= linksInMemory
	}
	order := rand.New(rand.NewPCG(3, 4)).Perm(files)
	tree := func(order []int) []Added {
		return add(t, offlineStore(t), func(yield func(Entry, error) bool) {
			for _, i := range order {
				if !yield(file(fmt.Sprintf("s/%d/%d", i%dirs, i), "x"), nil) {
					return
				}
			}
		}, AddOptions{CIDVersion: 1, OnlyHash: true})
	}
	got := tree(order)
	slices.SortFunc(order, func(a, b int) int {
		return strings.Compare(fmt.Sprintf("%d/%d", a%dirs, a), fmt.Sprintf("%d/%d", b%dirs, b))
	})
	want := tree(order)
	if got[len(got)-1] != want[len(want)-1] || len(got) != files+dirs+1 {
		t.Errorf("%d events and %v, want %d and %v", len(got), got[len(got)-1], len(want), want[len(want)-1])
	}
}

// A tree that is continued after another one is yielded again, as a whole.
func TestTreeEnteredAgainIsMerged(t *testing.T) {
	t.Setenv("TMPDIR", "/nowhere") // small trees need no files
	s := offlineStore(t)
	o := AddOptions{CIDVersion: 1, Pin: true}
	want := rootOf(t, add(t, s, entries(file("s/a", "1"), file("s/d/b", "2"), file("s/d/c", "3")), o)).CID
	for _, between := range [][]Entry{
		{file("t/f", "x")}, {file("f", "x")}, {dir("t")}, {file("t/f", "x"), file("u/f", "x"), file("t/g", "y")},
	} {
		es := append([]Entry{file("s/a", "1"), file("s/d/b", "2")}, between...)
		es = append(es, file("s/d/c", "3"))
		var last Added
		for _, a := range add(t, s, entries(es...), o) {
			if a.Name == "s" {
				last = a
			}
		}
		if last.CID != want || !last.Root {
			t.Errorf("after %v: %v, want %s", between, last, want)
		}
	}
	if _, err := s.PinOf(t.Context(), want, Recursive); err != nil {
		t.Error(err)
	}
	wrapped := add(t, s, entries(file("s/a", "1"), file("t/f", "x"), file("s/d/b", "2")), AddOptions{Wrap: true})
	if got := names(wrapped); !slices.Equal(got, []string{"s/a", "t/f", "s/d/b", "s/d", "s", "t", ""}) {
		t.Errorf("wrapped: %q", got)
	}
}

// The memory of an import does not grow with the number of entries, in any order.
func TestImportHoldsBoundedLinks(t *testing.T) {
	files, dirs := 4*linksInMemory, 5000
	if testing.Short() {
		files = 2 * linksInMemory
	}
	var before, peak runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&before)
	i := 0
	all := func(yield func(Entry, error) bool) {
		for ; i < files; i++ {
			if !yield(file(fmt.Sprintf("site/%d/file-%d", i%dirs, i), "x"), nil) {
				return
			}
		}
		runtime.GC()
		runtime.ReadMemStats(&peak) // what is live after the last file
	}
	for _, err := range offlineStore(t).Add(t.Context(), all, AddOptions{OnlyHash: true}) {
		if err != nil {
			t.Fatal(err)
		}
	}
	if held := int64(peak.HeapAlloc) - int64(before.HeapAlloc); peak.HeapAlloc == 0 || held > 24<<20 {
		t.Errorf("%d bytes held after %d files", held, files)
	}
}
