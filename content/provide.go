package content

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/ipfs/go-cid"
	"golang.org/x/sync/errgroup"
)

// Announcing all pinned roots again: how often, and how many at once.
const (
	reprovideEvery = 22 * time.Hour   // of the 48 h that a DHT keeps an announcement
	reprovideFirst = time.Minute      // after Open: time to find other nodes
	reprovideRetry = 15 * time.Minute // after a round in which not all could be announced
	provideTimeout = 3 * time.Minute  // for one root within a round
	provideAtOnce  = 4
)

// ErrOffline says that something needs other nodes, and the Store has no way to them.
var ErrOffline = errors.New("offline")

// Announcer is a router that tells how far an announcement came.
type Announcer interface {
	// Announce tells the network that this node has c: took of the nodes that were asked will tell others.
	// An error says that nobody took it or that who to ask could not be found out.
	Announce(ctx context.Context, c cid.Cid) (took, asked int, err error)
}

// Announced is how far an announcement came.
type Announced struct {
	Took, Asked int  // nodes
	Known       bool // false: the router does not count, Took and Asked are 0
}

// Provide tells the network that c can be had here. Offline: [ErrOffline].
func (s *Store) Provide(ctx context.Context, c cid.Cid) (Announced, error) {
	if s.router == nil {
		return Announced{}, fmt.Errorf("announce %s: %w", c, ErrOffline)
	}
	if a, ok := s.router.(Announcer); ok {
		took, asked, err := a.Announce(ctx, c)
		if err != nil {
			err = fmt.Errorf("announce %s: %w", c, err)
		}
		return Announced{Took: took, Asked: asked, Known: true}, err
	}
	if err := s.router.Provide(ctx, c, true); err != nil {
		return Announced{}, fmt.Errorf("announce %s: %w", c, err)
	}
	return Announced{}, nil
}

// keepProviding announces all pinned roots in rounds, until ctx ends.
func (s *Store) keepProviding(ctx context.Context, every time.Duration) {
	defer close(s.stopped)
	if every == 0 {
		every = reprovideEvery
	}
	for wait := min(reprovideFirst, every); ; {
		select {
		case <-ctx.Done():
			return
		case <-time.After(wait):
		}
		done, all, err := s.provideRoots(ctx)
		if ctx.Err() != nil {
			return
		}
		wait = every
		if err != nil {
			wait = min(reprovideRetry, every)
			s.log.Warn("pinned roots not all announced", "announced", done, "of", all, "err", err, "again_in", wait)
		} else if all > 0 {
			s.log.Info("pinned roots announced", "announced", done, "of", all)
		}
	}
}

// provideRoots announces what is pinned recursively or directly, and tells how many roots it announced, how many there
// are, and the first failure.
func (s *Store) provideRoots(ctx context.Context) (done, all int, err error) {
	var roots []cid.Cid
	for _, t := range []PinType{Recursive, Direct} {
		for p, err := range s.Pins(ctx, t) {
			if err != nil {
				return 0, len(roots), err
			}
			roots = append(roots, p.CID)
		}
	}
	failed := make([]error, len(roots))
	var g errgroup.Group
	g.SetLimit(provideAtOnce)
	for i, c := range roots {
		g.Go(func() error {
			ctx, cancel := context.WithTimeout(ctx, provideTimeout)
			defer cancel()
			_, failed[i] = s.Provide(ctx, c)
			return nil
		})
	}
	_ = g.Wait() // the failures are in failed
	for _, e := range failed {
		if e == nil {
			done++
		} else if err == nil {
			err = e
		}
	}
	return done, len(roots), err
}
