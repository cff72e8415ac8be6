package content

import (
	"context"
	"errors"
	"fmt"
	"iter"

	"github.com/ipfs/boxo/blockstore"
	pin "github.com/ipfs/boxo/pinning/pinner"
	"github.com/ipfs/boxo/verifcid"
	blocks "github.com/ipfs/go-block-format"
	"github.com/ipfs/go-cid"
	ipld "github.com/ipfs/go-ipld-format"
	"github.com/multiformats/go-multihash"
)

// MaxBlock is the size up to which other nodes exchange a block, in bytes.
const MaxBlock = 2 << 20

// AllowsHash reports whether blocks may be identified by a hash function, a multihash code: weak ones are refused.
func AllowsHash(code uint64) bool { return verifcid.DefaultAllowlist.IsAllowed(code) }

// Block returns the block at the end of an immutable path, and fetches it if it is not here. A path may end inside of
// a block: then it is that block.
func (s *Store) Block(ctx context.Context, p string) (blocks.Block, error) {
	c, _, err := s.ResolveInto(ctx, p)
	if err != nil {
		return nil, err
	}
	b, err := s.blocks.GetBlock(ctx, c)
	if err != nil {
		return nil, fmt.Errorf("read block %s: %w", c, err)
	}
	return b, nil
}

// AppendBlock appends a block that is here to b, for who reads many and has the space for them. Others are not asked for
// one that is not here: the error is then an [ipld.ErrNotFound].
func (s *Store) AppendBlock(ctx context.Context, b []byte, c cid.Cid) ([]byte, error) {
	if err := verifcid.ValidateCid(verifcid.DefaultAllowlist, c); err != nil {
		return b, fmt.Errorf("read block %s: %w", c, err)
	}
	if s.deny != nil {
		if err := denied(s.deny, c); err != nil {
			return b, err
		}
	}
	err := s.stored.View(ctx, c, func(v []byte) error {
		b = append(b, v...)
		return nil
	})
	return b, err
}

// PutBlock stores a block under the CID that prefix makes of it, without looking at what it holds. It is durable when
// PutBlock returns.
func (s *Store) PutBlock(ctx context.Context, data []byte, prefix cid.Prefix) (cid.Cid, error) {
	c, err := prefix.Sum(data)
	if err != nil {
		return cid.Undef, fmt.Errorf("hash a block: %w", err)
	}
	if s.deny != nil {
		if err := denied(s.deny, c); err != nil {
			return cid.Undef, err
		}
	}
	b, err := blocks.NewBlockWithCid(data, c)
	if err != nil {
		return cid.Undef, fmt.Errorf("make block %s: %w", c, err)
	}
	if err := s.addBlock(ctx, b); err != nil {
		return cid.Undef, err
	}
	return c, s.Sync(ctx)
}

// addBlock stores a block, durably after a Sync.
func (s *Store) addBlock(ctx context.Context, b blocks.Block) error {
	err := verifcid.ValidateCid(verifcid.DefaultAllowlist, b.Cid())
	if err == nil && b.Cid().Prefix().MhType != multihash.IDENTITY {
		err = s.stored.PutMany(ctx, []blocks.Block{b})
	}
	if err != nil {
		return fmt.Errorf("store block %s: %w", b.Cid(), err)
	}
	return s.blocks.Exchange().NotifyNewBlocks(ctx, b)
}

// CheckBlock reads a block that is here, and returns an error if it is not what its CID says.
func (s *Store) CheckBlock(ctx context.Context, c cid.Cid) error {
	ctx = context.WithValue(ctx, unusedKey{}, true)
	_, err := (&blockstore.ValidatingBlockstore{Blockstore: s.stored}).Get(ctx, c)
	return err
}

// DropBlock deletes a block, whatever needs it.
func (s *Store) DropBlock(ctx context.Context, c cid.Cid) error {
	if err := s.stored.DeleteBlock(ctx, c); err != nil {
		return fmt.Errorf("delete block %s: %w", c, err)
	}
	return s.Sync(ctx)
}

// RemoveBlock deletes a block that nothing pins. A block that is not here is an error. Like a collection of garbage, it
// waits for what adds and pins, which may have found the block.
func (s *Store) RemoveBlock(ctx context.Context, c cid.Cid) error {
	return s.gate.alone(ctx, func(parked []iter.Seq2[cid.Cid, error]) error {
		return s.removeBlock(ctx, c, parked)
	})
}

func (s *Store) removeBlock(ctx context.Context, c cid.Cid, parked []iter.Seq2[cid.Cid, error]) error {
	found, err := s.pins.CheckIfPinned(ctx, c)
	if err != nil {
		return fmt.Errorf("pin check failed: %w", err)
	}
	if len(found) > 0 && found[0].Mode != pin.NotPinned {
		return errors.New(found[0].String())
	}
	has, err := s.blocks.Blockstore().Has(ctx, c)
	if err != nil {
		return fmt.Errorf("look for block %s: %w", c, err)
	}
	if !has {
		return ipld.ErrNotFound{Cid: c}
	}
	// The pinner knows CIDs, and the block may be needed by one of another codec: all blocks are listed as raw ones.
	m := marking{ctx: ctx, dag: s.local, marks: marks{}, yield: func(Garbage) bool { return true }}
	if err := m.all(s, parked); err != nil {
		return err
	}
	if m.marks.stays(c.Hash()) {
		return fmt.Errorf("block %s is pinned as part of a tree, or being added", c)
	}
	if err := s.blocks.DeleteBlock(ctx, c); err != nil {
		return fmt.Errorf("delete block %s: %w", c, err)
	}
	return s.Sync(ctx)
}
