package content

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"iter"
	"strings"
	"time"

	chunk "github.com/ipfs/boxo/chunker"
	"github.com/ipfs/boxo/ipld/merkledag"
	"github.com/ipfs/boxo/ipld/unixfs"
	"github.com/ipfs/boxo/ipld/unixfs/importer/balanced"
	"github.com/ipfs/boxo/ipld/unixfs/importer/trickle"
	uio "github.com/ipfs/boxo/ipld/unixfs/io"
	"github.com/ipfs/go-cid"
	ipld "github.com/ipfs/go-ipld-format"
)

const (
	progressStep = 256 << 10 // bytes between two reports
	maxDepth     = 1024      // nested directories; the gateway cannot read deeper trees either
)

// Added is one entry of a tree that was added.
type Added struct {
	Name string // the entry's path; for a file without a name, its CID
	CID  cid.Cid
	Size uint64 // bytes of this block and all below it, as links count them
	Root bool   // the last event of a tree: it is now stored, pinned and on disk, as requested
	// What the root of the tree was given with. Zero for what is not known, and with Wrap.
	Mode    fs.FileMode
	ModTime time.Time
}

// Add imports trees, and yields each entry when its CID is known: files and links in the order in which they came;
// then, when an entry of another tree or the end follows, the directories of the tree, children first and the root
// last. It ends with the first error. A caller that stops earlier leaves unreferenced blocks, but no pin.
//
// Entries of a tree may come in any order, and a directory more than once; any other duplicate in a directory is an
// error, reported at the end of the tree. A tree that is continued after another one is yielded a second time, as a
// whole, after the last entry; its first part then has a pin too.
//
// Add holds one block per level of the file being read, up to two packs of blocks, 65,536 links (more go to a temporary
// file), the links of a directory being finished and those above it, and the names of finished trees.
func (s *Store) Add(ctx context.Context, entries iter.Seq2[Entry, error], o AddOptions) iter.Seq2[Added, error] {
	return func(yield func(Added, error) bool) {
		ctx, release, err := s.holdAdd(ctx, o)
		if err != nil {
			yield(Added{}, fmt.Errorf("add: %w", err))
			return
		}
		defer release()
		a, err := s.newImport(ctx, o, yield)
		if err == nil {
			err = a.run(entries)
			a.dag.drop()
			err = errors.Join(err, a.links.reset(), a.earlier.reset())
		}
		if err != nil && !errors.Is(err, errStopped) {
			yield(Added{}, fmt.Errorf("add: %w", err))
		}
	}
}

// errStopped ends an import whose caller wants no more events.
var errStopped = errors.New("consumer stopped")

// importer is one call of Add. Files become blocks as they come; directories are built from their sorted links when the
// tree ends.
type importer struct {
	ctx     context.Context
	store   *Store
	opts    AddOptions
	raw     bool
	builder cid.Builder
	dag     *blockSink
	buffers buffers // of leaves
	yield   func(Added, error) bool

	begun  bool       // there was an entry
	around treeLink   // the directory around all, with Wrap
	root   string     // of the current tree; "" with Wrap, and if there is none
	given  Entry      // root as it was given
	links  linkSorter // of the current tree
	base   base

	// Needed to yield a tree again: the links of finished trees, and which of these were continued.
	earlier  linkFile
	finished map[string]bool // false: not continued

	open []*openDir // while directories are built: one inside the other
}

type openDir struct {
	path string
	dir  uio.Directory
}

func (s *Store) newImport(ctx context.Context, o AddOptions, yield func(Added, error) bool) (*importer, error) {
	if err := o.Check(); err != nil {
		return nil, err
	}
	a := &importer{ctx: ctx, store: s, opts: o, yield: yield, builder: o.builder(), finished: make(map[string]bool)}
	a.around.mode, a.around.modTime = o.Mode, o.ModTime
	a.raw = o.Leaves == LeavesRaw || o.Leaves == LeavesByVersion && o.version() == 1
	a.dag = &blockSink{}
	if !o.OnlyHash {
		a.dag.to = s.newPacker()
		a.dag.to.bound(o.BatchBlocks, o.BatchBytes)
	}
	return a, nil
}

// finishRoot makes a finished tree durable, then yields its root. The blocks are written before the pin: a crash in
// between leaves a tree that is stored but not pinned.
func (a *importer) finishRoot(root Added) error {
	if err := a.dag.flush(a.ctx); err != nil {
		return err
	}
	if !a.opts.OnlyHash {
		if a.opts.Pin {
			if err := a.store.pinStored(a.ctx, root.CID, a.opts.PinName); err != nil {
				return fmt.Errorf("pin %s: %w", root.CID, err)
			}
		}
		if err := a.store.Sync(a.ctx); err != nil {
			return err
		}
		if a.opts.Pin {
			a.store.pinned(a.ctx, root.CID, Recursive)
		}
	}
	root.Root = true
	return a.emit(root)
}

func (a *importer) emit(added Added) error {
	added.Mode, added.ModTime = a.given.Mode, a.given.ModTime
	if !a.yield(added, nil) {
		return errStopped
	}
	return nil
}

func event(name string, node ipld.Node) (Added, error) {
	size, err := node.Size()
	if err != nil {
		return Added{}, fmt.Errorf("%s: %w", name, err)
	}
	return Added{Name: name, CID: node.Cid(), Size: size}, nil
}

// leaf builds a file or a link.
func (a *importer) leaf(e Entry) (ipld.Node, error) {
	mode, modTime := a.opts.stat(e)
	if e.Mode.Type() == fs.ModeSymlink {
		return a.symlink(e.Target, modTime)
	}
	params := a.opts.file()
	params.Dagserv, params.RawLeaves, params.CidBuilder = a.dag, a.raw, a.builder
	params.FileMode, params.FileModTime = mode, modTime
	var r io.Reader = &progressReader{ctx: a.ctx, r: e.Content, name: e.Path, report: a.opts.Progress}
	if n := a.opts.chunkSize(); n > 0 && mode == 0 && modTime.IsZero() {
		node, err := (&chunked{importer: a, size: n}).layOut(r)
		if node != nil || err != nil {
			return node, err
		}
		r = strings.NewReader("") // it is empty
	}
	leaves, err := chunk.FromString(r, a.opts.chunker())
	if err != nil {
		return nil, err
	}
	db, err := params.New(leaves)
	if err != nil {
		return nil, err
	}
	if a.opts.Trickle {
		return trickle.Layout(db)
	}
	return balanced.Layout(db)
}

// symlink builds a link, of which UnixFS keeps no mode.
func (a *importer) symlink(target string, modTime time.Time) (ipld.Node, error) {
	if len(target) > maxTarget {
		return nil, fmt.Errorf("the target of the link has more than %d bytes", maxTarget)
	}
	data, err := unixfs.SymlinkData(target)
	if err != nil {
		return nil, err
	}
	if !modTime.IsZero() {
		link, err := unixfs.FSNodeFromBytes(data)
		if err != nil {
			return nil, err
		}
		link.SetModTime(modTime)
		if data, err = link.GetBytes(); err != nil {
			return nil, err
		}
	}
	node := merkledag.NodeWithData(data)
	if err := node.SetCidBuilder(a.builder); err != nil {
		return nil, err
	}
	return node, a.dag.Add(a.ctx, node)
}

// errCutOff replaces io.ErrUnexpectedEOF, which the chunker would take for the regular end of a file.
var errCutOff = errors.New("the content is cut off")

// progressReader ends with ctx and reports what has been read.
type progressReader struct {
	ctx    context.Context
	r      io.Reader
	name   string
	report func(string, int64)

	read, told int64
}

func (p *progressReader) Read(b []byte) (int, error) {
	if err := p.ctx.Err(); err != nil {
		return 0, err
	}
	n, err := p.r.Read(b)
	p.read += int64(n)
	if p.report != nil && (p.read-p.told >= progressStep || err == io.EOF && p.read > p.told) {
		p.told = p.read
		p.report(p.name, p.read)
	}
	if err == io.ErrUnexpectedEOF {
		err = errCutOff
	}
	return n, err
}
