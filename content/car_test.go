package content

import (
	"bytes"
	"errors"
	"io"
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/ipfs/go-cid"
	"github.com/multiformats/go-multihash"
)

// rawBlocks are CIDs of version 1 for bytes as they are.
var rawBlocks = cid.Prefix{Version: 1, Codec: cid.Raw, MhType: multihash.SHA2_256, MhLength: -1}

// addTree adds a directory with a file of several blocks, one that stands in it
// twice, and a subdirectory.
func addTree(t *testing.T, s *Store) cid.Cid {
	t.Helper()
	big := make([]byte, 700_000)
	r := rand.NewChaCha8([32]byte{1})
	if _, err := r.Read(big); err != nil {
		t.Fatal(err)
	}
	var root cid.Cid
	entries := func(yield func(Entry, error) bool) {
		for _, e := range []Entry{
			{Path: "site/a", Content: bytes.NewReader(big)},
			{Path: "site/b", Content: strings.NewReader("b")},
			{Path: "site/sub/b", Content: strings.NewReader("b")},
		} {
			if !yield(e, nil) {
				return
			}
		}
	}
	for a, err := range s.Add(t.Context(), entries, AddOptions{}) {
		if err != nil {
			t.Fatal(err)
		}
		root = a.CID
	}
	return root
}

// exportTree returns a tree as a CAR file.
func exportTree(t *testing.T, s *Store, root cid.Cid, localOnly bool) []byte {
	t.Helper()
	r, err := s.Export(t.Context(), root.String(), localOnly)
	if err != nil {
		t.Fatal(err)
	}
	b, err := io.ReadAll(r)
	if err := errors.Join(err, r.Close()); err != nil {
		t.Fatal(err)
	}
	return b
}

// What one store exports, another imports: every block once, and the root pinned.
func TestTreeTravelsAsCAR(t *testing.T) {
	from, to := offlineStore(t), offlineStore(t)
	root := addTree(t, from)
	file := exportTree(t, from, root, false)
	if local := exportTree(t, from, root, true); !bytes.Equal(local, file) {
		t.Errorf("of a whole tree, %d bytes are local, %d all", len(local), len(file))
	}
	var in Imported
	if err := to.Import(t.Context(), bytes.NewReader(file), MaxBlock, &in); err != nil {
		t.Fatal(err)
	}
	if len(in.Roots) != 1 || in.Roots[0] != root || in.Blocks != 7 {
		t.Errorf("imported %d blocks, roots %v; want 7 and %v", in.Blocks, in.Roots, root)
	}
	if err := to.PinImported(t.Context(), root); err != nil {
		t.Fatal(err)
	}
	if p, err := to.PinOf(t.Context(), root, Recursive); err != nil || p.CID != root {
		t.Errorf("the pin is %v, %v", p, err)
	}
	blocks, size := 0, 0
	err := to.Walk(t.Context(), root, func(_ cid.Cid, n int) error { blocks, size = blocks+1, size+n; return nil })
	if err != nil || blocks != 7 || uint64(size) != in.Bytes {
		t.Errorf("a walk finds %d blocks, %d bytes of %d, %v", blocks, size, in.Bytes, err)
	}
}

// A tree with a block missing is exported without it, and what only it leads to, if
// that was asked for, and is an error else. It can't be pinned.
func TestPartOfATreeIsExported(t *testing.T) {
	s, to := offlineStore(t), offlineStore(t)
	root := addTree(t, s)
	sub, err := s.Resolve(t.Context(), "/ipfs/"+root.String()+"/sub")
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Unpin(t.Context(), root, Recursive); err != nil && !errors.Is(err, ErrNotPinned) {
		t.Fatal(err)
	}
	if err := s.RemoveBlock(t.Context(), sub); err != nil {
		t.Fatal(err)
	}
	r, err := s.Export(t.Context(), root.String(), false)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := io.ReadAll(r); err == nil {
		t.Error("a tree with a hole was exported whole")
	}
	if err := r.Close(); err != nil {
		t.Error(err)
	}
	part := exportTree(t, s, root, true)
	var in Imported
	if err := to.Import(t.Context(), bytes.NewReader(part), MaxBlock, &in); err != nil || in.Blocks != 6 {
		t.Errorf("the part has %d blocks, %v", in.Blocks, err)
	}
	if err := to.PinImported(t.Context(), root); err == nil {
		t.Error("a tree with a hole was pinned")
	}
}

// Closing an export that nobody reads on ends its writer: goleak sees that.
func TestExportIsAbandoned(t *testing.T) {
	s := offlineStore(t)
	r, err := s.Export(t.Context(), addTree(t, s).String(), false)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := r.Read(make([]byte, 10)); err != nil {
		t.Fatal(err)
	}
	if err := r.Close(); err != nil {
		t.Fatal(err)
	}
}

// A CAR file that is cut, changed, or has a block that is too large is refused, and
// the error names the block.
func TestBadCARIsRefused(t *testing.T) {
	from := offlineStore(t)
	root := addTree(t, from)
	file := exportTree(t, from, root, false)
	changed := bytes.Clone(file)
	changed[len(changed)-200_000] ^= 1
	for name, c := range map[string]struct {
		file  []byte
		limit int
		want  string
	}{
		"cut":       {file[:len(file)-100], MaxBlock, "import failed after block"},
		"changed":   {changed, MaxBlock, "import failed"},
		"large":     {file, 1000, "big blocks"},
		"no header": {[]byte("hello"), MaxBlock, ""},
		"empty":     {nil, MaxBlock, ""},
	} {
		err := offlineStore(t).Import(t.Context(), bytes.NewReader(c.file), c.limit, new(Imported))
		if err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v, want %q", name, err, c.want)
		}
	}
}

func FuzzImport(f *testing.F) {
	s, err := Open(f.Context(), placed(Options{DB: openDB(f, vfs.NewMem())}))
	if err != nil {
		f.Fatal(err)
	}
	f.Cleanup(func() { s.Close() })
	f.Add([]byte{})
	f.Add([]byte("\x0a\xa1gversion\x02"))
	f.Fuzz(func(t *testing.T, b []byte) {
		var in Imported
		if err := s.Import(t.Context(), bytes.NewReader(b), MaxBlock, &in); err == nil && in.Bytes > uint64(len(b)) {
			t.Errorf("%d bytes of blocks in a file of %d", in.Bytes, len(b))
		}
	})
}

// A block is stored, found and, unless it is pinned, deleted.
func TestBlocks(t *testing.T) {
	s := offlineStore(t)
	c, err := s.PutBlock(t.Context(), []byte("hello\n"), rawBlocks)
	if err != nil || c.String() != "bafkreicysg23kiwv34eg2d7qweipxwosdo2py4ldv42nbauguluen5v6am" {
		t.Fatal(c, err)
	}
	if b, err := s.Block(t.Context(), c.String()); err != nil || string(b.RawData()) != "hello\n" {
		t.Errorf("got %v, %v", b, err)
	}
	if err := s.Pin(t.Context(), c, Direct, ""); err != nil {
		t.Fatal(err)
	}
	if err := s.RemoveBlock(t.Context(), c); err == nil || err.Error() != "pinned: direct" {
		t.Errorf("deleting a pinned block: %v", err)
	}
	if err := s.Unpin(t.Context(), c, Direct); err != nil {
		t.Fatal(err)
	}
	if err := s.RemoveBlock(t.Context(), c); err != nil {
		t.Error(err)
	}
	if _, err := s.Block(t.Context(), c.String()); err == nil {
		t.Error("a deleted block is there")
	}
}

// Data is read in the codec that is asked for, also inside of a block.
func TestNode(t *testing.T) {
	s := offlineStore(t)
	const dagCBOR, dagJSON = 0x71, 0x129
	data, err := Encode(strings.NewReader(`{"a":[1,{"b":"x"}]}`), dagJSON, dagCBOR)
	if err != nil {
		t.Fatal(err)
	}
	p := rawBlocks
	p.Codec = dagCBOR
	c, err := s.PutBlock(t.Context(), data, p)
	if err != nil {
		t.Fatal(err)
	}
	for path, want := range map[string]string{"": `{"a":[1,{"b":"x"}]}`, "/a": `[1,{"b":"x"}]`, "/a/1/b": `"x"`} {
		if got, err := s.Node(t.Context(), "/ipld/"+c.String()+path, dagJSON); err != nil || string(got) != want {
			t.Errorf("%s: %s, %v; want %s", path, got, err, want)
		}
	}
	for _, path := range []string{"/b", "/a/2", "/a/1/b/c"} {
		if got, err := s.Node(t.Context(), "/ipld/"+c.String()+path, dagJSON); err == nil {
			t.Errorf("%s leads to %s", path, got)
		}
	}
}
