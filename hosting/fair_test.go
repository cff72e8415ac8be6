package hosting

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/goipns/ipns"
)

// A tenant whose puts crowd the queue delays another's put by at most one put of its own for
// each tenant that waits, not by all that it has sent.
func TestATenantThatPutsMuchDelaysAnotherByOneTurn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var q queue
		var running []func()
		for range maxPuts {
			leave, err := q.enter(t.Context(), "big")
			if err != nil {
				t.Fatal(err)
			}
			running = append(running, leave)
		}
		order := make(chan string, maxWaiting+1)
		wait := func(tenant string) {
			leave, err := q.enter(t.Context(), tenant)
			if err != nil {
				t.Error(err)
				return
			}
			order <- tenant
			leave()
		}
		for range maxWaiting {
			go wait("big")
		}
		synctest.Wait()
		if _, err := q.enter(t.Context(), "big"); Of(err).Why != Busy || Of(err).RetryAfter <= 0 {
			t.Errorf("one more: %v", err)
		}
		go wait("small")
		synctest.Wait()
		running[0]() // one put ends
		synctest.Wait()
		before := 0
		for tenant := range order {
			if tenant == "small" {
				break
			}
			before++
		}
		if before > 1 {
			t.Errorf("%d puts of the big tenant went before the one of the small", before)
		}
		for _, leave := range running[1:] {
			leave()
		}
	})
}

// Who gives up leaves no trace: neither a place that is taken nor a turn that is lost.
func TestAPutThatIsGivenUpLeavesTheQueueAsItWas(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var q queue
		var running []func()
		for range maxPuts {
			leave, _ := q.enter(t.Context(), "a")
			running = append(running, leave)
		}
		ctx, cancel := context.WithCancel(t.Context())
		for _, tenant := range []string{"b", "b", "c"} {
			go func() {
				if _, err := q.enter(ctx, tenant); !errors.Is(err, context.Canceled) {
					t.Errorf("%s: %v", tenant, err)
				}
			}()
		}
		synctest.Wait()
		cancel()
		synctest.Wait()
		if len(q.order) != 0 || len(q.waiting) != 0 || q.queued != 0 {
			t.Errorf("left over: %v, %v, %d", q.order, q.waiting, q.queued)
		}
		for _, leave := range running {
			leave()
		}
		if q.running != 0 {
			t.Errorf("%d are running", q.running)
		}
	})
}

// Names of a tenant that waits with many do not delay those of another, and what does not
// fit is left to the republisher.
func TestAnnouncementsTakeTurnsAndAreBounded(t *testing.T) {
	var a announcer
	for range 2 * maxAnnouncing {
		a.add("big", ipns.Name{})
	}
	if a.total != maxAnnouncing {
		t.Fatalf("%d names wait, the limit is %d", a.total, maxAnnouncing)
	}
	small, err := ipns.ParseName("k51qzi5uqu5dkna9kqbg1ratyu45c9vua5aucc3y3i8r9duuhqfwjsfjv2d7u0")
	if err != nil {
		t.Fatal(err)
	}
	a.add("small", small)
	first, _ := a.next()
	second, _ := a.next()
	if first == small || second != small {
		t.Error("the other tenant's name is not the second")
	}
}

// The rates forget tenants that need not wait, and are bounded.
func TestRatesAreBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var s rates
		now := time.Now()
		for i := range 2 * maxRates {
			s.wait(now, string(rune('a'+i%26))+string(rune(i)), 60, true)
			if len(s.keys) > maxRates {
				t.Fatalf("%d keys", len(s.keys))
			}
		}
		waited := 0
		for range 100 {
			if s.wait(now, "one", 60, true) > 0 {
				waited++
			}
		}
		if waited != 100-minBurst {
			t.Errorf("%d of 100 puts waited", waited)
		}
		// A clock that jumps back has nobody wait for longer than the rate says.
		if wait := s.wait(now.Add(-1000*time.Hour), "one", 60, true); wait > time.Minute {
			t.Errorf("after the clock went back: %s", wait)
		}
	})
}
