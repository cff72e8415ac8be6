package content

import (
	"errors"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"

	"github.com/cockroachdb/pebble/v2"
	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/cockroachdb/pebble/v2/vfs/errorfs"
	"github.com/ipfs/go-cid"
)

// full is a disk on which new packs find no space after some writes. The database writes into the reserve.
type full struct{ left atomic.Int64 }

func (f *full) MaybeError(op errorfs.Op) error {
	if op.Kind == errorfs.OpFileWrite && strings.HasSuffix(op.Path, newPack) && f.left.Add(-1) < 0 {
		return syscall.ENOSPC
	}
	return nil
}

func (*full) String() string { return "full" }

// On a full disk an add fails and a collection frees what it can; neither loses anything.
func TestFullDiskLosesNothing(t *testing.T) {
	disk := &full{}
	disk.left.Store(1 << 60)
	fs := errorfs.Wrap(vfs.NewMem(), disk)
	db, err := pebble.Open("db", &pebble.Options{FS: fs, Logger: quiet{}, FormatMajorVersion: pebble.FormatNewest})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := db.Close(); err != nil {
			t.Error(err)
		}
	})
	filesOf.Store(db, vfs.FS(fs))
	s := smallPacksStore(t, openStore(t, Options{DB: db}))
	kept := rootOf(t, add(t, s, entries(randomTree(1, 60)...), AddOptions{Pin: true})).CID
	// One file in five stays, so that packs are sparse, and another tree goes whole.
	var few []cid.Cid
	for i, a := range add(t, s, entries(randomTree(2, 100)...), AddOptions{}) {
		if i < 100 && i%5 == 0 {
			few = append(few, a.CID)
			if err := s.Pin(t.Context(), a.CID, Direct, ""); err != nil {
				t.Fatal(err)
			}
		}
	}
	add(t, s, entries(randomTree(3, 100)...), AddOptions{})
	whole := func() {
		t.Helper()
		checkStore(t, s)
		packsOf(t, s)
		if names, err := fs.List("db"); err != nil || strings.Contains(strings.Join(names, " "), newPack) {
			t.Errorf("%q is left, %v", names, err)
		}
		if !here(t, s, kept) {
			t.Error("the pin is not whole")
		}
		for _, c := range few {
			if has, err := s.Has(t.Context(), c); !has || err != nil {
				t.Errorf("%s is lost, %v", c, err)
			}
		}
	}
	for writes := range int64(3) {
		disk.left.Store(writes)
		if err := addErr(t, s, entries(randomTree(4, 60)...), AddOptions{Pin: true}); !errors.Is(err, syscall.ENOSPC) {
			t.Errorf("add: %v", err)
		}
		whole()
	}
	before := packsOf(t, s)
	loose := add(t, s, entries(file("x", "x")), AddOptions{})[0].CID
	disk.left.Store(0)
	if removed, errs := collect(t, s); removed < 180 || len(errs) != 1 || !errors.Is(errs[0], syscall.ENOSPC) {
		t.Errorf("%d deleted, %v", removed, errs)
	}
	if after := packsOf(t, s); after >= before {
		t.Errorf("%d packs after, %d before", after, before)
	}
	if has, err := s.Has(t.Context(), loose); has || err != nil {
		t.Errorf("a loose block is left, %v", err)
	}
	whole()
	disk.left.Store(1 << 60)
	before = packsOf(t, s)
	if _, errs := collect(t, s); len(errs) > 0 {
		t.Error(errs)
	}
	if after := packsOf(t, s); after >= before {
		t.Errorf("with space again: %d packs after, %d before", after, before)
	}
	whole()
}
