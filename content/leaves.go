package content

import (
	"bytes"
	"encoding/binary"
	"io"
	"strconv"
	"strings"
	"sync"

	chunk "github.com/ipfs/boxo/chunker"
	"github.com/ipfs/boxo/ipld/merkledag"
	"github.com/ipfs/boxo/ipld/unixfs"
	blocks "github.com/ipfs/go-block-format"
	"github.com/ipfs/go-cid"
	ipld "github.com/ipfs/go-ipld-format"
)

// Files in chunks of one size are laid out here: boxo would hash one chunk after another, and allocate each several
// times. The rest, which is rare, is left to boxo. The CIDs are the same.

const (
	hashedAtOnce = 4        // chunks of a file that are being hashed
	worthHashing = 16 << 10 // bytes of a chunk from which it is hashed beside the others

	leafHead = 16 // bytes that a leaf has before its chunk, at most
	leafTail = 8  // and after it
)

// chunkSize is the size of the chunks, or 0 if boxo is to lay out the files.
func (o *AddOptions) chunkSize() int {
	digits, ok := strings.CutPrefix(o.chunker(), "size-")
	n, err := strconv.Atoi(digits)
	if !ok || err != nil || n <= 0 || n > chunk.ChunkSizeLimit || o.Trickle || o.Inline {
		return 0
	}
	return n
}

// leafBlock is a leaf in a buffer that is used again.
type leafBlock struct {
	blocks.Block
	buffer []byte
	from   *buffers
}

// release gives the buffer of a block back, if it has one. Nobody may use the block any more.
func release(b blocks.Block) {
	if l, ok := b.(leafBlock); ok && l.buffer != nil {
		l.from.put(l.buffer)
	}
}

// buffers are buffers of one size that are used again. It is safe for concurrent use.
type buffers struct {
	mu   sync.Mutex // guards free
	free [][]byte
}

func (b *buffers) get(size int) []byte {
	b.mu.Lock()
	defer b.mu.Unlock()
	for n := len(b.free); n > 0; n = len(b.free) {
		buf := b.free[n-1]
		b.free = b.free[:n-1]
		if cap(buf) >= size {
			return buf[:size]
		}
	}
	return make([]byte, size)
}

func (b *buffers) put(buf []byte) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.free = append(b.free, buf)
}

// leafJob is a chunk on its way into a leaf.
type leafJob struct {
	buffer, block []byte
	size          uint64 // of the chunk
	cid           cid.Cid
	err           error
	done          chan struct{} // closed when cid and err are set; nil: they are
}

func (j *leafJob) wait() {
	if j.done != nil {
		<-j.done
	}
}

// chunked lays out a file in chunks of one size.
type chunked struct {
	*importer
	size int
	tree []*level // the lowest first
}

// layOut reads a file and stores its blocks. It returns nil for an empty file.
func (f *chunked) layOut(r io.Reader) (_ ipld.Node, err error) {
	var jobs []*leafJob // in order
	defer func() {
		for _, j := range jobs { // after an error
			j.wait()
		}
	}()
	for eof := false; !eof || len(jobs) > 0; {
		if !eof && len(jobs) < hashedAtOnce {
			var j *leafJob
			if j, eof, err = f.read(r); err != nil {
				return nil, err
			}
			if j != nil {
				jobs = append(jobs, j)
			}
			continue
		}
		j := jobs[0]
		jobs = jobs[1:]
		if err := f.store(j); err != nil {
			return nil, err
		}
	}
	return f.root()
}

// read reads a chunk, if there is one, and begins to hash it.
func (f *chunked) read(r io.Reader) (j *leafJob, eof bool, err error) {
	j = &leafJob{buffer: f.buffers.get(leafHead + f.size + leafTail)}
	n, err := io.ReadFull(r, j.buffer[leafHead:leafHead+f.size])
	switch eof = err == io.EOF || err == io.ErrUnexpectedEOF; {
	case err != nil && !eof:
		return nil, false, err
	case n == 0:
		f.buffers.put(j.buffer)
		return nil, true, nil
	}
	j.size = uint64(n)
	if j.block = j.buffer[leafHead : leafHead+n]; !f.raw {
		j.block = wrapLeaf(j.buffer, n)
	}
	if n < f.size/2 { // it waits for its pack in no more memory than it needs
		small := bytes.Clone(j.block)
		f.buffers.put(j.buffer)
		j.buffer, j.block = nil, small
	}
	if eof || n < worthHashing {
		f.hash(j)
		return j, eof, nil
	}
	j.done = make(chan struct{})
	go func() { // layOut waits for it
		defer close(j.done)
		f.hash(j)
	}()
	return j, false, nil
}

// wrapLeaf makes a leaf of the n bytes after leafHead: a UnixFS file in the data of a dag-pb node.
func wrapLeaf(buffer []byte, n int) []byte {
	tail := binary.AppendUvarint(append(buffer[:leafHead+n], 3<<3), uint64(n)) // FileSize
	file := binary.AppendUvarint([]byte{1 << 3, 2, 2<<3 | 2}, uint64(n))       // Type: file; Data
	size := len(file) + len(tail) - leafHead
	head := append(binary.AppendUvarint([]byte{1<<3 | 2}, uint64(size)), file...) // Data of the node
	begin := leafHead - len(head)
	copy(buffer[begin:], head)
	return buffer[begin:len(tail)]
}

func (f *chunked) hash(j *leafJob) {
	codec := uint64(cid.DagProtobuf)
	if f.raw {
		codec = cid.Raw
	}
	j.cid, j.err = f.builder.WithCodec(codec).Sum(j.block)
}

// store stores a leaf, and puts it into the tree.
func (f *chunked) store(j *leafJob) error {
	if j.wait(); j.err != nil {
		return j.err
	}
	b, err := blocks.NewBlockWithCid(j.block, j.cid)
	if err != nil {
		return err
	}
	link := child{linkedNode{cid: j.cid, size: uint64(len(j.block))}, j.size}
	if err := f.dag.addBlock(f.ctx, leafBlock{b, j.buffer, &f.buffers}); err != nil {
		return err
	}
	return f.put(0, link)
}

// child is a node of a file, and how many bytes of the file are in it.
type child struct {
	linkedNode
	bytes uint64
}

// level is the node of a level that is not full yet.
type level struct {
	node *merkledag.ProtoNode
	file *unixfs.FSNode
	only child // the first child
}

// put puts a node into the tree: level n has the parents of those that are put there.
func (f *chunked) put(n int, c child) error {
	if n == len(f.tree) {
		f.tree = append(f.tree, nil)
	}
	l := f.tree[n]
	if l == nil {
		l = &level{node: &merkledag.ProtoNode{}, file: unixfs.NewFSNode(unixfs.TFile), only: c}
		f.tree[n] = l
	}
	l.file.AddBlockSize(c.bytes)
	if err := l.node.AddRawLink("", &ipld.Link{Size: c.size, Cid: c.cid}); err != nil {
		return err
	}
	if len(l.node.Links()) < f.opts.file().Maxlinks {
		return nil
	}
	return f.finish(n)
}

// finish ends the node of a level, and puts it into the one above.
func (f *chunked) finish(n int) error {
	l := f.tree[n]
	f.tree[n] = nil
	data, err := l.file.GetBytes()
	if err != nil {
		return err
	}
	l.node.SetData(data)
	if err := l.node.SetCidBuilder(f.builder); err != nil {
		return err
	}
	size, err := l.node.Size()
	if err != nil {
		return err
	}
	if err := f.dag.Add(f.ctx, l.node); err != nil {
		return err
	}
	return f.put(n+1, child{linkedNode{cid: l.node.Cid(), size: size}, l.file.FileSize()})
}

// root ends the tree: on each level the last node may be smaller than the others. It returns nil if there is none.
func (f *chunked) root() (ipld.Node, error) {
	for n := 0; n < len(f.tree); n++ {
		l := f.tree[n]
		if l == nil {
			continue
		}
		if n == len(f.tree)-1 && len(l.node.Links()) == 1 {
			return l.only.linkedNode, nil
		}
		if err := f.finish(n); err != nil {
			return nil, err
		}
	}
	return nil, nil
}
