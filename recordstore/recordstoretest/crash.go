package recordstoretest

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"sync"
	"testing"
	"time"

	"github.com/goipns/ipns"
	"github.com/goipns/ipns/recordstore"
)

// Machine is a store on a disk that can lose power.
type Machine interface {
	// Store returns the running store.
	Store() recordstore.Store
	// Crash returns a machine started from what the disk may hold if power is cut now.
	// The machine itself keeps running.
	Crash(rng *rand.Rand) (Machine, error)
	// Stop ends the store.
	Stop() error
}

// CrashReport is the result of a series of crashes.
type CrashReport struct {
	Cycles, Acks int
	Unopened     int // machines that did not start again
	Lost         int // names that went back to before an acknowledged swap
	Undone       int // names that lost an acknowledged swap
	Mixed        int // names that lost a swap a reader saw
	Missed       int // names that a reader of changes missed when it resumed
	First        error
}

func (r CrashReport) String() string {
	return fmt.Sprintf("%d crashes after %d acknowledged swaps: %d did not start again, %d lost, %d undone, %d mixed, %d missed",
		r.Cycles, r.Acks, r.Unopened, r.Lost, r.Undone, r.Mixed, r.Missed)
}

// Broken reports whether any promise was broken.
func (r CrashReport) Broken() bool { return r.Unopened+r.Lost+r.Undone+r.Mixed+r.Missed > 0 }

const (
	crashNames     = 8
	crashWriters   = 4
	crashesPerBoot = 100                    // before a machine is replaced by a new one
	crashPause     = 200 * time.Microsecond // between writes, so that the disk does not grow needlessly
)

// witness is what the writers and readers of one name know.
type witness struct {
	mu    sync.Mutex
	acked recordstore.Entry
	shown uint64 // version
}

// Crashes writes from several goroutines, cuts the power repeatedly while they write,
// and compares the store afterwards with what was acknowledged and what readers saw.
func Crashes(t testing.TB, cycles int, seed uint64, boot func() (Machine, error)) CrashReport {
	t.Helper()
	rng := rand.New(rand.NewPCG(seed, 0))
	keys := make([]Key, crashNames)
	for i := range keys {
		keys[i] = KeyFromSeed(t, uint64(i))
	}
	var report CrashReport
	for report.Cycles < cycles {
		m, err := boot()
		if err != nil {
			t.Fatal(err)
		}
		crashesOf(t, m, keys, min(cycles-report.Cycles, crashesPerBoot), rng, &report)
		if err := m.Stop(); err != nil {
			t.Error(err)
		}
	}
	return report
}

func crashesOf(t testing.TB, m Machine, keys []Key, cycles int, rng *rand.Rand, report *CrashReport) {
	witnesses := make([]witness, len(keys))
	ctx, cancel := context.WithCancel(context.Background())
	var wg sync.WaitGroup
	f := &follower{at: now(t, m.Store()), known: make(map[ipns.Name]uint64)}
	wg.Go(func() { f.follow(ctx, m.Store()) })
	var acks sync.Map // by writer
	for w := range crashWriters {
		wg.Go(func() {
			n := 0
			for i := w; ctx.Err() == nil; i++ {
				time.Sleep(crashPause)
				if crashWrite(ctx, t, m.Store(), keys[i%len(keys)], &witnesses[i%len(keys)]) {
					n++
				}
			}
			acks.Store(w, n)
		})
	}
	wg.Go(func() {
		for i := 0; ctx.Err() == nil; i++ {
			time.Sleep(crashPause / 4)
			crashRead(ctx, m.Store(), keys[i%len(keys)], &witnesses[i%len(keys)])
		}
	})
	for range cycles {
		time.Sleep(time.Duration(rng.IntN(2000)) * time.Microsecond)
		before := make([]witness, len(keys))
		for i := range witnesses {
			witnesses[i].mu.Lock()
			before[i].acked, before[i].shown = witnesses[i].acked, witnesses[i].shown
			witnesses[i].mu.Unlock()
		}
		follower := f.copy()
		report.Cycles++
		crashed, err := m.Crash(rng)
		if err != nil {
			report.fail(&report.Unopened, err)
			continue
		}
		for i, k := range keys {
			checkCrashed(t, crashed.Store(), k, &before[i], report)
		}
		follower.check(t, crashed.Store(), keys, report)
		if err := crashed.Stop(); err != nil {
			report.fail(&report.Unopened, err)
		}
	}
	cancel()
	wg.Wait()
	acks.Range(func(_, n any) bool { report.Acks += n.(int); return true })
}

func (r *CrashReport) fail(count *int, err error) {
	*count++
	if r.First == nil {
		r.First = err
	}
}

// crashWrite makes the next version of a name. The sequence is the version, so
// that an entry shows whether its parts belong together.
func crashWrite(ctx context.Context, t testing.TB, s recordstore.Store, k Key, w *witness) bool {
	e, err := s.Get(ctx, k.Name)
	if err != nil && !errors.Is(err, recordstore.ErrNotFound) {
		return false
	}
	next := k.Entry(t, e.Version+1, Value(int(e.Version+1)), recordstore.Own)
	next.Version = e.Version
	stored, err := s.Swap(ctx, next, none)
	if err != nil {
		return false
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	if stored.Version > w.acked.Version {
		w.acked = stored
	}
	return true
}

func crashRead(ctx context.Context, s recordstore.Store, k Key, w *witness) {
	e, err := s.Get(ctx, k.Name)
	if err != nil {
		return
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	w.shown = max(w.shown, e.Version)
}

func checkCrashed(t testing.TB, s recordstore.Store, k Key, before *witness, report *CrashReport) {
	ctx := context.Background()
	e, err := s.Get(ctx, k.Name)
	if errors.Is(err, recordstore.ErrNotFound) {
		err = nil
	}
	if err != nil {
		report.fail(&report.Mixed, err)
		return
	}
	switch {
	case e.Version < before.acked.Version:
		report.fail(&report.Lost, fmt.Errorf("%s: version %d was acknowledged, stored is %d", k.Name, before.acked.Version, e.Version))
	case e.Version < before.shown:
		report.fail(&report.Undone, fmt.Errorf("%s: version %d was shown, stored is %d", k.Name, before.shown, e.Version))
	case e.Version == 0:
	case e.Record == nil || e.Record.Sequence() != e.Version || e.Mark != recordstore.MarkOf(e.Record) || e.Record.Value() != Value(int(e.Version)):
		report.fail(&report.Mixed, fmt.Errorf("%s: version %d is %+v", k.Name, e.Version, e))
	default:
		checkHistory(s, k, e, report)
	}
}

// checkHistory looks for the last versions: they came with their swaps.
func checkHistory(s recordstore.Store, k Key, e recordstore.Entry, report *CrashReport) {
	want := e.Version
	for p, err := range s.History(context.Background(), k.Name) {
		if err != nil || p.Record.Sequence() != want {
			report.fail(&report.Mixed, fmt.Errorf("%s: history lacks version %d of %d: %w", k.Name, want, e.Version, err))
			return
		}
		if _, err := ipns.Reopen(k.Name, p.Record.Raw()); err != nil {
			report.fail(&report.Mixed, err)
			return
		}
		if want--; want == 0 || want+5 < e.Version {
			return
		}
	}
	report.fail(&report.Mixed, fmt.Errorf("%s: history ends after version %d of %d", k.Name, want+1, e.Version))
}
