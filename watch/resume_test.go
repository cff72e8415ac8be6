package watch_test

import (
	"context"
	"math/rand/v2"
	"testing"
	"testing/synctest"
	"time"

	"github.com/goipns/ipns"
	"github.com/goipns/ipns/names"
	"github.com/goipns/ipns/recordstore"
	"github.com/goipns/ipns/recordstore/recordstoretest"
	"github.com/goipns/ipns/watch"
)

// watcher is a reader that keeps what it was told, leaves and comes back.
type watcher struct {
	names []ipns.Name
	at    recordstore.Position
	told  map[ipns.Name]uint64 // the newest sequence, and one more
	begun map[ipns.Name]uint64 // what the Book had when it began
	leave func()
}

func (w *watcher) read(t *testing.T, n *watch.Names, pause time.Duration) {
	ctx, cancel := context.WithCancel(context.Background())
	over := make(chan struct{})
	go func() {
		defer close(over)
		for e, err := range n.Read(ctx, watch.Request{Since: w.at, Names: w.names, Caller: "c"}) {
			if err != nil {
				return
			}
			w.at = e.Position
			if e.Gap {
				t.Error("a gap")
			}
			if e.Kind&watch.Changed == 0 {
				continue
			}
			if next := e.Entry.Record.Sequence() + 1; next >= w.told[e.Entry.Name] {
				w.told[e.Entry.Name] = next
			} else {
				t.Errorf("sequence %d after %d", next, w.told[e.Entry.Name])
			}
			time.Sleep(pause)
		}
	}()
	w.leave = func() { cancel(); <-over }
}

// A reader that comes back gets the newest record of every name that changed, never an
// older after a newer one; slow readers too, and those that watch more than they can hold.
func TestAReaderThatResumesMissesNoNameAndNeverGoesBack(t *testing.T) {
	const many = watch.MaxPending + 50
	keys := make([]recordstoretest.Key, many)
	for i := range keys {
		keys[i] = recordstoretest.KeyFromSeed(t, uint64(i))
	}
	eol := epoch.Add(time.Hour)
	for seed := range uint64(60) {
		synctest.Test(t, func(t *testing.T) {
			random := rand.New(rand.NewPCG(seed, 0))
			store := recordstore.NewMemory()
			b := &names.Book{Store: store, Now: func() time.Time { return epoch }}
			n := &watch.Names{Book: b}
			newest := make(map[ipns.Name]uint64)
			put := func(i int) {
				k := keys[i]
				rec := k.Record(t, newest[k.Name], "/ipfs/bafkqaaa", eol)
				newest[k.Name]++
				if _, err := b.Take(context.Background(), rec, names.Entrance{Origin: recordstore.Hosted}); err != nil {
					t.Fatal(err)
				}
			}
			for range random.IntN(21) {
				put(random.IntN(8))
			}
			watchers := make([]*watcher, 3)
			for i := range watchers {
				w := &watcher{told: map[ipns.Name]uint64{}, begun: map[ipns.Name]uint64{}}
				for j := range i * 3 { // the first watches all
					w.names = append(w.names, keys[j].Name)
				}
				for name, next := range newest {
					w.begun[name] = next
				}
				w.read(t, n, 0)
				synctest.Wait()
				watchers[i] = w
			}
			for range 1 + random.IntN(30) {
				w := watchers[random.IntN(len(watchers))]
				switch random.IntN(5) {
				case 0:
					w.leave()
					w.read(t, n, time.Duration(random.IntN(2))*time.Millisecond)
				case 1: // while nobody reads
					for _, w := range watchers {
						w.leave()
					}
					put(random.IntN(8))
					for _, w := range watchers {
						w.read(t, n, 0)
					}
				case 2:
					if random.IntN(10) == 0 {
						for i := range many {
							put(i)
						}
					}
				default:
					for range 1 + random.IntN(5) {
						put(random.IntN(8))
					}
					if random.IntN(2) == 0 {
						synctest.Wait()
					}
				}
			}
			time.Sleep(time.Hour) // slow readers get there
			synctest.Wait()
			for i, w := range watchers {
				w.leave()
				of := w.names
				if len(of) == 0 {
					for name := range newest {
						of = append(of, name)
					}
				}
				for _, name := range of {
					if told := w.told[name]; told != newest[name] && newest[name] != w.begun[name] {
						t.Errorf("reader %d was told of %s up to %d, not %d", i, name, told, newest[name])
					}
				}
			}
			if readers, topics := n.Readers(); readers != 0 || topics != 0 {
				t.Errorf("%d readers of %d names stay", readers, topics)
			}
			if t.Failed() {
				t.Logf("seed %d", seed)
			}
		})
	}
}
