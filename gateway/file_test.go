package gateway

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/iotest"
	"testing/synctest"
	"time"

	"github.com/ipfs/boxo/ipld/merkledag"
	"github.com/ipfs/boxo/ipld/unixfs"
	"github.com/ipfs/go-cid"
	format "github.com/ipfs/go-ipld-format"
	"pgregory.net/rapid"

	"github.com/goipns/ipns/content"
)

// addLarge adds a file of random bytes in small blocks.
func (w *world) addLarge(t testing.TB, size int, o content.AddOptions) (cid.Cid, []byte) {
	t.Helper()
	body := make([]byte, size)
	rng := rand.New(rand.NewPCG(uint64(size), 1))
	for i := range body {
		body[i] = byte(rng.Uint32())
	}
	var c cid.Cid
	for a, err := range w.store.Add(context.Background(), content.FromReader("f", bytes.NewReader(body)), o) {
		if err != nil {
			t.Fatal(err)
		}
		c = a.CID
	}
	return c, body
}

// Any part of any file is what it is, whatever its layout.
func TestPartsOfLargeFiles(t *testing.T) {
	w := newWorld(t, Options{})
	type made struct {
		c    cid.Cid
		body []byte
	}
	var all []made
	for i, size := range []int{300, 5000, 40_000, 100_001} {
		for _, o := range []content.AddOptions{
			{CIDVersion: 1, Chunker: "size-100", FileLinks: 4},
			{Chunker: "size-128", FileLinks: 7},
			{CIDVersion: 1, Chunker: "size-100", FileLinks: 5, Trickle: true},
		} {
			c, body := w.addLarge(t, size+i, o)
			all = append(all, made{c, body})
		}
	}
	rapid.Check(t, func(t *rapid.T) {
		f := rapid.SampledFrom(all).Draw(t, "file")
		from := rapid.IntRange(0, len(f.body)-1).Draw(t, "from")
		to := rapid.IntRange(from, len(f.body)+10).Draw(t, "to")
		end := min(to+1, len(f.body))
		header, want := fmt.Sprintf("bytes=%d-%d", from, to), f.body[from:end]
		switch rapid.IntRange(0, 3).Draw(t, "kind") {
		case 0:
			header, want = fmt.Sprintf("bytes=%d-", from), f.body[from:]
		case 1:
			header, want = fmt.Sprintf("bytes=-%d", len(f.body)-from), f.body[from:]
		case 2:
			header, want = "", f.body
		}
		url := at + "/ipfs/" + f.c.String()
		r := w.get(url, "Range", header)
		if header == "" {
			r = w.get(url)
		}
		got, err := io.ReadAll(r.Body)
		if err != nil || r.StatusCode != 206 && r.StatusCode != 200 || !bytes.Equal(got, want) {
			t.Fatalf("%s: status %d, %d bytes, want %d; %v", header, r.StatusCode, len(got), len(want), err)
		}
	})
	check(t, w.get(at+"/ipfs/"+all[0].c.String(), "Range", "bytes=100000-"), 416)
}

// counting counts the blocks that are fetched and were not read yet.
type fetched struct {
	format.NodeGetter
	n atomic.Int32
}

func (f *fetched) GetMany(ctx context.Context, keys []cid.Cid) <-chan *format.NodeOption {
	f.n.Add(int32(len(keys)))
	return f.NodeGetter.GetMany(ctx, keys)
}

func TestSlowReadersGetNothingAhead(t *testing.T) {
	w := newWorld(t, Options{})
	const block, blocks = 1000, 150
	c, _ := w.addLarge(t, block*blocks, content.AddOptions{CIDVersion: 1, Chunker: fmt.Sprint("size-", block)})
	dag := merkledag.NewDAGService(w.store.BlockService())
	root, err := dag.Get(t.Context(), c)
	if err != nil {
		t.Fatal(err)
	}
	synctest.Test(t, func(t *testing.T) {
		share := make(ahead, allAhead)
		open := func() (*file, *fetched) {
			from := &fetched{NodeGetter: dag}
			f := newFile(t.Context(), from, share, 0, block*blocks)
			if err := f.enter(root); err != nil {
				t.Fatal(err)
			}
			return f, from
		}
		var slow []*file
		for range 20 {
			f, from := open()
			for i := range 20 {
				if _, err := io.ReadFull(f, make([]byte, block)); err != nil {
					t.Fatal(err)
				}
				if i > 5 && int(from.n.Load()) > i+1 {
					t.Fatalf("after %d blocks, %d were fetched", i+1, from.n.Load())
				}
				time.Sleep(time.Second)
			}
			slow = append(slow, f)
		}
		if len(share) > 0 {
			t.Errorf("%d blocks are fetched ahead for clients that don't read", len(share))
		}
		f, from := open()
		if _, err := io.ReadFull(f, make([]byte, 30*block)); err != nil {
			t.Fatal(err)
		}
		if n := from.n.Load(); n < 31 || n > 30+1+maxAhead {
			t.Errorf("after 30 blocks, %d were fetched", n)
		}
		for _, f := range append(slow, f) {
			f.Close()
		}
		if len(share) != 0 {
			t.Errorf("%d are left", len(share))
		}
	})
}

// A buffer is used again only when its client has read it, and a block that is not here is fetched.
func TestBlocksThatAreHereAreReadIntoBuffersThatAreUsedAgain(t *testing.T) {
	w := newWorld(t, Options{})
	const block, blocks = 1000, 60
	c, body := w.addLarge(t, block*blocks, content.AddOptions{CIDVersion: 1, Chunker: fmt.Sprint("size-", block)})
	dag := merkledag.NewDAGService(w.store.BlockService())
	root, err := dag.Get(t.Context(), c)
	if err != nil {
		t.Fatal(err)
	}
	absent, gone := root.Links()[7].Cid, errors.New("gone")
	var readers sync.WaitGroup
	for i := range 8 {
		readers.Go(func() {
			from := &fetched{NodeGetter: dag}
			f := newFile(t.Context(), from, make(ahead, allAhead), 0, block*blocks)
			defer f.Close()
			denied := cid.Undef
			if i == 0 {
				denied = root.Links()[20].Cid
			}
			f.here = func(ctx context.Context, b []byte, c cid.Cid) ([]byte, error) {
				switch c {
				case absent:
					return b, format.ErrNotFound{Cid: c}
				case denied:
					return b, gone
				}
				return w.store.AppendBlock(ctx, b, c)
			}
			if err := f.enter(root); err != nil {
				t.Error(err)
				return
			}
			got, err := io.ReadAll(iotest.OneByteReader(f))
			if _, again := f.Read(make([]byte, 1)); i == 0 && !errors.Is(again, gone) {
				t.Errorf("read again: %v", again)
			}
			switch {
			case i == 0 && (!errors.Is(err, gone) || !bytes.Equal(got, body[:20*block])):
				t.Errorf("%d bytes before what is denied: %v", len(got), err)
			case i > 0 && (err != nil || !bytes.Equal(got, body)):
				t.Errorf("%d bytes that differ: %v", len(got), err)
			case from.n.Load() == 0 || from.n.Load() > 1+maxAhead:
				t.Errorf("%d blocks were fetched", from.n.Load())
			}
		})
	}
	readers.Wait()
}

func TestFilesThatAreNotWhatTheySay(t *testing.T) {
	w := newWorld(t, Options{})
	dag := merkledag.NewDAGService(w.store.BlockService())
	add := func(nd format.Node) format.Node {
		if _, err := w.store.PutBlock(t.Context(), nd.RawData(), nd.Cid().Prefix()); err != nil {
			t.Fatal(err)
		}
		return nd
	}
	inner := func(sizes []uint64, links ...format.Node) *merkledag.ProtoNode {
		fs := unixfs.NewFSNode(unixfs.TFile)
		for _, s := range sizes {
			fs.AddBlockSize(s)
		}
		b, err := fs.GetBytes()
		if err != nil {
			t.Fatal(err)
		}
		nd := merkledag.NodeWithData(b)
		for _, l := range links {
			if err := nd.AddNodeLink("", l); err != nil {
				t.Fatal(err)
			}
		}
		add(nd)
		return nd
	}
	leaf := add(merkledag.NewRawNode([]byte("leaf")))
	deep := format.Node(leaf)
	for range maxLevels + 2 {
		deep = inner([]uint64{4}, deep)
	}
	for what, c := range map[string]struct {
		nd   format.Node
		from uint64
		err  error
	}{
		"too deep":            {deep, 0, errLevels},
		"too few sizes":       {inner(nil, leaf), 0, errSizes},
		"a folder inside":     {inner([]uint64{4}, add(unixfs.EmptyDirNode())), 0, errNoFile},
		"sizes too large":     {inner([]uint64{1 << 60, 1 << 60}, leaf, leaf), 2, io.EOF},
		"sizes that overflow": {inner([]uint64{1<<64 - 1, 1<<64 - 1}, leaf, leaf), 2, io.EOF},
		"sizes too small":     {inner([]uint64{0, 0}, leaf, leaf), 0, io.EOF},
	} {
		f := newFile(t.Context(), dag, make(ahead, allAhead), c.from, 1<<62)
		err := f.enter(c.nd)
		if err == nil {
			_, err = io.Copy(io.Discard, f)
			if err == nil {
				err = io.EOF
			}
		}
		if !errors.Is(err, c.err) {
			t.Errorf("%s: %v, want %v", what, err, c.err)
		}
		f.Close()
	}
	if !strings.Contains(errLevels.Error(), "128") {
		t.Error(errLevels)
	}
}
