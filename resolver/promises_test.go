package resolver

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/goipns/ipns"
	"github.com/goipns/ipns/publisher"
	"github.com/goipns/ipns/routing/routingtest"
)

// TestOwnWritesAreRead publishes and resolves 10,000 times: it resolves in every way,
// publishes in every way, and the network still has older records. R11.
func TestOwnWritesAreRead(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const count = 50
		pairs := 10_000
		if testing.Short() {
			pairs /= 10
		}
		f := newFixture(t)
		f.net.Servers = f.net.Servers[:4] // each record goes to all
		// A publisher refuses to work in the past, where a bubble's clock starts.
		now := func() time.Time { return time.Now().AddDate(30, 0, 0) }
		f.Now, f.Book.Now, f.net.Now = now, now, now
		pub := &publisher.Publisher{Book: f.Book, Router: f.net, Now: now}
		defer pub.Close(t.Context())
		names := make([]name, count)
		for i := range names {
			names[i] = newName(t)
			if err := f.Book.Create(t.Context(), mustName(t, names[i])); err != nil {
				t.Fatal(err)
			}
		}
		ways := map[string]func(ipns.Name) string{
			"resolve": func(n ipns.Name) string { return f.resolve(n.String(), Options{}).Path },
			"nocache": func(n ipns.Name) string { return f.resolve(n.String(), Options{NoCache: true}).Path },
			"offline": func(n ipns.Name) string { return f.resolve(n.String(), Options{Offline: true}).Path },
			"all":     func(n ipns.Name) string { return f.resolve(n.String(), Options{Confidence: All}).Path },
			"lookup": func(n ipns.Name) string {
				hop, err := f.Lookup(t.Context(), n, Options{})
				if err != nil {
					t.Error(err)
				}
				return hop.Value
			},
			"stream": func(n ipns.Name) (path string) {
				for res, err := range f.Stream(t.Context(), n.Path(), Options{Confidence: 2}) {
					if err != nil {
						t.Error(err)
					}
					if path == "" { // the first answer counts
						path = res.Path
					}
				}
				return path
			},
		}
		order := []string{"resolve", "nocache", "offline", "all", "lookup", "stream"}
		stale := map[string]int{}
		for i := range pairs {
			n := names[rand.IntN(count)]
			value := fmt.Sprintf("%s/%d", pathA, i)
			if i%4 != 0 {
				req := publisher.Request{Value: value, Wait: publisher.WaitStored}
				if _, err := pub.Publish(t.Context(), ipns.NewSigner(n.key), req); err != nil {
					t.Fatal(err)
				}
			} else { // by PUT, with a key held elsewhere
				n = newName(t)
				rec := n.sign(ipns.Fields{Value: value, Sequence: uint64(i), TTL: time.Hour, EOL: now().Add(time.Hour)})
				if _, err := pub.Put(t.Context(), rec, publisher.PutRequest{Wait: publisher.WaitStored}); err != nil {
					t.Fatal(err)
				}
			}
			way := order[i%len(order)]
			if got := ways[way](mustName(t, n)); got != value {
				stale[way]++
			}
			if i%100 == 0 {
				time.Sleep(time.Duration(rand.IntN(10)) * time.Minute) // TTLs run out
			}
		}
		if len(stale) > 0 {
			t.Errorf("old values were shown: %v", stale)
		}
		t.Logf("%d pairs of publish and resolve, %d ways to ask, %d stale", pairs, len(ways), len(stale))
	})
}

// TestReadsNeverGoBack resolves 100,000 times while servers switch between old and new
// records, the cache is far too small, records expire and the node restarts. No caller is
// ever shown a record older than one shown before. R12.
func TestReadsNeverGoBack(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const count, versions, atOnce = 25, 8, 10
		reads := 100_000
		if testing.Short() {
			reads /= 10
		}
		f := newFixture(t)
		f.net.Servers = f.net.Servers[:5]
		f.net.Quorum = 3
		f.net.Timeout = time.Second
		f.CacheSize = 5
		random := rand.New(rand.NewPCG(1, 2))
		records := make([][]*ipns.Record, count)
		for i := range records {
			n := newName(t)
			for v := range versions {
				rec := n.sign(ipns.Fields{
					Value: fmt.Sprintf("%s/%d", pathA, v), Sequence: uint64(v), TTL: time.Duration(random.IntN(60)) * time.Second,
					EOL: time.Now().Add(time.Duration(20+random.IntN(60)) * time.Hour),
				})
				records[i] = append(records[i], rec)
			}
		}
		var mu sync.Mutex
		shown := make([]int, count) // highest sequence shown of each name, -1: none
		for i := range shown {
			shown[i] = -1
		}
		answers, errs, restarts, back := 0, 0, 0, 0
		read := func(which int, opt Options) {
			mu.Lock()
			before := shown[which]
			mu.Unlock()
			res, err := f.Resolve(t.Context(), records[which][0].Name().String(), opt)
			mu.Lock()
			defer mu.Unlock()
			if err != nil {
				errs++
				return
			}
			answers++
			if seq := int(res.Hops[0].Sequence); seq < before {
				back++
			} else {
				shown[which] = max(shown[which], seq)
			}
		}
		for range reads / atOnce {
			// New records spread slowly; old ones are everywhere.
			which := random.IntN(count)
			age := min(versions-1, int(time.Since(time.Date(2000, 1, 1, 0, 0, 0, 0, time.UTC)).Hours()/3))
			for _, s := range f.net.Servers {
				if random.IntN(2) == 0 {
					hold(records[which][max(random.IntN(age+1), random.IntN(age+1))], s)
				}
				s.Fault = []routingtest.Fault{0, 0, 0, 0, routingtest.Denying, routingtest.Dead}[random.IntN(6)]
				s.Delay = time.Duration(random.IntN(100)) * time.Millisecond
			}
			var wg sync.WaitGroup
			for range atOnce {
				opt := Options{NoCache: random.IntN(4) == 0, Offline: random.IntN(8) == 0, Confidence: Confidence(random.IntN(5) - 1)}
				wg.Go(func() { read(which, opt) })
			}
			wg.Wait()
			switch random.IntN(200) {
			case 0:
				f.restart()
				f.CacheSize = 5
				restarts++
			case 1, 2, 3, 4:
				time.Sleep(time.Duration(random.IntN(20)) * time.Minute)
			}
			settle() // do not change servers during a search
		}
		if back > 0 {
			t.Errorf("%d of %d answers were older than one shown before", back, answers)
		}
		if answers < reads/4 || errs == 0 || restarts == 0 {
			t.Errorf("%d answers, %d errors, %d restarts: too few to prove anything", answers, errs, restarts)
		}
		t.Logf("%d reads: %d answers, %d of them older than one before; %d times no answer; %d restarts; %v",
			answers+errs, answers, back, errs, restarts, time.Since(time.Date(2000, 1, 1, 0, 0, 0, 0, time.UTC)).Round(time.Hour))
	})
}

// The mark outlives the process and the cache: once a record was seen, no older one is
// shown, whoever offers it.
func TestNeverOlderAfterRestart(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f, n := newFixture(t), newName(t)
		older, newer := n.record(6, pathA), n.sign(ipns.Fields{Value: pathB, Sequence: 7, EOL: time.Now().Add(time.Hour)})
		hold(newer, f.net.Servers...)
		f.leads(newer.Name(), Options{}, pathB)
		settle()
		hold(older, f.net.Servers...) // as if the network had forgotten it
		f.restart()
		err := f.fails(older.Name().String(), Options{Confidence: All}, nil)
		var unknown *UnknownError
		if !errors.As(err, &unknown) || unknown.Seen == nil || *unknown.Seen != 7 {
			t.Errorf("the record with sequence 7 is nowhere: %v", err)
		}
		t.Logf("%v", err)
		time.Sleep(time.Hour)
		err = f.fails(older.Name().String(), Options{}, ErrExpired)
		t.Logf("%v", err)
		// A still newer record makes the name resolve again.
		hold(n.record(8, pathC), f.net.Servers[3])
		f.leads(older.Name(), Options{NoCache: true, Confidence: All}, pathC)
	})
}

// A record shown from the cache is not followed by an older one after the cache evicts
// it.
func TestNeverOlderAfterCacheLoss(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f, n := newFixture(t), newName(t)
		f.CacheSize = 1
		rec := n.record(2, pathB)
		hold(rec, f.net.Servers[4])
		f.leads(rec.Name(), Options{}, pathB)
		settle()
		f.fails(mustName(t, newName(t)).String(), Options{}, ErrNotFound) // evicts it
		settle()
		hold(n.record(1, pathA), f.net.Servers...)
		f.fails(rec.Name().String(), Options{}, nil)
		settle()
		hold(rec, f.net.Servers[9])
		f.leads(rec.Name(), Options{NoCache: true}, pathB)
	})
}
