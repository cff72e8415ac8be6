package hosting_test

import (
	"context"
	"errors"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/goipns/ipns"
	"github.com/goipns/ipns/hosting"
)

// A record near its end is warned of once, however often it is looked at, and again after a
// warning that failed.
func TestANameNearItsEndIsWarnedOfOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, hosting.Settings{Policy: hosting.Token, Warn: 24 * time.Hour})
		c := w.caller(t, "a")
		a, b := newAuthor(t), newAuthor(t)
		var mu sync.Mutex
		warned := map[ipns.Name]int{}
		fail := true
		w.Warned = func(_ context.Context, r hosting.Risk) error {
			mu.Lock()
			defer mu.Unlock()
			if fail {
				fail = false
				return errors.New("nobody listens")
			}
			if r.Tenant != "a" {
				t.Errorf("the tenant is %q", r.Tenant)
			}
			warned[r.Name]++
			return nil
		}
		for who, life := range map[author]time.Duration{a: 48 * time.Hour, b: 200 * time.Hour} {
			if _, err := w.Put(t.Context(), c, who.name, who.record(t, 1, life).Raw()); err != nil {
				t.Fatal(err)
			}
		}
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		var run sync.WaitGroup
		defer run.Wait()
		defer cancel()
		run.Go(func() { _ = w.Run(ctx) })
		time.Sleep(23 * time.Hour)
		mu.Lock()
		if len(warned) != 0 {
			t.Errorf("warned too soon: %v", warned)
		}
		mu.Unlock()
		time.Sleep(3 * time.Hour)
		if byTenant, total := w.AtRisk(); total != 1 || byTenant["a"] != 1 {
			t.Errorf("at risk: %d, %v", total, byTenant)
		}
		// A newer record makes it safe, and is warned of again at its end.
		if _, err := w.Put(t.Context(), c, a.name, a.record(t, 2, 48*time.Hour).Raw()); err != nil {
			t.Fatal(err)
		}
		time.Sleep(time.Hour)
		if _, total := w.AtRisk(); total != 0 {
			t.Errorf("%d are at risk", total)
		}
		time.Sleep(24 * time.Hour)
		mu.Lock()
		defer mu.Unlock()
		if warned[a.name] != 2 || warned[b.name] != 0 {
			t.Errorf("warned %v", warned)
		}
	})
}
