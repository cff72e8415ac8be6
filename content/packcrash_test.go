package content

import (
	"flag"
	"fmt"
	"math/rand/v2"
	"strings"
	"sync"
	"testing"

	"github.com/cockroachdb/pebble/v2"
	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/cockroachdb/pebble/v2/vfs/errorfs"
	"github.com/ipfs/go-cid"
	"pgregory.net/rapid"
)

var long = flag.Bool("long", false, "run the tests at full length")

// crashing clones a file system as a crash of the machine would leave it, before every op that changes it, for one op of
// every.
type crashing struct {
	fs    *vfs.MemFS
	every int64

	mu     sync.Mutex // goroutines of the database write, too
	armed  bool
	ops    int64
	clones []*vfs.MemFS
}

func (c *crashing) MaybeError(op errorfs.Op) error {
	if op.Kind.ReadOrWrite() != errorfs.OpIsWrite {
		return nil
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if !c.armed {
		return nil
	}
	if c.ops++; c.ops%c.every == 0 {
		// Of what was not synced, nothing, half or all survives.
		survives := vfs.CrashCloneCfg{UnsyncedDataPercent: int(c.ops/c.every%3) * 50, RNG: rand.New(rand.NewPCG(uint64(c.ops), 1))}
		c.clones = append(c.clones, c.fs.CrashClone(survives))
	}
	return nil
}

func (c *crashing) String() string { return "crashing" }

// during returns the clones that are made while f runs, and none that a write of before or after it makes.
func (c *crashing) during(f func()) (clones []*vfs.MemFS) {
	arm := func(armed bool) {
		c.mu.Lock()
		defer c.mu.Unlock()
		c.armed, clones, c.clones = armed, c.clones, nil
	}
	arm(true)
	f()
	arm(false)
	return clones
}

// Whenever the machine dies in the middle of an add or of a collection, what was acknowledged is there, the index leads
// to blocks only, and the next collection leaves nothing but what stays.
func TestCrashAtAnyMomentLosesNothing(t *testing.T) {
	c := &crashing{fs: vfs.NewCrashableMem(), every: 5}
	if *long {
		c.every = 1
	}
	fs := errorfs.Wrap(c.fs, c)
	db, err := pebble.Open("db", &pebble.Options{FS: fs, Logger: quiet{}, FormatMajorVersion: pebble.FormatNewest})
	if err != nil {
		t.Fatal(err)
	}
	filesOf.Store(db, vfs.FS(fs))
	t.Cleanup(func() {
		if err := db.Close(); err != nil {
			t.Error(err)
		}
	})
	s := smallPacksStore(t, openStore(t, Options{DB: db}))
	acked := map[cid.Cid]bool{}
	// The clones of one step are checked after it: what was acknowledged before it must be in each.
	step := func(name string, f func()) {
		t.Helper()
		all := c.during(f)
		for i, clone := range all {
			checkCrash(t, fmt.Sprintf("%s, crash %d of %d", name, i+1, len(all)), clone, acked)
		}
		t.Logf("%s: %d crashes", name, len(all))
	}
	for seed := range uint64(3) {
		var root cid.Cid
		step("add", func() { root = rootOf(t, add(t, s, entries(randomTree(seed, 60)...), AddOptions{Pin: true})).CID })
		acked[root] = true
	}
	add(t, s, entries(randomTree(7, 90)...), AddOptions{})
	var first cid.Cid
	for first = range acked {
		break
	}
	delete(acked, first)
	if err := s.Unpin(t.Context(), first, Recursive); err != nil {
		t.Fatal(err)
	}
	step("collect", func() {
		if _, errs := collect(t, s); len(errs) > 0 {
			t.Error(errs)
		}
	})
	step("move", func() { moveAll(t, s) })
	checkStore(t, s)
	packsOf(t, s)
}

// checkCrash opens what a crash has left.
func checkCrash(t *testing.T, name string, fs vfs.FS, acked map[cid.Cid]bool) {
	t.Helper()
	db, err := pebble.Open("db", &pebble.Options{FS: fs, Logger: quiet{}, FormatMajorVersion: pebble.FormatNewest})
	if err != nil {
		t.Fatalf("%s: %v", name, err)
	}
	s, err := Open(t.Context(), Options{DB: db, Dir: "db", FS: fs})
	if err != nil {
		t.Fatalf("%s: %v", name, err)
	}
	smallPacksStore(t, s)
	checkStore(t, s)
	packsOf(t, s)
	for c := range acked {
		if !here(t, s, c) {
			t.Errorf("%s: %s is lost", name, c)
		}
		if _, err := s.PinOf(t.Context(), c, Recursive); err != nil {
			t.Errorf("%s: the pin of %s: %v", name, c, err)
		}
	}
	if _, errs := collect(t, s); len(errs) > 0 {
		t.Errorf("%s: collect: %v", name, errs)
	}
	needed := marks{}
	for p, err := range s.Pins(t.Context(), AnyPin) {
		if err != nil {
			t.Fatal(err)
		}
		needed.visit(p.CID)
	}
	for c, err := range s.Blocks(t.Context()) {
		if err != nil || !needed.stays(c.Hash()) {
			t.Errorf("%s: %s is garbage after a collection, %v", name, c, err)
		}
	}
	if names, err := fs.List("db"); err != nil {
		t.Error(err)
	} else {
		for _, n := range names {
			if strings.HasSuffix(n, newPack) {
				t.Errorf("%s: %s is left", name, n)
			}
		}
	}
	if err := s.Close(); err != nil {
		t.Error(err)
	}
	if err := db.Close(); err != nil {
		t.Error(err)
	}
	if t.Failed() {
		t.Fatalf("%s: stop", name)
	}
}

// A store behaves like a set of pinned trees, over any history of adds, unpins, collections and restarts.
func TestStoreKeepsExactlyWhatIsPinned(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		fs := vfs.NewMem()
		var db *pebble.DB
		var s *Store
		open := func() {
			var err error
			if db, err = pebble.Open("db", &pebble.Options{FS: fs, Logger: quiet{}, FormatMajorVersion: pebble.FormatNewest}); err != nil {
				rt.Fatal(err)
			}
			if s, err = Open(t.Context(), Options{DB: db, Dir: "db", FS: fs}); err != nil {
				rt.Fatal(err)
			}
			smallPacksStore(t, s)
		}
		shut := func() {
			if err := s.Close(); err != nil {
				rt.Error(err)
			}
			if err := db.Close(); err != nil {
				rt.Error(err)
			}
		}
		open()
		defer func() { shut() }()
		pinned, unpinned := map[cid.Cid]int{}, map[cid.Cid]int{} // trees and their blocks
		rt.Repeat(map[string]func(*rapid.T){
			"add": func(rt *rapid.T) {
				n := rapid.IntRange(1, 40).Draw(rt, "files")
				pin := rapid.Bool().Draw(rt, "pin")
				// Trees of one seed share files.
				root := rootOf(t, add(t, s, entries(randomTree(rapid.Uint64Range(1, 3).Draw(rt, "seed"), n)...), AddOptions{Pin: pin})).CID
				if _, had := pinned[root]; pin || had {
					pinned[root] = n
					delete(unpinned, root)
				} else {
					unpinned[root] = n
				}
			},
			"unpin": func(rt *rapid.T) {
				for c, n := range pinned {
					if err := s.Unpin(t.Context(), c, Recursive); err != nil {
						rt.Fatal(err)
					}
					delete(pinned, c)
					unpinned[c] = n
					return
				}
			},
			"pin": func(rt *rapid.T) {
				for c, n := range unpinned {
					if err := s.Pin(t.Context(), c, Recursive, ""); err != nil {
						rt.Fatal(err)
					}
					delete(unpinned, c)
					pinned[c] = n
					return
				}
			},
			"collect": func(rt *rapid.T) {
				if _, errs := collect(t, s); len(errs) > 0 {
					rt.Fatal(errs)
				}
				clear(unpinned)
				needed := marks{}
				for p, err := range s.Pins(t.Context(), AnyPin) {
					if err != nil {
						rt.Fatal(err)
					}
					needed.visit(p.CID)
				}
				for c, err := range s.Blocks(t.Context()) {
					if err != nil || !needed.stays(c.Hash()) {
						rt.Errorf("%s is garbage, %v", c, err)
					}
				}
			},
			"reopen": func(rt *rapid.T) { shut(); open() },
			"": func(rt *rapid.T) {
				for c := range pinned {
					if !here(t, s, c) {
						rt.Fatalf("%s is lost", c)
					}
				}
				for c := range unpinned {
					if !here(t, s, c) {
						rt.Fatalf("%s is lost, and nothing was collected", c)
					}
				}
				checkStore(t, s)
				packsOf(t, s)
			},
		})
	})
}
