package content

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"iter"
	"time"

	"github.com/ipfs/boxo/ipld/merkledag"
	"github.com/ipfs/boxo/ipld/unixfs"
	uio "github.com/ipfs/boxo/ipld/unixfs/io"
	"github.com/ipfs/go-cid"
	ipld "github.com/ipfs/go-ipld-format"
)

// Link is an entry of a directory, or a link of another block.
type Link struct {
	Name string
	CID  cid.Cid
	// Size is that of the file, in bytes; of a block that was not read, 0.
	Size uint64
	// Type is fs.ModeDir, fs.ModeSymlink, 0 for a file, or fs.ModeIrregular if it is not known.
	Type   fs.FileMode
	Target string // of a symbolic link
	// Mode and ModTime are what the file was added with; zero: nothing.
	Mode    fs.FileMode
	ModTime time.Time
}

// List yields the entries of the directory at an immutable path, in its own order, or the links of any other block. With
// read, the block of each entry is read, and fetched if it is not here, for its type and size. It ends with the first
// error.
func (s *Store) List(ctx context.Context, p string, read bool) iter.Seq2[Link, error] {
	return func(yield func(Link, error) bool) {
		ctx, cancel := context.WithCancel(ctx) // ends the reader of a directory if the consumer stops
		defer cancel()
		dag := merkledag.NewSession(ctx, s.dag)
		node, err := s.nodeAt(ctx, dag, p)
		if err != nil {
			yield(Link{}, err)
			return
		}
		for l, err := range linksOf(ctx, dag, node) {
			var link Link
			if err == nil {
				link, err = readLinked(ctx, dag, l, read)
			}
			if err != nil {
				yield(Link{}, fmt.Errorf("list %s: %w", p, err))
				return
			}
			if !yield(link, nil) {
				return
			}
		}
	}
}

// nodeAt reads the block in which a path ends.
func (s *Store) nodeAt(ctx context.Context, dag ipld.NodeGetter, p string) (ipld.Node, error) {
	c, _, err := s.ResolveInto(ctx, p)
	if err != nil {
		return nil, err
	}
	node, err := dag.Get(ctx, c)
	if err != nil {
		return nil, fmt.Errorf("read block %s: %w", c, err)
	}
	return node, nil
}

// linksOf yields the entries of a directory, across its shards, or the links of any other block.
func linksOf(ctx context.Context, dag ipld.NodeGetter, node ipld.Node) iter.Seq2[*ipld.Link, error] {
	return func(yield func(*ipld.Link, error) bool) {
		dir, err := uio.NewDirectoryFromNode(readOnly{dag}, node)
		if errors.Is(err, uio.ErrNotADir) {
			for _, l := range node.Links() {
				if !yield(l, nil) {
					return
				}
			}
			return
		}
		if err != nil {
			yield(nil, err)
			return
		}
		for l := range dir.EnumLinksAsync(ctx) {
			if !yield(l.Link, l.Err) || l.Err != nil {
				return
			}
		}
	}
}

// readOnly is a DAG service that writes nothing: what reads trees needs no more.
type readOnly struct{ ipld.NodeGetter }

var errReadOnly = errors.New("read only")

func (readOnly) Add(context.Context, ipld.Node) error        { return errReadOnly }
func (readOnly) AddMany(context.Context, []ipld.Node) error  { return errReadOnly }
func (readOnly) Remove(context.Context, cid.Cid) error       { return errReadOnly }
func (readOnly) RemoveMany(context.Context, []cid.Cid) error { return errReadOnly }

// readLinked returns the entry that a link stands for.
func readLinked(ctx context.Context, dag ipld.NodeGetter, l *ipld.Link, read bool) (Link, error) {
	link := Link{Name: l.Name, CID: l.Cid, Type: fs.ModeIrregular}
	switch {
	case l.Cid.Type() == cid.Raw:
		link.Type, link.Size = 0, l.Size
		return link, nil
	case l.Cid.Type() != cid.DagProtobuf || !read:
		return link, nil
	}
	node, err := dag.Get(ctx, l.Cid)
	if err != nil {
		return link, fmt.Errorf("read block %s: %w", l.Cid, err)
	}
	proto, ok := node.(*merkledag.ProtoNode)
	if !ok {
		return link, nil
	}
	file, err := unixfs.FSNodeFromBytes(proto.Data())
	if err != nil {
		return link, err
	}
	link.Type, link.Size = typeOf(file), file.FileSize()
	link.Mode, link.ModTime = file.Mode(), file.ModTime()
	if link.Type == fs.ModeSymlink {
		link.Target = string(file.Data())
	}
	return link, nil
}

func typeOf(n *unixfs.FSNode) fs.FileMode {
	switch n.Type() {
	case unixfs.TDirectory, unixfs.THAMTShard, unixfs.TMetadata:
		return fs.ModeDir
	case unixfs.TSymlink:
		return fs.ModeSymlink
	}
	return 0
}

// Stat describes a file or a directory.
type Stat struct {
	CID    cid.Cid
	Size   uint64 // of the file; 0 for a directory
	Total  uint64 // of its blocks, as links count them
	Blocks int    // directly below it
	Type   fs.FileMode
	// Mode and ModTime are what it was added with; zero: nothing.
	Mode    fs.FileMode
	ModTime time.Time
}

// Stat describes the file or directory at an immutable path.
func (s *Store) Stat(ctx context.Context, p string) (Stat, error) {
	node, err := s.nodeAt(ctx, s.dag, p)
	if err != nil {
		return Stat{}, err
	}
	total, err := node.Size()
	if err != nil {
		return Stat{}, fmt.Errorf("read %s: %w", p, err)
	}
	st := Stat{CID: node.Cid(), Total: total}
	switch n := node.(type) {
	case *merkledag.RawNode:
		st.Size = total
	case *merkledag.ProtoNode:
		file, err := unixfs.FSNodeFromBytes(n.Data())
		if err != nil {
			return Stat{}, fmt.Errorf("read %s: %w", p, err)
		}
		st.Size, st.Blocks, st.Type = file.FileSize(), len(n.Links()), typeOf(file)
		st.Mode, st.ModTime = file.Mode(), file.ModTime()
		if st.Mode == 0 && st.Type == fs.ModeSymlink {
			st.Mode = fs.ModeSymlink | fs.ModePerm
		}
	default:
		return Stat{}, errors.New("not unixfs node (proto or raw)")
	}
	return st, nil
}

// Local returns how many bytes of the tree of a block are here, shared blocks counted wherever they stand, and whether
// that is all of it.
func (s *Store) Local(ctx context.Context, root cid.Cid) (bytes uint64, all bool, err error) {
	sizes := map[cid.Cid]uint64{}
	all = true
	var walk func(c cid.Cid, depth int) (uint64, error)
	walk = func(c cid.Cid, depth int) (uint64, error) {
		if n, ok := sizes[c]; ok {
			return n, nil
		}
		if depth > maxTreeDepth {
			return 0, fmt.Errorf("the tree is deeper than %d blocks", maxTreeDepth)
		}
		node, err := s.local.Get(ctx, c)
		if ipld.IsNotFound(err) {
			all = false
			return 0, nil
		}
		if err != nil {
			return 0, err
		}
		n := uint64(len(node.RawData()))
		for _, l := range node.Links() {
			below, err := walk(l.Cid, depth+1)
			if err != nil {
				return 0, err
			}
			n += below
		}
		sizes[c] = n
		return n, nil
	}
	bytes, err = walk(root, 0)
	if err != nil {
		err = fmt.Errorf("measure what is here of %s: %w", root, err)
	}
	return bytes, all, err
}

// maxTreeDepth bounds a recursion over blocks. The deepest file trees have a few dozen levels; with directories of
// maxDepth and their shards there are more.
const maxTreeDepth = 16 * maxDepth
