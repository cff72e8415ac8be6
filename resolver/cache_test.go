package resolver

import (
	"errors"
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"github.com/goipns/ipns"
	"github.com/goipns/ipns/recordstore"
	"github.com/goipns/ipns/routing/routingtest"
)

func (f *fixture) searches(want int) {
	f.t.Helper()
	if got := f.net.Counts().Searches; got != want {
		f.t.Errorf("%d searches so far, want %d", got, want)
	}
}

// settle waits until the background searches end.
func settle() {
	time.Sleep(11 * time.Second)
	synctest.Wait()
}

func TestCachedWithinTTL(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f, n := newFixture(t), newName(t)
		rec := n.record(1, pathA) // TTL 5 min
		hold(rec, f.net.Servers...)
		first := f.resolve(rec.Name().String(), Options{})
		synctest.Wait()
		hold(n.record(2, pathB), f.net.Servers...)
		time.Sleep(3 * time.Minute)
		res := f.resolve(rec.Name().String(), Options{})
		if hop := res.Hops[0]; res.Path != pathA || !hop.Cached || hop.Stale {
			t.Errorf("within the TTL: %+v", res)
		}
		// The answer shows what is left of the TTL, and when the value was first seen.
		if res.TTL != 2*time.Minute || !res.LastModified.Equal(first.LastModified) {
			t.Errorf("TTL %v, modified %v after %v", res.TTL, res.LastModified, first.LastModified)
		}
		f.searches(1)
		hop := f.leads(rec.Name(), Options{NoCache: true, Confidence: All}, pathB)
		if hop.Cached || hop.TTL != 5*time.Minute {
			t.Errorf("without the cache: %+v", hop)
		}
		// The cache now has what that search found.
		if hop = f.leads(rec.Name(), Options{}, pathB); !hop.Cached {
			t.Errorf("afterwards: %+v", hop)
		}
		f.searches(2)
	})
}

func TestStaleWhileRevalidate(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f, n := newFixture(t), newName(t)
		rec := n.record(1, pathA)
		hold(rec, f.net.Servers...)
		f.leads(rec.Name(), Options{}, pathA)
		synctest.Wait()
		hold(n.record(2, pathB), f.net.Servers...)
		time.Sleep(6 * time.Minute)
		start := time.Now()
		hop := f.leads(rec.Name(), Options{}, pathA)
		if time.Since(start) != 0 || !hop.Stale || !hop.Cached || hop.TTL != 0 {
			t.Errorf("a minute after the TTL, after %v: %+v", time.Since(start), hop)
		}
		settle()
		if hop = f.leads(rec.Name(), Options{}, pathB); hop.Stale {
			t.Errorf("after the search: %+v", hop)
		}
		f.searches(2)

		// A caller that wants more than the first answer waits for it.
		hold(n.record(3, pathC), f.net.Servers...)
		time.Sleep(6 * time.Minute)
		f.leads(rec.Name(), Options{Confidence: 3}, pathC)
		// Long after the TTL, every caller waits.
		hold(n.record(4, pathA), f.net.Servers...)
		time.Sleep(time.Hour)
		f.leads(rec.Name(), Options{}, pathA)
		f.searches(4)
	})
}

func TestStaleIfErrorUntilEOL(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f, n := newFixture(t), newName(t)
		rec := n.record(1, pathA) // EOL in a day
		hold(rec, f.net.Servers...)
		f.leads(rec.Name(), Options{}, pathA)
		synctest.Wait()
		for _, s := range f.net.Servers {
			s.Fault = routingtest.Dead
		}
		time.Sleep(23 * time.Hour)
		hop := f.leads(rec.Name(), Options{}, pathA)
		if !hop.Stale || hop.TTL != 0 || hop.Agree != 0 {
			t.Errorf("nobody answers: %+v", hop)
		}
		// The network is not asked again right away.
		start := time.Now()
		hop = f.leads(rec.Name(), Options{}, pathA)
		if time.Since(start) != 0 || !hop.Stale || hop.TTL != 0 {
			t.Errorf("again, after %v: %+v", time.Since(start), hop)
		}
		f.searches(2)
		// The record is good until its EOL even if all servers have lost it.
		for _, s := range f.net.Servers {
			s.Fault = routingtest.Denying
		}
		time.Sleep(time.Minute)
		f.leads(rec.Name(), Options{}, pathA)
		time.Sleep(time.Hour)
		f.fails(rec.Name().String(), Options{}, ErrExpired)
		f.searches(4)
	})
}

func TestCacheEndsWithEOL(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f, n := newFixture(t), newName(t)
		rec := n.sign(ipns.Fields{Value: pathA, TTL: time.Hour, EOL: time.Now().Add(time.Minute)})
		hold(rec, f.net.Servers...)
		if hop := f.leads(rec.Name(), Options{}, pathA); hop.TTL != time.Minute-delay {
			t.Errorf("TTL %v, though the record ends in a minute", hop.TTL)
		}
		time.Sleep(time.Minute - delay)
		f.fails(rec.Name().String(), Options{}, ErrExpired)
		f.fails(rec.Name().String(), Options{Offline: true}, ErrExpired)
	})
}

func TestTTLZeroIsNotCached(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f, n := newFixture(t), newName(t)
		rec := n.sign(ipns.Fields{Value: pathA})
		hold(rec, f.net.Servers...)
		for range 3 {
			if hop := f.leads(rec.Name(), Options{}, pathA); hop.TTL != 0 || hop.Cached || hop.Stale {
				t.Errorf("%+v", hop)
			}
			settle()
		}
		f.searches(3)
	})
}

func TestMaxCacheTTL(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f, n := newFixture(t), newName(t)
		f.MaxCacheTTL = time.Minute
		rec := n.record(1, pathA)
		hold(rec, f.net.Servers...)
		if hop := f.leads(rec.Name(), Options{}, pathA); hop.TTL != time.Minute {
			t.Errorf("TTL %v is shown, want at most a minute", hop.TTL)
		}
		time.Sleep(time.Hour)
		f.leads(rec.Name(), Options{}, pathA)
		f.searches(2)
	})
	synctest.Test(t, func(t *testing.T) {
		f, n := newFixture(t), newName(t)
		f.MaxCacheTTL = -1
		rec := n.record(1, pathA)
		hold(rec, f.net.Servers...)
		for range 3 {
			if hop := f.leads(rec.Name(), Options{}, pathA); hop.TTL != 5*time.Minute || hop.Cached {
				t.Errorf("caching is off: %+v", hop)
			}
			settle()
		}
		f.searches(3)
	})
}

// A name has one cache entry, however it is written.
func TestOneEntryPerName(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f, n := newFixture(t), newName(t)
		rec := n.record(1, pathA)
		hold(rec, f.net.Servers...)
		id := rec.Name()
		spellings := []string{
			id.String(), id.Path(), id.PeerID().String(), "ipns://" + id.String(), "IPNS:" + id.PeerID().String(),
			"/ipns/" + id.PeerID().String(), id.CID().String(), fmt.Sprintf("f%x", id.CID().Bytes()),
		}
		for i, s := range spellings {
			res := f.resolve(s, Options{})
			if res.Path != pathA || res.Hops[0].Root != id.String() || res.Hops[0].Cached != (i > 0) {
				t.Errorf("%s: %+v", s, res)
			}
			synctest.Wait()
		}
		f.searches(1)
	})
}

func TestCacheIsBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFixture(t)
		f.CacheSize = 10
		for range 50 {
			rec := newName(t).record(1, pathA)
			hold(rec, f.net.Servers...)
			f.leads(rec.Name(), Options{}, pathA)
			settle()
			if len(f.cache.values) > 10 || f.cache.recent.Len() != len(f.cache.values) {
				t.Fatalf("%d names in a cache of 10", len(f.cache.values))
			}
		}
	})
}

// A hosted record is fresh for its TTL, and the last resort when no server answers.
func TestHostedName(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f, n := newFixture(t), newName(t)
		rec := n.record(1, pathA)
		f.take(rec, recordstore.Hosted)
		hop := f.leads(rec.Name(), Options{}, pathA)
		if hop.Source != "book" || hop.Stale || hop.Agree != 0 {
			t.Errorf("at once: %+v", hop)
		}
		settle()
		hold(n.record(2, pathB), f.net.Servers...)
		f.restart()
		f.leads(rec.Name(), Options{}, pathA)
		settle()
		f.leads(rec.Name(), Options{}, pathB) // the search went on, and found it
		for _, s := range f.net.Servers {
			s.Fault = routingtest.Dead
		}
		f.restart()
		time.Sleep(time.Hour)
		if hop = f.leads(rec.Name(), Options{}, pathB); hop.Source != "book" || !hop.Stale {
			t.Errorf("nobody answers: %+v", hop)
		}
		if hop = f.leads(rec.Name(), Options{Offline: true}, pathB); !hop.Stale {
			t.Errorf("offline: %+v", hop)
		}
	})
}

// If the store cannot write, reads still work; if it cannot read, no older answer is
// shown.
func TestStoreFails(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f, n := newFixture(t), newName(t)
		rec := n.record(1, pathA)
		hold(rec, f.net.Servers...)
		f.fault = func(op recordstore.Op) error {
			if op == recordstore.OpSetSeen || op == recordstore.OpSwap || op == recordstore.OpSync {
				return recordstore.ErrFull
			}
			return nil
		}
		f.leads(rec.Name(), Options{}, pathA)
		settle()
		errBroken := errors.New("broken")
		f.fault = func(recordstore.Op) error { return errBroken }
		f.fails(mustName(t, newName(t)).String(), Options{}, errBroken)
		f.fails(mustName(t, newName(t)).String(), Options{Offline: true}, errBroken)
		f.fault = nil
	})
}

// A cached "not found" is dropped when a record enters the Book.
func TestPublishEndsNotFound(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFixture(t)
		for i, o := range []recordstore.Origin{recordstore.Own, recordstore.Hosted, recordstore.Seen} {
			n := newName(t)
			f.fails(mustName(t, n).String(), Options{}, ErrNotFound)
			f.take(n.record(uint64(i), pathA), o)
			f.leads(mustName(t, n), Options{}, pathA)
		}
		// The same while a search runs.
		n := newName(t)
		done := make(chan error)
		go func() {
			_, err := f.Resolve(t.Context(), mustName(t, n).String(), Options{})
			done <- err
		}()
		synctest.Wait()
		start := time.Now()
		f.take(n.record(1, pathA), recordstore.Hosted)
		if err := <-done; err != nil || time.Since(start) != 0 {
			t.Errorf("%v after %v", err, time.Since(start))
		}
	})
}

// That nobody has a record is remembered for strangers, and asked again for a user.
func TestAUserAsksAgainForWhatWasNotFound(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f, n := newFixture(t), newName(t)
		rec := n.record(1, pathA)
		ask := func(o Options) error {
			_, err := f.Lookup(t.Context(), rec.Name(), o)
			return err
		}
		if err := ask(Options{}); !errors.Is(err, ErrNotFound) {
			t.Fatal(err)
		}
		hold(rec, f.net.Servers...)
		if err := ask(Options{}); !errors.Is(err, ErrNotFound) {
			t.Errorf("not remembered: %v", err)
		}
		f.leads(rec.Name(), Options{Again: true}, pathA)
	})
}
