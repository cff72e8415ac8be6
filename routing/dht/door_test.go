package dht

import (
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

// Those who wait share the pace, and none waits for long.
func TestFloodHasAPace(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var p pace
		var wg sync.WaitGroup
		begin := time.Now()
		p.wait(t.Context())
		if took := time.Since(begin); took != 0 {
			t.Errorf("the first waited %v", took)
		}
		for range 100 {
			wg.Go(func() {
				for range 20 {
					at := time.Now()
					p.wait(t.Context())
					if took := time.Since(at); took > paceWait {
						t.Errorf("one waited %v", took)
					}
				}
			})
		}
		wg.Wait()
		if took := time.Since(begin); took != 2000*paceEvery {
			t.Errorf("2000 took %v, want %v", took, 2000*paceEvery)
		}
	})
}
