package content

import (
	"context"

	"github.com/ipfs/boxo/verifcid"
	blocks "github.com/ipfs/go-block-format"
	"github.com/ipfs/go-cid"
	ipld "github.com/ipfs/go-ipld-format"
)

// blockSink takes the blocks of an import. When flush returns, all that it was given are stored.
type blockSink struct {
	to *packer // nil: blocks are discarded
}

var _ ipld.DAGService = (*blockSink)(nil)

func (b *blockSink) Add(ctx context.Context, n ipld.Node) error {
	if _, written := n.(linkedNode); written {
		return nil
	}
	if b.to == nil {
		return verifcid.ValidateCid(verifcid.DefaultAllowlist, n.Cid()) // as if it were written
	}
	return b.to.add(ctx, n)
}

// addBlock is Add for a block that is not decoded.
func (b *blockSink) addBlock(ctx context.Context, block blocks.Block) error {
	if b.to == nil {
		release(block)
		return verifcid.ValidateCid(verifcid.DefaultAllowlist, block.Cid())
	}
	return b.to.add(ctx, block)
}

func (b *blockSink) AddMany(ctx context.Context, nodes []ipld.Node) error {
	for _, n := range nodes {
		if err := b.Add(ctx, n); err != nil {
			return err
		}
	}
	return nil
}

func (b *blockSink) flush(ctx context.Context) error {
	if b.to == nil {
		return nil
	}
	return b.to.end(ctx)
}

// drop ends an import that has failed. What it has stored stays until a collection.
func (b *blockSink) drop() {
	if b.to != nil {
		b.to.drop()
	}
}

// An import never reads: trees are built from memory. Reads and removals behave as on an empty store.

func (*blockSink) Get(_ context.Context, c cid.Cid) (ipld.Node, error) {
	return nil, ipld.ErrNotFound{Cid: c}
}

func (*blockSink) GetMany(context.Context, []cid.Cid) <-chan *ipld.NodeOption {
	none := make(chan *ipld.NodeOption)
	close(none)
	return none
}

func (*blockSink) Remove(context.Context, cid.Cid) error { return nil }

func (*blockSink) RemoveMany(context.Context, []cid.Cid) error { return nil }
