package content

import (
	"context"
	"fmt"
	"iter"

	"github.com/ipfs/boxo/verifcid"
	"github.com/ipfs/go-cid"
	ipld "github.com/ipfs/go-ipld-format"
)

// maxBad bounds the bad blocks that one check lists.
const maxBad = 10_000

// BadBlock is a block that a pin should keep, and why it is not as it should be.
type BadBlock struct {
	CID cid.Cid
	Err error
}

// CheckedPin is a recursive pin; it is whole if Bad is empty.
type CheckedPin struct {
	CID cid.Cid
	Bad []BadBlock
}

// CheckPins reads the trees of all recursive pins, without asking other nodes. It ends with the first error.
//
// It remembers every block that it has seen.
func (s *Store) CheckPins(ctx context.Context) iter.Seq2[CheckedPin, error] {
	return func(yield func(CheckedPin, error) bool) {
		c := pinChecks{ctx: ctx, dag: s.local, whole: marks{}, bad: map[cid.Cid][]BadBlock{}}
		ctx, cancel := context.WithCancel(ctx) // ends the pinner's goroutine if the consumer stops
		defer cancel()
		for p := range s.pins.RecursiveKeys(ctx, false) {
			if p.Err != nil {
				yield(CheckedPin{}, fmt.Errorf("list pins: %w", p.Err))
				return
			}
			bad, err := c.tree(p.Pin.Key, 0)
			if !yield(CheckedPin{p.Pin.Key, bad}, err) || err != nil {
				return
			}
		}
	}
}

// pinChecks are the checks of trees that may share blocks.
type pinChecks struct {
	ctx   context.Context
	dag   ipld.NodeGetter
	whole marks
	bad   map[cid.Cid][]BadBlock // of trees that are not whole
}

// tree returns the bad blocks of a tree. The only error is that of the context.
func (c *pinChecks) tree(root cid.Cid, depth int) ([]BadBlock, error) {
	if c.whole.walked(root) {
		return nil, nil
	}
	if bad, ok := c.bad[root]; ok {
		return bad, nil
	}
	if err := c.ctx.Err(); err != nil {
		return nil, err
	}
	var bad []BadBlock
	links, err := c.links(root, depth)
	if err != nil {
		bad = []BadBlock{{root, err}}
	}
	for _, l := range links {
		below, err := c.tree(l.Cid, depth+1)
		if err != nil {
			return nil, err
		}
		bad = append(bad, below[:min(len(below), maxBad-len(bad))]...)
	}
	if len(bad) == 0 {
		c.whole.visit(root)
	} else {
		c.bad[root] = bad
	}
	return bad, nil
}

func (c *pinChecks) links(at cid.Cid, depth int) ([]*ipld.Link, error) {
	if depth > maxTreeDepth {
		return nil, fmt.Errorf("the tree is deeper than %d blocks", maxTreeDepth)
	}
	if err := verifcid.ValidateCid(verifcid.DefaultAllowlist, at); err != nil {
		return nil, err
	}
	return ipld.GetLinks(c.ctx, c.dag, at)
}
