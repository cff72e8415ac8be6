package content

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"iter"
	"math/rand/v2"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2"
	"github.com/ipfs/go-cid"
	"github.com/multiformats/go-multihash"
)

// Sizes at which a test needs little data for many packs.
const (
	testPack  = 4 << 10
	testLoose = 1 << 10
)

func smallPacksStore(t testing.TB, s *Store) *Store {
	s.stored.packBytes, s.stored.looseBytes = testPack, testLoose
	return s
}

// randomTree has files of up to 700 bytes, which depend on seed alone.
func randomTree(seed uint64, files int) []Entry {
	rng := rand.New(rand.NewPCG(seed, 1))
	var es []Entry
	for i := range files {
		b := make([]byte, 100+rng.IntN(600))
		for j := range b {
			b[j] = byte(rng.Uint32())
		}
		es = append(es, file(fmt.Sprintf("t/%d/%d", i%3, i), string(b)))
	}
	return es
}

// checkStore fails if the index leads nowhere, or a block is damaged.
func checkStore(t testing.TB, s *Store) (count int) {
	t.Helper()
	for c, err := range s.Blocks(t.Context()) {
		if err != nil {
			t.Fatal(err)
		}
		if err := s.CheckBlock(t.Context(), c); err != nil {
			t.Errorf("block %s: %v", c, err)
		}
		count++
	}
	for c, err := range s.CheckPins(t.Context()) {
		if err != nil || len(c.Bad) > 0 {
			t.Errorf("pin %s: %v, %v", c.CID, c.Bad, err)
		}
	}
	return count
}

// packsOf returns how many packs are in use, and fails if the database has others.
func packsOf(t testing.TB, s *Store) int {
	t.Helper()
	used, err := s.stored.used()
	if err != nil {
		t.Fatal(err)
	}
	s.stored.mu.Lock()
	left, err := s.stored.unused()
	s.stored.mu.Unlock()
	if err != nil || len(left) > 0 {
		t.Errorf("packs %v are not in use, %v", left, err)
	}
	return len(used)
}

func TestSmallImportsStayLoose(t *testing.T) {
	s := smallPacksStore(t, offlineStore(t))
	add(t, s, entries(file("x", "x")), AddOptions{})
	if n := packsOf(t, s); n != 0 {
		t.Errorf("%d packs for one byte", n)
	}
	add(t, s, entries(randomTree(1, 50)...), AddOptions{Pin: true})
	if n := packsOf(t, s); n < 3 {
		t.Errorf("%d packs for 20 kB", n)
	}
	before := s.stored.last
	add(t, s, entries(randomTree(1, 50)...), AddOptions{Pin: true})
	if s.stored.last != before {
		t.Error("what was here was written again")
	}
	checkStore(t, s)
}

// Blocks as earlier versions stored them are found, and moved into packs.
func TestLooseBlocksMoveIntoPacks(t *testing.T) {
	s := smallPacksStore(t, offlineStore(t))
	s.stored.packBytes, s.stored.looseBytes = 1<<30, 1<<30
	// They are looked at in three parts.
	root := rootOf(t, add(t, s, entries(randomTree(1, 400)...), AddOptions{Pin: true})).CID
	garbage := rootOf(t, add(t, s, entries(randomTree(2, 400)...), AddOptions{})).CID
	if n := packsOf(t, s); n != 0 {
		t.Fatalf("%d packs", n)
	}
	smallPacksStore(t, s)
	if removed, errs := collect(t, s); removed != 404 || len(errs) > 0 {
		t.Errorf("%d deleted, %v; want 404", removed, errs)
	}
	if n := packsOf(t, s); n < 30 {
		t.Errorf("%d packs", n)
	}
	if !here(t, s, root) || here(t, s, garbage) || checkStore(t, s) != 404 {
		t.Error("not the blocks that stay")
	}
	iter, err := s.db.NewIter(&pebble.IterOptions{LowerBound: blockKeys[0], UpperBound: blockKeys[1]})
	if err != nil {
		t.Fatal(err)
	}
	if iter.First() {
		t.Errorf("%s is loose", iter.Key())
	}
	if err := iter.Close(); err != nil {
		t.Fatal(err)
	}
}

// Deleted blocks free the disk: packs of which less than half stays are written again, small ones together.
func TestCollectionFreesTheDisk(t *testing.T) {
	dir := t.TempDir()
	db, err := pebble.Open(dir, &pebble.Options{Logger: quiet{}, FormatMajorVersion: pebble.FormatNewest})
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	s, err := Open(t.Context(), Options{DB: db, Dir: dir})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	body := func(seed uint64, size int) string {
		b := make([]byte, size)
		rng := rand.New(rand.NewPCG(seed, 1))
		for i := range b {
			b[i] = byte(rng.Uint32())
		}
		return string(b)
	}
	const each = 5 << 20
	var es []Entry
	keep := map[string]cid.Cid{}
	for i := range 12 {
		es = append(es, file(fmt.Sprintf("s/%d", i), body(uint64(i), each)))
	}
	for _, a := range add(t, s, entries(es...), AddOptions{}) {
		if a.Name == "s/3" || a.Name == "s/7" {
			keep[a.Name] = a.CID
			if err := s.Pin(t.Context(), a.CID, Recursive, ""); err != nil {
				t.Fatal(err)
			}
		}
	}
	if before := diskOf(t, dir); before < 12*each || before > 12*each*21/20+16<<20 {
		t.Errorf("%d bytes on disk for %d", before, 12*each)
	}
	if _, errs := collect(t, s); len(errs) > 0 {
		t.Fatal(errs)
	}
	var after int64
	for range 1200 { // the database deletes files in the background
		if after = diskOf(t, dir); after < 2*each*21/20+16<<20 {
			break
		}
		time.Sleep(100 * time.Millisecond)
	}
	if after < 2*each || after > 2*each*21/20+16<<20 {
		t.Errorf("%d bytes on disk for the %d that stay", after, 2*each)
	}
	for name, c := range keep {
		if !here(t, s, c) {
			t.Errorf("%s is lost", name)
		}
	}
	checkStore(t, s)
}

// diskOf adds up the sizes of the files in a directory.
func diskOf(t *testing.T, dir string) (n int64) {
	t.Helper()
	err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if errors.Is(err, os.ErrNotExist) {
			return nil
		}
		if info, ierr := d.Info(); ierr == nil && !d.IsDir() {
			n += info.Size()
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return n
}

// moveAll moves all blocks into new packs.
func moveAll(t testing.TB, s *Store) {
	t.Helper()
	err := s.gate.alone(t.Context(), func([]iter.Seq2[cid.Cid, error]) error {
		w := sweeper{blockDB: s.stored, ctx: t.Context(), stays: func(multihash.Multihash) bool { return true }}
		used, err := w.used()
		for _, p := range used {
			err = errors.Join(err, w.empty(p.number))
		}
		return errors.Join(err, w.move(), w.loose(false), w.loose(true))
	})
	if err != nil {
		t.Fatal(err)
	}
}

// A reader always finds a block that stays, wherever a collection has it at the moment.
func TestReadersMissNothingWhileBlocksMove(t *testing.T) {
	s := smallPacksStore(t, offlineStore(t))
	root := rootOf(t, add(t, s, entries(randomTree(1, 60)...), AddOptions{Pin: true}))
	var all []cid.Cid
	for c, err := range s.Blocks(t.Context()) {
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, c)
	}
	ctx, cancel := context.WithCancel(t.Context())
	var readers sync.WaitGroup
	read := func(c cid.Cid) error {
		_, err := s.stored.Get(t.Context(), c)
		has, herr := s.stored.Has(t.Context(), c)
		if !has && herr == nil {
			herr = errors.New("it is not here")
		}
		_, serr := s.stored.GetSize(t.Context(), c)
		return errors.Join(err, herr, serr)
	}
	var pause sync.RWMutex // readers hold it for reading, but for the moment in which blocks are made loose again
	pass := func() {
		pause.RLock()
		defer pause.RUnlock()
		for _, c := range all {
			if err := read(c); err != nil {
				t.Errorf("%s: %v", c, err)
				return
			}
		}
		listed := map[string]bool{}
		for h, err := range s.stored.all(t.Context()) {
			if err != nil {
				t.Error(err)
				return
			}
			listed[string(h)] = true
		}
		if len(listed) != len(all) {
			t.Errorf("%d blocks of %d are listed", len(listed), len(all))
		}
	}
	for range 4 {
		readers.Go(func() {
			for ctx.Err() == nil && !t.Failed() {
				pass()
			}
		})
	}
	for i := range 30 {
		if i%10 == 5 { // they become loose, as an earlier version had them
			pause.Lock()
			for _, c := range all {
				b, err := s.stored.Get(t.Context(), c)
				if err == nil {
					err = s.stored.change(func(batch *pebble.Batch) error {
						return errors.Join(batch.Delete(indexKey(c.Hash()), nil), batch.Set(looseKey(c.Hash()), b.RawData(), nil))
					})
				}
				if err != nil {
					t.Fatal(err)
				}
			}
			pause.Unlock()
		}
		moveAll(t, s)
	}
	cancel()
	readers.Wait()
	if !here(t, s, root.CID) || checkStore(t, s) != len(all) {
		t.Error("blocks are lost")
	}
	packsOf(t, s)
}

// A pack gets no number that another has, even if at the start it was not known which have one.
func TestNumbersOfPacksAreNotUsedTwice(t *testing.T) {
	s := smallPacksStore(t, offlineStore(t))
	root := rootOf(t, add(t, s, entries(randomTree(1, 60)...), AddOptions{Pin: true})).CID
	bad := usedKey(1 << 40)
	if err := s.db.Set(bad, nil, pebble.NoSync); err != nil {
		t.Fatal(err)
	}
	s.stored.last, s.stored.numbered = 0, false // as after a start
	if err := addErr(t, s, entries(randomTree(2, 60)...), AddOptions{}); !errors.Is(err, errIndex) {
		t.Errorf("add: %v", err)
	}
	if err := s.db.Delete(bad, pebble.NoSync); err != nil {
		t.Fatal(err)
	}
	before := packsOf(t, s)
	s.stored.last, s.stored.numbered = 0, false
	add(t, s, entries(randomTree(2, 60)...), AddOptions{Pin: true})
	if n := packsOf(t, s); n <= before {
		t.Errorf("%d packs, %d before", n, before)
	}
	moveAll(t, s)
	if !here(t, s, root) {
		t.Error("a pack has lost blocks to another")
	}
	checkStore(t, s)
}
