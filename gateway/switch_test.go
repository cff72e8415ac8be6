package gateway

import (
	"math/rand/v2"
	"net/http/httptest"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/goipns/ipns"
	"github.com/goipns/ipns/names"
	"github.com/goipns/ipns/recordstore"
	"github.com/goipns/ipns/resolver"
	"github.com/goipns/ipns/routing/routingtest"
)

// Servers hold records of different ages and answer when they like, and what the records lead to takes its time to fetch.
// Whatever the order, no request begins its answer with a record older than one that another has begun with.
func TestNoAnswerIsOlderThanOneBefore(t *testing.T) {
	switched := 0
	for seed := range uint64(40) {
		synctest.Test(t, func(t *testing.T) {
			rng := rand.New(rand.NewPCG(seed, 14))
			network := routingtest.New(20)
			key := routingtest.NewKey(t)
			var name ipns.Name
			takes := map[string]time.Duration{}
			age := map[string]int{}
			for seq := range 4 {
				path := "/ipfs/bafkqaal" + string(rune('b'+seq))
				rec := routingtest.Sign(t, key, ipns.Fields{Value: path, Sequence: uint64(seq), TTL: time.Minute})
				name = rec.Name()
				takes[path], age[path] = time.Duration(rng.IntN(3000))*time.Millisecond, seq
				for _, s := range network.Servers {
					if seq == 0 || rng.IntN(3) == 0 {
						s.Hold(name, rec.Raw())
					}
				}
			}
			for _, s := range network.Servers {
				s.Delay = time.Duration(rng.IntN(3000)) * time.Millisecond
			}
			r := &resolver.Resolver{Book: &names.Book{Store: recordstore.NewMemory()}, Router: network}
			defer r.Close()
			var mu sync.Mutex
			var fetched []string
			var shown []int
			h := visits(r, &fetches{next: fetching(takes, &fetched)})
			var all sync.WaitGroup
			for range 5 {
				after := time.Duration(rng.IntN(4000)) * time.Millisecond
				all.Go(func() {
					time.Sleep(after)
					rec := &firstByte{ResponseRecorder: httptest.NewRecorder()}
					rec.begins = func() {
						mu.Lock()
						defer mu.Unlock()
						shown = append(shown, age[rec.Header().Get("From")])
					}
					h.ServeHTTP(rec, httptest.NewRequest("GET", "/ipns/"+name.String(), nil))
					if rec.Code != 200 {
						t.Errorf("status %d: %s", rec.Code, rec.Body)
					}
				})
			}
			all.Wait()
			for i := 1; i < len(shown); i++ {
				if shown[i] < shown[i-1] {
					t.Errorf("seed %d: answers begin with the records %v", seed, shown)
				}
			}
			switched += len(fetched) - 5
		})
	}
	if switched == 0 {
		t.Error("no request has switched to a better record")
	}
	t.Logf("%d switches", switched)
}

// firstByte calls begins before the answer begins.
type firstByte struct {
	*httptest.ResponseRecorder
	once   sync.Once
	begins func()
}

func (w *firstByte) WriteHeader(status int) {
	w.once.Do(w.begins)
	w.ResponseRecorder.WriteHeader(status)
}

func (w *firstByte) Write(p []byte) (int, error) {
	w.once.Do(w.begins)
	return w.ResponseRecorder.Write(p)
}
