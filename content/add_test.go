package content

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"iter"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"testing/iotest"

	"github.com/cockroachdb/pebble/v2/vfs"
)

// add adds a tree and returns all events.
func add(t testing.TB, s *Store, entries iter.Seq2[Entry, error], o AddOptions) []Added {
	t.Helper()
	var all []Added
	for a, err := range s.Add(t.Context(), entries, o) {
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, a)
	}
	return all
}

// addErr adds a tree that must be refused and returns the error.
func addErr(t testing.TB, s *Store, entries iter.Seq2[Entry, error], o AddOptions) error {
	t.Helper()
	for _, err := range s.Add(t.Context(), entries, o) {
		if err != nil {
			return err
		}
	}
	t.Fatal("no error")
	return nil
}

// rootOf returns the last event, which must be the only root.
func rootOf(t testing.TB, all []Added) Added {
	t.Helper()
	for i, a := range all {
		if a.Root != (i == len(all)-1) {
			t.Fatalf("event %d of %d (%s): Root %v", i+1, len(all), a.Name, a.Root)
		}
	}
	if len(all) == 0 {
		t.Fatal("no events")
	}
	return all[len(all)-1]
}

func entries(es ...Entry) iter.Seq2[Entry, error] {
	return func(yield func(Entry, error) bool) {
		for _, e := range es {
			if !yield(e, nil) {
				return
			}
		}
	}
}

func file(name, body string) Entry { return Entry{Path: name, Content: strings.NewReader(body)} }

func dir(name string) Entry { return Entry{Path: name, Mode: fs.ModeDir} }

// The CIDs are those of Kubo.
func TestKnownCIDs(t *testing.T) {
	for _, tt := range []struct {
		name string
		tree func() iter.Seq2[Entry, error]
		o    AddOptions
		cid  string
		size uint64
	}{
		{
			"hello v1", func() iter.Seq2[Entry, error] { return entries(file("f", "hello\n")) },
			AddOptions{CIDVersion: 1},
			"bafkreicysg23kiwv34eg2d7qweipxwosdo2py4ldv42nbauguluen5v6am", 6,
		},
		{
			"hello v0", func() iter.Seq2[Entry, error] { return entries(file("f", "hello\n")) },
			AddOptions{},
			"QmZULkCELmmk5XNfCgTnCyFgAVxBRBXyDHGGMVoLFLiXEN", 14,
		},
		{
			"hello v0 raw", func() iter.Seq2[Entry, error] { return entries(file("f", "hello\n")) },
			AddOptions{Leaves: LeavesRaw},
			"bafkreicysg23kiwv34eg2d7qweipxwosdo2py4ldv42nbauguluen5v6am", 6,
		},
		{
			"empty file v1", func() iter.Seq2[Entry, error] { return entries(file("f", "")) },
			AddOptions{CIDVersion: 1},
			"bafkreihdwdcefgh4dqkjv67uzcmw7ojee6xedzdetojuzjevtenxquvyku", 0,
		},
		{
			"empty file v0", func() iter.Seq2[Entry, error] { return entries(file("f", "")) },
			AddOptions{},
			"QmbFMke1KXqnYyBBWxB74N4c5SBnJMVAiMNRcGu6x1AwQH", 6,
		},
		{
			"empty directory v1", func() iter.Seq2[Entry, error] { return entries(dir("d")) },
			AddOptions{CIDVersion: 1},
			"bafybeiczsscdsbs7ffqz55asqdf3smv6klcw3gofszvwlyarci47bgf354", 4,
		},
		{
			"empty directory v0", func() iter.Seq2[Entry, error] { return entries(dir("d")) },
			AddOptions{},
			"QmUNLLsPACCz1vLxQVkXqqLX5R1X345qqfHbsf67hvA3Nn", 4,
		},
	} {
		for _, onlyHash := range []bool{false, true} {
			t.Run(fmt.Sprintf("%s/onlyhash=%v", tt.name, onlyHash), func(t *testing.T) {
				s := offlineStore(t)
				tt.o.OnlyHash = onlyHash
				got := rootOf(t, add(t, s, tt.tree(), tt.o))
				if got.CID.String() != tt.cid || got.Size != tt.size {
					t.Errorf("got %s, %d bytes; want %s, %d", got.CID, got.Size, tt.cid, tt.size)
				}
				has, err := s.blocks.Blockstore().Has(t.Context(), got.CID)
				if err != nil || has == onlyHash {
					t.Errorf("block stored: %v, %v", has, err)
				}
			})
		}
	}
}

// writeTree creates the files of a folder; a name with a final slash is an empty directory.
func writeTree(t testing.TB, files map[string]string) string {
	t.Helper()
	root := filepath.Join(t.TempDir(), "site")
	for name, body := range files {
		p := filepath.Join(root, filepath.FromSlash(name))
		if err := os.MkdirAll(filepath.Dir(p), 0o755); err != nil {
			t.Fatal(err)
		}
		var err error
		if strings.HasSuffix(name, "/") {
			err = os.MkdirAll(p, 0o755)
		} else {
			err = os.WriteFile(p, []byte(body), 0o644)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	return root
}

func names(all []Added) []string {
	var out []string
	for _, a := range all {
		out = append(out, a.Name)
	}
	return out
}

func TestFolderEventsAndContent(t *testing.T) {
	root := writeTree(t, map[string]string{
		"index.html": "<p>", "a/b/deep.txt": "deep", "a/z": "z", "a.txt": "beside", "empty/": "",
		".hidden": "h", ".git/config": "c", "a/.dot": "d",
	})
	if err := os.Symlink("a/z", filepath.Join(root, "link")); err != nil {
		t.Fatal(err)
	}
	s := offlineStore(t)
	all := add(t, s, FromPath(root, false), AddOptions{CIDVersion: 1, Pin: true})
	want := []string{
		"site/a/b/deep.txt", "site/a/z", "site/a.txt", "site/index.html", "site/link",
		"site/a/b", "site/a", "site/empty", "site",
	}
	if got := names(all); !slices.Equal(got, want) {
		t.Errorf("events\n%q, want\n%q", got, want)
	}
	c := rootOf(t, all).CID.String()
	for name, want := range map[string]string{"index.html": "<p>", "a/b/deep.txt": "deep", "a/z": "z", "a.txt": "beside"} {
		if got := cat(t, s, c+"/"+name); got != want {
			t.Errorf("%s holds %q, want %q", name, got, want)
		}
	}
	hidden := names(add(t, s, FromPath(root, true), AddOptions{CIDVersion: 1}))
	for _, name := range []string{"site/.hidden", "site/.git/config", "site/a/.dot", "site/.git"} {
		if !slices.Contains(hidden, name) {
			t.Errorf("%s is missing with hidden files", name)
		}
	}
}

func cat(t testing.TB, s *Store, p string) string {
	t.Helper()
	r, err := s.Cat(t.Context(), p)
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	b, err := io.ReadAll(r)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

// numbered is a directory of 3,000 small files.
func numbered(name, format, letter string) iter.Seq2[Entry, error] {
	var es []Entry
	for i := range 3000 {
		es = append(es, file(fmt.Sprintf("%s/"+format, name, i), fmt.Sprint(letter, i)))
	}
	return entries(es...)
}

// Trees at the limits of the format: one leaf and two, two levels of leaves (more than 174), directories below and
// above 256 KiB of links, the latter a HAMT. The CIDs are those of Kubo.
func TestKnownCIDsOfLargeTrees(t *testing.T) {
	zeros := func(n int) func() iter.Seq2[Entry, error] {
		return func() iter.Seq2[Entry, error] { return FromReader("zeros", bytes.NewReader(make([]byte, n))) }
	}
	for _, tt := range []struct {
		name        string
		tree        func() iter.Seq2[Entry, error]
		v0, v1, raw string // raw: version 0 with raw leaves
	}{
		{
			"one leaf", zeros(256 << 10),
			"QmRk1rduJvo5DfEYAaLobS2za9tDszk35hzaNSDCJ74DA7",
			"bafkreiekhhjkxu4ztk3tyng3er3ijhg56mb44oe3gwbgquhzu4afrg2ksa", "",
		},
		{
			"two leaves", zeros(256<<10 + 1),
			"QmbVuw4C4vcmVKqxoWtgDVobvcHrSn51qsmQmyxjk4sB2Q",
			"bafybeigllfqgfpqydppr6cmv56g7ax4wyhruzswvcefv6j5kj77nzttfki", "",
		},
		{
			"two levels", zeros(60 << 20),
			"QmZxBEc6CrGHGZfxwzXCw6ccgaksyfhovDqrnyqbBF8Cpt",
			"bafybeiaeu4xqjjcu5zdvb3uva5snhanvxj32gx5jmcd2d6nqatfzjqyyfe",
			"QmPmt6ikBizt7zSiY1tvi74Tx71QbWfdfe9UkfbV5eQnfR",
		},
		{
			"many files", func() iter.Seq2[Entry, error] { return numbered("flat", "%04d", "x") },
			"Qmchn1y4WLTqXvoTikKZSXZRcAU911ynsXVuF1d6hMY5cj",
			"bafybeiehgoqquiwoglux5taqlbmetvpaecnec75ihbdppq6kmcucqfx7qe",
			"QmXSRQicbxJZSie6fVi6QLh2HTPJFEcD7NaX1nxYErM33v",
		},
		{
			"sharded", func() iter.Seq2[Entry, error] { return numbered("hamt", "%060d", "y") },
			"QmYGVB9SouQeyVxvZwqhxSDPEvaSA9MMvUV5BuRFZZ9GoG",
			"bafybeia6alxcwnbluf56mq26a4uorkqmhn3mupdw3fr2c4u25bisz6oqsi",
			"QmVnfMKL62eEZwzG17TGwrqhDxBdko3mccjchjZuGj4RJ9",
		},
		{
			"link", func() iter.Seq2[Entry, error] {
				return entries(Entry{Path: "ln", Mode: fs.ModeSymlink, Target: "a/b"})
			},
			"QmYjXrHqJyafcUuFEqBCgnrZDXgAZcD5QVaMJQ1PZN3nKh",
			"bafybeie2of4pluxcopzu6yj4sel5qmneiryijhb3exiyuege7oklmgzawa",
			"QmYjXrHqJyafcUuFEqBCgnrZDXgAZcD5QVaMJQ1PZN3nKh",
		},
	} {
		t.Run(tt.name, func(t *testing.T) {
			s := offlineStore(t)
			for want, o := range map[string]AddOptions{
				tt.v0: {}, tt.v1: {CIDVersion: 1}, tt.raw: {Leaves: LeavesRaw},
			} {
				for _, o.OnlyHash = range []bool{false, true} {
					if got := rootOf(t, add(t, s, tt.tree(), o)).CID.String(); want != "" && got != want {
						t.Errorf("%+v: %s, want %s", o, got, want)
					}
				}
			}
		})
	}
}

func TestChunker(t *testing.T) {
	s := offlineStore(t)
	tree := FromReader("zeros", bytes.NewReader(make([]byte, 256<<10+1)))
	got := rootOf(t, add(t, s, tree, AddOptions{CIDVersion: 1, Chunker: "size-1000"})).CID.String()
	if want := "bafybeihordqy5gn6ve45awm45dvrorimpctwgbqawnuujffmxjb77oxxri"; got != want { // from Kubo
		t.Errorf("got %s, want %s", got, want)
	}
}

func TestLargeTreesReadBack(t *testing.T) {
	s := offlineStore(t)
	body := string(bytes.Repeat([]byte("0123456789abcdef"), 50<<20/16+1))
	root := rootOf(t, add(t, s, FromReader("big", strings.NewReader(body)), AddOptions{}))
	if got := cat(t, s, root.CID.String()); got != body {
		t.Errorf("large file reads back with %d bytes that differ, want %d", len(got), len(body))
	}
	root = rootOf(t, add(t, s, numbered("hamt", "%060d", "y"), AddOptions{CIDVersion: 1}))
	for _, i := range []int{0, 1777, 2999} {
		if got, want := cat(t, s, fmt.Sprintf("/ipfs/%s/%060d", root.CID, i)), fmt.Sprint("y", i); got != want {
			t.Errorf("file %d of the large directory holds %q", i, got)
		}
	}
}

func TestWrapAndUnnamed(t *testing.T) {
	s := offlineStore(t)
	const hello = "bafkreicysg23kiwv34eg2d7qweipxwosdo2py4ldv42nbauguluen5v6am"
	unnamed := add(t, s, FromReader("", strings.NewReader("hello\n")), AddOptions{CIDVersion: 1})
	if got := names(unnamed); !slices.Equal(got, []string{hello}) {
		t.Errorf("a file without a name is called %q", got)
	}
	wrapped := add(t, s, entries(file("a", "hello\n"), file("d/b", "x")), AddOptions{CIDVersion: 1, Wrap: true})
	if got := names(wrapped); !slices.Equal(got, []string{"a", "d/b", "d", ""}) {
		t.Errorf("wrapped events %q", got)
	}
	around := add(t, s, entries(dir(""), file("a", "hello\n"), file("d/b", "x")), AddOptions{CIDVersion: 1})
	if got, want := rootOf(t, around), rootOf(t, wrapped); got.CID != want.CID || len(around) != len(wrapped) {
		t.Errorf("a folder without a name around all is %v, want %v", got, want)
	}
	root := rootOf(t, wrapped).CID.String()
	if cat(t, s, root+"/a") != "hello\n" || cat(t, s, root+"/d/b") != "x" {
		t.Error("wrapped files do not read back")
	}
	several := add(t, s, entries(file("a", "1"), file("a", "2"), dir("d")), AddOptions{})
	for _, a := range several {
		if !a.Root {
			t.Errorf("%s is not a root", a.Name)
		}
	}
	if len(several) != 3 {
		t.Errorf("%d roots, want 3", len(several))
	}
}

func TestProgress(t *testing.T) {
	var told []int64
	s := offlineStore(t)
	add(t, s, FromReader("f", bytes.NewReader(make([]byte, 2*progressStep+7))), AddOptions{
		Progress: func(name string, n int64) {
			if name != "f" {
				t.Errorf("progress of %q", name)
			}
			told = append(told, n)
		},
	})
	if want := []int64{progressStep, 2 * progressStep, 2*progressStep + 7}; !slices.Equal(told, want) {
		t.Errorf("progress %v, want %v", told, want)
	}
}

func TestRefusedTrees(t *testing.T) {
	s := offlineStore(t)
	broken := io.MultiReader(strings.NewReader("x"), iotest.ErrReader(errors.New("disk on fire")))
	deep := strings.Repeat("d/", maxDepth) + "f"
	for _, tt := range []struct {
		name string
		tree iter.Seq2[Entry, error]
		o    AddOptions
		want string
	}{
		{"missing folder", FromPath(filepath.Join(t.TempDir(), "nosuch"), false), AddOptions{}, "nosuch: no such file"},
		{"version", entries(file("f", "")), AddOptions{CIDVersion: 2}, "unknown CID version: 2"},
		{"chunker", entries(file("f", "")), AddOptions{Chunker: "size-9999999"}, "maximum chunk size of 2096896"},
		{"twice", entries(file("d/f", "1"), file("d/f", "2")), AddOptions{}, "d/f occurs twice"},
		{"twice, apart", entries(file("d/f", "1"), file("d/e/g", "2"), file("d/f", "1")), AddOptions{}, "d/f occurs twice"},
		{"twice, wrapped", entries(file("f", "1"), file("d/g", "2"), file("f", "3")), AddOptions{Wrap: true}, "f occurs twice"},
		{"file and folder", entries(file("d/f", "1"), file("d/e", "2"), file("d/f/g", "3")), AddOptions{}, "d/f occurs twice: as a directory"},
		{"folder and file", entries(dir("d/f"), file("d/f", "1")), AddOptions{}, "d/f occurs twice: as a directory"},
		{"broken file", entries(Entry{Path: "d/broken", Content: broken}), AddOptions{}, "d/broken: disk on fire"},
		{"cut off", entries(Entry{Path: "d/upload", Content: iotest.ErrReader(io.ErrUnexpectedEOF)}), AddOptions{}, "d/upload: the content is cut off"},
		{"dots", entries(file("d/../../f", "1")), AddOptions{}, "not a clean"},
		{"absolute", entries(file("/etc/passwd", "1")), AddOptions{}, "not a clean"},
		{"deep", entries(file(deep, "1")), AddOptions{}, "directories deep"},
		{"link", entries(Entry{Path: "l", Mode: fs.ModeSymlink, Target: strings.Repeat("t", maxTarget+1)}), AddOptions{}, "target"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			tt.o.Pin = true
			err := addErr(t, s, tt.tree, tt.o)
			if !strings.Contains(err.Error(), tt.want) || strings.Contains(err.Error(), "\n") {
				t.Errorf("error %q, want one line with %q", err, tt.want)
			}
		})
	}
	for p := range s.Pins(t.Context(), AnyPin) {
		t.Errorf("a refused tree left the pin %v", p)
	}
}

func TestStoppedImport(t *testing.T) {
	s := offlineStore(t)
	tree := func() iter.Seq2[Entry, error] { return entries(file("d/a", "1"), file("d/b", "2")) }
	for range s.Add(t.Context(), tree(), AddOptions{Pin: true}) {
		break
	}
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	var failed error
	for _, err := range s.Add(ctx, tree(), AddOptions{Pin: true}) {
		cancel()
		failed = err
	}
	if !errors.Is(failed, context.Canceled) {
		t.Errorf("a cancelled import ends with %v", failed)
	}
	for p := range s.Pins(t.Context(), AnyPin) {
		t.Errorf("a stopped import left the pin %v", p)
	}
}

// What the root event acknowledges survives a crash of the machine at that moment.
func TestCrashAfterAdd(t *testing.T) {
	disk := vfs.NewCrashableMem()
	s := openStore(t, Options{DB: openDB(t, disk)})
	var es []Entry
	for i := range 300 {
		es = append(es, file(fmt.Sprintf("site/%d.txt", i), strings.Repeat(fmt.Sprint(i), 1000)))
	}
	root := rootOf(t, add(t, s, entries(es...), AddOptions{CIDVersion: 1, Pin: true, PinName: "mine"}))
	crashed := disk.CrashClone(vfs.CrashCloneCfg{}) // nothing that was not synced survives

	after := openStore(t, Options{DB: openDB(t, crashed)})
	if p, err := after.PinOf(t.Context(), root.CID, Recursive); err != nil || p.Name != "mine" {
		t.Errorf("the pin after the crash: %v, %v", p, err)
	}
	for i := range es {
		want := strings.Repeat(fmt.Sprint(i), 1000)
		if got := cat(t, after, fmt.Sprintf("%s/%d.txt", root.CID, i)); got != want {
			t.Errorf("file %d after the crash: %d bytes, want %d", i, len(got), len(want))
		}
	}
}
