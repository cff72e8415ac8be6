package republisher_test

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/goipns/ipns"
	"github.com/goipns/ipns/names"
	"github.com/goipns/ipns/recordstore"
	"github.com/goipns/ipns/recordstore/recordstoretest"
	"github.com/goipns/ipns/routing"
)

// asking is a network that answers for many names at once, and counts its calls.
type asking struct {
	*cloud

	state          sync.Mutex // guards all below
	asks, searches int
	err            error // the error for each name; nil: none
}

// count increments a counter and returns the error for each name.
func (a *asking) count(n *int) error {
	a.state.Lock()
	defer a.state.Unlock()
	*n++
	return a.err
}

// recover makes the network answer for all names from now on.
func (a *asking) recover() {
	a.state.Lock()
	defer a.state.Unlock()
	a.err = nil
}

func (a *asking) Ask(ctx context.Context, region routing.Region, list iter.Seq[ipns.Name], _ int) iter.Seq2[routing.Finding, error] {
	err := a.count(&a.asks)
	return func(yield func(routing.Finding, error) bool) {
		last := region.First()
		for name := range list {
			if kad := name.Kad(); !region.Contains(kad) || last.Compare(kad) > 0 {
				a.t.Errorf("%x asked for in %v after %x", kad[:4], region, last[:4])
			} else {
				last = kad
			}
			if f := routing.Find(ctx, a.cloud, name); !yield(routing.Finding{Name: name, Record: f.Record, Err: err}, nil) {
				return
			}
		}
	}
}

func (a *asking) Search(ctx context.Context, name ipns.Name) iter.Seq2[routing.Answer, error] {
	err := a.count(&a.searches)
	return func(yield func(routing.Answer, error) bool) {
		if err != nil {
			yield(routing.Answer{}, err)
			return
		}
		a.cloud.Search(ctx, name)(yield)
	}
}

// TestRestoredNamesAreAskedForFirst: nothing from a restored store is announced or
// renewed before the network was asked for newer records. Then the newest records are
// kept alive, whether or not they were signed here, and the others are replaced.
func TestRestoredNamesAreAskedForFirst(t *testing.T) {
	for _, count := range []int{3, 2000} {
		t.Run(fmt.Sprint(count, " names"), func(t *testing.T) {
			keys, sectors := crowd(t, count)
			synctest.Test(t, func(t *testing.T) {
				s := newSite(t, 0)
				net := &asking{cloud: newCloud(t, s)}
				s.Router = net
				var old, newer []*ipns.Record
				for i, k := range keys {
					origin := recordstore.Own
					if i%3 == 2 {
						origin = recordstore.Hosted
					}
					eol := s.Now().Add(20 * time.Hour)
					old = append(old, s.add(t, k, ipns.Fields{Value: "/ipfs/bafkqaaa", Sequence: 5, EOL: eol}, ipns.V2Only, origin))
					if i%2 == 0 {
						rec, err := ipns.Sign(t.Context(), k.Signer, ipns.Fields{Value: "/ipfs/bafkqaaa/newer", Sequence: 6, EOL: eol}, ipns.V2Only)
						if err != nil {
							t.Fatal(err)
						}
						newer = append(newer, rec)
						net.offer(rec, 7) // 1 of 20 has it
					} else {
						newer = append(newer, nil)
					}
				}
				s.store.Renew()
				before := map[[32]byte]bool{}
				for _, rec := range newer {
					if rec != nil {
						before[rec.Hash()] = true
					}
				}
				time.Sleep(time.Second)
				defer s.run(t)()
				time.Sleep(11 * time.Hour)
				_, put := net.seen()
				for i, rec := range old {
					e := s.entry(t, rec.Name())
					switch {
					case newer[i] == nil:
						if put[rec.Hash()] == 0 || e.Record.Value() != rec.Value() || e.Record.Sequence() != 5 {
							t.Fatalf("%v was put %d times, now is %v", rec, put[rec.Hash()], e.Record)
						}
					case put[rec.Hash()] > 0:
						t.Fatal("a record was announced though the network has a newer one")
					case e.Record.Value() != newer[i].Value():
						t.Fatalf("the newer record did not come in: %v", e.Record)
					}
					if e.Origin == recordstore.Own && (!e.Record.EOL().After(rec.EOL()) || e.Record.Sequence() != e.Mark.Sequence) {
						t.Fatalf("an own record was not renewed: %v", e.Record)
					}
				}
				if most := sectors * 2 * 2; count > 1000 && (net.asks > most || net.searches > len(keys)/10) {
					t.Errorf("%d visits of sectors and %d searches for %d names", net.asks, net.searches, len(keys))
				}
				if count < 10 && net.searches != count {
					t.Errorf("%d searches for %d names", net.searches, count)
				}
			})
		})
	}
}

// TestRestoredOwnNamesAreAskedForAtOnce, even before they are due, since the records that
// this node returns for them may be old.
func TestRestoredOwnNamesAreAskedForAtOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newSite(t, 0)
		net := newCloud(t, s)
		k := recordstoretest.KeyFromSeed(t, 1)
		s.add(t, k, ipns.Fields{Value: "/ipfs/bafkqaaa", Sequence: 5}, ipns.V2Only, recordstore.Own)
		stop := s.run(t)
		time.Sleep(10 * time.Minute)
		stop()
		newer, err := ipns.Sign(t.Context(), k.Signer, ipns.Fields{Value: "/ipfs/bafkqaaa/newer", Sequence: 6, EOL: s.Now().Add(48 * time.Hour)}, ipns.V2Only)
		if err != nil {
			t.Fatal(err)
		}
		net.offer(newer, 3)
		s.store.Renew()
		s.Touch()
		defer s.run(t)()
		time.Sleep(10 * time.Second)
		if e := s.entry(t, k.Name); e.Record.Value() != newer.Value() {
			t.Fatalf("10 s after the start: %v", e.Record)
		}
		if st := s.Status(); len(st.OtherWriters) > 0 {
			t.Errorf("a record that this node may have signed counts as another writer's: %v", st.OtherWriters)
		}
	})
}

// TestUnknownNamesAreNeitherPutNorRenewed while too few servers answer. This is reported,
// does not delay other names, and ends when servers answer.
func TestUnknownNamesAreNeitherPutNorRenewed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newSite(t, 0)
		net := &asking{cloud: newCloud(t, s), err: &routing.IncompleteError{Asked: 20, Answered: 5}}
		s.Router = net
		k, other := recordstoretest.KeyFromSeed(t, 1), recordstoretest.KeyFromSeed(t, 2)
		rec := s.add(t, k, ipns.Fields{Value: "/ipfs/bafkqaaa", EOL: s.Now().Add(10 * time.Hour)}, ipns.V2Only, recordstore.Own)
		s.store.Renew()
		fresh := s.add(t, other, ipns.Fields{Value: "/ipfs/bafkqaaa"}, ipns.V2Only, recordstore.Own)
		time.Sleep(time.Minute)
		if _, err := s.Renew(t.Context(), s.entry(t, k.Name)); !errors.Is(err, names.ErrUnknownSequence) {
			t.Fatalf("Renew: %v", err)
		}
		defer s.run(t)()
		time.Sleep(9 * time.Hour)
		_, put := net.seen()
		if put[rec.Hash()] > 0 || s.entry(t, k.Name).Record != rec {
			t.Fatal("a name that too few answer for was put or renewed")
		}
		if put[fresh.Hash()] == 0 {
			t.Fatal("another name was not put")
		}
		if net.searches > 20 {
			t.Errorf("%d searches in 9 hours", net.searches)
		}
		st := s.Status()
		if len(st.AtRisk) != 1 || !strings.Contains(st.AtRisk[0].Reason, "only 5 of 20 servers answered") {
			t.Fatalf("at risk: %+v", st.AtRisk)
		}
		net.recover()
		time.Sleep(time.Hour + time.Minute)
		if e := s.entry(t, k.Name); e.Record == rec || e.Record.Value() != rec.Value() || net.holders(e.Record) != 20 {
			t.Fatalf("an hour after servers answer: %v, %d holders", e.Record, net.holders(e.Record))
		}
	})
}

// TestBackAfterTenDays starts with own records that have expired, on a network that is
// joined shortly after. A minute after the start, the network has them again.
func TestBackAfterTenDays(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newSite(t, 0)
		net := newCloud(t, s)
		there := false
		net.misbehave = func(ipns.Name, int) error {
			net.mu.Lock()
			defer net.mu.Unlock()
			if there {
				return nil
			}
			return routing.ErrNoTargets
		}
		var list []ipns.Name
		for i := range 300 {
			k := recordstoretest.KeyFromSeed(t, uint64(i))
			list = append(list, k.Name)
			s.add(t, k, ipns.Fields{Value: "/ipfs/bafkqaaa"}, ipns.V2Only, recordstore.Own)
		}
		time.Sleep(240 * time.Hour)
		joined := make(chan struct{}, 1)
		s.Joined = joined
		defer s.run(t)()
		time.Sleep(30 * time.Second)
		net.mu.Lock()
		there = true
		net.mu.Unlock()
		joined <- struct{}{}
		time.Sleep(10 * time.Second)
		back := 0
		for _, name := range list {
			if rec := s.entry(t, name).Record; !rec.Expired(s.Now()) && net.holders(rec) == 20 {
				back++
			}
		}
		if back != len(list) {
			t.Errorf("%d of %d names are back 10 s after joining, 40 s after the start", back, len(list))
		}
	})
}

// TestJoiningAgainEndsTheWait: a name that could not be put is put soon after the network
// is back, without waiting for a pause to end.
func TestJoiningAgainEndsTheWait(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newSite(t, 0)
		net := newCloud(t, s)
		away := true
		net.misbehave = func(ipns.Name, int) error {
			net.mu.Lock()
			defer net.mu.Unlock()
			if away {
				return routing.ErrNoTargets
			}
			return nil
		}
		k := recordstoretest.KeyFromSeed(t, 1)
		rec := s.add(t, k, ipns.Fields{Value: "/ipfs/bafkqaaa"}, ipns.V2Only, recordstore.Own)
		joined := make(chan struct{}, 1)
		s.Joined = joined
		defer s.run(t)()
		time.Sleep(6 * time.Minute)
		net.mu.Lock()
		away = false
		net.mu.Unlock()
		joined <- struct{}{}
		time.Sleep(10 * time.Second)
		if n := net.holders(rec); n != 20 {
			t.Fatalf("%d of 20 hold it 10 s after joining: %+v", n, s.upkeep(t, k.Name))
		}
	})
}
