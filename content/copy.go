package content

import (
	"context"
	"errors"
	"fmt"

	"github.com/ipfs/boxo/ipld/merkledag"
	pin "github.com/ipfs/boxo/pinning/pinner"
	blocks "github.com/ipfs/go-block-format"
	"github.com/ipfs/go-cid"
	ipld "github.com/ipfs/go-ipld-format"
	ipldlegacy "github.com/ipfs/go-ipld-legacy"
)

// Copied counts what [Store.CopyPin] has done.
type Copied struct {
	Pins   int // that are here now
	Blocks int // that were not here
	Bytes  uint64
}

// CopyPin copies a pin from another block store, of which get returns a block, and then what it keeps: all blocks are
// durable before the pin is. What is here already is not read again, so that a copy goes on after a crash where it
// stopped. It adds what it copied to the figures, from time to time.
func (s *Store) CopyPin(ctx context.Context, p Pin, get func(cid.Cid) (blocks.Block, error), to *Copied) error {
	if err := CheckPinName(p.Name); err != nil {
		return err
	}
	ctx, release, err := s.Hold(ctx)
	if err != nil {
		return err
	}
	defer release()
	c := copying{Store: s, get: get, to: to, seen: cid.NewSet(), decoder: ipldlegacy.NewDecoder(), packer: s.newPacker()}
	defer c.packer.drop()
	switch p.Type {
	case Recursive:
		// What has its pin is here with all that is below it.
		if had, herr := s.PinOf(ctx, p.CID, Recursive); herr == nil && had.Name == p.Name {
			to.Pins++
			return nil
		}
		err = merkledag.Walk(ctx, c.links, p.CID, c.seen.Visit)
		if err == nil {
			err = c.packer.end(ctx)
		}
		if err == nil {
			err = s.pinStored(ctx, p.CID, p.Name)
		}
	case Direct:
		if _, err = c.block(ctx, p.CID); err == nil {
			err = c.packer.end(ctx)
		}
		if err == nil {
			err = s.pins.PinWithMode(ctx, p.CID, pin.Direct, p.Name)
		}
	default:
		err = fmt.Errorf("a pin is %s or %s, not %q", Recursive, Direct, p.Type)
	}
	if err != nil {
		return fmt.Errorf("copy pin %s: %w", p.CID, err)
	}
	to.Pins++
	return s.Sync(ctx)
}

// copying is one tree being copied.
type copying struct {
	*Store
	get     func(cid.Cid) (blocks.Block, error)
	to      *Copied
	seen    *cid.Set
	decoder *ipldlegacy.Decoder
	packer  *packer
}

// links copies a block and returns what it links to.
func (c *copying) links(ctx context.Context, at cid.Cid) (_ []*ipld.Link, err error) {
	// A codec reads what strangers made, and here no server catches its panic.
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("reading block %s failed: %v", at, p)
		}
	}()
	if at.Prefix().Codec == cid.Raw {
		has, err := c.blocks.Blockstore().Has(ctx, at)
		if err != nil || has {
			return nil, err
		}
	}
	b, err := c.block(ctx, at)
	if err != nil {
		return nil, err
	}
	node, err := c.decoder.DecodeNode(ctx, b)
	if err != nil {
		return nil, fmt.Errorf("read block %s: %w", at, err)
	}
	return node.Links(), nil
}

// block returns a block of this store, or else copies it.
func (c *copying) block(ctx context.Context, at cid.Cid) (blocks.Block, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	b, err := c.blocks.Blockstore().Get(ctx, at)
	if err == nil || !ipld.IsNotFound(err) {
		return b, err
	}
	if b, err = c.get(at); err != nil {
		return nil, err
	}
	if !b.Cid().Equals(at) {
		return nil, errors.New("another block than the one asked for")
	}
	if err := c.packer.add(ctx, b); err != nil {
		return nil, fmt.Errorf("store block %s: %w", at, err)
	}
	c.to.Blocks++
	c.to.Bytes += uint64(len(b.RawData()))
	return b, nil
}
