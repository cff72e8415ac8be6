package content

import (
	"context"
	hash "crypto/sha256"
	"errors"
	"fmt"
	"iter"

	"github.com/ipfs/boxo/verifcid"
	"github.com/ipfs/go-cid"
	ipld "github.com/ipfs/go-ipld-format"
	"github.com/multiformats/go-multihash"
)

// Garbage is a block that was deleted, or why something could not be.
type Garbage struct {
	CID cid.Cid // as a raw block
	Err error
}

// Texts of Kubo's, at the end of a collection with errors.
var (
	ErrGCAborted    = errors.New("garbage collection aborted: could not retrieve some links")
	ErrGCIncomplete = errors.New("garbage collection incomplete: could not delete some blocks")
)

// errStop ends a collection whose consumer has had enough.
var errStop = errors.New("stopped")

// Collect deletes all blocks but those that are pinned, those that an add in progress has stored, the trees of keep, as
// far as they are here, and what leave says. It yields each block that it deletes, and each error. If the tree of a pin cannot be read to
// its end, it deletes nothing. Nothing is added or pinned while it runs; a consumer that stops ends it.
//
// It holds 16 bytes for each block that stays, and 16 more if that has links.
func (s *Store) Collect(ctx context.Context, keep iter.Seq2[cid.Cid, error], leave Leave) iter.Seq[Garbage] {
	return func(yield func(Garbage) bool) {
		err := s.collect(ctx, keep, func(ctx context.Context, m *marking) (func(multihash.Multihash) bool, error) {
			left, err := s.stored.leave(ctx, leave, m.marks.stays)
			return func(h multihash.Multihash) bool { return m.marks.stays(h) || left.leaves(h) }, err
		}, yield)
		if err != nil && !errors.Is(err, errStop) {
			yield(Garbage{Err: err})
		}
	}
}

// collect deletes what does not stay, which staying decides once all that is needed is marked.
func (s *Store) collect(ctx context.Context, keep iter.Seq2[cid.Cid, error], staying func(context.Context, *marking) (func(multihash.Multihash) bool, error), yield func(Garbage) bool) error {
	ctx = context.WithValue(ctx, unusedKey{}, true)
	return s.gate.alone(ctx, func(parked []iter.Seq2[cid.Cid, error]) error {
		m := marking{ctx: ctx, dag: s.local, marks: marks{}, yield: yield}
		if err := m.all(s, append(parked, keep)); err != nil {
			return err
		}
		if m.failed {
			return ErrGCAborted
		}
		stays, err := staying(ctx, &m)
		if err != nil {
			return err
		}
		w := sweeper{blockDB: s.stored, ctx: ctx, stays: stays, yield: yield}
		return w.run()
	})
}

// parksKey is in the context of an add that lets a collection run between two of its files: it holds for itself alone.
type parksKey struct{}

// holdAdd is Hold for an add, which stores nothing if it only computes CIDs.
func (s *Store) holdAdd(ctx context.Context, o AddOptions) (context.Context, func(), error) {
	if o.OnlyHash {
		return ctx, func() {}, nil
	}
	alone := ctx.Value(holdKey{s.gate}) == nil
	ctx, release, err := s.Hold(ctx)
	if err == nil && alone {
		ctx = context.WithValue(ctx, parksKey{}, true)
	}
	return ctx, release, err
}

// makeWay lets a collection run that waits, between two files of an add.
func (a *importer) makeWay() error {
	if a.ctx.Value(parksKey{}) == nil || !a.store.gate.wanted() {
		return nil
	}
	if err := a.dag.flush(a.ctx); err != nil {
		return err
	}
	a.store.gate.park(a.needed)
	a.base = base{} // it may have been unpinned before the collection
	return a.ctx.Err()
}

// needed yields the roots of what the add has stored and still needs.
func (a *importer) needed(yield func(cid.Cid, error) bool) {
	for _, links := range []iter.Seq2[treeLink, error]{a.links.all(), a.earlier.read(0, a.earlier.size)} {
		for l, err := range links {
			if err == nil && l.isDir() {
				continue
			}
			if !yield(l.cid, err) || err != nil {
				return
			}
		}
	}
}

// marks are CIDs, by the first bytes of their hashes: a raw one stands for the block that stays, whatever its codec; one
// of another codec was walked. What a CID carries is not a mark by itself: who makes an identity CID chooses its bytes.
type marks map[[markBytes]byte]struct{}

const markBytes = 16

func markOf(codec uint64, h multihash.Multihash) [markBytes]byte {
	sum := hash.Sum256(cid.NewCidV1(codec, h).Bytes())
	return [markBytes]byte(sum[:markBytes])
}

// visit marks a block, and reports whether it was not walked before. A raw block that is marked may be one of another
// codec, too, whose links are then not known.
func (m marks) visit(c cid.Cid) bool {
	walked := m.walked(c)
	m[markOf(cid.Raw, c.Hash())] = struct{}{}
	m[markOf(c.Type(), c.Hash())] = struct{}{}
	return !walked
}

func (m marks) walked(c cid.Cid) bool {
	_, ok := m[markOf(c.Type(), c.Hash())]
	return ok
}

// stays reports whether a block is marked.
func (m marks) stays(h multihash.Multihash) bool {
	_, ok := m[markOf(cid.Raw, h)]
	return ok
}

// marking finds the blocks that stay.
type marking struct {
	ctx    context.Context
	dag    ipld.NodeGetter
	marks  marks
	yield  func(Garbage) bool
	failed bool // something that stays could not be read
}

func (m *marking) all(s *Store, keep []iter.Seq2[cid.Cid, error]) error {
	// What must be whole comes first: a tree that was marked with gaps is not walked again.
	for p := range s.pins.RecursiveKeys(m.ctx, false) {
		if p.Err != nil {
			return fmt.Errorf("list pins: %w", p.Err)
		}
		if err := m.tree(p.Pin.Key, true); err != nil {
			return err
		}
	}
	for _, roots := range keep {
		if err := m.trees(roots); err != nil {
			return err
		}
	}
	for p := range s.pins.DirectKeys(m.ctx, false) {
		if p.Err != nil {
			return fmt.Errorf("list pins: %w", p.Err)
		}
		m.marks.visit(p.Pin.Key)
	}
	return m.ctx.Err()
}

// trees marks trees of which blocks may be missing.
func (m *marking) trees(roots iter.Seq2[cid.Cid, error]) error {
	for c, err := range roots {
		if err == nil {
			err = m.tree(c, false)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// tree marks a tree; whole says that none of its blocks may be missing.
func (m *marking) tree(root cid.Cid, whole bool) error {
	todo := []cid.Cid{root}
	for len(todo) > 0 {
		if err := m.ctx.Err(); err != nil {
			return err
		}
		c := todo[len(todo)-1]
		todo = todo[:len(todo)-1]
		if !m.marks.visit(c) {
			continue
		}
		links, err := m.links(c)
		if err != nil && (whole || !ipld.IsNotFound(err)) {
			m.failed = true
			if !m.yield(Garbage{Err: fmt.Errorf("could not retrieve links for %s: %w", c, err)}) {
				return errStop
			}
		}
		for _, l := range links {
			todo = append(todo, l.Cid)
		}
	}
	return nil
}

func (m *marking) links(c cid.Cid) ([]*ipld.Link, error) {
	if err := verifcid.ValidateCid(verifcid.DefaultAllowlist, c); err != nil {
		return nil, err
	}
	return ipld.GetLinks(m.ctx, m.dag, c)
}

// blockKeys are the keys of loose blocks.
var blockKeys = [2][]byte{[]byte("/blocks/"), []byte("/blocks0")}

// Size returns how much of the disk the database takes, in bytes.
func (s *Store) Size() uint64 { return s.db.Metrics().DiskSpaceUsage() }
