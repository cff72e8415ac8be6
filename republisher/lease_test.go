package republisher_test

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/goipns/ipns"
	"github.com/goipns/ipns/names"
	"github.com/goipns/ipns/recordstore"
	"github.com/goipns/ipns/recordstore/recordstoretest"
	"github.com/goipns/ipns/republisher"
	"github.com/goipns/ipns/routing"
)

// allOrNone are leases of all sectors, or of none, from a store.
type allOrNone struct {
	store   *recordstore.Memory
	changed chan struct{}

	mu     sync.Mutex // guards all below
	leases map[recordstore.Region]recordstore.Lease
	work   map[int]context.CancelCauseFunc
	next   int
}

func newLeases(store *recordstore.Memory) *allOrNone {
	return &allOrNone{store: store, changed: make(chan struct{}, 1), work: map[int]context.CancelCauseFunc{}}
}

// take leases all sectors until the test ends, a minute at a time.
func (l *allOrNone) take(t *testing.T, holder string) {
	t.Helper()
	var regions []recordstore.Region
	for i := range 64 {
		regions = append(regions, recordstore.Region{Prefix: [32]byte{byte(i << 2)}, Bits: 6})
	}
	got, err := l.store.Lease(t.Context(), holder, recordstore.MaxLease, regions...)
	if err != nil || len(got) != 64 {
		t.Fatalf("%d leases, %v", len(got), err)
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	gained := l.leases == nil
	l.leases = map[recordstore.Region]recordstore.Lease{}
	for _, lease := range got {
		l.leases[lease.Region] = lease
	}
	if !gained {
		return
	}
	select {
	case l.changed <- struct{}{}:
	default:
	}
}

// lose gives all leases up.
func (l *allOrNone) lose(t *testing.T) {
	t.Helper()
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, lease := range l.leases {
		if err := l.store.Release(t.Context(), lease); err != nil {
			t.Fatal(err)
		}
	}
	l.leases = nil
	for _, cancel := range l.work {
		cancel(recordstore.ErrLease)
	}
}

func (l *allOrNone) Held(r recordstore.Region) (recordstore.Lease, bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	lease, ok := l.leases[r]
	return lease, ok
}

func (l *allOrNone) Under(ctx context.Context, r recordstore.Region) (context.Context, func()) {
	ctx, cancel := context.WithCancelCause(ctx)
	if _, ok := l.Held(r); !ok {
		cancel(recordstore.ErrLease)
	}
	l.mu.Lock()
	l.next++
	id := l.next
	l.work[id] = cancel
	l.mu.Unlock()
	ctx = routing.While(ctx, func() bool { _, ok := l.Held(r); return ok })
	return ctx, func() {
		cancel(nil)
		l.mu.Lock()
		defer l.mu.Unlock()
		delete(l.work, id)
	}
}

func (l *allOrNone) Changed() <-chan struct{} { return l.changed }

// keep extends the leases until ctx ends.
func (l *allOrNone) keep(ctx context.Context, t *testing.T, holder string) {
	for ctx.Err() == nil {
		l.take(t, holder)
		select {
		case <-ctx.Done():
		case <-time.After(20 * time.Second):
		}
	}
}

// partner makes another republisher on the store and the network of a site.
func (s *site) partner(leases republisher.Leases) *republisher.Republisher {
	return &republisher.Republisher{
		Book: &names.Book{Store: s.store, Now: s.Now}, Router: s.Router, Now: s.Now, Leases: leases,
		Ready: func(ipns.Name) bool { return false },
		Signers: func(context.Context, ipns.Name) (ipns.Signer, error) {
			return nil, fmt.Errorf("%w: no such key", republisher.ErrElsewhere)
		},
	}
}

// A name whose key is not with the holder of its sector is put by the holder, which says so,
// and renewed by the daemon that has the key: later than the holder would, and before the name
// is at risk.
func TestANameIsRenewedByWhoHasItsKey(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newSite(t, 20)
		k := recordstoretest.KeyFromSeed(t, 1)
		first := s.add(t, k, ipns.Fields{Value: "/ipfs/bafkqaaa", EOL: s.Now().Add(48 * time.Hour)}, ipns.V2Only, recordstore.Own)
		none, all := newLeases(s.store), newLeases(s.store)
		s.Leases = none // this one has the key
		holder := s.partner(all)
		ctx, cancel := context.WithCancel(t.Context())
		var parts sync.WaitGroup
		parts.Go(func() { all.keep(ctx, t, "holder") })
		parts.Go(func() { _ = holder.Run(ctx) })
		for _, b := range []*names.Book{s.Book, holder.Book} {
			parts.Go(func() { _ = b.Run(ctx) })
		}
		stop := s.run(t)
		defer func() { stop(); cancel(); parts.Wait() }()
		renewals, last := 0, first
		for hour := range 4 * 24 {
			time.Sleep(time.Hour)
			rec := s.entry(t, k.Name).Record
			if left := rec.EOL().Sub(s.Now()); left < 12*time.Hour {
				t.Fatalf("hour %d: %v of its lifetime left", hour, left)
			}
			if rec.Hash() != last.Hash() {
				if was := last.EOL().Sub(s.Now()); was > 16*time.Hour {
					t.Errorf("renewed with %v left: the holder had no time to", was)
				}
				renewals, last = renewals+1, rec
			}
			if n := s.net.Holders(rec); n != 20 && s.Now().Sub(s.entry(t, k.Name).Changed) > 10*time.Minute {
				t.Fatalf("%d of 20 hold the record", n)
			}
			if st := holder.Status(); hour > 1 && (st.Own != 1 || st.AtRiskCount != 0) {
				t.Errorf("hour %d: the holder says %+v", hour, st)
			}
		}
		mine, theirs := s.Status(), holder.Status()
		if mine.Puts != 0 || mine.Own != 0 || mine.Renewed == 0 || theirs.Renewed != 0 || theirs.Puts == 0 || theirs.Elsewhere != 1 {
			t.Errorf("with the key: %+v\nthe holder: %+v", mine, theirs)
		}
		if renewals < 2 || int(mine.Renewed) > 2*renewals {
			t.Errorf("%d renewals in four days, %d tries", renewals, mine.Renewed)
		}
	})
}

// A renewal whose sector is lost while it is signed does not enter, and the next holder does
// not wait for the put of one that did.
func TestARenewalUnderALostLeaseDoesNotEnter(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newSite(t, 20)
		k := recordstoretest.KeyFromSeed(t, 2)
		first := s.add(t, k, ipns.Fields{Value: "/ipfs/bafkqaaa", EOL: s.Now().Add(48 * time.Hour)}, ipns.V2Only, recordstore.Own)
		leases := newLeases(s.store)
		s.Leases = leases
		leases.take(t, "a")
		if err := s.Step(t.Context()); err != nil {
			t.Fatal(err)
		}
		time.Sleep(25 * time.Hour)
		leases.take(t, "a")
		signed := 0
		s.Signers = func(ctx context.Context, name ipns.Name) (ipns.Signer, error) {
			signed++
			leases.lose(t)
			return s.signer(ctx, name)
		}
		if err := s.Step(t.Context()); err != nil && !errors.Is(err, recordstore.ErrLease) {
			t.Fatal(err)
		}
		if e := s.entry(t, k.Name); signed != 1 || e.Record.Hash() != first.Hash() {
			t.Errorf("signed %d times; the record has changed: %v", signed, e.Record.Hash() != first.Hash())
		}
		if st := s.Status(); st.RenewalsFailed != 0 {
			t.Errorf("it counts as failed: %+v", st)
		}
		// The next holder renews it and dies before it puts it; the one after puts it at once.
		next := newLeases(s.store)
		next.take(t, "b")
		s.Leases, s.Signers = next, s.signer
		s.Touch()
		if err := s.Sign(t.Context()); err != nil {
			t.Fatal(err)
		}
		rec := s.entry(t, k.Name).Record
		if rec.Hash() == first.Hash() || s.net.Holders(rec) != 0 {
			t.Fatal("it was not renewed, or put as well")
		}
		next.lose(t)
		last := newLeases(s.store)
		last.take(t, "c")
		after := s.partner(last)
		if err := after.Step(t.Context()); err != nil {
			t.Fatal(err)
		}
		if n := s.net.Holders(rec); n != 20 {
			t.Errorf("%d hold the renewal at once", n)
		}
	})
}

// Without a lease nothing is put, and what is going on ends with it.
func TestASweepEndsWithItsLease(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newSite(t, 20)
		net := newCloud(t, s)
		leases := newLeases(s.store)
		s.Leases = leases
		keys, _ := crowd(t, 640)
		for i, k := range keys {
			s.add(t, k, ipns.Fields{Value: fmt.Sprintf("/ipfs/bafkqaaa/%d", i), EOL: s.Now().Add(60 * time.Hour)}, ipns.V2Only, recordstore.Hosted)
		}
		if err := s.Step(t.Context()); err != nil {
			t.Fatal(err)
		}
		if puts, _ := net.seen(); puts != 0 {
			t.Fatalf("%d puts without a lease", puts)
		}
		time.Sleep(10 * time.Minute)
		leases.take(t, "a")
		begun := 0
		net.delay = func(ipns.Name) time.Duration {
			if begun++; begun == 50 {
				leases.lose(t)
			}
			return 0
		}
		s.Touch()
		if err := s.Step(t.Context()); err != nil && !errors.Is(err, recordstore.ErrLease) {
			t.Fatal(err)
		}
		// Names put one by one run side by side.
		if puts, _ := net.seen(); puts < 50 || puts > 50+republisher.DefaultConcurrency {
			t.Errorf("%d puts, though the lease was lost after 50", puts)
		}
		if st := s.Status(); st.Own+st.Hosted != 0 || st.Regions != 0 {
			t.Errorf("it counts names of others: %+v", st)
		}
	})
}
