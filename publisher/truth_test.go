package publisher_test

import (
	"context"
	"errors"
	"math"
	"testing"
	"testing/synctest"
	"time"

	"github.com/goipns/ipns"
	"github.com/goipns/ipns/names"
	"github.com/goipns/ipns/publisher"
	"github.com/goipns/ipns/recordstore"
	"github.com/goipns/ipns/recordstore/recordstoretest"
	"github.com/goipns/ipns/routing/routingtest"
)

// TestPublishAnswersTruthfully combines every result of an announcement with every Wait.
// R10, V6, F1.
func TestPublishAnswersTruthfully(t *testing.T) {
	nets := map[string]func(*routingtest.Network){
		"all take it":     func(*routingtest.Network) {},
		"12 of 20 refuse": func(n *routingtest.Network) { spoil(n, 12, routingtest.Refusing) },
		"19 of 20 refuse": func(n *routingtest.Network) { spoil(n, 19, routingtest.Refusing) },
		"all refuse":      func(n *routingtest.Network) { spoil(n, 20, routingtest.Refusing) },
		"nobody is there": func(n *routingtest.Network) { n.Servers = nil },
		"all are away":    func(n *routingtest.Network) { n.Servers, n.Expected = nil, true },
		"it fails":        func(n *routingtest.Network) { n.Fail = errFault },
	}
	for _, tt := range []struct {
		net  string
		wait publisher.Wait
		ok   bool
		held int
	}{
		{"all take it", publisher.WaitDefault, true, 20},
		{"all take it", publisher.WaitAll, true, 20},
		{"all take it", 20, true, 20},
		{"all take it", 21, false, 20},
		{"all take it", publisher.WaitStored, true, 20},
		{"12 of 20 refuse", publisher.WaitDefault, true, 8},
		{"12 of 20 refuse", 8, true, 8},
		{"12 of 20 refuse", 9, false, 8},
		{"12 of 20 refuse", publisher.WaitAll, false, 8},
		{"19 of 20 refuse", publisher.WaitDefault, true, 1},
		{"all refuse", publisher.WaitDefault, false, 0},
		{"all refuse", publisher.WaitStored, true, 0},
		{"all refuse", 1, false, 0},
		{"nobody is there", publisher.WaitDefault, true, 0}, // none was expected
		{"nobody is there", 1, false, 0},
		{"nobody is there", publisher.WaitAll, false, 0},
		{"nobody is there", publisher.WaitStored, true, 0},
		{"all are away", publisher.WaitDefault, false, 0},
		{"all are away", publisher.WaitStored, true, 0},
		{"it fails", publisher.WaitDefault, false, 0},
	} {
		t.Run(tt.net+"/"+tt.wait.String(), func(t *testing.T) {
			s := newSite(t, 20)
			nets[tt.net](s.net)
			res, err := s.Publish(t.Context(), s.key.Signer, publisher.Request{Value: "/ipfs/bafkqaaa", Wait: tt.wait})
			var not *publisher.NotAnnouncedError
			if ok := err == nil; ok != tt.ok || !ok && !errors.As(err, &not) {
				t.Fatalf("answer: %v", err)
			}
			// Whatever the answer, it is true: the record is stored, and the receipt says
			// who took it.
			e, err := s.Book.Get(t.Context(), s.key.Name)
			if err != nil || res.Record == nil || e.Record.Hash() != res.Record.Hash() {
				t.Fatalf("the record of the answer is not stored: %v", err)
			}
			if tt.wait != publisher.WaitStored && res.Alone != (tt.net == "nobody is there") {
				t.Errorf("the answer says alone: %v", res.Alone)
			}
			if not != nil && not.Result.Record.Hash() != e.Record.Hash() {
				t.Error("the error has another record")
			}
			if err := s.Close(t.Context()); err != nil {
				t.Fatal(err)
			}
			if n := s.net.Holders(res.Record); n != tt.held || res.Receipt.Took("") > n {
				t.Errorf("%d hold the record, want %d; the receipt says %v", n, tt.held, res.Receipt)
			}
			if res.Complete && res.Receipt.Took("") != tt.held {
				t.Errorf("the receipt says %v, %d hold it", res.Receipt, tt.held)
			}
			for network, target := range res.Receipt.Refused() {
				if target.Reason == "" {
					t.Errorf("%s on %s refused without a reason", target.Target, network)
				}
			}
			u, err := s.Book.Upkeep(t.Context(), s.key.Name)
			if err != nil || u.Holders != tt.held || u.Announced != res.Record.Hash() || tt.held == 0 && u.LastErr == "" {
				t.Errorf("noted: %+v, %v", u, err)
			}
			if k, _ := u.Receipt.Announced(); k != tt.held {
				t.Errorf("noted receipt: %v", u.Receipt)
			}
		})
	}
}

func spoil(n *routingtest.Network, count int, fault routingtest.Fault) {
	for _, s := range n.Servers[:count] {
		s.Fault = fault
	}
}

// TestPutAnswersTruthfully puts records that were signed elsewhere. R10.
func TestPutAnswersTruthfully(t *testing.T) {
	s := newSite(t, 20)
	k := recordstoretest.NewKey(t)
	second := k.Record(t, 2, "/ipfs/bafkqaaa/2", epoch.Add(time.Hour))
	for _, tt := range []struct {
		what    string
		rec     *ipns.Record
		err     error
		outcome names.Outcome
	}{
		{"new", second, nil, names.New},
		{"the same", second, nil, names.Same},
		{"older", k.Record(t, 1, "/ipfs/bafkqaaa/1", epoch.Add(2*time.Hour)), publisher.ErrOlder, 0},
		{"shorter", k.Record(t, 2, "/ipfs/bafkqaaa/2", epoch.Add(time.Minute)), publisher.ErrOlder, 0},
		{"expired", k.Record(t, 3, "/ipfs/bafkqaaa/3", epoch), ipns.ErrExpired, 0},
		{"newer", k.Record(t, 3, "/ipfs/bafkqaaa/3", epoch.Add(time.Hour)), nil, names.New},
	} {
		res, err := s.Put(t.Context(), tt.rec, publisher.PutRequest{Wait: publisher.WaitAll})
		if !errors.Is(err, tt.err) || res.Outcome != tt.outcome {
			t.Errorf("%s: %v, %v", tt.what, res.Outcome, err)
		}
		if held := s.net.Holders(tt.rec); (held == 20) != (err == nil) && tt.what != "older" {
			t.Errorf("%s: %d servers hold it, %v", tt.what, held, err)
		}
	}
	if e, err := s.Book.Get(t.Context(), k.Name); err != nil || e.Origin != recordstore.Hosted {
		t.Errorf("entry: %v, %v", e.Origin, err)
	}
}

// TestConditions covers everything that decides whether and how the next record is made.
func TestConditions(t *testing.T) {
	seq := func(n uint64) *uint64 { return &n }
	base := publisher.Request{Value: "/ipfs/bafkqaaa", Wait: publisher.WaitStored}
	with := func(f func(*publisher.Request)) publisher.Request { r := base; f(&r); return r }
	for _, tt := range []struct {
		what string
		req  publisher.Request
		seq  uint64 // after one record with base and sequence 5
		err  error
	}{
		{"the same again", base, 5, nil},
		{"longer", with(func(r *publisher.Request) { r.Lifetime = new(72 * time.Hour) }), 5, nil},
		{"another value", with(func(r *publisher.Request) { r.Value += "/x" }), 6, nil},
		{"shorter: it would lose", with(func(r *publisher.Request) { r.Lifetime = new(time.Hour) }), 6, nil},
		{"another TTL", with(func(r *publisher.Request) { r.TTL = new(time.Hour) }), 6, nil},
		{"no TTL", with(func(r *publisher.Request) { r.TTL = new(time.Duration(0)) }), 6, nil},
		{"another form", with(func(r *publisher.Request) { r.Form = ipns.V2Only }), 6, nil},
		{"metadata", with(func(r *publisher.Request) { r.Metadata = ipns.Metadata{"_note": "x"} }), 6, nil},
		{"its own sequence", with(func(r *publisher.Request) { r.Sequence = seq(9) }), 9, nil},
		{"the last sequence", with(func(r *publisher.Request) { r.Sequence = seq(5) }), 0, publisher.ErrSequenceLow},
		{"a lower sequence", with(func(r *publisher.Request) { r.Sequence = seq(1) }), 0, publisher.ErrSequenceLow},
		{"a sequence nobody reads", with(func(r *publisher.Request) { r.Sequence = seq(math.MaxInt64 + 1) }), 0, ipns.ErrSequence},
		{"the same, forced", with(func(r *publisher.Request) { r.Sequence, r.Force = seq(math.MaxInt64+1), true }), math.MaxInt64 + 1, nil},
		{"if it is 5", with(func(r *publisher.Request) { r.Value += "/x"; r.IfSequence = seq(5) }), 6, nil},
		{"TTL above the lifetime", with(func(r *publisher.Request) { r.Lifetime, r.TTL = new(time.Minute), new(time.Hour) }), 0, publisher.ErrLifetime},
		{"lifetime below zero", with(func(r *publisher.Request) { r.Lifetime = new(-time.Hour) }), 0, publisher.ErrLifetime},
		{"lifetime of zero", with(func(r *publisher.Request) { r.Lifetime = new(time.Duration(0)) }), 0, publisher.ErrLifetime},
		{"negative TTL", with(func(r *publisher.Request) { r.TTL = new(-time.Hour) }), 0, publisher.ErrLifetime},
		{"value that is no path", with(func(r *publisher.Request) { r.Value = "hello" }), 0, ipns.ErrValue},
	} {
		s := newSite(t, 0)
		first := with(func(r *publisher.Request) { r.Sequence = seq(5) })
		if _, err := s.Publish(t.Context(), s.key.Signer, first); err != nil {
			t.Fatal(err)
		}
		before, _ := s.Book.Get(t.Context(), s.key.Name)
		res, err := s.Publish(t.Context(), s.key.Signer, tt.req)
		if !errors.Is(err, tt.err) || err == nil && res.Record.Sequence() != tt.seq {
			t.Errorf("%s: %v, sequence %v", tt.what, err, res.Record)
		}
		after, _ := s.Book.Get(t.Context(), s.key.Name)
		if err != nil && after.Version != before.Version {
			t.Errorf("%s: was refused but changed something", tt.what)
		}
		if err == nil && ipns.Compare(after.Record, before.Record) < 0 {
			t.Errorf("%s: the new record loses against the old one", tt.what)
		}
	}
}

// TestIfSequence: the loser of a race gets both values.
func TestIfSequence(t *testing.T) {
	s := newSite(t, 0)
	zero := uint64(0)
	req := publisher.Request{Value: "/ipfs/bafkqaaa/b", IfSequence: &zero, Wait: publisher.WaitStored}
	var conflict *publisher.IfSequenceError
	if _, err := s.Publish(t.Context(), s.key.Signer, req); !errors.As(err, &conflict) || conflict.Current != nil {
		t.Fatalf("on a name without a record: %v", err)
	}
	stored := func(r *publisher.Request) { r.Wait = publisher.WaitStored }
	s.publish(t, "/ipfs/bafkqaaa/a", stored)
	if _, err := s.Publish(t.Context(), s.key.Signer, req); err != nil {
		t.Fatal(err)
	}
	req.Value = "/ipfs/bafkqaaa/c"
	_, err := s.Publish(t.Context(), s.key.Signer, req)
	if !errors.As(err, &conflict) || conflict.Value != "/ipfs/bafkqaaa/c" || conflict.Current.Value() != "/ipfs/bafkqaaa/b" || conflict.Current.Sequence() != 1 {
		t.Fatalf("the loser was told: %v", err)
	}
}

// TestSequenceDoesNotOverflow ends at the highest sequence. F2.
func TestSequenceDoesNotOverflow(t *testing.T) {
	s := newSite(t, 0)
	last := uint64(math.MaxUint64)
	stored := func(r *publisher.Request) { r.Wait, r.Force = publisher.WaitStored, true }
	s.publish(t, "/ipfs/bafkqaaa", stored, func(r *publisher.Request) { r.Sequence = &last })
	_, err := s.Publish(t.Context(), s.key.Signer, publisher.Request{Value: "/ipfs/bafkqaaa/next", Force: true})
	if !errors.Is(err, ipns.ErrSequence) {
		t.Fatalf("publishing after the last sequence: %v", err)
	}
}

// TestUnknownSequenceIsRefused publishes with a key that came from elsewhere. V4, F9.
func TestUnknownSequenceIsRefused(t *testing.T) {
	seven := func(t *testing.T, s *site) *ipns.Record {
		return s.key.Record(t, 7, "/ipfs/bafkqaaa/seven", epoch.Add(time.Hour))
	}
	for _, tt := range []struct {
		what    string
		net     func(*testing.T, *site)
		refused bool
		seq     uint64
	}{
		{"nobody has it", func(*testing.T, *site) {}, false, 0},
		{"the network has it", func(t *testing.T, s *site) { hold(s, seven(t, s), 20) }, false, 8},
		{"one server has it", func(t *testing.T, s *site) { hold(s, seven(t, s), 1) }, false, 8},
		{"it expired", func(t *testing.T, s *site) {
			if _, err := s.Book.Take(t.Context(), s.key.Record(t, 9, "/ipfs/bafkqaaa", epoch.Add(-time.Hour)), names.Entrance{Origin: recordstore.Own}); err != nil {
				t.Fatal(err)
			}
		}, false, 10},
		{"it was seen", func(t *testing.T, s *site) {
			if _, err := s.Book.Take(t.Context(), s.key.Record(t, 4, "/ipfs/bafkqaaa", epoch.Add(time.Hour)), names.Entrance{Origin: recordstore.Seen}); err != nil {
				t.Fatal(err)
			}
		}, false, 5},
		{"nobody answers", func(_ *testing.T, s *site) { s.net.Fail = errFault }, true, 0},
		{"too few answer", func(_ *testing.T, s *site) { s.net.Timeout = time.Millisecond; spoil(s.net, 18, routingtest.Dead) }, true, 0},
		{"nobody is there", func(_ *testing.T, s *site) { s.net.Servers = nil }, true, 0},
		{"no network", func(_ *testing.T, s *site) { s.Router = nil }, true, 0},
	} {
		t.Run(tt.what, func(t *testing.T) {
			s := newSite(t, 20)
			s.key = recordstoretest.NewKey(t) // without an entry
			tt.net(t, s)
			req := publisher.Request{Value: "/ipfs/bafkqaaa/mine", Wait: publisher.WaitStored}
			res, err := s.Publish(t.Context(), s.key.Signer, req)
			if tt.refused != errors.Is(err, publisher.ErrUnknownSequence) || !tt.refused && err != nil {
				t.Fatalf("answer: %v", err)
			}
			if !tt.refused {
				if res.Record.Sequence() != tt.seq {
					t.Fatalf("sequence %d, want %d", res.Record.Sequence(), tt.seq)
				}
				searches := s.net.Counts().Searches
				s.publish(t, "/ipfs/bafkqaaa/next", func(r *publisher.Request) { r.Wait = publisher.WaitStored })
				if s.net.Counts().Searches != searches {
					t.Error("searched again for a known sequence")
				}
				return
			}
			forced := req
			forced.Force = true
			if res, err := s.Publish(t.Context(), s.key.Signer, forced); err != nil || len(res.Warnings) == 0 {
				t.Errorf("forced: %v, warnings %q", err, res.Warnings)
			}
			if _, err := s.Publish(t.Context(), s.key.Signer, req); !errors.Is(err, publisher.ErrUnknownSequence) {
				t.Errorf("a forced publish made the sequence known: %v", err)
			}
			hundred, named := uint64(100), req
			named.Sequence = &hundred
			if res, err := s.Publish(t.Context(), s.key.Signer, named); err != nil || res.Record.Sequence() != 100 || len(res.Warnings) == 0 {
				t.Errorf("with a sequence: %v, %v, warnings %q", res.Record, err, res.Warnings)
			}
			req.Value = "/ipfs/bafkqaaa/next"
			if res, err := s.Publish(t.Context(), s.key.Signer, req); err != nil || res.Record.Sequence() != 101 {
				t.Errorf("after one with a given sequence: %v, %v", res.Record, err)
			}
		})
	}
}

// hold stores a record on some of the servers that should have it.
func hold(s *site, rec *ipns.Record, count int) {
	for _, server := range s.net.Closest(rec.Name())[:count] {
		server.Hold(rec.Name(), rec.Raw())
	}
}

// TestProgress: a waiting publish reports each ack, and nothing after it has returned.
func TestProgress(t *testing.T) {
	s := newSite(t, 20)
	took := 0
	returned := false
	s.publish(t, "/ipfs/bafkqaaa", func(r *publisher.Request) {
		r.Wait = 5
		r.OnProgress = func(res publisher.Result) {
			if returned {
				t.Error("progress after the answer")
			}
			took = res.Receipt.Took("")
		}
	})
	returned = true
	if took < 5 {
		t.Errorf("told of %d acks before the answer", took)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	if err := s.Close(ctx); err != nil {
		t.Fatal(err)
	}
}

// By default a publish returns once enough servers took the record, and counts those that
// take it shortly after.
func TestWaitDefaultLingers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newSite(t, 20)
		near := s.net.Closest(s.key.Name)
		for _, server := range near[10:19] {
			server.Delay = 100 * time.Millisecond
		}
		near[19].Delay = time.Minute
		begin := time.Now()
		res := s.publish(t, "/ipfs/bafkqaaa")
		if k, _ := res.Receipt.Announced(); k != 19 || res.Complete {
			t.Errorf("announced to %d, complete %v", k, res.Complete)
		}
		if d := time.Since(begin); d == 0 || d >= time.Second {
			t.Errorf("answered after %v", d)
		}
	})
}
