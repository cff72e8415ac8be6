package recordstoretest

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"sync"
	"testing"

	"github.com/goipns/ipns"
	"github.com/goipns/ipns/recordstore"
)

// follower holds what Changes has yielded about names, and how far it has read.
type follower struct {
	mu    sync.Mutex // guards all below
	at    recordstore.Position
	known map[ipns.Name]uint64 // versions
}

func (f *follower) follow(ctx context.Context, s recordstore.Store) {
	for c, err := range s.Changes(ctx, f.at) {
		if err != nil {
			return
		}
		f.take(c)
	}
}

func (f *follower) take(c recordstore.Change) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.at, f.known[c.Entry.Name] = c.Position, c.Entry.Version
}

// copy returns the follower as it would be restored if its process ended now.
func (f *follower) copy() *follower {
	f.mu.Lock()
	defer f.mu.Unlock()
	return &follower{at: f.at, known: maps.Clone(f.known)}
}

// check resumes where the follower was: it must reach the state of the store.
func (f *follower) check(t testing.TB, s recordstore.Store, keys []Key, report *CrashReport) {
	ctx := context.Background()
	list, err := until(ctx, s, f.at, KeyFromSeed(t, 1<<32).Entry(t, 1, Value(1), recordstore.Own))
	if err != nil {
		report.fail(&report.Missed, fmt.Errorf("changes since %s: %w", f.at, err))
		return
	}
	for _, c := range list {
		f.take(c)
	}
	for _, k := range keys {
		e, err := s.Get(ctx, k.Name)
		if err != nil && !errors.Is(err, recordstore.ErrNotFound) || f.known[k.Name] != e.Version {
			report.fail(&report.Missed, fmt.Errorf("%s: version %d is stored, a reader of changes knows %d, %w", k.Name, e.Version, f.known[k.Name], err))
		}
	}
}
