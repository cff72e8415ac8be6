package publisher_test

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/goipns/ipns"
	"github.com/goipns/ipns/names"
	"github.com/goipns/ipns/publisher"
	"github.com/goipns/ipns/recordstore"
	"github.com/goipns/ipns/republisher"
	"github.com/goipns/ipns/routing"
)

// second returns another node with the same key, on the same network, that has none of
// the first node's records.
func (s *site) second(t *testing.T) *site {
	t.Helper()
	other := &site{net: s.net, store: recordstore.NewMemory(), key: s.key}
	other.Publisher = &publisher.Publisher{Book: &names.Book{Store: other.store, Now: s.Now}, Router: s.net, Now: s.Now}
	if err := other.Book.Create(t.Context(), s.key.Name); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { other.Close(context.WithoutCancel(t.Context())) })
	return other
}

func (s *site) entry(t *testing.T) recordstore.Entry {
	t.Helper()
	e, err := s.Book.Get(t.Context(), s.key.Name)
	if err != nil {
		t.Fatal(err)
	}
	return e
}

const (
	mine   = "/ipfs/bafkqaaa/mine"
	theirs = "/ipfs/bafkqaaa/theirs"
)

func TestPublishRisesAboveARival(t *testing.T) {
	for _, tt := range []struct {
		what     string
		sequence uint64 // of the rival; the next here is 1
		holders  int
		want     uint64
	}{
		{"with the same sequence", 1, 20, 2},
		{"with the same sequence, on few", 1, 2, 2},
		{"two apart", 2, 20, 3},
		{"far ahead", 40, 20, 41},
		{"far ahead, on one server", 40, 1, 41},
	} {
		t.Run(tt.what, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := newSite(t, 20)
				s.publish(t, mine, func(r *publisher.Request) { r.Wait = publisher.WaitAll })
				rival := s.key.Record(t, tt.sequence, theirs, epoch.Add(100*time.Hour))
				hold(s, rival, tt.holders)
				var stored []uint64
				took := 0
				res := s.publish(t, mine+"/2", func(r *publisher.Request) {
					r.Wait = publisher.WaitAll
					r.OnProgress = func(res publisher.Result) {
						if seq := res.Record.Sequence(); len(stored) == 0 || stored[len(stored)-1] != seq {
							stored = append(stored, seq)
						}
						took = res.Receipt.Took("")
					}
				})
				if res.Record.Sequence() != tt.want || res.Record.Value() != mine+"/2" {
					t.Errorf("%s has sequence %d, want %d", res.Record.Value(), res.Record.Sequence(), tt.want)
				}
				if len(res.Rivals) != 1 || res.Rivals[0].Value() != theirs {
					t.Errorf("rivals %v", res.Rivals)
				}
				if len(stored) != 2 || stored[1] != tt.want || took != 20 {
					t.Errorf("told of %v, and that %d took it", stored, took)
				}
				if n := s.net.Holders(res.Record); n != 20 || res.Receipt.Took("wan") != 20 {
					t.Errorf("%d hold it, %v", n, res.Receipt)
				}
				e := s.entry(t)
				if e.Record.Hash() != res.Record.Hash() || e.Rival == nil || e.Rival.Value() != theirs {
					t.Errorf("the Book has %v, rival %v", e.Record.Value(), e.Rival)
				}
				// The next publish knows the rival, and does not report it again.
				if next := s.publish(t, mine+"/3"); len(next.Rivals) > 0 || next.Record.Sequence() != tt.want+1 || s.entry(t).Rival != nil {
					t.Errorf("the next one has sequence %d and rivals %v", next.Record.Sequence(), next.Rivals)
				}
			})
		})
	}
}

// A rival below the new record is reported too.
func TestPublishTellsOfARivalBelow(t *testing.T) {
	s := newSite(t, 20)
	s.publish(t, mine, func(r *publisher.Request) { r.Wait = publisher.WaitAll })
	hold(s, s.key.Record(t, 0, theirs, epoch.Add(100*time.Hour)), 3)
	res := s.publish(t, mine+"/2", func(r *publisher.Request) { r.Wait = publisher.WaitAll })
	if res.Record.Sequence() != 1 || len(res.Rivals) != 1 || res.Rivals[0].Value() != theirs {
		t.Errorf("sequence %d, rivals %v", res.Record.Sequence(), res.Rivals)
	}
}

// So is one that entered the Book before the publish, once.
func TestPublishTellsOfARivalThatTheBookKnew(t *testing.T) {
	s := newSite(t, 20)
	s.publish(t, mine, func(r *publisher.Request) { r.Wait = publisher.WaitAll })
	rival := s.key.Record(t, 3, theirs, epoch.Add(100*time.Hour))
	hold(s, rival, 20)
	if _, err := s.Book.Take(t.Context(), rival, names.Entrance{}); err != nil {
		t.Fatal(err)
	}
	for i, want := range []int{1, 0} {
		res := s.publish(t, fmt.Sprintf("%s/%d", mine, i), func(r *publisher.Request) { r.Wait = publisher.WaitAll })
		if len(res.Rivals) != want || want > 0 && res.Rivals[0].Value() != theirs {
			t.Errorf("publish %d with sequence %d told of %v", i, res.Record.Sequence(), res.Rivals)
		}
	}
}

func TestOwnRecordsAreNoRivals(t *testing.T) {
	s := newSite(t, 20)
	for i, value := range []string{mine, mine, mine + "/2", mine} {
		res := s.publish(t, value, func(r *publisher.Request) { r.Wait = publisher.WaitAll })
		if len(res.Rivals) > 0 {
			t.Errorf("publish %d met %v", i, res.Rivals)
		}
		hold(s, s.key.Record(t, 0, mine, epoch.Add(time.Hour)), i) // servers that were away for a long time
	}
}

// Run, which starts at the same time, finds the record in the Book before the publish
// announces it. It must leave that to the publish, which looks for rivals.
func TestPublishMeetsARivalWhileRunStarts(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newSite(t, 20)
		hold(s, s.key.Record(t, 40, theirs, epoch.Add(100*time.Hour)), 20)
		run, stop := context.WithCancel(t.Context())
		ran := make(chan struct{})
		var once sync.Once
		s.SetStep(func(step string) error {
			switch step {
			case "answer":
				once.Do(func() {
					go func() { defer close(ran); s.Run(run) }()
					synctest.Wait()
				})
			case "announce":
				time.Sleep(time.Second) // an announcement by Run would still be under way
			}
			return nil
		})
		res := s.publish(t, mine, func(r *publisher.Request) { r.Wait = publisher.WaitAll })
		if res.Record.Sequence() != 41 || len(res.Rivals) != 1 || res.Rivals[0].Value() != theirs {
			t.Errorf("sequence %d, rivals %v", res.Record.Sequence(), res.Rivals)
		}
		stop()
		<-ran
	})
}

// A publish with a given sequence is never made with another one, and one with RivalStop
// signs nothing.
func TestPublishGivesWayToARival(t *testing.T) {
	three, zero := uint64(3), uint64(0)
	for _, tt := range []struct {
		what   string
		change func(*publisher.Request)
		signed bool
	}{
		{"stop", func(r *publisher.Request) { r.OnRival = publisher.RivalStop }, false},
		{"a sequence", func(r *publisher.Request) { r.Sequence = &three }, true},
		{"if sequence", func(r *publisher.Request) { r.IfSequence = &zero }, true},
	} {
		t.Run(tt.what, func(t *testing.T) {
			s := newSite(t, 20)
			s.publish(t, mine, func(r *publisher.Request) { r.Wait = publisher.WaitAll })
			rival := s.key.Record(t, 5, theirs, epoch.Add(100*time.Hour))
			hold(s, rival, 20)
			_, err := s.Publish(t.Context(), s.key.Signer, changed(mine+"/2", tt.change))
			var lost *publisher.RivalError
			if !errors.As(err, &lost) || lost.Rival.Hash() != rival.Hash() || (lost.Signed != nil) != tt.signed || lost.Raised != 0 {
				t.Fatalf("%v", err)
			}
			if !strings.Contains(err.Error(), theirs) || !strings.Contains(err.Error(), "not published") {
				t.Errorf("the error says %q", err)
			}
			if e := s.entry(t); e.Record.Hash() != rival.Hash() || e.Rival == nil || s.net.Holders(rival) != 20 {
				t.Errorf("the Book has %v, rival %v", e.Record.Value(), e.Rival)
			}
		})
	}
}

// A rival that is known already, since this node serves the DHT or has announced the name, stops a publish
// as one does that a search finds.
func TestStopHeedsARivalThatIsKnown(t *testing.T) {
	s := newSite(t, 20)
	s.publish(t, mine, func(r *publisher.Request) { r.Wait = publisher.WaitAll })
	rival := s.key.Record(t, 5, theirs, epoch.Add(100*time.Hour))
	if _, err := s.Book.Take(t.Context(), rival, names.Entrance{Origin: recordstore.Seen}); err != nil {
		t.Fatal(err)
	}
	for range 2 { // it goes on to be one
		_, err := s.Publish(t.Context(), s.key.Signer, publisher.Request{Value: mine + "/2", OnRival: publisher.RivalStop})
		var lost *publisher.RivalError
		if !errors.As(err, &lost) || lost.Rival.Hash() != rival.Hash() || lost.Signed != nil {
			t.Fatalf("%v", err)
		}
	}
	if res := s.publish(t, mine+"/2"); res.Record.Sequence() != 6 {
		t.Errorf("sequence %d replaces it", res.Record.Sequence())
	}
	if _, err := s.Publish(t.Context(), s.key.Signer, publisher.Request{Value: mine + "/3", OnRival: publisher.RivalStop}); err != nil {
		t.Errorf("it was replaced, but still stops: %v", err)
	}
}

// An inconclusive search cannot rule out a rival.
func TestStopNeedsACompleteSearch(t *testing.T) {
	s := newSite(t, 20)
	s.publish(t, mine)
	s.net.Fail = errFault
	_, err := s.Publish(t.Context(), s.key.Signer, publisher.Request{Value: mine + "/2", OnRival: publisher.RivalStop})
	if !errors.Is(err, errFault) || s.entry(t).Record.Value() != mine {
		t.Fatalf("%v", err)
	}
	res, err := s.Publish(t.Context(), s.key.Signer, publisher.Request{Value: mine + "/2", OnRival: publisher.RivalStop, Force: true, Wait: publisher.WaitStored})
	if err != nil || res.Record.Value() != mine+"/2" {
		t.Fatalf("forced: %v", err)
	}
}

// relentless makes someone else publish before each put arrives.
type relentless struct {
	*site
	puts atomic.Int32
}

func (r *relentless) Put(ctx context.Context, rec *ipns.Record, look routing.Look) iter.Seq2[routing.Ack, error] {
	r.puts.Add(1)
	return func(yield func(routing.Ack, error) bool) {
		theirs, err := ipns.Sign(ctx, r.key.Signer, ipns.Fields{Value: theirs, Sequence: rec.Sequence() + 1, EOL: epoch.Add(100 * time.Hour)}, ipns.V1V2)
		if err != nil {
			yield(routing.Ack{}, err)
			return
		}
		hold(r.site, theirs, 20)
		r.net.Put(ctx, rec, look)(yield)
	}
}

func (r *relentless) Search(ctx context.Context, name ipns.Name) iter.Seq2[routing.Answer, error] {
	return r.net.Search(ctx, name)
}

func TestPublishGivesUpAfterThreeRaises(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newSite(t, 20)
		s.publish(t, mine, func(r *publisher.Request) { r.Wait = publisher.WaitAll })
		r := &relentless{site: s}
		s.Router = r
		res, err := s.Publish(t.Context(), s.key.Signer, publisher.Request{Value: mine + "/2"})
		var lost *publisher.RivalError
		if !errors.As(err, &lost) || lost.Raised != 3 || lost.Rival.Sequence() != 8 || r.puts.Load() != 4 {
			t.Fatalf("after %d puts: %v", r.puts.Load(), err)
		}
		if len(res.Rivals) != 4 {
			t.Errorf("met %v", res.Rivals)
		}
		u, err := s.Book.Upkeep(t.Context(), s.key.Name)
		if err != nil || !strings.Contains(u.LastErr, theirs) || strings.Contains(u.LastErr, "keeps trying") {
			t.Errorf("noted: %q, %v", u.LastErr, err)
		}
	})
}

// A raise does not overtake a concurrent publish on this node.
func TestRaiseDoesNotOvertakeAPublishHere(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newSite(t, 20)
		s.publish(t, mine, func(r *publisher.Request) { r.Wait = publisher.WaitAll })
		hold(s, s.key.Record(t, 7, theirs, epoch.Add(100*time.Hour)), 20)
		var first sync.WaitGroup
		first.Go(func() { s.Publish(t.Context(), s.key.Signer, publisher.Request{Value: mine + "/2"}) })
		synctest.Wait() // has met the rival, and waits before it raises
		last := s.publish(t, mine+"/3", func(r *publisher.Request) { r.Wait = publisher.WaitAll })
		first.Wait()
		time.Sleep(time.Minute)
		if e := s.entry(t); e.Record.Hash() != last.Record.Hash() {
			t.Errorf("the Book has %s", e.Record.Value())
		}
	})
}

// Two nodes with one key publish at the same time. Within one republish period both know
// of the conflict, and the network has one value everywhere.
func TestTwoWritersKnowOfEachOtherWithinAPeriod(t *testing.T) {
	for _, delay := range []time.Duration{0, 30 * time.Millisecond, time.Minute, time.Hour} {
		t.Run(delay.String(), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				begin := time.Now()
				a := newSite(t, 20)
				a.Now = func() time.Time { return epoch.Add(time.Since(begin)) }
				a.Book.Now, a.net.Now, a.net.Opener = a.Now, a.Now, nil
				b := a.second(t)
				for i, s := range a.net.Servers {
					s.Delay = time.Duration(20+7*i%50) * time.Millisecond
				}
				ctx, cancel := context.WithCancel(t.Context())
				var parts sync.WaitGroup
				var results [2]publisher.Result
				for i, s := range []*site{a, b} {
					r := &republisher.Republisher{
						Book: s.Book, Router: s.net, Now: s.Now,
						Signers: func(context.Context, ipns.Name) (ipns.Signer, error) { return s.key.Signer, nil },
					}
					parts.Go(func() { s.Run(ctx) })
					parts.Go(func() { r.Run(ctx) })
					parts.Go(func() {
						time.Sleep(time.Duration(i) * delay)
						res, err := s.Publish(ctx, s.key.Signer, publisher.Request{Value: []string{mine, theirs}[i], Wait: publisher.WaitAll})
						if err != nil {
							t.Errorf("%d: %v", i, err)
						}
						results[i] = res
					})
				}
				time.Sleep(delay + publisher.DefaultRepublishPeriod*5/4)
				for i, s := range []*site{a, b} {
					if e := s.entry(t); e.Rival == nil && len(results[i].Rivals) == 0 {
						t.Errorf("%d has %s with sequence %d, and knows of no rival", i, e.Record.Value(), e.Record.Sequence())
					}
				}
				ea, eb := a.entry(t), b.entry(t)
				if ea.Record.Value() != eb.Record.Value() {
					t.Errorf("%s and %s", ea.Record.Value(), eb.Record.Value())
				}
				if n := a.net.Holders(ea.Record); n != 20 {
					t.Errorf("%d hold %s", n, ea.Record.Value())
				}
				cancel()
				parts.Wait()
			})
		})
	}
}

func changed(value string, change func(*publisher.Request)) publisher.Request {
	req := publisher.Request{Value: value}
	change(&req)
	return req
}
