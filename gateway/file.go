package gateway

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"sync"
	"time"

	boxo "github.com/ipfs/boxo/gateway"
	"github.com/ipfs/boxo/ipld/merkledag"
	"github.com/ipfs/boxo/ipld/unixfs"
	"github.com/ipfs/go-cid"
	format "github.com/ipfs/go-ipld-format"
)

// Limits of reading files. A block is mostly 256 KiB, and never more than 2 MiB.
const (
	maxAhead  = 9   // blocks of one file that are fetched before they are needed
	allAhead  = 64  // the same of all files
	maxLevels = 128 // of inner nodes

	quick = 250 * time.Millisecond // for a block: who takes longer gets nothing ahead
)

// ahead are the blocks that may be fetched before they are needed; an element is one that is. boxo's reader fetches ten
// for each client, however slowly that reads, so that a few hundred of them take gigabytes.
type ahead chan struct{}

// take takes at most n, and returns how many.
func (a ahead) take(n int) (took int) {
	for ; took < n; took++ {
		select {
		case a <- struct{}{}:
		default:
			return took
		}
	}
	return took
}

func (a ahead) release(n int) {
	for range n {
		<-a
	}
}

// file reads a UnixFS file of several blocks, from some byte on.
type file struct {
	ctx    context.Context
	stop   context.CancelFunc
	dag    format.NodeGetter
	here   appendBlock // nil: all blocks come from dag
	ahead  ahead
	levels []level // inner nodes, from the root on
	data   []byte  // of the block at hand, not yet read
	buffer *[]byte // that holds it; nil: none does
	skip   uint64  // bytes until the first one that is read
	left   uint64  // bytes from there to the end
	soon   uint64  // bytes that will be read, as far as that is known: nothing beyond is fetched ahead

	window int       // how many blocks to have asked for
	got    time.Time // when the last one was there
	failed error     // which ended it
}

// appendBlock appends a block to b, if it is here.
type appendBlock func(ctx context.Context, b []byte, c cid.Cid) ([]byte, error)

// level is an inner node.
type level struct {
	links    []*format.Link
	sizes    []uint64          // of what each link leads to
	next     int               // the link that is followed next
	promises []<-chan promised // of those from next on, as far as they were asked for; each once
	held     int               // of ahead
}

// promised is a block that was asked for, or will be one.
type promised struct {
	leaf *[]byte // of buffers
	node *format.NodePromise
	err  error
}

// buffers are for blocks that are here and hold nothing but data: most of a large file. Each is used again, since the
// collector would have as much work with them as the client with what they hold.
var buffers = sync.Pool{New: func() any { return new([]byte) }}

// maxBuffer is the size above which a buffer is not kept.
const maxBuffer = 1 << 20

// large replaces the reader of a file that boxo has opened, if that has several blocks.
func (b *backend) large(ctx context.Context, c cid.Cid, ranges []boxo.ByteRange) (*boxo.GetResponse, bool) {
	if c.Prefix().Codec != cid.DagProtobuf {
		return nil, false
	}
	nd, err := b.dag.Get(ctx, c)
	if err != nil || len(nd.Links()) == 0 {
		return nil, false
	}
	root, ok := nd.(*merkledag.ProtoNode)
	if !ok {
		return nil, false
	}
	fs, err := unixfs.FSNodeFromBytes(root.Data())
	if err != nil || fs.Type() != unixfs.TFile && fs.Type() != unixfs.TRaw {
		return nil, false
	}
	size := fs.FileSize()
	from, to := uint64(0), size
	if len(ranges) > 0 { // boxo answers the first
		switch r := ranges[0]; {
		case r.From < 0:
			from = size - min(size, uint64(-r.From))
		default:
			from = min(size, uint64(r.From))
			if r.To != nil {
				to = min(size, uint64(*r.To)+1)
			}
		}
	}
	f := newFile(ctx, merkledag.NewSession(ctx, b.dag), b.ahead, from, size-from)
	f.here, f.soon = b.here, to-min(from, to)
	if err := f.enter(root); err != nil {
		f.stop()
		return nil, false
	}
	return boxo.NewGetResponseFromReader(f, int64(size)), true
}

func newFile(ctx context.Context, dag format.NodeGetter, a ahead, from, length uint64) *file {
	ctx, stop := context.WithCancel(ctx)
	return &file{ctx: ctx, stop: stop, dag: dag, ahead: a, skip: from, left: length, soon: length}
}

func (f *file) Read(p []byte) (int, error) {
	for len(f.data) == 0 && f.left > 0 {
		if f.failed == nil {
			f.failed = f.advance()
		}
		if f.failed != nil {
			return 0, f.failed
		}
	}
	if f.left == 0 {
		return 0, io.EOF
	}
	n := copy(p, f.data[:min(uint64(len(f.data)), f.left)])
	f.data = f.data[n:]
	f.left -= uint64(n)
	f.soon -= min(f.soon, uint64(n))
	return n, nil
}

// advance goes to the next block.
func (f *file) advance() error {
	if len(f.levels) == 0 {
		return io.EOF
	}
	l := &f.levels[len(f.levels)-1]
	for l.next < len(l.links) && len(l.promises) == 0 && f.skip >= l.sizes[l.next] {
		f.skip -= l.sizes[l.next]
		l.next++
	}
	if l.next == len(l.links) {
		f.ahead.release(l.held)
		f.levels = f.levels[:len(f.levels)-1]
		return nil
	}
	f.ask(l)
	leaf, nd, err := f.get(l.promises[0])
	if err != nil {
		return fmt.Errorf("read block %s: %w", l.links[l.next].Cid, err)
	}
	l.promises[0] = nil // it may be freed
	l.promises = l.promises[1:]
	if more := l.held - len(l.promises); more > 0 {
		f.ahead.release(more)
		l.held -= more
	}
	f.got = time.Now()
	l.next++
	if f.buffer != nil && cap(*f.buffer) <= maxBuffer {
		buffers.Put(f.buffer)
	}
	if f.buffer = leaf; leaf != nil {
		f.begin(*leaf)
		return nil
	}
	return f.enter(nd)
}

// get waits for a block.
func (f *file) get(promise <-chan promised) (leaf *[]byte, nd format.Node, err error) {
	select {
	case p := <-promise:
		if p.node != nil {
			nd, err = p.node.Get(f.ctx)
			return nil, nd, err
		}
		return p.leaf, nil, p.err
	case <-f.ctx.Done():
		return nil, nil, f.ctx.Err()
	}
}

// promise asks for blocks. Those that are here are read one after the other; from the first on that is not, all are looked
// for at once.
func (f *file) promise(keys []cid.Cid) (all []<-chan promised) {
	got := make(chan promised, len(keys)) // in their order, which is that in which they are read
	for range keys {
		all = append(all, got)
	}
	nodes := func(keys []cid.Cid) {
		for _, p := range format.GetNodes(f.ctx, f.dag, keys) {
			got <- promised{node: p}
		}
	}
	if f.here == nil || slices.ContainsFunc(keys, func(c cid.Cid) bool { return c.Prefix().Codec != cid.Raw }) {
		nodes(keys)
		return all
	}
	go func() {
		for i, c := range keys {
			leaf := buffers.Get().(*[]byte)
			b, err := f.here(f.ctx, (*leaf)[:0], c)
			if format.IsNotFound(err) {
				nodes(keys[i:])
				return
			}
			*leaf = b
			got <- promised{leaf: leaf, err: err}
		}
	}()
	return all
}

// ask asks for the next block, if that was not done yet, and for some after it: for twice as many each time, while the
// client reads quickly.
func (f *file) ask(l *level) {
	if f.window = min(1+maxAhead, 2*f.window); f.window == 0 || !f.got.IsZero() && time.Since(f.got) > quick {
		f.window = 1
	}
	have := len(l.promises)
	if have > f.window/2 {
		return
	}
	more := min(f.window, l.wanted(f.skip+f.soon)) - have
	if have == 0 {
		more--
	}
	n := f.ahead.take(more)
	l.held += n
	if have == 0 {
		n++
	}
	if n == 0 {
		return
	}
	var keys []cid.Cid
	for _, link := range l.links[l.next+have : l.next+have+n] {
		keys = append(keys, link.Cid)
	}
	l.promises = append(l.promises, f.promise(keys)...)
}

// wanted is how many links are followed for the next bytes: one at least.
func (l *level) wanted(bytes uint64) int {
	n := 0
	for i := l.next; i < len(l.links) && (n == 0 || bytes > 0); i++ {
		n++
		bytes -= min(bytes, l.sizes[i])
	}
	return n
}

// enter reads a node: what it has itself comes before what it links to.
func (f *file) enter(nd format.Node) error {
	switch nd := nd.(type) {
	case *merkledag.RawNode:
		f.begin(nd.RawData())
		return nil
	case *merkledag.ProtoNode:
		fs, err := unixfs.FSNodeFromBytes(nd.Data())
		if err != nil {
			return fmt.Errorf("read block %s: %w", nd.Cid(), err)
		}
		if fs.Type() != unixfs.TFile && fs.Type() != unixfs.TRaw {
			return fmt.Errorf("read block %s: %w", nd.Cid(), errNoFile)
		}
		if err := f.descend(nd, fs); err != nil {
			return fmt.Errorf("read block %s: %w", nd.Cid(), err)
		}
		f.begin(fs.Data())
		return nil
	}
	return fmt.Errorf("read block %s: %w", nd.Cid(), errNoFile)
}

// begin has data read next.
func (f *file) begin(data []byte) {
	n := min(f.skip, uint64(len(data)))
	f.data = data[n:]
	f.skip -= n
}

var (
	errNoFile = errors.New("it is no part of a file")
	errLevels = fmt.Errorf("the file has more than %d levels", maxLevels)
	errSizes  = errors.New("it does not say how long its parts are")
)

func (f *file) descend(nd *merkledag.ProtoNode, fs *unixfs.FSNode) error {
	links := nd.Links()
	switch {
	case len(links) == 0:
		return nil
	case len(f.levels) == maxLevels:
		return errLevels
	case fs.NumChildren() != len(links):
		return errSizes
	}
	l := level{links: links}
	for i := range links {
		l.sizes = append(l.sizes, fs.BlockSize(i))
	}
	f.levels = append(f.levels, l)
	return nil
}

// Close frees what was fetched ahead.
func (f *file) Close() error {
	f.stop()
	for _, l := range f.levels {
		f.ahead.release(l.held)
	}
	f.levels = nil
	return nil
}
