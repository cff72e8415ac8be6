package content

import (
	"errors"
	"fmt"
	"io/fs"
	"iter"
	"maps"
	"slices"
	"strings"
	"testing"

	"github.com/ipfs/go-cid"
)

// treeOf yields a tree of files below a root called site; those in unchanged have no content.
func treeOf(files map[string]string, unchanged func(name string) bool) iter.Seq2[Entry, error] {
	return func(yield func(Entry, error) bool) {
		dirs := map[string]bool{}
		yieldDir := func(d string) bool {
			if dirs[d] {
				return true
			}
			dirs[d] = true
			return yield(Entry{Path: d, Mode: fs.ModeDir}, nil)
		}
		if !yieldDir("site") {
			return
		}
		for _, name := range slices.Sorted(maps.Keys(files)) {
			for i := range len(name) {
				if name[i] == '/' && !yieldDir("site/"+name[:i]) {
					return
				}
			}
			e := Entry{Path: "site/" + name}
			if unchanged(name) {
				e.Unchanged = true
			} else {
				e.Content = strings.NewReader(files[name])
			}
			if !yield(e, nil) {
				return
			}
		}
	}
}

func rootWith(t *testing.T, s *Store, files map[string]string, unchanged func(string) bool, o AddOptions) (cid.Cid, int, error) {
	t.Helper()
	var root cid.Cid
	events := 0
	for a, err := range s.Add(t.Context(), treeOf(files, unchanged), o) {
		if err != nil {
			return cid.Undef, events, err
		}
		root = a.CID
		events++
	}
	return root, events, nil
}

func none(string) bool { return false }

func TestUnchangedFilesAreTakenFromTheEarlierVersion(t *testing.T) {
	files := map[string]string{"index.html": "home", "a/b/c.txt": "deep", "a/d.txt": strings.Repeat("0123456789", 100_000), "z/last": "z"}
	for i := range 300 {
		files[fmt.Sprintf("many/%03d", i)] = fmt.Sprint("file ", i)
	}
	for what, o := range map[string]AddOptions{"plain": {CIDVersion: 1, Pin: true}, "sharded": {CIDVersion: 1, Pin: true, ShardSize: 1000}, "old": {Pin: true}} {
		s := offlineStore(t)
		before, _, err := rootWith(t, s, files, none, o)
		if err != nil {
			t.Fatal(err)
		}
		changed := maps.Clone(files)
		changed["many/007"] = "another"
		changed["a/new"] = "new"
		delete(changed, "z/last")
		want, _, err := rootWith(t, offlineStore(t), changed, none, o)
		if err != nil {
			t.Fatal(err)
		}
		o.Base = before
		got, events, err := rootWith(t, s, changed, func(n string) bool { return n != "many/007" && n != "a/new" }, o)
		if err != nil || got != want {
			t.Errorf("%s: %s, %v; want %s as of an add of everything", what, got, err, want)
		}
		if events > 10 {
			t.Errorf("%s: %d entries were yielded", what, events)
		}
		if _, all, err := s.Local(t.Context(), got); err != nil || !all {
			t.Errorf("%s: not all of it is here: %v", what, err)
		}
	}
}

func TestAnEarlierVersionThatIsNotPinnedOrNotWholeIsRefused(t *testing.T) {
	files := map[string]string{"a/one": "1", "two": "2"}
	all := func(string) bool { return true }
	s := offlineStore(t)
	o := AddOptions{CIDVersion: 1, Pin: true}
	if _, _, err := rootWith(t, s, files, all, o); !errors.Is(err, ErrNoBase) {
		t.Errorf("without an earlier version: %v", err)
	}
	base, _, err := rootWith(t, s, files, none, o)
	if err != nil {
		t.Fatal(err)
	}
	o.Base = base
	files["three"] = "3"
	if _, _, err := rootWith(t, s, files, all, o); !errors.Is(err, ErrNoBase) {
		t.Errorf("a file that is not in it: %v", err)
	}
	delete(files, "three")
	one, err := s.Resolve(t.Context(), "/ipfs/"+base.String()+"/a/one")
	if err != nil {
		t.Fatal(err)
	}
	if err := s.DropBlock(t.Context(), one); err != nil {
		t.Fatal(err)
	}
	if _, _, err := rootWith(t, s, files, all, o); !errors.Is(err, ErrNoBase) {
		t.Errorf("a file whose block is gone: %v", err)
	}
	if _, _, err := rootWith(t, s, files, none, o); err != nil {
		t.Fatal(err)
	}
	if err := s.Unpin(t.Context(), base, Recursive); err != nil {
		t.Fatal(err)
	}
	if _, _, err := rootWith(t, s, files, all, o); !errors.Is(err, ErrNoBase) {
		t.Errorf("not pinned: %v", err)
	}
	var nowhere Store
	o.OnlyHash = true
	if _, _, err := rootWith(t, &nowhere, files, all, o); !errors.Is(err, ErrNoBase) {
		t.Errorf("without a store: %v", err)
	}
	if got, _, err := rootWith(t, &nowhere, files, none, AddOptions{CIDVersion: 1, OnlyHash: true}); err != nil || got != base {
		t.Errorf("without a store: %s, %v, want %s", got, err, base)
	}
}

func TestAPinThatKeepsAValueDoesNotTakeThePlaceOfAnother(t *testing.T) {
	s := offlineStore(t)
	files := map[string]string{"one": "1"}
	root, _, err := rootWith(t, s, files, none, AddOptions{CIDVersion: 1, Pin: true, PinName: "mine"})
	if err != nil {
		t.Fatal(err)
	}
	name := func() string {
		p, err := s.PinOf(t.Context(), root, Recursive)
		if err != nil {
			t.Fatal(err)
		}
		return p.Name
	}
	if _, _, err := rootWith(t, s, files, none, AddOptions{CIDVersion: 1, Pin: true, PinName: KeptFor("k51")}); err != nil {
		t.Fatal(err)
	}
	if err := s.KeepTree(t.Context(), root, "k51"); err != nil {
		t.Fatal(err)
	}
	if name() != "mine" {
		t.Errorf("the pin is called %q", name())
	}
	if err := s.Unpin(t.Context(), root, Recursive); err != nil {
		t.Fatal(err)
	}
	if err := s.KeepTree(t.Context(), root, "k51"); err != nil {
		t.Fatal(err)
	}
	p, err := s.PinOf(t.Context(), root, Recursive)
	if by, ok := p.KeptBy(); err != nil || by != "k51" || !ok {
		t.Errorf("kept by %q, %t, %v", by, ok, err)
	}
	if err := s.Pin(t.Context(), root, Recursive, ""); err != nil {
		t.Fatal(err)
	}
	if name() != "" {
		t.Errorf("a pin by hand is called %q", name())
	}
}
