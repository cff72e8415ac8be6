package publisher_test

import (
	"errors"
	"fmt"
	"sync/atomic"
	"testing"
	"time"

	"github.com/goipns/ipns"
	"github.com/goipns/ipns/names"
	"github.com/goipns/ipns/publisher"
	"github.com/goipns/ipns/recordstore"
	"github.com/goipns/ipns/recordstore/recordstoretest"
)

// clockError is the error of a clock. Background announcements read it while a test sets
// it.
type clockError struct{ ns atomic.Int64 }

func (c *clockError) get() time.Duration  { return time.Duration(c.ns.Load()) }
func (c *clockError) set(d time.Duration) { c.ns.Store(int64(d)) }
func (c *clockError) now() time.Time      { return epoch.Add(c.get()) }

// TestWrongClockLeavesNoStuckName publishes with a clock that is wrong by a second up to
// centuries, then with the right one. The first publish must not block the name. R17.
func TestWrongClockLeavesNoStuckName(t *testing.T) {
	const year = 365 * 24 * time.Hour
	for _, tt := range []struct {
		what    string
		off     time.Duration
		skew    bool // others report it
		refused error
	}{
		{"a second behind", -time.Second, false, nil},
		{"a second ahead", time.Second, false, nil},
		{"an hour behind", -time.Hour, false, nil},
		{"an hour behind, and told so", -time.Hour, true, publisher.ErrClock},
		{"a minute ahead, and told so", time.Minute, true, nil},
		{"a year behind", -year, false, publisher.ErrClock},
		{"ten years behind", -10 * year, false, publisher.ErrClock},
		{"in 1970", time.Unix(0, 0).Sub(epoch), false, publisher.ErrClock},
		{"a day ahead", 24 * time.Hour, false, nil},
		{"ten years ahead", 10 * year, false, nil},
		{"ten years ahead, and told so", 10 * year, true, publisher.ErrClock},
		{"in 2038", time.Unix(1<<31+1, 0).Sub(epoch), false, nil},
		{"at a leap second", time.Date(2028, 12, 31, 23, 59, 59, 999999999, time.UTC).Sub(epoch), false, nil},
	} {
		var off clockError
		off.set(tt.off)
		s := newSite(t, 0)
		s.Now = off.now
		s.Book.Now = s.Now
		if tt.skew {
			s.Skew = func() (time.Duration, bool) { return off.get(), true }
		}
		stored := publisher.Request{Value: "/ipfs/bafkqaaa", Wait: publisher.WaitStored}
		wrong, err := s.Publish(t.Context(), s.key.Signer, stored)
		if !errors.Is(err, tt.refused) {
			t.Errorf("%s: %v", tt.what, err)
		}
		if err == nil && !wrong.Record.EOL().After(s.Now()) {
			t.Errorf("%s: the record had ended when it was signed", tt.what)
		}
		off.set(0)
		right, err := s.Publish(t.Context(), s.key.Signer, stored)
		if err != nil {
			t.Errorf("%s: the right clock is refused: %v", tt.what, err)
			continue
		}
		if wrong.Record != nil && ipns.Compare(right.Record, wrong.Record) < 0 {
			t.Errorf("%s: the record of the right clock loses against that of the wrong one", tt.what)
		}
		if right.Record.EOL().Sub(epoch) != ipns.DefaultLifetime && right.Outcome != names.Same {
			t.Errorf("%s: the right clock gives EOL %v", tt.what, right.Record.EOL())
		}
		if e, err := s.Book.Get(t.Context(), s.key.Name); err != nil || e.Record.Hash() != right.Record.Hash() {
			t.Errorf("%s: the name is stuck with %v", tt.what, e.Record)
		}
	}
}

// TestBadLifetimesAreRefused: a lifetime that is zero, negative or too long is refused
// before anything is signed; a short one only causes a warning. R17.
func TestBadLifetimesAreRefused(t *testing.T) {
	for _, tt := range []struct {
		what     string
		now      time.Time
		lifetime time.Duration
		limit    time.Duration
		refused  bool
		warned   bool
	}{
		{"48 hours", epoch, 48 * time.Hour, 0, false, false},
		{"59 seconds", epoch, 59 * time.Second, 0, false, true},
		{"1 nanosecond", epoch, 1, 0, false, true},
		{"negative", epoch, -1, 0, true, false},
		{"a century, no limit", epoch, 100 * 365 * 24 * time.Hour, 0, false, false},
		{"above the limit", epoch, 31 * 24 * time.Hour, 30 * 24 * time.Hour, false, true},
		{"a year, as scripts have it", epoch, 8760 * time.Hour, 30 * 24 * time.Hour, false, true},
		{"two years", epoch, 2 * 8760 * time.Hour, 30 * 24 * time.Hour, true, false},
		{"at the limit", epoch, 30 * 24 * time.Hour, 30 * 24 * time.Hour, false, false},
		{"past the year 9999", time.Date(9999, 12, 31, 0, 0, 0, 0, time.UTC), 48 * time.Hour, 0, true, false},
		{"within the year 9999", time.Date(9999, 12, 31, 0, 0, 0, 0, time.UTC), time.Hour, 0, false, false},
	} {
		s := newSite(t, 0)
		signed := 0
		s.Now = func() time.Time { return tt.now }
		s.MaxLifetime = tt.limit
		s.SetStep(func(step string) error {
			if step == "sign" {
				signed++
			}
			return nil
		})
		res, err := s.Publish(t.Context(), s.key.Signer, publisher.Request{Value: "/ipfs/bafkqaaa", Lifetime: &tt.lifetime, Wait: publisher.WaitStored})
		if tt.refused != errors.Is(err, publisher.ErrLifetime) || tt.refused == (err == nil) || tt.refused && signed > 0 {
			t.Errorf("%s: %v, signed %d times", tt.what, err, signed)
		}
		if tt.warned != (len(res.Warnings) > 0) {
			t.Errorf("%s: warnings %q", tt.what, res.Warnings)
		}
	}
}

// TestClockMayJumpWhileSigning: the clock jumps while a record is being signed. R17.
func TestClockMayJumpWhileSigning(t *testing.T) {
	for _, jump := range []time.Duration{-24 * time.Hour, 24 * time.Hour, 4 * 365 * 24 * time.Hour} {
		s := newSite(t, 0)
		var off clockError
		var jumped atomic.Bool
		s.Now = off.now
		s.Book.Now = s.Now
		s.SetStep(func(step string) error {
			if step == "signed" && !jumped.Swap(true) {
				off.set(jump)
			}
			return nil
		})
		stored := publisher.Request{Value: "/ipfs/bafkqaaa/1", Wait: publisher.WaitStored}
		first, err := s.Publish(t.Context(), s.key.Signer, stored)
		if err != nil || first.Record.EOL() != epoch.Add(ipns.DefaultLifetime) {
			t.Fatalf("jump by %v: %v", jump, err)
		}
		// After a large jump, the record's lifetime makes no sense, and must not be used
		// for the renewal.
		e, err := s.Book.Get(t.Context(), s.key.Name)
		if err != nil {
			t.Fatal(err)
		}
		renewed, err := s.republisher().Renew(t.Context(), e)
		if now, err2 := s.Book.Get(t.Context(), s.key.Name); err2 != nil || err != nil && now.Version != e.Version {
			t.Fatalf("jump by %v: renew: %v, and yet the entry has changed", jump, err)
		}
		if err == nil && (!renewed.EOL().After(s.Now()) || renewed.Sequence() != 0) {
			t.Errorf("jump by %v: renewed with EOL %v", jump, renewed.EOL())
		}
		off.set(0)
		stored.Value = "/ipfs/bafkqaaa/2"
		if _, err := s.Publish(t.Context(), s.key.Signer, stored); err != nil {
			t.Errorf("jump by %v: the next publish: %v", jump, err)
		}
	}
}

// TestMarksAfterRestart: marks survive a restart in which everything else is lost.
func TestMarksAfterRestart(t *testing.T) {
	s := newSite(t, 0)
	k := recordstoretest.NewKey(t)
	if _, err := s.Book.Take(t.Context(), k.Record(t, 5, "/ipfs/bafkqaaa", epoch.Add(time.Hour)), names.Entrance{Origin: recordstore.Seen}); err != nil {
		t.Fatal(err)
	}
	if err := s.Book.Sync(t.Context()); err != nil {
		t.Fatal(err)
	}
	again := &names.Book{Store: s.store, Now: s.Now}
	if m, err := again.Seen(t.Context(), k.Name); err != nil || m.Sequence != 5 {
		t.Fatalf("mark after a restart: %+v, %v", m, err)
	}
}

// TestOthersTellTheTime reads the time from servers that take records: a publish warns,
// then is refused, and works again once the clock is right. R17.
func TestOthersTellTheTime(t *testing.T) {
	for _, tt := range []struct {
		what    string
		ahead   time.Duration // the servers' clocks
		servers int           // with these clocks; the others have this node's time
		warned  bool
		refused bool
	}{
		{"the same", 0, 20, false, false},
		{"half a minute", 30 * time.Second, 20, false, false},
		{"three minutes ahead", 3 * time.Minute, 20, true, false},
		{"three minutes behind", -3 * time.Minute, 20, true, false},
		{"an hour ahead", time.Hour, 20, true, true},
		{"a day behind", -24 * time.Hour, 20, true, true},
		{"nine of twenty lie", time.Hour, 9, false, false},
	} {
		t.Run(tt.what, func(t *testing.T) {
			var off clockError
			s := newSite(t, 20)
			s.Now = off.now
			for _, server := range s.net.Servers[:tt.servers] {
				server.Clock = tt.ahead
			}
			all := func(r *publisher.Request) { r.Wait = publisher.WaitAll }
			if res := s.publish(t, "/ipfs/bafkqaaa/1", all); tt.warned != (len(res.Warnings) > 0) {
				t.Errorf("warnings %q", res.Warnings)
			}
			_, err := s.Publish(t.Context(), s.key.Signer, publisher.Request{Value: "/ipfs/bafkqaaa/2"})
			if tt.refused != errors.Is(err, publisher.ErrSkew) || tt.refused == (err == nil) {
				t.Fatalf("%v", err)
			}
			if !tt.refused {
				return
			}
			s.publish(t, "/ipfs/bafkqaaa/3", func(r *publisher.Request) { r.Force = true })
			if err := s.CheckClock(); !errors.Is(err, publisher.ErrSkew) {
				t.Errorf("renewals are told %v", err)
			}
			off.set(tt.ahead) // the clock is set
			if res := s.publish(t, "/ipfs/bafkqaaa/4"); len(res.Warnings) > 0 {
				t.Errorf("with the right clock: %q", res.Warnings)
			}
		})
	}
}

// TestFewClocksSayNothing: two servers are too few to be believed, as are many in one
// network. R17.
func TestFewClocksSayNothing(t *testing.T) {
	s := newSite(t, 2)
	for _, server := range s.net.Servers {
		server.Clock = time.Hour
	}
	for i := range 3 {
		if res := s.publish(t, fmt.Sprintf("/ipfs/bafkqaaa/%d", i)); len(res.Warnings) > 0 {
			t.Errorf("warnings %q", res.Warnings)
		}
	}
}

// TestSkewHasTwoBounds combines exact readings and lower bounds. R17.
func TestSkewHasTwoBounds(t *testing.T) {
	for _, tt := range []struct {
		what   string
		bounds []time.Duration // how far a clock was ahead, at least
		exact  []time.Duration
		behind time.Duration
		ok     bool
	}{
		{"bounds that say that we are behind", []time.Duration{time.Hour, 2 * time.Hour, 3 * time.Hour}, nil, 2 * time.Hour, true},
		{"most say nothing", []time.Duration{time.Hour, 2 * time.Hour, -time.Hour, -time.Hour, -time.Hour}, nil, 0, false},
		{"exact ones say more", []time.Duration{time.Hour, time.Hour, time.Hour}, []time.Duration{0, time.Second, 2 * time.Second}, time.Second, true},
		{"two exact ones are few", nil, []time.Duration{time.Hour, time.Hour}, 0, false},
	} {
		off, ok := publisher.Behind(tt.bounds, tt.exact)
		if off != tt.behind || ok != tt.ok {
			t.Errorf("%s: %v, %v", tt.what, off, ok)
		}
	}
}
