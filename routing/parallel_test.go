package routing_test

import (
	"context"
	"errors"
	"iter"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/goipns/ipns"
	"github.com/goipns/ipns/routing"
	"github.com/goipns/ipns/routing/routingtest"
)

// found runs a search to its end.
func found(seq iter.Seq2[routing.Answer, error]) (answers []routing.Answer, err error) {
	for a, e := range seq {
		if e != nil {
			return answers, e
		}
		answers = append(answers, a)
	}
	return answers, nil
}

func newest(answers []routing.Answer) (best *ipns.Record) {
	for _, a := range answers {
		if a.Record != nil && (best == nil || ipns.Compare(a.Record, best) > 0) {
			best = a.Record
		}
	}
	return best
}

// net returns a network whose servers all answer after the delay and hold rec, unless it
// is nil.
func net(name string, n int, delay time.Duration, rec *ipns.Record) *routingtest.Network {
	net := routingtest.New(n)
	net.Name = name
	for _, s := range net.Servers {
		s.Delay = delay
		if rec != nil {
			s.Hold(rec.Name(), rec.Raw())
		}
	}
	return net
}

func dead(name string, n int) *routingtest.Network {
	net := net(name, n, 0, nil)
	for _, s := range net.Servers {
		s.Fault = routingtest.Dead
	}
	return net
}

// away is dead, but expected to have servers.
func away(name string, n int) *routingtest.Network {
	net := dead(name, n)
	net.Expected = true
	return net
}

func failing(err error) *routingtest.Network {
	net := routingtest.New(1)
	net.Fail = err
	return net
}

func TestParallelSearchEndsTruthfully(t *testing.T) {
	errDown := errors.New("down")
	rec := routingtest.Sign(t, routingtest.NewKey(t), ipns.Fields{Value: "/ipfs/bafkqaaa"})
	for name, tc := range map[string]struct {
		routers         routing.Parallel
		found           bool
		asked, answered int   // of the IncompleteError, if any
		err             error // otherwise
	}{
		"all answer":                     {routers: routing.Parallel{net("a", 4, 0, nil), net("b", 4, 0, rec)}, found: true},
		"none has it":                    {routers: routing.Parallel{net("a", 4, 0, nil), net("b", 4, 0, nil)}},
		"nobody on one":                  {routers: routing.Parallel{net("a", 4, 0, nil), net("b", 0, 0, nil)}},
		"nobody at all":                  {routers: routing.Parallel{net("a", 0, 0, nil), net("b", 0, 0, nil)}, err: routing.ErrNoTargets},
		"one is away":                    {routers: routing.Parallel{away("a", 0), net("b", 4, 0, nil)}, asked: 4, answered: 4, err: routing.ErrAway},
		"one is away, one has it":        {routers: routing.Parallel{away("a", 5), net("b", 4, 0, rec)}, found: true, asked: 4, answered: 4, err: routing.ErrAway},
		"one is away, one silent":        {routers: routing.Parallel{away("a", 0), dead("b", 7)}, asked: 7, err: routing.ErrAway},
		"one is away, one fails":         {routers: routing.Parallel{away("a", 0), net("b", 0, 0, nil), failing(errDown)}, err: routing.ErrAway},
		"one away, nobody on others":     {routers: routing.Parallel{away("a", 0), net("b", 0, 0, nil)}, err: routing.ErrAway},
		"all away":                       {routers: routing.Parallel{away("a", 0), away("b", 3)}, err: routing.ErrAway},
		"no routers":                     {err: routing.ErrNoTargets},
		"one fails, one has it":          {routers: routing.Parallel{failing(errDown), net("b", 4, 0, rec)}, found: true, asked: 5, answered: 4, err: errDown},
		"one fails, one has none":        {routers: routing.Parallel{failing(errDown), net("b", 4, 0, nil)}, asked: 5, answered: 4, err: errDown},
		"one is silent":                  {routers: routing.Parallel{dead("a", 7), net("b", 4, 0, rec)}, found: true, asked: 11, answered: 4},
		"all fail":                       {routers: routing.Parallel{failing(errDown), failing(errDown)}, err: errDown},
		"one fails and nobody on others": {routers: routing.Parallel{failing(errDown), net("b", 0, 0, nil)}, err: errDown},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				for _, r := range tc.routers {
					r.(*routingtest.Network).Now = rec.EOL().Add(-time.Hour).UTC
				}
				answers, err := found(tc.routers.Search(t.Context(), rec.Name()))
				if got := newest(answers); (got != nil) != tc.found {
					t.Errorf("found %v, want %v", got != nil, tc.found)
				}
				var part *routing.IncompleteError
				if errors.As(err, &part) != (tc.asked > 0) {
					t.Fatalf("ended with %v", err)
				}
				if part != nil && (part.Asked != tc.asked || part.Answered != tc.answered) {
					t.Errorf("%d of %d answered, want %d of %d", part.Answered, part.Asked, tc.answered, tc.asked)
				}
				if (tc.err != nil || part == nil) && !errors.Is(err, tc.err) {
					t.Errorf("ended with %v, want %v", err, tc.err)
				}
			})
		})
	}
}

// An answer is yielded at once, whatever the other Routers do.
func TestParallelYieldsAsAnswersCome(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		rec := routingtest.Sign(t, routingtest.NewKey(t), ipns.Fields{Value: "/ipfs/bafkqaaa"})
		p := routing.Parallel{dead("dead", 3), net("slow", 3, time.Second, rec), net("fast", 1, 10*time.Millisecond, rec)}
		start := time.Now()
		for a, err := range p.Search(t.Context(), rec.Name()) {
			if err != nil || a.Network != "fast" {
				t.Fatalf("first came %v, %v", a, err)
			}
			break
		}
		if took := time.Since(start); took != 10*time.Millisecond {
			t.Errorf("first answer after %v, want 10ms", took)
		}
		start = time.Now()
		for ack, err := range p.Put(t.Context(), rec, routing.Look{}) {
			if err != nil || ack.Network != "fast" {
				t.Fatalf("first came %v, %v", ack, err)
			}
			break
		}
		if took := time.Since(start); took != 10*time.Millisecond {
			t.Errorf("first ack after %v, want 10ms", took)
		}
		// The bubble fails the test if a goroutine is left over.
	})
}

func TestParallelPutReportsEachNetwork(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		errDown := errors.New("down")
		rec := routingtest.Sign(t, routingtest.NewKey(t), ipns.Fields{Value: "/ipfs/bafkqaaa"})
		p := routing.Parallel{net("wan", 20, time.Second, nil), dead("lan", 2), failing(errDown), net("none", 0, 0, nil)}
		r, err := routing.Collect(p.Put(t.Context(), rec, routing.Look{}))
		if !errors.Is(err, errDown) || errors.Is(err, routing.ErrNoTargets) {
			t.Errorf("put ended with %v, want %v alone", err, errDown)
		}
		if got := r.String(); got != "announced to 20 of 20" {
			t.Error(got)
		}
		if len(r.Networks) != 2 || r.Networks[0].Network != "lan" || r.Networks[0].Announced != 0 || r.Networks[0].Of != 2 {
			t.Errorf("%+v", r.Networks)
		}
	})
}

func TestParallelEndsWithItsContext(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		rec := routingtest.Sign(t, routingtest.NewKey(t), ipns.Fields{Value: "/ipfs/bafkqaaa"})
		ctx, cancel := context.WithTimeout(t.Context(), 2*time.Second)
		defer cancel()
		p := routing.Parallel{dead("a", 3), net("b", 3, time.Second, rec)}
		start := time.Now()
		answers, err := found(p.Search(ctx, rec.Name()))
		if !errors.Is(err, context.DeadlineExceeded) || len(answers) != 3 || time.Since(start) != 2*time.Second {
			t.Errorf("%d answers and %v after %v", len(answers), err, time.Since(start))
		}
	})
}

// silent yields nothing and ends only with its context.
type silent struct{ routing.Router }

func (silent) Watch(ctx context.Context, _ ipns.Name) iter.Seq2[routing.Answer, error] {
	return func(yield func(routing.Answer, error) bool) {
		<-ctx.Done()
		yield(routing.Answer{}, ctx.Err())
	}
}

// once yields one record and then waits.
type once struct {
	routing.Router
	rec *ipns.Record
}

func (o once) Watch(ctx context.Context, name ipns.Name) iter.Seq2[routing.Answer, error] {
	return func(yield func(routing.Answer, error) bool) {
		if yield(routing.Answer{Record: o.rec, Source: "once"}, nil) {
			silent{}.Watch(ctx, name)(yield)
		}
	}
}

func TestParallelWatch(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		rec := routingtest.Sign(t, routingtest.NewKey(t), ipns.Fields{Value: "/ipfs/bafkqaaa"})
		p := routing.Parallel{routingtest.New(1), silent{}, once{rec: rec}}
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		answers, err := found(p.Watch(ctx, rec.Name()))
		if len(answers) != 1 || answers[0].Source != "once" || !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("%v, %v", answers, err)
		}
	})
}

func TestTieredAsksTheNextOnlyIfNeeded(t *testing.T) {
	errDown := errors.New("down")
	key := routingtest.NewKey(t)
	rec := routingtest.Sign(t, key, ipns.Fields{Value: "/ipfs/bafkqaaa"})
	for name, tc := range map[string]struct {
		tiers []*routingtest.Network
		delay time.Duration
		asked []int // searches that each tier saw
		took  time.Duration
		found bool
		ok    bool // ended without an error
	}{
		"first has it": {
			tiers: []*routingtest.Network{net("a", 2, time.Second, rec), net("b", 2, 0, rec)},
			asked: []int{1, 0}, took: time.Second, found: true, ok: true,
		},
		"first has none": {
			tiers: []*routingtest.Network{net("a", 2, time.Second, nil), net("b", 2, time.Second, rec), net("c", 2, 0, rec)},
			asked: []int{1, 1, 0}, took: 2 * time.Second, found: true, ok: true,
		},
		"first fails": {
			tiers: []*routingtest.Network{failing(errDown), net("b", 2, time.Second, rec)},
			asked: []int{1, 1}, took: time.Second, found: true,
		},
		"first is late": {
			tiers: []*routingtest.Network{net("a", 2, 5*time.Second, nil), net("b", 2, time.Second, rec), net("c", 2, 0, rec)},
			delay: 3 * time.Second,
			asked: []int{1, 1, 0}, took: 5 * time.Second, found: true, ok: true,
		},
		"first is in time": {
			tiers: []*routingtest.Network{net("a", 2, time.Second, rec), net("b", 2, 0, rec)},
			delay: 3 * time.Second,
			asked: []int{1, 0}, took: time.Second, found: true, ok: true,
		},
		"nobody has it": {
			tiers: []*routingtest.Network{net("a", 2, time.Second, nil), net("b", 2, time.Second, nil)},
			asked: []int{1, 1}, took: 2 * time.Second, ok: true,
		},
		"unknown": {
			tiers: []*routingtest.Network{dead("a", 2), net("b", 2, time.Second, nil)},
			delay: time.Second,
			asked: []int{1, 1}, took: 10 * time.Second,
		},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				tiered := routing.Tiered{Delay: tc.delay}
				for _, n := range tc.tiers {
					n.Now = rec.EOL().Add(-time.Hour).UTC
					tiered.Tiers = append(tiered.Tiers, n)
				}
				start := time.Now()
				answers, err := found(tiered.Search(t.Context(), rec.Name()))
				if took := time.Since(start); took != tc.took {
					t.Errorf("took %v, want %v", took, tc.took)
				}
				if (newest(answers) != nil) != tc.found || (err == nil) != tc.ok {
					t.Errorf("%d answers, %v", len(answers), err)
				}
				var asked []int
				for _, n := range tc.tiers {
					asked = append(asked, n.Counts().Searches)
				}
				if !slices.Equal(asked, tc.asked) {
					t.Errorf("tiers asked %v, want %v", asked, tc.asked)
				}
			})
		})
	}
}

func TestTieredPutsToAll(t *testing.T) {
	rec := routingtest.Sign(t, routingtest.NewKey(t), ipns.Fields{Value: "/ipfs/bafkqaaa"})
	tiered := routing.Tiered{Tiers: []routing.Router{net("a", 3, 0, nil), net("b", 4, 0, nil)}}
	r, err := routing.Collect(tiered.Put(t.Context(), rec, routing.Look{}))
	if err != nil || len(r.Networks) != 2 || r.Networks[0].Announced != 3 || r.Networks[1].Announced != 4 {
		t.Errorf("%+v, %v", r, err)
	}
}
