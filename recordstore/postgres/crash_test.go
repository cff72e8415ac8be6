package postgres_test

import (
	"context"
	"errors"
	"flag"
	"sync"
	"testing"
	"time"

	"github.com/goipns/ipns"
	"github.com/goipns/ipns/recordstore"
	"github.com/goipns/ipns/recordstore/postgres/pgtest"
	"github.com/goipns/ipns/recordstore/recordstoretest"
)

var serverKills = flag.Int("server-kills", 5, "how often the server is killed while names are swapped")

// witness is what the writers and readers of one name know.
type witness struct {
	mu    sync.Mutex
	acked uint64 // highest version whose swap was acknowledged
	shown uint64 // highest version that was read
}

func (w *witness) note(acked, shown uint64) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.acked, w.shown = max(w.acked, acked), max(w.shown, shown)
}

// The server is killed again and again while two daemons swap and read. What was
// acknowledged or read is there afterwards, and a reader of changes that resumes misses no
// name.
func TestNothingAcknowledgedIsLostWhenTheServerIsKilled(t *testing.T) {
	server := pgtest.Start(t)
	url := server.Database(t)
	daemons := []recordstoretest.Store{open(t, url), open(t, url)}
	const names = 8
	keys, witnesses := make([]recordstoretest.Key, names), make([]witness, names)
	for i := range keys {
		keys[i] = recordstoretest.KeyFromSeed(t, uint64(i))
	}
	ctx, cancel := context.WithCancel(t.Context())
	var wg sync.WaitGroup
	defer wg.Wait()
	defer cancel()
	for w := range 4 {
		wg.Go(func() {
			for i := w; ctx.Err() == nil; i++ {
				s, k, wit := daemons[w%2], keys[i%names], &witnesses[i%names]
				e, err := s.Get(ctx, k.Name)
				if err != nil && !errors.Is(err, recordstore.ErrNotFound) {
					time.Sleep(10 * time.Millisecond)
					continue
				}
				wit.note(0, e.Version)
				next := k.Entry(t, e.Version+1, recordstoretest.Value(int(e.Version+1)), recordstore.Own)
				next.Version = e.Version
				if next, err = s.Swap(ctx, next, recordstore.Lease{}); err == nil {
					wit.note(next.Version, next.Version)
				}
			}
		})
	}
	known := map[ipns.Name]uint64{}
	var since recordstore.Position
	follow := func(least []uint64) {
		t.Helper()
		within, cancel := context.WithTimeout(ctx, patience)
		defer cancel()
		away := true
		for away { // right after the restart, who asks may still be told that it is away
			away = false
			for c, err := range daemons[0].Changes(within, since) {
				if away = errors.Is(err, recordstore.ErrAway) && within.Err() == nil; away {
					time.Sleep(20 * time.Millisecond)
					break
				}
				if err != nil {
					t.Fatalf("changes since %s: %v", since, err)
				}
				if since = c.Position; !c.Entry.Name.IsZero() {
					known[c.Entry.Name] = c.Entry.Version
				}
				behind := false
				for i, k := range keys {
					behind = behind || known[k.Name] < least[i]
				}
				if !behind {
					return
				}
			}
		}
	}
	follow(make([]uint64, names))
	total := uint64(0)
	for range *serverKills {
		time.Sleep(300 * time.Millisecond)
		server.Kill()
		least := make([]uint64, names)
		for i := range witnesses {
			witnesses[i].mu.Lock()
			least[i] = max(witnesses[i].acked, witnesses[i].shown)
			witnesses[i].mu.Unlock()
		}
		if err := server.Restart(); err != nil {
			t.Fatal(err)
		}
		s := open(t, url)
		total = 0
		for i, k := range keys {
			e, err := s.Get(t.Context(), k.Name)
			if err != nil && (least[i] > 0 || !errors.Is(err, recordstore.ErrNotFound)) {
				t.Fatal(err)
			}
			total += e.Version
			if e.Version < least[i] {
				t.Fatalf("name %d has version %d; %d was acknowledged or read", i, e.Version, least[i])
			}
			if e.Version > 0 && (e.Record.Sequence() != e.Version || e.Mark != recordstore.MarkOf(e.Record)) {
				t.Fatalf("name %d: version %d is %+v", i, e.Version, e)
			}
			last := uint64(0)
			for p, err := range s.History(t.Context(), k.Name) {
				if err != nil || last > 0 && p.Record.Sequence() != last-1 || p.Record.Sequence() < e.Version && last == 0 {
					t.Fatalf("name %d: history has %+v after %d: %v", i, p.Record, last, err)
				}
				last = p.Record.Sequence()
			}
			if e.Version > 0 && last != 1 {
				t.Fatalf("name %d: history ends after version %d", i, last)
			}
		}
		follow(least)
		s.Close()
	}
	t.Logf("%d swaps, %d kills of the server: none lost", total, *serverKills)
	if total == 0 {
		t.Fatal("nothing was swapped")
	}
}
