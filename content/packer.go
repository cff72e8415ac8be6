package content

import (
	"bytes"
	"context"
	"errors"
	"slices"

	"github.com/ipfs/boxo/exchange"
	"github.com/ipfs/boxo/verifcid"
	blocks "github.com/ipfs/go-block-format"
	"github.com/multiformats/go-multihash"
)

// packer stores many blocks: it fills a pack while the one before is written. It holds two packs of blocks at most. Its
// user must hold collections away, and call end.
type packer struct {
	to       *blockDB
	exchange exchange.Interface // is told of new blocks; nil: nobody is
	atOnce   int                // bytes of a pack
	count    int                // blocks of a pack

	filling load
	writing load       // until written has a result
	written chan error // nil: nothing is being written
	packed  bool       // since the last end, something was
}

// load is blocks to be stored, each once.
type load struct {
	list  []blocks.Block
	has   map[string]struct{}
	bytes int
}

func (s *Store) newPacker() *packer {
	return &packer{to: s.stored, exchange: s.exchange, atOnce: s.stored.packBytes, count: packBlocks}
}

// bound makes packs smaller, but not so small that there are too many. 0 is no bound.
func (p *packer) bound(count, bytes int) {
	if bytes > 0 {
		p.atOnce = max(looseBytes, min(bytes, packBytes))
	}
	if count > 0 {
		p.count = max(leastBlocks, min(count, packBlocks))
	}
}

// add stores a block if it is not here. It may be found only after end. The block is then the packer's.
func (p *packer) add(ctx context.Context, b blocks.Block) error {
	c := b.Cid()
	if err := verifcid.ValidateCid(verifcid.DefaultAllowlist, c); err != nil {
		return err
	}
	h := c.Hash()
	_, filling := p.filling.has[string(h)]
	_, writing := p.writing.has[string(h)]
	has := filling || writing || c.Prefix().MhType == multihash.IDENTITY // such a CID is the block
	if !has {
		var err error
		if has, err = p.to.Has(ctx, c); err != nil {
			return err
		}
	}
	if has {
		release(b)
		return nil
	}
	size := len(b.RawData())
	if n := len(p.filling.list); n > 0 && (p.filling.bytes+size > p.atOnce || n >= p.count) {
		if err := p.write(ctx); err != nil {
			return err
		}
	}
	if p.filling.has == nil {
		p.filling.has = make(map[string]struct{})
	}
	p.filling.list = append(p.filling.list, b)
	p.filling.has[string(h)] = struct{}{}
	p.filling.bytes += size
	return nil
}

// write begins to write what was filled, after the one before.
func (p *packer) write(ctx context.Context) error {
	if err := p.wait(); err != nil {
		return err
	}
	p.packed = true
	p.writing, p.filling = p.filling, load{}
	list, written := p.writing.list, make(chan error, 1)
	p.written = written
	go func() { written <- p.store(ctx, list) }() // wait waits for it
	return nil
}

// wait waits until what is being written is.
func (p *packer) wait() error {
	if p.written == nil {
		return nil
	}
	err := <-p.written
	p.written, p.writing = nil, load{}
	return err
}

// store stores blocks in a pack, and tells of them.
func (p *packer) store(ctx context.Context, list []blocks.Block) error {
	slices.SortFunc(list, func(a, b blocks.Block) int { return bytes.Compare(a.Cid().Hash(), b.Cid().Hash()) })
	err := p.to.ds.write(ctx, func() error {
		_, err := p.to.writePack(context.WithoutCancel(ctx), list, nil)
		return err
	})
	if err != nil {
		return err
	}
	p.to.announce(list)
	return p.stored(ctx, list)
}

// stored tells of stored blocks, and gives their buffers back. Those of blocks that may still be written, after an
// error, are not used again.
func (p *packer) stored(ctx context.Context, list []blocks.Block) error {
	if err := notify(ctx, p.exchange, list); err != nil {
		return err
	}
	for _, b := range list {
		release(b)
	}
	return nil
}

// end stores what is left, and waits. It must be called after an error, too.
func (p *packer) end(ctx context.Context) error {
	defer func() { p.packed = false }()
	if err := p.wait(); err != nil {
		p.filling = load{}
		return err
	}
	switch {
	case len(p.filling.list) == 0:
		return nil
	case p.packed || p.filling.bytes >= p.to.looseBytes:
		return errors.Join(p.write(ctx), p.wait())
	}
	list := p.filling.list
	p.filling = load{}
	if err := p.to.PutMany(ctx, list); err != nil {
		return err
	}
	return p.stored(ctx, list)
}

// drop waits for what is being written, and forgets the rest.
func (p *packer) drop() {
	_ = p.wait()
	p.filling = load{}
}
