package dht

import (
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

// Waiting puts share the pace, and none waits longer than paceWait.
func TestFloodHasAPace(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var p pace
		var wg sync.WaitGroup
		begin := time.Now()
		p.wait(t.Context())
		if took := time.Since(begin); took != 0 {
			t.Errorf("the first put waited %v", took)
		}
		for range 100 {
			wg.Go(func() {
				for range 20 {
					at := time.Now()
					p.wait(t.Context())
					if took := time.Since(at); took > paceWait {
						t.Errorf("a put waited %v", took)
					}
				}
			})
		}
		wg.Wait()
		if took := time.Since(begin); took != 2000*paceEvery {
			t.Errorf("2000 puts took %v, want %v", took, 2000*paceEvery)
		}
	})
}
