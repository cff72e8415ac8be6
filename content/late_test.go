package content

import (
	"context"
	"errors"
	"iter"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2"
	"github.com/cockroachdb/pebble/v2/vfs"
	blocks "github.com/ipfs/go-block-format"
	"github.com/ipfs/go-cid"
	"github.com/multiformats/go-multihash"
)

// On a full disk nobody waits any more for a collection that goes on when there is space. It then deletes nothing,
// since something may be needed meanwhile.
func TestALateCollectionDeletesNothing(t *testing.T) {
	fs := vfs.NewMem()
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
	full := errors.New("full")
	var wait chan struct{} // nil: for nothing
	ended := make(chan error, 100)
	s := smallPacksStore(t, openStore(t, Options{DB: db, Freeing: func(_ context.Context, write func() error) error {
		if wait == nil {
			return write()
		}
		go func() {
			<-wait
			ended <- write()
		}()
		return full
	}}))
	root := rootOf(t, add(t, s, entries(randomTree(1, 60)...), AddOptions{})).CID
	var all []multihash.Multihash
	for c, err := range s.Blocks(t.Context()) {
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, c.Hash())
	}
	first, err := s.stored.Get(t.Context(), cid.NewCidV1(cid.Raw, all[0]))
	if err != nil {
		t.Fatal(err)
	}
	wait = make(chan struct{})
	for _, moved := range [][]blocks.Block{nil, {first}} {
		err := s.gate.alone(t.Context(), func([]iter.Seq2[cid.Cid, error]) error {
			w := sweeper{blockDB: s.stored, ctx: t.Context(), gone: all[1:]}
			return w.step(moved)
		})
		if !errors.Is(err, full) {
			t.Error(err)
		}
	}
	if err := s.stored.DeleteBlock(t.Context(), root); !errors.Is(err, full) {
		t.Error(err)
	}
	if again := rootOf(t, add(t, s, entries(randomTree(1, 60)...), AddOptions{Pin: true})).CID; !again.Equals(root) { // finds all of it here
		t.Error(again)
	}
	close(wait)
	for range 3 {
		select {
		case err := <-ended:
			if !errors.Is(err, errLate) {
				t.Error(err)
			}
		case <-time.After(time.Minute):
			t.Fatal("nothing goes on")
		}
	}
	if !here(t, s, root) {
		t.Error("the pin is not whole")
	}
	checkStore(t, s)
}
