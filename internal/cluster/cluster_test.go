package cluster_test

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/goipns/ipns"
	"github.com/goipns/ipns/internal/cluster"
	"github.com/goipns/ipns/internal/keyspace"
	"github.com/goipns/ipns/recordstore"
	"github.com/goipns/ipns/routing"
)

// machine is the clock of one machine, which can be stopped, and what runs by it.
type machine struct {
	begin time.Time
	mu    sync.Mutex
	cut   bool          // its store does not answer
	late  chan struct{} // closed when it answers again
}

func (m *machine) clock() time.Duration { return time.Since(m.begin) }

// store is the store as one machine sees it.
type store struct {
	*recordstore.Memory
	m *machine
}

// reach waits while the store is cut off.
func (s store) reach(ctx context.Context) error {
	s.m.mu.Lock()
	cut, late := s.m.cut, s.m.late
	s.m.mu.Unlock()
	if !cut {
		return nil
	}
	select {
	case <-late:
		return errors.New("the connection was lost")
	case <-ctx.Done():
		return ctx.Err()
	}
}

func (s store) Lease(ctx context.Context, holder string, ttl time.Duration, regions ...recordstore.Region) ([]recordstore.Lease, error) {
	if err := s.reach(ctx); err != nil {
		return nil, err
	}
	return s.Memory.Lease(ctx, holder, ttl, regions...)
}

func (s store) Leases(ctx context.Context) ([]recordstore.Leased, error) {
	if err := s.reach(ctx); err != nil {
		return nil, err
	}
	return s.Memory.Leases(ctx)
}

func (s store) Release(ctx context.Context, leases ...recordstore.Lease) error {
	if err := s.reach(ctx); err != nil {
		return err
	}
	return s.Memory.Release(ctx, leases...)
}

// daemon is a member that runs.
type daemon struct {
	*cluster.Member
	machine *machine
	stop    func() // in good order
	kill    func() // it releases nothing
}

// world is the store that daemons share.
type world struct {
	t    *testing.T
	db   *recordstore.Memory
	rows *recordstore.MemoryRows
}

func newWorld(t *testing.T) *world {
	return &world{t: t, db: recordstore.NewMemory(), rows: new(recordstore.MemoryRows)}
}

func (w *world) start() *daemon {
	at := &machine{begin: time.Now().Add(-time.Duration(rand.IntN(1e6)) * time.Second)}
	d := &daemon{machine: at, Member: cluster.New(store{w.db, at}, w.rows, at.clock)}
	d.Daemon.Takes, d.Daemon.Started = true, time.Now()
	ctx, cancel := context.WithCancel(w.t.Context())
	over := make(chan struct{})
	go func() {
		defer close(over)
		if err := d.Run(ctx); !errors.Is(err, context.Canceled) {
			w.t.Error(err)
		}
	}()
	d.stop = sync.OnceFunc(func() { cancel(); <-over })
	d.kill = func() { at.cutOff(); d.stop() }
	w.t.Cleanup(d.stop)
	return d
}

// cutOff has the store not answer any more.
func (m *machine) cutOff() {
	m.mu.Lock()
	defer m.mu.Unlock()
	if !m.cut {
		m.cut, m.late = true, make(chan struct{})
	}
}

func (m *machine) heal() {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.cut = false
	close(m.late)
}

func sector(i int) recordstore.Region { return keyspace.RegionOf(keyspace.Key{byte(i << 2)}, 6) }

// held returns the sectors that a daemon holds.
func (d *daemon) held() (list []int) {
	for i := range cluster.Sectors {
		if _, ok := d.Held(sector(i)); ok {
			list = append(list, i)
		}
	}
	return list
}

// shares checks that no sector has two holders, and returns how many each daemon has.
func shares(t *testing.T, daemons ...*daemon) (counts []int) {
	t.Helper()
	by := make(map[int]int)
	for _, d := range daemons {
		held := d.held()
		counts = append(counts, len(held))
		for _, i := range held {
			if by[i]++; by[i] > 1 {
				t.Fatalf("sector %d has two holders", i)
			}
		}
	}
	return counts
}

// even checks that all sectors are held, and shared evenly.
func even(t *testing.T, daemons ...*daemon) {
	t.Helper()
	counts := shares(t, daemons...)
	sum := 0
	for _, n := range counts {
		sum += n
	}
	if sum != cluster.Sectors || slices.Max(counts)-slices.Min(counts) > 1 {
		t.Fatalf("the sectors are shared as %v", counts)
	}
}

// One daemon has all sectors at once. Others that come get their share, and what a daemon
// has that stops goes to the others at once.
func TestSectorsAreSharedEvenlyAsDaemonsComeAndGo(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		list := []*daemon{w.start()}
		time.Sleep(100 * time.Millisecond)
		even(t, list...)
		for range 4 {
			list = append(list, w.start())
			time.Sleep(5 * time.Second)
			even(t, list...)
		}
		before := list[2].held()
		time.Sleep(10 * time.Minute)
		even(t, list...)
		if now := list[2].held(); !slices.Equal(now, before) {
			t.Errorf("sectors move though nobody comes or goes: %v, then %v", before, now)
		}
		for len(list) > 1 {
			list[0].stop()
			list = list[1:]
			time.Sleep(2 * time.Second)
			even(t, list...)
		}
		// 70 daemons: not all can have one.
		for range 69 {
			list = append(list, w.start())
		}
		time.Sleep(time.Minute)
		even(t, list...)
	})
}

// A sector has another holder within the time of its lease after its holder has died, and in
// between nobody; never two.
func TestTheSectorsOfADaemonThatDiesAreTakenOver(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		list := []*daemon{w.start(), w.start(), w.start()}
		time.Sleep(30 * time.Second)
		even(t, list...)
		var took []time.Duration
		for range 200 {
			time.Sleep(time.Duration(rand.IntN(20_000)) * time.Millisecond)
			victim := rand.IntN(3)
			lost := list[victim].held()
			died := time.Now()
			list[victim].kill()
			rest := slices.Delete(slices.Clone(list), victim, victim+1)
			for missing := lost; len(missing) > 0; {
				time.Sleep(50 * time.Millisecond)
				shares(t, rest...)
				missing = slices.DeleteFunc(missing, func(i int) bool {
					return slices.ContainsFunc(rest, func(d *daemon) bool {
						_, ok := d.Held(sector(i))
						return ok
					})
				})
				if time.Since(died) > 30*time.Second {
					t.Fatalf("after %v, nobody has %v", time.Since(died), missing)
				}
			}
			took = append(took, time.Since(died))
			list[victim] = w.start()
			time.Sleep(20 * time.Second)
			even(t, list...)
		}
		slices.Sort(took)
		p50, longest := took[len(took)/2], took[len(took)-1]
		t.Logf("%d take-overs of all sectors: p50 %v, max %v", len(took), p50, longest)
		if p50 > 15*time.Second || longest > 20*time.Second {
			t.Errorf("p50 %v, max %v", p50, longest)
		}
	})
}

// A daemon that is cut off from the store holds nothing any more before another does, work
// under its leases ends, and it comes back with its share.
func TestADaemonThatIsCutOffStopsBeforeAnotherBegins(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		a, b := w.start(), w.start()
		time.Sleep(30 * time.Second)
		even(t, a, b)
		lost := a.held()
		ctx, done := a.Under(t.Context(), sector(lost[0]))
		defer done()
		if err := routing.Allowed(ctx); err != nil {
			t.Fatal(err)
		}
		a.machine.cutOff()
		for range 4000 {
			time.Sleep(5 * time.Millisecond)
			shares(t, a, b)
			if _, ok := a.Held(sector(lost[0])); !ok && ctx.Err() == nil {
				synctest.Wait()
				if !errors.Is(context.Cause(ctx), recordstore.ErrLease) {
					t.Fatalf("work goes on without a lease: %v", context.Cause(ctx))
				}
			}
		}
		even(t, b)
		if n := len(a.held()); n != 0 {
			t.Fatalf("it holds %d sectors", n)
		}
		if s, err := b.Status(t.Context()); err != nil || len(s.Sectors) != cluster.Sectors || len(s.Daemons) != 2 {
			t.Errorf("%+v, %v", s, err)
		}
		if under, done := a.Under(t.Context(), sector(lost[0])); !errors.Is(routing.Allowed(under), recordstore.ErrLease) {
			done()
			t.Error("work begins without a lease")
		}
		a.machine.heal()
		time.Sleep(20 * time.Second)
		even(t, a, b)
	})
}

// A daemon that was stopped for a minute begins nothing when it goes on, though no timer has
// fired and no context has ended yet.
func TestADaemonThatWasStoppedBeginsNothingWhenItGoesOn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		var stopped time.Duration // by which the clock jumps
		begin := time.Now()
		m := cluster.New(w.db, w.rows, func() time.Duration { return time.Since(begin) + stopped })
		m.Daemon.Takes = true
		ctx, cancel := context.WithCancel(t.Context())
		over := make(chan struct{})
		go func() { defer close(over); _ = m.Run(ctx) }()
		defer func() { cancel(); <-over }()
		time.Sleep(time.Second)
		under, done := m.Under(t.Context(), sector(7))
		defer done()
		if _, ok := m.Held(sector(7)); !ok || routing.Allowed(under) != nil {
			t.Fatal("it does not hold the sector")
		}
		synctest.Wait()
		stopped = time.Minute
		if under.Err() != nil {
			t.Fatal("a timer has fired: this tests nothing")
		}
		if err := routing.Allowed(under); !errors.Is(err, routing.ErrNotHeld) {
			t.Errorf("work may go on: %v", err)
		}
		if _, ok := m.Held(sector(7)); ok {
			t.Error("it holds the sector")
		}
	})
}

// Work in a sector that is given up ends before another daemon gets the sector.
func TestASectorIsGivenUpAfterItsWork(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		a := w.start()
		time.Sleep(time.Second)
		var mu sync.Mutex
		going := make(map[int]bool)
		for i := range cluster.Sectors {
			going[i] = true
			ctx, done := a.Under(t.Context(), sector(i))
			go func() {
				<-ctx.Done()
				time.Sleep(time.Second) // it notes what it has done
				mu.Lock()
				going[i] = false
				mu.Unlock()
				done()
			}()
		}
		b := w.start()
		for range 500 {
			time.Sleep(20 * time.Millisecond)
			for _, i := range b.held() {
				mu.Lock()
				if going[i] {
					t.Errorf("sector %d has another holder while work goes on", i)
				}
				mu.Unlock()
			}
		}
		even(t, a, b)
	})
}

// A daemon without a network takes no sectors, and is on the list.
func TestADaemonThatTakesNothingLeavesAllToOthers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		a := w.start()
		time.Sleep(time.Second)
		at := &machine{begin: time.Now()}
		b := cluster.New(w.db, w.rows, at.clock)
		ctx, cancel := context.WithCancel(t.Context())
		over := make(chan struct{})
		go func() { defer close(over); _ = b.Run(ctx) }()
		time.Sleep(30 * time.Second)
		even(t, a)
		s, err := a.Status(t.Context())
		if err != nil || len(s.Daemons) != 2 || len(s.Daemons[0].Sectors)+len(s.Daemons[1].Sectors) != cluster.Sectors {
			t.Errorf("%+v, %v", s, err)
		}
		cancel()
		<-over
		if s, err = a.Status(t.Context()); err != nil || len(s.Daemons) != 1 || s.Self != a.Daemon.ID || s.Error != "" {
			t.Errorf("%+v, %v", s, err)
		}
	})
}

// Daemons that died long ago are taken off the list.
func TestTheListOfDaemonsForgetsThoseThatDied(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		a := w.start()
		for i := range 3 * cluster.MaxDaemons {
			if _, err := w.rows.Swap(t.Context(), recordstore.Row{Table: "daemons", Key: fmt.Sprintf("old%04d", i), Value: fmt.Appendf(nil, `{"ID":"old%04d","Takes":true}`, i)}); err != nil {
				t.Fatal(err)
			}
		}
		time.Sleep(time.Minute)
		even(t, a)
		time.Sleep(10 * time.Minute)
		if s, err := a.Status(t.Context()); err != nil || len(s.Daemons) != 1 {
			t.Errorf("%d daemons, %v", len(s.Daemons), err)
		}
	})
}

func TestHoldsIsAboutNames(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		a := w.start()
		var name ipns.Name
		if a.Holds(name) {
			t.Error("it holds a name before it has run")
		}
		time.Sleep(time.Second)
		if !a.Holds(name) {
			t.Error("it holds all sectors, but not this name")
		}
		if _, ok := a.Held(recordstore.Region{}); ok {
			t.Error("it holds the whole key space in one lease")
		}
	})
}

// The clock goes on, and never back.
func TestTheClockGoesOn(t *testing.T) {
	last := cluster.SinceBoot()
	for range 1000 {
		now := cluster.SinceBoot()
		if now < last {
			t.Fatalf("it went from %v to %v", last, now)
		}
		last = now
	}
	time.Sleep(2 * time.Millisecond)
	if now := cluster.SinceBoot(); now-last < time.Millisecond {
		t.Errorf("it went on by %v in two milliseconds", now-last)
	}
}
