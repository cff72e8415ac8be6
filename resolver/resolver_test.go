package resolver

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/libp2p/go-libp2p/core/crypto"

	"github.com/goipns/ipns"
	"github.com/goipns/ipns/names"
	"github.com/goipns/ipns/recordstore"
	"github.com/goipns/ipns/routing"
	"github.com/goipns/ipns/routing/routingtest"
)

// fixture is a node that resolves: a Book over a store in memory and a network
// of 20 servers, 100 ms away.
type fixture struct {
	*Resolver
	t     *testing.T
	net   *routingtest.Network
	store *recordstore.Memory
	fault func(recordstore.Op) error // of the store; nil: none
}

const delay = 100 * time.Millisecond

func newFixture(t *testing.T) *fixture {
	f := &fixture{t: t, net: routingtest.New(20), store: recordstore.NewMemory()}
	f.store.Misbehave = func(op recordstore.Op, _ ipns.Name) (apply bool, err error) {
		if f.fault != nil {
			err = f.fault(op)
		}
		return false, err
	}
	for _, s := range f.net.Servers {
		s.Delay = delay
	}
	f.restart()
	return f
}

// restart makes a new Resolver and Book on the same store.
func (f *fixture) restart() {
	if f.Resolver != nil {
		f.Resolver.Close()
		if err := f.Book.Sync(f.t.Context()); err != nil {
			f.t.Fatal(err)
		}
	}
	r := &Resolver{Book: &names.Book{Store: f.store}, Router: f.net, LookupTXT: noTXT}
	f.Resolver = r
	f.t.Cleanup(func() { r.Close() })
}

func noTXT(_ context.Context, domain string) ([]string, time.Duration, error) {
	return nil, 0, fmt.Errorf("unexpected DNS lookup of %s", domain)
}

// name is a key to publish under.
type name struct {
	t   *testing.T
	key crypto.PrivKey
}

func newName(t *testing.T) name { return name{t, routingtest.NewKey(t)} }

// record signs "/ipfs/<a CID that spells the value>".
func (n name) record(seq uint64, value string) *ipns.Record {
	return n.sign(ipns.Fields{Value: value, Sequence: seq, TTL: 5 * time.Minute})
}

func (n name) sign(f ipns.Fields) *ipns.Record {
	n.t.Helper()
	return routingtest.Sign(n.t, n.key, f)
}

const (
	pathA = "/ipfs/bafkqaalb"
	pathB = "/ipfs/bafkqaalc"
	pathC = "/ipfs/bafkqaald"
)

// hold puts a record on servers behind the Resolver's back.
func hold(rec *ipns.Record, servers ...*routingtest.Server) {
	for _, s := range servers {
		s.Hold(rec.Name(), rec.Raw())
	}
}

func (f *fixture) resolve(path string, opt Options) Resolution {
	f.t.Helper()
	res, err := f.Resolve(f.t.Context(), path, opt)
	if err != nil {
		f.t.Fatalf("resolve %s: %v", path, err)
	}
	return res
}

// leads checks which path a name resolves to.
func (f *fixture) leads(n ipns.Name, opt Options, want string) Hop {
	f.t.Helper()
	res := f.resolve(n.String(), opt)
	if res.Path != want {
		f.t.Fatalf("leads to %s, want %s", res.Path, want)
	}
	return res.Hops[0]
}

func (f *fixture) fails(path string, opt Options, want error) error {
	f.t.Helper()
	res, err := f.Resolve(f.t.Context(), path, opt)
	if err == nil || want != nil && !errors.Is(err, want) {
		f.t.Fatalf("resolve %s: %v, %v; want %v", path, res.Path, err, want)
	}
	return err
}

func (f *fixture) take(rec *ipns.Record, o recordstore.Origin) {
	f.t.Helper()
	if _, err := f.Book.Take(f.t.Context(), rec, names.Entrance{Origin: o}); err != nil {
		f.t.Fatal(err)
	}
}

func TestResolveFirstAnswer(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f, n := newFixture(t), newName(t)
		rec := n.record(3, pathA)
		hold(rec, f.net.Servers...)
		f.net.Servers[7].Delay = 10 * time.Millisecond
		start := time.Now()
		hop := f.leads(rec.Name(), Options{}, pathA)
		if took := time.Since(start); took != 10*time.Millisecond {
			t.Errorf("took %v, the nearest server answers after 10ms", took)
		}
		want := Hop{
			Root: rec.Name().String(), Value: pathA, TTL: 5 * time.Minute, Source: f.net.Servers[7].ID, Network: "wan",
			Record: hop.Record, Sequence: 3, EOL: rec.EOL(), Agree: 1, Answered: 1, heard: hop.heard,
			ttlKnown: true, modified: time.Now(), final: true, last: true,
		}
		if hop != want {
			t.Errorf("got  %+v\nwant %+v", hop, want)
		}
		// The search continues in the background, and its result is cached.
		time.Sleep(delay)
		synctest.Wait()
		hop = f.leads(rec.Name(), Options{Confidence: agreement}, pathA)
		if hop.Agree != agreement || hop.Answered != agreement || hop.Complete || !hop.Cached || f.net.Counts().Searches != 1 {
			t.Errorf("%d agree, complete %v, cached %v after %d searches", hop.Agree, hop.Complete, hop.Cached, f.net.Counts().Searches)
		}
	})
}

// TestSearchEnds: a search stops early only if the first servers all agree and no caller
// wants all.
func TestSearchEnds(t *testing.T) {
	for _, c := range []struct {
		name     string
		hold     func(f *fixture, newest, older *ipns.Record)
		ask      Confidence
		answered int
	}{
		{"all agree", func(f *fixture, newest, _ *ipns.Record) { hold(newest, f.net.Servers...) }, First, agreement},
		{"more wanted", func(f *fixture, newest, _ *ipns.Record) { hold(newest, f.net.Servers...) }, agreement + 4, agreement + 4},
		{"all wanted", func(f *fixture, newest, _ *ipns.Record) { hold(newest, f.net.Servers...) }, All, 20},
		{"one has none", func(f *fixture, newest, _ *ipns.Record) { hold(newest, f.net.Servers[1:]...) }, First, 20},
		{"one has an older one", func(f *fixture, newest, older *ipns.Record) {
			hold(newest, f.net.Servers[1:]...)
			hold(older, f.net.Servers[0])
		}, First, 20},
		{"one has a newer one", func(f *fixture, newest, older *ipns.Record) {
			hold(older, f.net.Servers...)
			hold(newest, f.net.Servers[agreement-1])
		}, First, 20},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				f, n := newFixture(t), newName(t)
				older, newest := n.record(1, pathA), n.record(2, pathB)
				for i, s := range f.net.Servers {
					s.Delay = time.Duration(i+1) * delay // in order
				}
				c.hold(f, newest, older)
				if _, err := f.Lookup(t.Context(), newest.Name(), Options{Confidence: c.ask}); err != nil {
					t.Fatal(err)
				}
				time.Sleep(time.Minute)
				hop := f.leads(newest.Name(), Options{}, pathB)
				if hop.Answered != c.answered || hop.Complete != (c.answered == 20) {
					t.Errorf("%d answered, %d agree, complete: %v; want %d", hop.Answered, hop.Agree, hop.Complete, c.answered)
				}
			})
		})
	}
	// A caller that wants all joins a search that would have stopped early.
	synctest.Test(t, func(t *testing.T) {
		f, n := newFixture(t), newName(t)
		rec := n.record(1, pathA)
		for i, s := range f.net.Servers {
			s.Delay = time.Duration(i+1) * delay
		}
		hold(rec, f.net.Servers...)
		f.leads(rec.Name(), Options{}, pathA)
		hop := f.leads(rec.Name(), Options{Confidence: All}, pathA)
		if hop.Answered != 20 || !hop.Complete || f.net.Counts().Searches != 1 {
			t.Errorf("%d answered, complete: %v, %d searches", hop.Answered, hop.Complete, f.net.Counts().Searches)
		}
	})
}

func TestConfidence(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f, n := newFixture(t), newName(t)
		older, newer := n.record(1, pathA), n.record(2, pathB)
		// One server answers per step: 8 with the older record, then 12 with the newer
		// one.
		for i, s := range f.net.Servers {
			s.Delay = time.Duration(i+1) * 10 * time.Millisecond
			if i < 8 {
				hold(older, s)
			} else {
				hold(newer, s)
			}
		}
		for _, tc := range []struct {
			c        Confidence
			path     string
			agree    int
			answered int
			all      bool
		}{
			{First, pathA, 1, 1, false},
			{5, pathA, 5, 5, false},
			{10, pathB, 10, 18, false},
			{All, pathB, 12, 20, true},
			{16, pathB, 12, 20, true}, // only 12 hold it
		} {
			f.store = recordstore.NewMemory()
			f.restart()
			start := time.Now()
			hop := f.leads(newer.Name(), Options{Confidence: tc.c}, tc.path)
			took, want := time.Since(start), time.Duration(tc.answered)*10*time.Millisecond
			if took != want || hop.Agree != tc.agree || hop.Answered != tc.answered || hop.Complete != tc.all {
				t.Errorf("confidence %v: %d of %d agree, complete %v, after %v; want %d of %d, %v, after %v",
					tc.c, hop.Agree, hop.Answered, hop.Complete, took, tc.agree, tc.answered, tc.all, want)
			}
		}
	})
}

func TestStreamYieldsBetterAndBetter(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f, n := newFixture(t), newName(t)
		for i, s := range f.net.Servers {
			s.Delay = time.Duration(i+1) * 10 * time.Millisecond
			hold(n.record(uint64(i/5), fmt.Sprintf("/ipfs/bafkqaal%c", "abcd"[i/5])), s)
		}
		path := "/ipns/" + mustName(t, n).String() + "/x/"
		var got []string
		for res, err := range f.Stream(t.Context(), path, Options{Confidence: All}) {
			if err != nil {
				t.Fatal(err)
			}
			got = append(got, fmt.Sprintf("%s %d/%v", res.Path, res.Hops[0].Agree, res.Final))
		}
		want := []string{
			"/ipfs/bafkqaala/x/ 1/false", "/ipfs/bafkqaalb/x/ 1/false",
			"/ipfs/bafkqaalc/x/ 1/false", "/ipfs/bafkqaald/x/ 1/false", "/ipfs/bafkqaald/x/ 5/true",
		}
		if !slices.Equal(got, want) {
			t.Errorf("got\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
		}
	})
}

func mustName(t *testing.T, n name) ipns.Name {
	t.Helper()
	name, err := ipns.NameOf(n.key.GetPublic())
	if err != nil {
		t.Fatal(err)
	}
	return name
}

// Not found, unknown and failed are different answers.
func TestThreeKindsOfNoAnswer(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFixture(t)
		path := mustName(t, newName(t)).String()
		f.fails(path, Options{}, ErrNotFound)

		path = mustName(t, newName(t)).String()
		for _, s := range f.net.Servers[:17] {
			s.Fault = routingtest.Dead
		}
		err := f.fails(path, Options{}, nil)
		var unknown *UnknownError
		if !errors.As(err, &unknown) || unknown.Answered != 3 || unknown.Asked != 20 || errors.Is(err, ErrNotFound) {
			t.Errorf("3 of 20 answer: %v", err)
		}
		if want := "could not resolve name: " + path + ": unknown: only 3 of 20 servers answered"; err.Error() != want {
			t.Errorf("text %q, want %q", err, want)
		}

		path = mustName(t, newName(t)).String()
		f.net.Fail = errors.New("out of order")
		err = f.fails(path, Options{}, f.net.Fail)
		if errors.As(err, &unknown) || errors.Is(err, ErrNotFound) {
			t.Errorf("a failed search: %v", err)
		}
		f.net.Fail = nil

		path = mustName(t, newName(t)).String()
		f.net.Servers = nil
		err = f.fails(path, Options{}, routing.ErrNoTargets)
		if !errors.As(err, &unknown) || unknown.Asked != 0 {
			t.Errorf("nobody to ask: %v", err)
		}

		err = f.fails(path, Options{Offline: true}, nil)
		if !errors.As(err, &unknown) {
			t.Errorf("offline: %v", err)
		}
	})
}

func TestNotFoundIsRememberedForAWhile(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f, n := newFixture(t), newName(t)
		path := mustName(t, n).String()
		f.fails(path, Options{}, ErrNotFound)
		hold(n.record(1, pathA), f.net.Servers...)
		for range 10 {
			f.fails(path, Options{}, ErrNotFound)
		}
		if got := f.net.Counts().Searches; got != 1 {
			t.Errorf("%d searches, want 1", got)
		}
		f.leads(mustName(t, n), Options{NoCache: true}, pathA)

		path = mustName(t, newName(t)).String()
		f.fails(path, Options{}, ErrNotFound)
		time.Sleep(notFoundPause)
		f.fails(path, Options{}, ErrNotFound)
		if got := f.net.Counts().Searches; got != 4 {
			t.Errorf("%d searches, want 4", got)
		}
	})
}

func TestSingleFlight(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f, n := newFixture(t), newName(t)
		rec := n.record(1, pathA)
		hold(rec, f.net.Servers...)
		const askers = 500
		done := make(chan error, askers)
		for i := range askers {
			go func() {
				_, err := f.Resolve(t.Context(), rec.Name().String(), Options{NoCache: i%2 == 0, Confidence: Confidence(i%3 - 1)})
				done <- err
			}()
		}
		for range askers {
			if err := <-done; err != nil {
				t.Error(err)
			}
		}
		if got := f.net.Counts().Searches; got != 1 {
			t.Errorf("%d searches for %d who asked at once, want 1", got, askers)
		}
		t.Logf("%d asked at once, 1 search", askers)
	})
}

func TestMaxSearches(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFixture(t)
		f.MaxSearches = 3
		for range 3 {
			go f.Resolve(t.Context(), mustName(t, newName(t)).String(), Options{})
		}
		synctest.Wait()
		f.fails(mustName(t, newName(t)).String(), Options{}, ErrBusy)
		time.Sleep(delay)
		synctest.Wait()
		f.fails(mustName(t, newName(t)).String(), Options{}, ErrNotFound)
	})
}

func TestTimeoutGivesTheBestSoFar(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f, n := newFixture(t), newName(t)
		rec := n.record(1, pathA)
		hold(rec, f.net.Servers...)
		for _, s := range f.net.Servers[4:] {
			s.Fault = routingtest.Dead
		}
		start := time.Now()
		res := f.resolve(rec.Name().String(), Options{Confidence: 16, Timeout: time.Second})
		if time.Since(start) != time.Second || res.Path != pathA || res.Hops[0].Agree != 4 || res.Final {
			t.Errorf("after %v: %+v", time.Since(start), res)
		}
		other := mustName(t, newName(t))
		err := f.fails(other.String(), Options{Timeout: time.Second}, context.DeadlineExceeded)
		var unknown *UnknownError
		if !errors.As(err, &unknown) || unknown.Answered != 4 {
			t.Errorf("nothing in time: %v", err)
		}
		// A cancelled caller gets its own error.
		ctx, cancel := context.WithTimeout(t.Context(), time.Millisecond)
		defer cancel()
		if _, err := f.Resolve(ctx, mustName(t, newName(t)).String(), Options{}); !errors.Is(err, context.DeadlineExceeded) {
			t.Error(err)
		}
	})
}

func TestCloseWaitsForSearches(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f, n := newFixture(t), newName(t)
		rec := n.record(1, pathA)
		hold(rec, f.net.Servers...)
		f.net.Servers[0].Delay = time.Millisecond
		f.leads(rec.Name(), Options{}, pathA)
		start := time.Now()
		f.Close()
		if time.Since(start) != 0 {
			t.Errorf("close took %v", time.Since(start))
		}
		if len(f.running) != 0 {
			t.Errorf("%d searches still run after close", len(f.running))
		}
		hop := f.leads(rec.Name(), Options{}, pathA)
		if !hop.Cached {
			t.Errorf("after close: %+v", hop)
		}
	})
}
