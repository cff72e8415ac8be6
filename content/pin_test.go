package content

import (
	"errors"
	"slices"
	"strings"
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/ipfs/go-cid"
)

const absent = "bafybeib3ffl2teiqdncv3mkz4r23b5ctrwkzrrhctdbne6iboayxuxk5ui"

func pinned(t testing.TB, s *Store, typ PinType) []string {
	t.Helper()
	var out []string
	for p, err := range s.Pins(t.Context(), typ) {
		if err != nil {
			t.Fatal(err)
		}
		out = append(out, p.CID.String()+" "+string(p.Type)+" "+p.Name)
	}
	slices.Sort(out)
	return out
}

func TestPins(t *testing.T) {
	db := openDB(t, vfs.NewMem())
	s := openStore(t, Options{DB: db})
	ctx := t.Context()
	all := add(t, s, entries(file("d/a", "hello\n"), file("d/b", "b")), AddOptions{CIDVersion: 1, Pin: true})
	a, b, root := all[0].CID, all[1].CID, rootOf(t, all).CID

	expect := func(when string, typ PinType, want ...string) {
		t.Helper()
		slices.Sort(want)
		if got := pinned(t, s, typ); !slices.Equal(got, want) {
			t.Errorf("%s, %s pins:\n%q, want\n%q", when, typ, got, want)
		}
	}
	expect("after add", AnyPin, root.String()+" recursive ", a.String()+" indirect ", b.String()+" indirect ")

	if err := s.Pin(ctx, a, Direct, "greeting"); err != nil {
		t.Fatal(err)
	}
	expect("after a direct pin", Direct, a.String()+" direct greeting")
	expect("after a direct pin", Indirect, b.String()+" indirect ")
	if p, err := s.PinOf(ctx, b, AnyPin); err != nil || p.Type != Indirect || p.Via != root {
		t.Errorf("pin of b: %v, %v", p, err)
	}
	if err := s.Pin(ctx, root, Recursive, "named"); err != nil {
		t.Fatal(err)
	}
	if err := s.Pin(ctx, root, Recursive, "named"); err != nil {
		t.Error("the same pin again:", err)
	}
	expect("after naming", Recursive, root.String()+" recursive named")

	err := s.Pin(ctx, root, Direct, "")
	if err == nil || err.Error() != "pin: "+root.String()+" already pinned recursively" {
		t.Errorf("direct over recursive: %v", err)
	}
	if err := s.Unpin(ctx, root, Direct); err == nil || !strings.Contains(err.Error(), "is pinned recursively") {
		t.Errorf("direct unpin of a recursive pin: %v", err)
	}
	if err := s.Unpin(ctx, b, Recursive); !errors.Is(err, ErrNotPinned) || !strings.Contains(err.Error(), "not pinned or pinned indirectly") {
		t.Errorf("unpin of an indirect pin: %v", err)
	}

	again := openStore(t, Options{DB: db})
	if got := pinned(t, again, AnyPin); len(got) != 3 {
		t.Errorf("pins in a second Store: %q", got)
	}
	for _, c := range []cid.Cid{root, a} {
		if err := s.Unpin(ctx, c, Recursive); err != nil {
			t.Fatal(err)
		}
	}
	expect("after unpinning all", AnyPin)
}

// If its blocks cannot be fetched, a pin fails and leaves the existing pins unchanged.
func TestPinOfAbsentBlocks(t *testing.T) {
	s := offlineStore(t)
	ctx := t.Context()
	for _, typ := range []PinType{Recursive, Direct} {
		err := s.Pin(ctx, mustCID(t, absent), typ, "")
		if err == nil || !strings.Contains(err.Error(), absent) {
			t.Errorf("%s pin of an absent block: %v", typ, err)
		}
	}
	all := add(t, s, entries(file("d/a", "1")), AddOptions{CIDVersion: 1, Pin: true})
	if err := s.blocks.DeleteBlock(ctx, all[0].CID); err != nil {
		t.Fatal(err)
	}
	root := rootOf(t, all).CID
	if err := s.Pin(ctx, root, Recursive, "renamed"); err == nil {
		t.Error("a tree with a hole was pinned")
	}
	if p, err := s.PinOf(ctx, root, Recursive); err != nil || p.Name != "" {
		t.Errorf("the earlier pin is now %v, %v", p, err)
	}
	if _, err := s.PinOf(ctx, mustCID(t, absent), AnyPin); err == nil {
		t.Error("an absent block has a pin")
	}
}

func TestCrashAfterUnpin(t *testing.T) {
	disk := vfs.NewCrashableMem()
	s := openStore(t, Options{DB: openDB(t, disk)})
	root := rootOf(t, add(t, s, entries(file("a", "1")), AddOptions{Pin: true})).CID
	if err := s.Unpin(t.Context(), root, Recursive); err != nil {
		t.Fatal(err)
	}
	after := openStore(t, Options{DB: openDB(t, disk.CrashClone(vfs.CrashCloneCfg{}))})
	if got := pinned(t, after, AnyPin); len(got) != 0 {
		t.Errorf("pins after the crash: %q", got)
	}
}
