package content

import (
	"bytes"
	"context"
	"fmt"

	"github.com/ipfs/boxo/bitswap"
	"github.com/ipfs/boxo/bitswap/server"
	"github.com/ipfs/boxo/exchange"
	blocks "github.com/ipfs/go-block-format"
	"github.com/ipfs/go-cid"
	"github.com/libp2p/go-libp2p/core/peer"
)

// Exchanged is what bitswap has exchanged with other nodes since the start.
type Exchanged = bitswap.Stat

// Ledger is what bitswap has exchanged with one of them.
type Ledger = server.Receipt

// Exchanged returns what was exchanged with other nodes. Offline it returns [ErrOffline].
func (s *Store) Exchanged() (*Exchanged, error) {
	b, err := s.bitswap()
	if err != nil {
		return nil, err
	}
	return b.Stat()
}

// Ledger returns what was exchanged with one node.
func (s *Store) Ledger(p peer.ID) (*Ledger, error) {
	b, err := s.bitswap()
	if err != nil {
		return nil, err
	}
	return b.LedgerForPeer(p), nil
}

// Wanted returns the blocks that this node waits for, or those that another does which
// has asked for them.
func (s *Store) Wanted(by peer.ID) ([]cid.Cid, error) {
	b, err := s.bitswap()
	if err != nil {
		return nil, err
	}
	if by != "" {
		return b.WantlistForPeer(by), nil
	}
	return b.GetWantlist(), nil
}

func (s *Store) bitswap() (*bitswap.Bitswap, error) {
	b, ok := s.exchange.(*bitswap.Bitswap)
	if !ok {
		return nil, fmt.Errorf("bitswap: %w", ErrOffline)
	}
	return b, nil
}

// notify tells of new blocks who waits for them, here or elsewhere. It keeps none of them: a block that is wanted here is
// copied.
func notify(ctx context.Context, x exchange.Interface, list []blocks.Block) error {
	b, ok := x.(*bitswap.Bitswap)
	if !ok {
		return nil // nobody waits
	}
	wanted := map[string]cid.Cid{}
	for _, c := range b.GetWantlist() {
		wanted[string(c.Hash())] = c
	}
	for _, block := range list {
		if len(wanted) == 0 {
			break
		}
		c, ok := wanted[string(block.Cid().Hash())]
		if !ok {
			continue
		}
		own, err := blocks.NewBlockWithCid(bytes.Clone(block.RawData()), c)
		if err == nil {
			err = b.Client.NotifyNewBlocks(ctx, own)
		}
		if err != nil {
			return err
		}
	}
	if b.Server == nil {
		return nil
	}
	return b.Server.NotifyNewBlocks(ctx, list...)
}

// Has reports whether a block is here.
func (s *Store) Has(ctx context.Context, c cid.Cid) (bool, error) {
	return s.blocks.Blockstore().Has(ctx, c)
}
