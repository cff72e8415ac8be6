package dht_test

import (
	"testing"
	"time"

	"github.com/goipns/ipns"
	"github.com/goipns/ipns/internal/simnet"
	"github.com/goipns/ipns/routing"
)

// looked puts the record with a look and returns the acks.
func (s *simulation) looked(rec *ipns.Record) (acks []routing.Ack) {
	s.t.Helper()
	for ack, err := range s.router.Put(s.t.Context(), rec, routing.Look{Before: true, Clock: true}) {
		if err != nil {
			s.t.Fatal(err)
		}
		acks = append(acks, ack)
	}
	return acks
}

func TestLookTellsWhatWasHeld(t *testing.T) {
	simulate(t, 500, simnet.Ideal, func(s *simulation) {
		t := s.t
		key := newSigner(t, ipns.Ed25519)
		eol := time.Now().Add(24 * time.Hour)
		first, rival, ours, last := key.record(1, eol), key.record(2, eol.Add(time.Hour)), key.record(2, eol), key.record(3, eol)
		s.explore()
		for _, ack := range s.looked(first) {
			if ack.Before != nil || ack.Err != nil {
				t.Fatalf("the first record of a name: %+v", ack)
			}
		}
		// What it held is told, but for its own value.
		for _, ack := range s.looked(first) {
			if ack.Before != nil {
				t.Fatalf("put again: %+v", ack)
			}
		}
		s.net.Place(rival, 3) // three servers have somebody else's, the others the first
		before := s.net.Stats(s.host)
		count := map[uint64]int{}
		for _, ack := range s.looked(ours) {
			if ack.Before == nil {
				continue
			}
			count[ack.Before.Sequence()]++
			if newer := ipns.Compare(ack.Before, ours) > 0; newer != (ack.Err != nil) || newer != (ack.Newer != nil) {
				t.Errorf("held sequence %d: %+v", ack.Before.Sequence(), ack)
			}
		}
		if count[1]+count[2] < 20 || count[2] != 3 {
			t.Errorf("servers held %v", count)
		}
		if spent := s.net.Stats(s.host).Sub(before); spent.Put > 40 {
			t.Errorf("%d puts", spent.Put)
		}
		for _, ack := range s.looked(last) {
			if ack.Err != nil || ack.Before != nil && ack.Before.Sequence() != 2 {
				t.Errorf("%+v", ack)
			}
		}
	})
}

func TestLookCostsNoRoundTrip(t *testing.T) {
	simulate(t, 500, simnet.Ideal, func(s *simulation) {
		t := s.t
		s.explore()
		took := func(look routing.Look) time.Duration {
			rec := newSigner(t, ipns.Ed25519).record(1, time.Now().Add(24*time.Hour))
			begin, count := time.Now(), 0
			for ack, err := range s.router.Put(t.Context(), rec, look) {
				if err != nil {
					t.Fatal(err)
				}
				if ack.Err == nil {
					count++
				}
				if count == 10 {
					break
				}
			}
			return time.Since(begin)
		}
		plain := took(routing.Look{})
		looking := took(routing.Look{Before: true, Clock: true})
		t.Logf("10 acks after %v, with a look after %v", plain, looking)
		if looking > plain+50*time.Millisecond {
			t.Errorf("10 acks after %v, with a look after %v: a round trip is 100ms", plain, looking)
		}
	})
}

// The clocks of a few servers are read behind the record; before that, the time
// at which they took another one bounds them from below.
func TestLookReadsClocks(t *testing.T) {
	simulate(t, 500, simnet.Ideal, func(s *simulation) {
		t := s.t
		key := newSigner(t, ipns.Ed25519)
		eol := time.Now().Add(24 * time.Hour)
		s.net.SetClocks(7 * time.Minute)
		for seq, want := range []struct{ exact, past int }{{4, 0}, {4, 10}} {
			groups, exact, past := map[string]bool{}, 0, 0
			for _, ack := range s.looked(key.record(uint64(seq), eol)) {
				c := ack.Clock
				if c == nil {
					continue
				}
				off := c.Time.Add(c.Ago).Sub(time.Now())
				if c.Past {
					if past++; off > 7*time.Minute {
						t.Errorf("at least %v ahead", off)
					}
					continue
				}
				exact++
				groups[c.Group.String()] = true
				if d := off - 7*time.Minute; d.Abs() > time.Second {
					t.Errorf("%s is %v ahead", ack.Target, off)
				}
			}
			if exact != want.exact || len(groups) != exact || past < want.past {
				t.Errorf("%d exact clocks of %d groups, %d bounds", exact, len(groups), past)
			}
			time.Sleep(time.Minute)
		}
	})
}

// A server that resets its streams loses answers; then the question goes alone.
func TestLookSurvivesRefusals(t *testing.T) {
	simulate(t, 500, simnet.Ideal, func(s *simulation) {
		t := s.t
		key := newSigner(t, ipns.Ed25519)
		eol := time.Now().Add(24 * time.Hour)
		first, second := key.record(1, eol), key.record(2, eol)
		s.explore()
		s.looked(first)
		for _, p := range s.net.Closest(first.Name().RoutingKey(), 5) {
			s.net.Behave(p.ID, simnet.Refusing)
		}
		refused := 0
		for _, ack := range s.looked(second) {
			if ack.Err == nil {
				continue
			}
			refused++
			if ack.Before == nil || ack.Before.Sequence() != 1 || ack.Newer != nil {
				t.Errorf("refused without a word of what is held: %+v", ack)
			}
		}
		if refused != 5 {
			t.Errorf("%d servers refused, want 5", refused)
		}
	})
}
