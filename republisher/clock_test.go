package republisher_test

import (
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/goipns/ipns"
	"github.com/goipns/ipns/recordstore"
	"github.com/goipns/ipns/recordstore/recordstoretest"
	"github.com/goipns/ipns/routing"
)

// clock is a republisher.Clock whose verdict the test gives.
type clock struct {
	mu    sync.Mutex
	wrong error
	asks  bool
	heard int
}

func (c *clock) CheckClock() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.wrong
}

func (c *clock) NeedsClocks() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.asks
}

func (c *clock) AddClock(*routing.Clock) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.heard++
}

// told returns how many servers said their time.
func (c *clock) told() int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.heard
}

func (c *clock) set(wrong error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.wrong = wrong
}

// While the clock is wrong nothing is renewed, every name is put as it is, those that
// should have been renewed are at risk, and all is made up for once the clock is right. R17
func TestAWrongClockRenewsNothingAndDelaysNoPut(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const own, hosted = 30, 30
		s := newSite(t, 20)
		c := &clock{wrong: errors.New("this clock is an hour behind")}
		s.Clock = c
		var records []*ipns.Record
		for i := range own + hosted {
			origin, life := recordstore.Own, 48*time.Hour
			if i >= own {
				origin, life = recordstore.Hosted, 30*24*time.Hour
			}
			k := recordstoretest.KeyFromSeed(t, uint64(i))
			records = append(records, s.add(t, k, ipns.Fields{Value: fmt.Sprintf("/ipfs/bafkqaaa/%d", i), EOL: s.Now().Add(life)}, ipns.V2Only, origin))
		}
		defer s.run(t)()
		// By now each own record would have been renewed: it is past half of its life.
		for range 40 {
			time.Sleep(time.Hour)
			for i, rec := range records {
				if now := s.entry(t, rec.Name()).Record; now != rec {
					t.Fatalf("name %d was renewed by a wrong clock", i)
				}
				if n := s.net.Holders(rec); n != 20 {
					t.Fatalf("%d of 20 hold name %d", n, i)
				}
				period := 4 * time.Hour
				if i >= own {
					period = 24 * time.Hour
				}
				if ago := s.Now().Sub(s.upkeep(t, rec.Name()).LastPut); ago > period+10*time.Minute {
					t.Fatalf("name %d was put %v ago", i, ago)
				}
			}
		}
		st := s.Status()
		if st.AtRiskCount != own || st.Late > 0 || st.RenewalsFailed > 0 {
			t.Errorf("the status: %d at risk, %d late, %d renewals failed", st.AtRiskCount, st.Late, st.RenewalsFailed)
		}
		for _, r := range st.AtRisk {
			if !strings.Contains(r.Reason, "it is not renewed: this clock is an hour behind") {
				t.Errorf("at risk: %q", r.Reason)
			}
		}
		if _, err := s.Renew(t.Context(), s.entry(t, records[0].Name())); err == nil || !strings.Contains(err.Error(), "an hour behind") {
			t.Errorf("a renewal out of turn: %v", err)
		}
		c.set(nil)
		time.Sleep(15 * time.Minute)
		for i, rec := range records[:own] {
			if left := s.entry(t, rec.Name()).Record.EOL().Sub(s.Now()); left < 47*time.Hour {
				t.Errorf("name %d is not renewed: %v left", i, left)
			}
		}
		if st := s.Status(); st.AtRiskCount > 0 {
			t.Errorf("at risk with the right clock: %+v", st.AtRisk)
		}
	})
}

// The put of a renewal asks for the time where it is not known, and no other put does.
func TestPutsOfRenewalsAskForTheTime(t *testing.T) {
	for _, asks := range []bool{true, false} {
		synctest.Test(t, func(t *testing.T) {
			s := newSite(t, 20)
			c := &clock{asks: asks}
			s.Clock = c
			k := recordstoretest.KeyFromSeed(t, 1)
			s.add(t, k, ipns.Fields{Value: "/ipfs/bafkqaaa"}, ipns.V2Only, recordstore.Own)
			defer s.run(t)()
			time.Sleep(12 * time.Hour)
			if n := c.told(); n != 0 {
				t.Errorf("before a renewal %d servers were asked", n)
			}
			time.Sleep(24 * time.Hour)
			if st := s.Status(); st.Renewed != 1 || asks != (c.told() > 0) {
				t.Errorf("asks %v: %d renewals, %d servers said their time", asks, st.Renewed, c.told())
			}
		})
	}
}
