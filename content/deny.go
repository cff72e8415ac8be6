package content

import (
	"context"
	"errors"

	"github.com/ipfs/boxo/bitswap"
	"github.com/ipfs/boxo/blockservice"
	"github.com/ipfs/boxo/blockstore"
	"github.com/ipfs/boxo/exchange"
	blocks "github.com/ipfs/go-block-format"
	"github.com/ipfs/go-cid"
	"github.com/libp2p/go-libp2p/core/peer"
)

// ErrDenied: a denylist of this node names it. The text is Kubo's.
var ErrDenied = errors.New("blocked and cannot be provided")

// deniedError names a path or CID that is denied. It wraps nothing: the whole of it is what helps a user.
type deniedError string

func (e deniedError) Error() string        { return string(e) + " is " + ErrDenied.Error() }
func (e deniedError) Is(target error) bool { return target == ErrDenied }

// Denylist says what this node neither fetches nor gives to others.
type Denylist interface {
	DeniesCID(cid.Cid) bool
	DeniesPath(path string) bool // immutable or not
	Changes() uint64             // how often it has changed
}

// Denied returns an error that is [ErrDenied] for a path that must not be resolved or shown.
func (s *Store) Denied(p string) error {
	if s.deny == nil || !s.deny.DeniesPath(p) {
		return nil
	}
	return deniedError(p)
}

// Changes counts what may make wrong what was read before: blocks that were deleted, and changes of the Denylist.
func (s *Store) Changes() uint64 {
	n := s.stored.deleted.Load()
	if s.deny != nil {
		n += s.deny.Changes()
	}
	return n
}

// shown returns the blocks that users and the gateway are given: all but those that are denied.
func (s *Store) shown(bs blockstore.Blockstore, x exchange.Interface) blockservice.BlockService {
	if s.deny == nil {
		return blockservice.New(bs, x)
	}
	return blockservice.New(denying{bs, s.deny}, newUnfetched(x, s.deny))
}

// given are the blocks that other nodes are given.
func given(d Denylist) []bitswap.Option {
	if d == nil {
		return nil
	}
	return []bitswap.Option{bitswap.WithPeerBlockRequestFilter(func(_ peer.ID, c cid.Cid) bool { return !d.DeniesCID(c) })}
}

// denying is a block store that refuses blocks that a Denylist names.
type denying struct {
	blockstore.Blockstore
	deny Denylist
}

func denied(d Denylist, c cid.Cid) error {
	if d.DeniesCID(c) {
		return deniedError(c.String())
	}
	return nil
}

func (d denying) Get(ctx context.Context, c cid.Cid) (blocks.Block, error) {
	if err := denied(d.deny, c); err != nil {
		return nil, err
	}
	return d.Blockstore.Get(ctx, c)
}

func (d denying) GetSize(ctx context.Context, c cid.Cid) (int, error) {
	if err := denied(d.deny, c); err != nil {
		return 0, err
	}
	return d.Blockstore.GetSize(ctx, c)
}

func (d denying) Put(ctx context.Context, b blocks.Block) error {
	if err := denied(d.deny, b.Cid()); err != nil {
		return err
	}
	return d.Blockstore.Put(ctx, b)
}

func (d denying) PutMany(ctx context.Context, all []blocks.Block) error {
	for _, b := range all {
		if err := denied(d.deny, b.Cid()); err != nil {
			return err
		}
	}
	return d.Blockstore.PutMany(ctx, all)
}

// unfetched is an exchange that asks nobody for such blocks.
type unfetched struct {
	exchange.Interface
	asking
}

func newUnfetched(x exchange.Interface, d Denylist) unfetched {
	return unfetched{x, asking{x, d}}
}

func (u unfetched) GetBlock(ctx context.Context, c cid.Cid) (blocks.Block, error) {
	return u.asking.GetBlock(ctx, c)
}

func (u unfetched) GetBlocks(ctx context.Context, all []cid.Cid) (<-chan blocks.Block, error) {
	return u.asking.GetBlocks(ctx, all)
}

// NewSession implements exchange.SessionExchange, if the exchange does.
func (u unfetched) NewSession(ctx context.Context) exchange.Fetcher {
	if s, ok := u.Interface.(exchange.SessionExchange); ok {
		return asking{s.NewSession(ctx), u.deny}
	}
	return u.asking
}

type asking struct {
	from exchange.Fetcher
	deny Denylist
}

func (f asking) GetBlock(ctx context.Context, c cid.Cid) (blocks.Block, error) {
	if err := denied(f.deny, c); err != nil {
		return nil, err
	}
	return f.from.GetBlock(ctx, c)
}

// GetBlocks leaves out what is denied, as it does what nobody has.
func (f asking) GetBlocks(ctx context.Context, all []cid.Cid) (<-chan blocks.Block, error) {
	var rest []cid.Cid
	for _, c := range all {
		if denied(f.deny, c) == nil {
			rest = append(rest, c)
		}
	}
	return f.from.GetBlocks(ctx, rest)
}
