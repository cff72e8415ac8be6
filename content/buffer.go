package content

import (
	"cmp"
	"context"

	"github.com/ipfs/boxo/verifcid"
	"github.com/ipfs/go-cid"
	ipld "github.com/ipfs/go-ipld-format"
)

// A blockBuffer is written out when it holds more than this, unless it has other bounds.
const (
	bufferBytes = 2 << 20
	bufferNodes = 1024
)

// blockBuffer collects new blocks and writes many at a time, in the goroutine that adds: when an import returns, all
// writes have ended.
type blockBuffer struct {
	to                 ipld.DAGService // nil: blocks are discarded
	maxNodes, maxBytes int             // 0: bufferNodes, bufferBytes
	nodes              []ipld.Node
	bytes              int
}

var _ ipld.DAGService = (*blockBuffer)(nil)

func (b *blockBuffer) Add(ctx context.Context, n ipld.Node) error {
	if _, written := n.(linkedNode); written {
		return nil
	}
	if b.to == nil {
		return verifcid.ValidateCid(verifcid.DefaultAllowlist, n.Cid()) // as if it were written
	}
	b.nodes = append(b.nodes, n)
	b.bytes += len(n.RawData())
	if b.bytes > cmp.Or(b.maxBytes, bufferBytes) || len(b.nodes) > cmp.Or(b.maxNodes, bufferNodes) {
		return b.flush(ctx)
	}
	return nil
}

func (b *blockBuffer) AddMany(ctx context.Context, nodes []ipld.Node) error {
	for _, n := range nodes {
		if err := b.Add(ctx, n); err != nil {
			return err
		}
	}
	return nil
}

func (b *blockBuffer) flush(ctx context.Context) error {
	if len(b.nodes) == 0 {
		return nil
	}
	err := b.to.AddMany(ctx, b.nodes)
	clear(b.nodes)
	b.nodes, b.bytes = b.nodes[:0], 0
	return err
}

// An import never reads: trees are built from memory. Reads and removals behave as on an empty store.

func (*blockBuffer) Get(_ context.Context, c cid.Cid) (ipld.Node, error) {
	return nil, ipld.ErrNotFound{Cid: c}
}

func (*blockBuffer) GetMany(context.Context, []cid.Cid) <-chan *ipld.NodeOption {
	none := make(chan *ipld.NodeOption)
	close(none)
	return none
}

func (*blockBuffer) Remove(context.Context, cid.Cid) error { return nil }

func (*blockBuffer) RemoveMany(context.Context, []cid.Cid) error { return nil }
