package routing_test

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/goipns/ipns"
	"github.com/goipns/ipns/routing"
	"github.com/goipns/ipns/routing/routingtest"
)

// asker is a Router that counts its calls of Ask.
type asker struct {
	*routingtest.Network
	asked int
	only  int // 0: all names are answered
}

func (a *asker) Ask(ctx context.Context, _ routing.Region, names iter.Seq[ipns.Name], _ int) iter.Seq2[routing.Finding, error] {
	a.asked++
	n := 0
	return func(yield func(routing.Finding, error) bool) {
		for f, err := range routing.FindEach(ctx, a, names) {
			if n++; a.only > 0 && n > a.only {
				return
			}
			if !yield(f, err) {
				return
			}
		}
	}
}

// TestParallelAskKnowsWhatASearchWouldKnow compares the findings of Ask with a search for
// each name, on networks that are complete, away, incomplete or broken.
func TestParallelAskKnowsWhatASearchWouldKnow(t *testing.T) {
	wan, lan, nobody := &asker{Network: routingtest.New(20)}, routingtest.New(3), routingtest.New(0)
	var older, newer []*ipns.Record
	var names []ipns.Name
	for i := range 70 {
		k := routingtest.NewKey(t)
		older = append(older, routingtest.Sign(t, k, ipns.Fields{Value: fmt.Sprintf("/ipfs/bafkqaaa/%d", i)}))
		newer = append(newer, routingtest.Sign(t, k, ipns.Fields{Value: "/ipfs/bafkqaaa", Sequence: 1}))
		names = append(names, older[i].Name())
	}
	for i := range older {
		if i%2 == 0 {
			putTo(t, wan, older[i])
		}
		if i%3 == 0 {
			putTo(t, lan, newer[i])
		}
	}
	half := routingtest.New(8)
	for _, s := range half.Servers[:4] {
		s.Fault = routingtest.Refusing
	}
	half.Quorum = 9 // never reached
	broken := routingtest.New(5)
	broken.Fail = errors.New("broken")
	for what, p := range map[string]routing.Parallel{
		"both":                {wan, lan},
		"one is not expected": {wan, lan, nobody},
		"none is expected":    {nobody, nobody},
		"one is incomplete":   {wan, lan, half},
		"one is broken":       {lan, broken},
	} {
		t.Run(what, func(t *testing.T) {
			told := 0
			for f, err := range p.Ask(t.Context(), routing.Region{}, slices.Values(names), 0) {
				if err != nil {
					t.Fatal(err)
				}
				told++
				want := routing.Find(t.Context(), p, f.Name)
				if fmt.Sprint(f.Err) != fmt.Sprint(want.Err) || f.Answers != want.Answers ||
					(f.Record == nil) != (want.Record == nil) || f.Record != nil && ipns.Compare(f.Record, want.Record) != 0 {
					t.Fatalf("found %+v, a search finds %+v", f, want)
				}
			}
			if told != len(names) {
				t.Fatalf("findings for %d of %d names", told, len(names))
			}
		})
	}
	if wan.asked != 3 {
		t.Errorf("asked %d times for 70 names, want once by each of 3", wan.asked)
	}
	wan.only = 60
	known := 0
	for f, err := range (routing.Parallel{wan, lan}).Ask(t.Context(), routing.Region{}, slices.Values(names), 0) {
		if err != nil {
			t.Fatal(err)
		}
		if f.Err == nil {
			known++
		}
	}
	if known != wan.only {
		t.Errorf("%d names count as complete, but one network had findings for %d", known, wan.only)
	}
}

// TestParallelAskEndsWithItsContext leaves no goroutine behind; otherwise the bubble
// would not end.
func TestParallelAskEndsWithItsContext(t *testing.T) {
	name := routingtest.Sign(t, routingtest.NewKey(t), ipns.Fields{Value: "/ipfs/bafkqaaa"}).Name()
	synctest.Test(t, func(t *testing.T) {
		net := routingtest.New(5)
		net.Servers[0].Fault = routingtest.Dead
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		for f, err := range (routing.Parallel{net, net}).Ask(ctx, routing.Region{}, slices.Values([]ipns.Name{name}), 0) {
			if !errors.Is(err, context.DeadlineExceeded) {
				t.Errorf("%+v, %v", f, err)
			}
		}
	})
}

func putTo(t *testing.T, r routing.Router, rec *ipns.Record) {
	t.Helper()
	for ack, err := range r.Put(t.Context(), rec, routing.Look{}) {
		if err != nil || ack.Err != nil {
			t.Fatal(err, ack.Err)
		}
	}
}
