package content

import (
	"context"
	"fmt"
	"iter"
	"slices"

	"github.com/ipfs/boxo/ipld/merkledag"
	"github.com/ipfs/go-cid"
	ipld "github.com/ipfs/go-ipld-format"
)

// Ref is a link from one block to another.
type Ref struct {
	From, To cid.Cid
	Name     string
}

// Refs are the links of a tree.
type Refs struct {
	// Unique yields each block once.
	Unique bool
	// Depth is how many levels below a root are read and yielded; negative: all.
	Depth int

	seen map[string]int // with Unique: the lowest level at which a block was met
}

// Of yields the links below root, each before those below it, and fetches the blocks that they lead to. It ends with
// the first error. Links of a later root count as those of one tree with the earlier.
func (r *Refs) Of(ctx context.Context, s *Store, root cid.Cid) iter.Seq2[Ref, error] {
	return func(yield func(Ref, error) bool) {
		ctx, cancel := context.WithCancel(ctx) // ends fetching if the consumer stops
		defer cancel()
		dag := merkledag.NewSession(ctx, s.dag)
		node, err := dag.Get(ctx, root)
		if err == nil {
			_, err = r.below(ctx, dag, node, 1, yield)
		}
		if err != nil {
			yield(Ref{}, err)
		}
	}
}

// below yields the links of a node whose children are at a level, and reports whether the consumer wants more.
func (r *Refs) below(ctx context.Context, dag ipld.NodeGetter, node ipld.Node, level int, yield func(Ref, error) bool) (more bool, err error) {
	if level > maxTreeDepth {
		return false, fmt.Errorf("the tree is deeper than %d blocks", maxTreeDepth)
	}
	if r.Depth >= 0 && level > r.Depth {
		return true, nil
	}
	children := ipld.GetDAG(ctx, dag, node)
	for i, link := range node.Links() {
		show, deeper := r.visit(link.Cid, level)
		if !show && !deeper {
			continue
		}
		child, err := children[i].Get(ctx) // what is shown has been fetched
		if err != nil {
			return false, err
		}
		if show && !yield(Ref{From: node.Cid(), To: link.Cid, Name: link.Name}, nil) {
			return false, nil
		}
		if !deeper {
			continue
		}
		if more, err := r.below(ctx, dag, child, level+1, yield); !more || err != nil {
			return false, err
		}
	}
	return true, nil
}

// visit says whether the link to a block at a level is shown, and whether to go below it. With Unique and a Depth, a
// block met at a lower level than before is not shown again, but what is below it is now within reach.
func (r *Refs) visit(c cid.Cid, level int) (show, deeper bool) {
	deeper = r.Depth < 0 || level < r.Depth
	if !r.Unique {
		return true, deeper
	}
	before, seen := r.seen[c.KeyString()]
	if seen && (r.Depth < 0 || before <= level) {
		return false, false
	}
	if r.seen == nil {
		r.seen = map[string]int{}
	}
	r.seen[c.KeyString()] = level
	return !seen, deeper
}

// Blocks yields the CIDs of all blocks that are here, as raw blocks. It ends with the first error.
func (s *Store) Blocks(ctx context.Context) iter.Seq2[cid.Cid, error] {
	return func(yield func(cid.Cid, error) bool) {
		for h, err := range s.stored.all(ctx) {
			if err != nil {
				yield(cid.Undef, fmt.Errorf("list blocks: %w", err))
				return
			}
			if !yield(cid.NewCidV1(cid.Raw, slices.Clone(h)), nil) {
				return
			}
		}
	}
}
