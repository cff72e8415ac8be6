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
	reprovideEvery = 22 * time.Hour   // a DHT keeps an announcement for 48 h
	reprovideFirst = time.Minute      // after Open: time to find other nodes
	reprovideRetry = 15 * time.Minute // after a round in which some announcements failed
	provideTimeout = 3 * time.Minute  // for one root
	provideAtOnce  = 4
	newRootRetry   = time.Minute // for pinned roots whose announcement failed
	maxNewRoots    = 1024        // roots waiting for that; the next round announces the others
)

// ErrOffline means that an operation needs other nodes and the Store has no host or router.
var ErrOffline = errors.New("offline")

// Announcer is a router that reports how far an announcement came.
type Announcer interface {
	// Announce announces that this node has c: took of the asked nodes will tell others. It returns an error if no node
	// took it or none could be found.
	Announce(ctx context.Context, c cid.Cid) (took, asked int, err error)
}

// Announced is how far an announcement came.
type Announced struct {
	Took, Asked int  // nodes
	Known       bool // false: the router does not count, Took and Asked are 0
}

// Provide announces that this node has c. Offline it returns [ErrOffline].
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

// startProviding announces pinned roots in rounds, and newly pinned ones at once, until ctx ends.
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

// pinned queues a newly pinned root to be announced. It never waits: if more than maxNewRoots are queued, the rest is
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

// provideNew announces roots as they are pinned, and retries failures, so that roots pinned without a network are
// announced soon after there is one.
func (s *Store) provideNew(ctx context.Context) {
	var late []cid.Cid // not announced yet
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

// provideRoots announces all recursive and direct pins. It returns how many roots it announced, how many there are, and
// the first failure.
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

// provideAll announces roots, and returns those that failed with the first failure.
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
