package resolver

import (
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/fxamacker/cbor/v2"
	"google.golang.org/protobuf/encoding/protowire"

	"github.com/goipns/ipns"
	"github.com/goipns/ipns/names"
	"github.com/goipns/ipns/publisher"
	"github.com/goipns/ipns/recordstore"
	"github.com/goipns/ipns/routing/routingtest"
)

// Each test in this file covers a fault of other implementations, described in its
// comment; docs/requirements.md lists them.

// V1, F7: a node keeps returning the old value from its cache after its own publish,
// until the TTL runs out.
func TestOwnPublishReplacesCachedValue(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f, n := newFixture(t), newName(t)
		now := func() time.Time { return time.Now().AddDate(30, 0, 0) }
		f.Now, f.Book.Now, f.net.Now = now, now, now
		pub := &publisher.Publisher{Book: f.Book, Router: f.net, Now: now}
		defer pub.Close(t.Context())
		if err := f.Book.Create(t.Context(), mustName(t, n)); err != nil {
			t.Fatal(err)
		}
		for i, value := range []string{pathA, pathB, pathC, pathA} {
			res, err := pub.Publish(t.Context(), ipns.NewSigner(n.key), publisher.Request{Value: value})
			if err != nil {
				t.Fatal(err)
			}
			// In such a cache each spelling of the name is a separate key.
			for _, spelling := range []string{res.Record.Name().String(), res.Record.Name().Path(), res.Record.Name().PeerID().String()} {
				got := f.resolve(spelling, Options{})
				if got.Path != value || got.Hops[0].Sequence != uint64(i) || got.TTL < 4*time.Minute {
					t.Errorf("after publishing %s: %+v", value, got)
				}
			}
		}
	})
}

// V5: two writers share a key and use the same sequence. Elsewhere, which record a reader
// gets changes with every renewal and from server to server. Here it is the one that
// Compare prefers, it never goes back, and the owner of the name can see the fork.
func TestTwoWritersDoNotFlipFlop(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f, n := newFixture(t), newName(t)
		f.net.Servers = f.net.Servers[:2]
		start := time.Now()
		own := n.sign(ipns.Fields{Value: pathA, Sequence: 1, TTL: time.Second, EOL: start.Add(10 * time.Hour)})
		f.take(own, recordstore.Own)
		var shown *ipns.Record
		for i := range 20 {
			// Both writers renew in turn, each on the server closest to it.
			which := i % 2
			rec := n.sign(ipns.Fields{
				Value: []string{pathA, pathB}[which], Sequence: 1, TTL: time.Second,
				EOL: start.Add(time.Duration(10+i) * time.Hour),
			})
			hold(rec, f.net.Servers[which])
			f.net.Servers[which].Delay, f.net.Servers[1-which].Delay = 50*time.Millisecond, time.Millisecond
			for _, c := range []Confidence{First, 1, All} {
				res := f.resolve(own.Name().String(), Options{Confidence: c, NoCache: true})
				if got := res.Hops[0].Record; shown != nil && ipns.Compare(got, shown) < 0 {
					t.Fatalf("turn %d: went back from EOL %v to %v", i, shown.EOL(), got.EOL())
				} else {
					shown = got
				}
				settle()
			}
			if ipns.Compare(shown, rec) != 0 {
				t.Errorf("turn %d: not the newest", i)
			}
		}
		e, err := f.Book.Get(t.Context(), own.Name())
		if err != nil || e.Forks == 0 || len(e.Rivals) != 1 || f.Book.Count(names.Fork) == 0 {
			t.Errorf("the fork is not to be seen: %+v, %v", e, err)
		}
		// A higher sequence ends it.
		f.take(n.record(2, pathC), recordstore.Own)
		for range 3 {
			f.leads(own.Name(), Options{Confidence: All, NoCache: true}, pathC)
			settle()
		}
	})
}

// V4, F9: a writer that lost its store starts again at sequence 0. A reader that has seen
// a higher sequence does not go back, and is not told that the name does not exist.
func TestSequenceResetIsNotShown(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f, n := newFixture(t), newName(t)
		hold(n.record(9, pathA), f.net.Servers...)
		f.leads(mustName(t, n), Options{}, pathA)
		settle()
		hold(n.record(0, pathB), f.net.Servers...)
		for range 3 {
			res, err := f.Resolve(t.Context(), mustName(t, n).String(), Options{NoCache: true, Confidence: All})
			if err != nil || res.Path != pathA || res.Hops[0].Agree != 0 {
				t.Errorf("%+v, %v", res, err) // good until its EOL, though no server has it
			}
			settle()
		}
		f.restart()
		f.fails(mustName(t, n).String(), Options{}, nil)
	})
}

// V8: elsewhere, an operator cannot see what the resolver does.
func TestResolvesAreCounted(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f, n := newFixture(t), newName(t)
		hold(n.record(1, pathA), f.net.Servers...)
		go f.Resolve(t.Context(), mustName(t, n).String(), Options{})
		synctest.Wait()
		if got := f.Stats(); got != (Stats{Searches: 1, Searching: 1}) {
			t.Errorf("while searching: %+v", got)
		}
		time.Sleep(delay)
		synctest.Wait()
		f.leads(mustName(t, n), Options{}, pathA)
		time.Sleep(6 * time.Minute)
		f.leads(mustName(t, n), Options{}, pathA) // stale, and searched
		settle()
		f.fails(mustName(t, newName(t)).String(), Options{}, ErrNotFound)
		short := n.sign(ipns.Fields{Value: pathB, Sequence: 2, EOL: time.Now().Add(time.Second)})
		hold(short, f.net.Servers...)
		f.leads(mustName(t, n), Options{NoCache: true}, pathB)
		synctest.Wait()
		time.Sleep(time.Second)
		f.fails(mustName(t, n).String(), Options{}, ErrExpired)
		f.net.Fail = errors.New("out of order")
		f.fails(mustName(t, newName(t)).String(), Options{}, f.net.Fail)
		f.net.Fail = nil
		for _, s := range f.net.Servers {
			s.Fault = routingtest.Dead
		}
		f.fails(mustName(t, newName(t)).String(), Options{}, nil)
		last := n.record(3, pathC)
		f.net.Servers[0].Fault = routingtest.Honest
		hold(last, f.net.Servers[0])
		f.leads(last.Name(), Options{NoCache: true}, pathC)
		settle()
		f.net.Servers[0].Fault = routingtest.Dead
		f.leads(last.Name(), Options{NoCache: true}, pathC)
		want := Stats{
			Cached: 2, Stale: 1, Searches: 9, Found: 4, Unconfirmed: 1, NotFound: 1, Expired: 1, Failed: 1, Unknown: 1, Names: 4,
		}
		if got := f.Stats(); got != want {
			t.Errorf("got  %+v\nwant %+v", got, want)
		}
	})
}

// V9: elsewhere, a search of half a minute blocks other names.
func TestSlowNameHoldsUpNoOther(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFixture(t)
		f.net.Timeout = 30 * time.Second
		quick := newName(t).record(1, pathA)
		for _, s := range f.net.Servers {
			s.Fault = routingtest.Dead
		}
		f.net.Servers[0].Fault = routingtest.Honest
		hold(quick, f.net.Servers[0])
		for range 50 {
			go f.Resolve(t.Context(), mustName(t, newName(t)).String(), Options{})
		}
		synctest.Wait()
		start := time.Now()
		f.leads(quick.Name(), Options{}, pathA)
		if took := time.Since(start); took != delay {
			t.Errorf("took %v while other names are searched", took)
		}
	})
}

// F10: a record without a sequence, signed with the right key, freezes the name in a
// store that accepts it. Here it is rejected.
func TestRecordWithoutSequenceDoesNotEnter(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f, n := newFixture(t), newName(t)
		id := mustName(t, n)
		for i, s := range f.net.Servers {
			if i%2 == 0 {
				s.Hold(id, n.withoutSequence(pathC))
			} else {
				hold(n.record(1, pathA), s)
			}
		}
		if _, err := ipns.Open(id, n.withoutSequence(pathC), time.Now()); !errors.Is(err, ipns.ErrMalformed) || errors.Is(err, ipns.ErrSignature) {
			t.Fatalf("opened: %v", err)
		}
		if hop := f.leads(id, Options{Confidence: All}, pathA); hop.Agree != 10 || hop.Complete {
			t.Errorf("%+v", hop)
		}
		hold(n.record(2, pathB), f.net.Servers[1:3]...)
		f.leads(id, Options{Confidence: All, NoCache: true}, pathB)
	})
}

// withoutSequence signs a document without a sequence.
func (n name) withoutSequence(value string) []byte {
	n.t.Helper()
	mode, err := cbor.CanonicalEncOptions().EncMode()
	if err != nil {
		n.t.Fatal(err)
	}
	data, err := mode.Marshal(map[string]any{
		"TTL": uint64(time.Minute), "Value": []byte(value), "ValidityType": 0,
		"Validity": []byte(time.Now().Add(time.Hour).UTC().Format(time.RFC3339Nano)),
	})
	if err != nil {
		n.t.Fatal(err)
	}
	sig, err := n.key.Sign(append([]byte("ipns-signature:"), data...))
	if err != nil {
		n.t.Fatal(err)
	}
	raw := protowire.AppendTag(nil, 8, protowire.BytesType)
	raw = protowire.AppendBytes(raw, sig)
	raw = protowire.AppendTag(raw, 9, protowire.BytesType)
	return protowire.AppendBytes(raw, data)
}

// If the newest record has expired, an older one that has not is not returned.
func TestExpiredInsteadOfGoingBack(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f, n := newFixture(t), newName(t)
		f.take(n.sign(ipns.Fields{Value: pathB, Sequence: 5, EOL: time.Now().Add(time.Minute)}), recordstore.Hosted)
		hold(n.record(4, pathA), f.net.Servers...)
		time.Sleep(time.Minute)
		for _, opt := range []Options{{}, {NoCache: true}, {Offline: true}, {Confidence: All}, {Confidence: 3}} {
			err := f.fails(mustName(t, n).String(), opt, ErrExpired)
			if errors.Is(err, ErrNotFound) {
				t.Errorf("%+v: %v", opt, err)
			}
		}
	})
}

// Lying servers only lose their own answers.
func TestLiars(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		for liars := range 20 {
			for _, fault := range []routingtest.Fault{routingtest.Forging, routingtest.Denying, routingtest.Dead} {
				f, n := newFixture(t), newName(t)
				hold(n.record(1, pathA), f.net.Servers...)
				for i, s := range f.net.Servers[:liars] {
					s.Fault, s.Delay = fault, time.Duration(i)
				}
				hop := f.leads(mustName(t, n), Options{Confidence: All}, pathA)
				wantComplete := fault == routingtest.Denying || liars <= 5 // three quarters must answer
				if hop.Agree != 20-liars || hop.Complete != wantComplete {
					t.Errorf("%d liars of kind %d: %d agree, complete %v", liars, fault, hop.Agree, hop.Complete)
				}
			}
		}
	})
}
