package content

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"testing"

	"github.com/cockroachdb/pebble/v2"
	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/cockroachdb/pebble/v2/vfs/errorfs"
	blocks "github.com/ipfs/go-block-format"
	"github.com/ipfs/go-cid"
	"github.com/multiformats/go-multihash"
)

func rawBlock(t testing.TB, text string) blocks.Block {
	t.Helper()
	c, err := cid.V1Builder{Codec: cid.Raw, MhType: multihash.SHA2_256}.Sum([]byte(text))
	if err != nil {
		t.Fatal(err)
	}
	b, err := blocks.NewBlockWithCid([]byte(text), c)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func allBlocks(t testing.TB, s *Store) (list []string) {
	t.Helper()
	for c, err := range s.Blocks(t.Context()) {
		if err != nil {
			t.Fatal(err)
		}
		list = append(list, c.String())
	}
	slices.Sort(list)
	return list
}

// Whenever the machine dies while blocks are taken out of packs, all are there, and the next try ends it. Then the
// database has nothing that programs without packs do not know.
func TestUnpackLosesNothingAtAnyMoment(t *testing.T) {
	c := &crashing{fs: vfs.NewCrashableMem(), every: 1}
	fs := errorfs.Wrap(c.fs, c)
	open := func(fs vfs.FS) *pebble.DB {
		db, err := pebble.Open("db", &pebble.Options{FS: fs, Logger: quiet{}, FormatMajorVersion: pebble.FormatNewest, DisableAutomaticCompactions: true})
		if err != nil {
			t.Fatal(err)
		}
		filesOf.Store(db, fs)
		t.Cleanup(func() { filesOf.Delete(db); db.Close() })
		return db
	}
	db := open(fs)
	s, err := Open(t.Context(), placed(Options{DB: db}))
	if err != nil {
		t.Fatal(err)
	}
	smallPacksStore(t, s)
	root := rootOf(t, add(t, s, entries(randomTree(1, 60)...), AddOptions{Pin: true})).CID
	fetched := fetching{s.stored, s.stored}
	if err := fetched.Put(t.Context(), rawBlock(t, "from another node")); err != nil {
		t.Fatal(err)
	}
	want, packs := allBlocks(t, s), packsOf(t, s)
	if packs < 3 {
		t.Fatalf("only %d packs", packs)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	unpack := func(db *pebble.DB) {
		t.Helper()
		told := -1
		err := Unpack(t.Context(), placed(Options{DB: db}), func(done, of int) {
			if done != told+1 || of > packs {
				t.Errorf("told of pack %d of %d after %d", done, of, told)
			}
			told = done
		})
		if err != nil {
			t.Fatal(err)
		}
		for _, prefix := range []byte{packKeys, indexKeys, usedKeys, fetchedKeys} {
			iter, err := db.NewIter(&pebble.IterOptions{LowerBound: []byte{prefix}, UpperBound: []byte{prefix + 1}})
			if err != nil {
				t.Fatal(err)
			}
			if iter.First() {
				t.Errorf("the database still has %q", iter.Key())
			}
			if err := iter.Close(); err != nil {
				t.Fatal(err)
			}
		}
	}
	whole := func(name string, db *pebble.DB) {
		t.Helper()
		s, err := Open(t.Context(), placed(Options{DB: db}))
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		checkStore(t, s)
		packsOf(t, s)
		if got := allBlocks(t, s); !slices.Equal(got, want) {
			t.Errorf("%s: %d blocks of %d", name, len(got), len(want))
		}
		if pinned, err := s.PinOf(t.Context(), root, Recursive); err != nil {
			t.Errorf("%s: the pin is lost: %v, %v", name, pinned, err)
		}
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
	}
	clones := c.during(func() { unpack(db) })
	whole("unpacked", db)
	t.Logf("%d packs, %d crashes", packs, len(clones))
	if len(clones) < packs {
		t.Errorf("only %d crashes", len(clones))
	}
	for i, clone := range clones {
		name := fmt.Sprintf("crash %d of %d", i+1, len(clones))
		db := open(clone)
		whole(name, db)
		unpack(db)
		whole(name+", gone on with", db)
	}
}

// A block that cannot be read stops it before anything of its pack is lost.
func TestUnpackStopsAtAnIndexThatLeadsNowhere(t *testing.T) {
	s := smallPacksStore(t, offlineStore(t))
	add(t, s, entries(randomTree(1, 60)...), AddOptions{Pin: true})
	h := rawBlock(t, "nowhere").Cid().Hash()
	if err := s.db.Set(indexKey(h), place{pack: 1 << 40, size: 7}.encode(), pebble.Sync); err != nil {
		t.Fatal(err)
	}
	err := Unpack(t.Context(), placed(Options{DB: s.db}), func(int, int) {})
	if err == nil {
		t.Error("an index that leads nowhere is taken for whole")
	}
	for c, err := range s.Blocks(t.Context()) {
		if err != nil || c.Equals(cid.NewCidV1(cid.Raw, h)) {
			continue
		}
		if err := s.CheckBlock(t.Context(), c); err != nil {
			t.Errorf("block %s: %v", c, err)
		}
	}
}

// Where nothing can be written, it says so: it does not wait for space to drop a pack.
func TestUnpackDoesNotWaitForAFullDisk(t *testing.T) {
	s := smallPacksStore(t, offlineStore(t))
	add(t, s, entries(randomTree(1, 60)...), AddOptions{Pin: true})
	o, full := placed(Options{DB: s.db}), errors.New("full")
	o.Freeing = func(context.Context, func() error) error { return full }
	if err := Unpack(t.Context(), o, func(int, int) {}); !errors.Is(err, full) {
		t.Errorf("it ended with %v", err)
	}
	checkStore(t, s)
}
