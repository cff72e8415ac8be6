package content

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/ipfs/boxo/dag/walker"
	"github.com/ipfs/boxo/pinning/pinner/dspinner"
	"github.com/ipfs/go-cid"
	mh "github.com/multiformats/go-multihash"
)

// ErrOffline means that an operation needs other nodes and the Store has no host or router.
var ErrOffline = errors.New("offline")

// Strategy is which content is announced.
type Strategy struct {
	All    bool // every block that is stored
	Pinned bool // the blocks of pins
	Roots  bool // their roots alone
	// Entities leaves out the blocks inside of files.
	Entities bool
}

// Provider announces content: keys are queued, and announced again from then on.
type Provider interface {
	StartProviding(force bool, keys ...mh.Multihash) error
}

// Provide announces that this node has c, and waits for it. Offline it returns [ErrOffline].
func (s *Store) Provide(ctx context.Context, c cid.Cid) error {
	if s.router == nil {
		return fmt.Errorf("announce %s: %w", c, ErrOffline)
	}
	if err := s.router.Provide(ctx, c, true); err != nil {
		return fmt.Errorf("announce %s: %w", c, err)
	}
	return nil
}

// Limits of announcements that nobody waits for.
const (
	soonAtOnce  = 32
	soonTimeout = 10 * time.Second
)

// ProvideSoon is [Store.Provide] in the background, for a short time only; done is told how it went. While soonAtOnce of
// these are in flight it does nothing: what is to be announced is in the queue anyway.
func (s *Store) ProvideSoon(c cid.Cid, done func(error)) {
	if s.router == nil {
		done(s.Provide(s.life, c))
		return
	}
	select {
	case s.soon <- struct{}{}:
	default:
		return
	}
	s.providing.Go(func() {
		defer func() { <-s.soon }()
		ctx, cancel := context.WithTimeout(s.life, soonTimeout)
		defer cancel()
		done(s.Provide(ctx, c))
	})
}

// announceBatch is how many CIDs are queued at once.
const announceBatch = 1024

// pinned queues what was pinned to be announced, as the strategy says. All blocks were queued when they were stored.
func (s *Store) pinned(ctx context.Context, c cid.Cid, t PinType) {
	if s.provider == nil || s.strategy.All || !s.strategy.Roots && !s.strategy.Pinned {
		return
	}
	keys := []mh.Multihash{c.Hash()}
	queue := func() {
		if err := s.provider.StartProviding(false, keys...); err != nil {
			s.log.Warn("pinned content not announced before the next round", "cid", c, "err", err)
		}
		keys = keys[:0]
	}
	if t == Recursive && s.strategy.Pinned && !s.strategy.Entities {
		// What cannot be read here is announced in the next round, if it can be then.
		_ = walker.WalkDAG(ctx, c, walker.LinksFetcherFromBlockstore(s.blocks.Blockstore()), func(c cid.Cid) bool {
			if keys = append(keys, c.Hash()); len(keys) == announceBatch {
				queue()
			}
			return true
		})
	}
	queue()
}

// Announced yields the CIDs that a strategy announces. The channel is closed at the end, or with ctx.
func (s *Store) Announced(ctx context.Context) (<-chan cid.Cid, error) {
	bs := s.blocks.Blockstore()
	switch {
	case s.strategy.All:
		return bs.AllKeysChan(ctx)
	case s.strategy.Pinned:
		seen, err := walker.NewBloomTracker(walker.DefaultBloomInitialCapacity, walker.DefaultBloomFPRate)
		if err != nil {
			return nil, err
		}
		if s.strategy.Entities {
			return dspinner.NewPinnedEntityRootsProvider(s.pins, bs, seen)(ctx)
		}
		return dspinner.NewUniquePinnedProvider(s.pins, bs, seen)(ctx)
	}
	roots := make(chan cid.Cid)
	go func() { // ends with the pins, or with ctx
		defer close(roots)
		for _, t := range []PinType{Recursive, Direct} {
			for p, err := range s.Pins(ctx, t) {
				if err != nil || !s.strategy.Roots {
					return
				}
				select {
				case roots <- p.CID:
				case <-ctx.Done():
					return
				}
			}
		}
	}()
	return roots, nil
}

// QueueTree queues a block, or all blocks of a tree that are here, by queue. Those that seen has are left out, and what
// only they lead to.
func (s *Store) QueueTree(ctx context.Context, root cid.Cid, seen *Seen, queue func(cid.Cid) error) error {
	var failed error
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	err := walker.WalkDAG(ctx, root, walker.LinksFetcherFromBlockstore(s.blocks.Blockstore()), func(c cid.Cid) bool {
		failed = queue(c)
		return failed == nil
	}, walker.WithVisitedTracker(seen.tracker))
	return errors.Join(failed, err)
}

// Seen are CIDs that were queued. It needs little memory, and so may count one in millions as queued that was not.
type Seen struct{ tracker *walker.BloomTracker }

// NewSeen returns an empty Seen.
func NewSeen() (*Seen, error) {
	t, err := walker.NewBloomTracker(walker.MinBloomCapacity, walker.DefaultBloomFPRate)
	return &Seen{t}, err
}

// Visit reports whether a CID is new, and remembers it.
func (s *Seen) Visit(c cid.Cid) bool { return s.tracker.Visit(c) }
