package content

import (
	"context"
	"errors"
	"fmt"
	"io"

	"github.com/ipfs/boxo/dag/walker"
	"github.com/ipfs/boxo/ipld/merkledag"
	blocks "github.com/ipfs/go-block-format"
	"github.com/ipfs/go-cid"
	ipld "github.com/ipfs/go-ipld-format"
	ipldlegacy "github.com/ipfs/go-ipld-legacy"
	"github.com/ipld/go-car/v2"
	carstorage "github.com/ipld/go-car/v2/storage"
	cidlink "github.com/ipld/go-ipld-prime/linking/cid"
	selector "github.com/ipld/go-ipld-prime/traversal/selector/parse"
)

// Imported is what came in with CAR files.
type Imported struct {
	Roots         []cid.Cid // of all headers, each once
	Blocks, Bytes uint64

	seen *cid.Set
}

// Import stores all blocks of a CAR file, version 1 or 2, of at most maxBlock bytes each, and adds to what is known of
// the files before it. Blocks are durable after [Store.Sync].
func (s *Store) Import(ctx context.Context, r io.Reader, maxBlock int, in *Imported) error {
	ctx, release, err := s.Hold(ctx)
	if err != nil {
		return err
	}
	defer release()
	file, err := car.NewBlockReader(struct{ io.Reader }{r}) // a reader that can't seek is read forward
	if err != nil {
		return err
	}
	for _, c := range file.Roots {
		in.addRoot(c)
	}
	decoder := ipldlegacy.NewDecoder()
	to := s.newPacker()
	defer to.drop()
	var previous blocks.Block
	for {
		b, err := file.Next()
		if errors.Is(err, io.EOF) && b == nil {
			break
		}
		if err == nil && len(b.RawData()) > maxBlock {
			err = ErrBigBlock
		}
		if err == nil {
			_, err = decoder.DecodeNode(ctx, b)
		}
		if err == nil {
			err = to.add(ctx, b)
		}
		switch {
		case err != nil && b != nil:
			return fmt.Errorf("import failed at block %q: %w", b.Cid(), err)
		case err != nil && previous != nil:
			return fmt.Errorf("import failed after block %q: %w", previous.Cid(), err)
		case err != nil:
			return fmt.Errorf("import failed: %w", err)
		}
		previous = b
		in.Blocks++
		in.Bytes += uint64(len(b.RawData()))
	}
	return to.end(ctx)
}

// ErrBigBlock means that a block is larger than what other nodes exchange.
var ErrBigBlock = errors.New("produced block is over 2MiB: big blocks can't be exchanged with other peers. consider using UnixFS for automatic chunking of bigger files, or pass --allow-big-block to override")

func (in *Imported) addRoot(c cid.Cid) {
	if in.seen == nil {
		in.seen = cid.NewSet()
	}
	if in.seen.Visit(c) {
		in.Roots = append(in.Roots, c)
	}
}

// PinImported pins a tree whose blocks must all be here already, and makes it durable.
func (s *Store) PinImported(ctx context.Context, c cid.Cid) error {
	ctx, release, err := s.Hold(ctx)
	if err != nil {
		return err
	}
	defer release()
	if _, err := s.local.Get(ctx, c); err != nil {
		return err
	}
	if err := merkledag.FetchGraph(ctx, c, s.local, merkledag.Concurrency(fetchConcurrency)); err != nil {
		return err
	}
	if err := s.pinStored(ctx, c, ""); err != nil {
		return err
	}
	if err := s.Sync(ctx); err != nil {
		return err
	}
	s.pinned(ctx, c, Recursive)
	return nil
}

// Export returns the tree below a block as a CAR file, version 1: each block once, parents first. Blocks that are not
// here are fetched; with localOnly they are left out, with all that only they lead to. The caller closes it.
func (s *Store) Export(ctx context.Context, p string, localOnly bool) (io.ReadCloser, error) {
	root, err := s.Block(ctx, p) // fails before anything was sent
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithCancel(ctx)
	r, w := io.Pipe()
	e := &export{PipeReader: r, cancel: cancel, done: make(chan struct{})}
	go func() {
		defer close(e.done)
		// A codec reads what strangers made, and here no server catches its panic.
		defer func() {
			if p := recover(); p != nil {
				w.CloseWithError(fmt.Errorf("export %s: reading a block failed: %v", root.Cid(), p))
			}
		}()
		if localOnly {
			w.CloseWithError(s.writeLocal(ctx, root.Cid(), w))
			return
		}
		w.CloseWithError(s.writeTree(ctx, root.Cid(), w))
	}()
	return e, nil
}

// export is a CAR file that is being written. Close ends and awaits its writer.
type export struct {
	*io.PipeReader
	cancel context.CancelFunc
	done   chan struct{}
}

func (e *export) Close() error {
	e.cancel()
	err := e.PipeReader.Close()
	<-e.done
	return err
}

func (s *Store) writeTree(ctx context.Context, root cid.Cid, w io.Writer) error {
	links := cidlink.DefaultLinkSystem()
	links.SetReadStorage(nodeStorage{merkledag.NewSession(ctx, s.dag)})
	_, err := car.TraverseV1(ctx, &links, root, selector.CommonSelector_ExploreAllRecursively, w, car.AllowDuplicatePuts(false))
	return err
}

// nodeStorage reads blocks for a traversal.
type nodeStorage struct{ dag ipld.NodeGetter }

func (n nodeStorage) Get(ctx context.Context, key string) ([]byte, error) {
	c, err := cid.Cast([]byte(key))
	if err != nil {
		return nil, err
	}
	node, err := n.dag.Get(ctx, c)
	if err != nil {
		return nil, err
	}
	return node.RawData(), nil
}

func (n nodeStorage) Has(ctx context.Context, key string) (bool, error) {
	_, err := n.Get(ctx, key)
	if ipld.IsNotFound(err) {
		return false, nil
	}
	return err == nil, err
}

func (s *Store) writeLocal(ctx context.Context, root cid.Cid, w io.Writer) error {
	out, err := carstorage.NewWritable(w, []cid.Cid{root}, car.WriteAsCarV1(true))
	if err != nil {
		return err
	}
	bs := s.blocks.Blockstore()
	var failed error
	err = walker.WalkDAG(ctx, root, walker.LinksFetcherFromBlockstore(bs), func(c cid.Cid) bool {
		var b blocks.Block
		if b, failed = bs.Get(ctx, c); failed != nil {
			failed = nil // not here any more, or damaged: left out like those that never were
			return true
		}
		failed = out.Put(ctx, c.KeyString(), b.RawData())
		return failed == nil
	}, walker.WithLocality(bs.Has))
	return errors.Join(err, failed)
}
