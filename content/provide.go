package content

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/ipfs/go-cid"
	"golang.org/x/sync/errgroup"
)

// Announcing pinned roots: when, and how many at once.
const (
	reprovideEvery = 22 * time.Hour   // of the 48 h that a DHT keeps an announcement
	reprovideFirst = time.Minute      // after Open: time to find other nodes
	reprovideRetry = 15 * time.Minute // after a round in which not all could be announced
	provideTimeout = 3 * time.Minute  // for one root
	provideAtOnce  = 4
	newRootRetry   = time.Minute // for what was pinned and could not be announced at once
	maxNewRoots    = 1024        // that wait for that; the others are announced with the next round
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

// startProviding announces what is pinned already in rounds, and what will be pinned at once, until ctx ends.
func (s *Store) startProviding(ctx context.Context, every time.Duration) {
	if every == 0 {
		every = reprovideEvery
	}
	s.newRoots = make(chan cid.Cid, maxNewRoots)
	s.announcing.Go(func() { s.provideRounds(ctx, every) })
	s.announcing.Go(func() { s.provideNew(ctx) })
}

func (s *Store) provideRounds(ctx context.Context, every time.Duration) {
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

// pinned has a root announced that has just been pinned. It never waits: of more than maxNewRoots at once the rest is
// left to the next round.
func (s *Store) pinned(c cid.Cid) {
	select {
	case s.newRoots <- c:
	default:
		if s.newRoots != nil {
			s.log.Warn("new root not announced before the next round: too many wait", "cid", c)
		}
	}
}

// provideNew announces roots as they are pinned. What fails is tried again: who pins before he has a network is found
// soon after he has one.
func (s *Store) provideNew(ctx context.Context) {
	var late []cid.Cid // announced to nobody so far
	retry := time.NewTicker(newRootRetry)
	defer retry.Stop()
	for {
		roots := late
		select {
		case <-ctx.Done():
			return
		case <-retry.C:
			late = nil
		case c := <-s.newRoots:
			roots = []cid.Cid{c}
			for len(s.newRoots) > 0 {
				roots = append(roots, <-s.newRoots)
			}
		}
		failed, err := s.provideAll(ctx, roots)
		if len(failed) > 0 && ctx.Err() == nil {
			s.log.Warn("new roots not announced", "roots", len(failed), "err", err, "again_in", newRootRetry)
		}
		for _, c := range failed {
			if !slices.Contains(late, c) {
				late = append(late, c)
			}
		}
		late = late[max(0, len(late)-maxNewRoots):] // the next round announces the others
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
	failed, err := s.provideAll(ctx, roots)
	return len(roots) - len(failed), len(roots), err
}

// provideAll announces roots and returns those that could not be, with the first failure.
func (s *Store) provideAll(ctx context.Context, roots []cid.Cid) (failed []cid.Cid, err error) {
	errs := make([]error, len(roots))
	var g errgroup.Group
	g.SetLimit(provideAtOnce)
	for i, c := range roots {
		g.Go(func() error {
			ctx, cancel := context.WithTimeout(ctx, provideTimeout)
			defer cancel()
			_, errs[i] = s.Provide(ctx, c)
			return nil
		})
	}
	_ = g.Wait() // the failures are in errs
	for i, e := range errs {
		if e == nil {
			continue
		}
		failed = append(failed, roots[i])
		if err == nil {
			err = e
		}
	}
	return failed, err
}
