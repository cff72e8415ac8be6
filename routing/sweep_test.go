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

// sweeper is a Router that counts its sweeps.
type sweeper struct {
	*routingtest.Network
	sweeps int
	pace   float64
}

func (s *sweeper) Sweep(ctx context.Context, _ routing.Region, records iter.Seq[*ipns.Record]) iter.Seq2[routing.Ack, error] {
	return func(yield func(routing.Ack, error) bool) {
		s.sweeps++
		for rec := range records {
			for ack, err := range s.Put(ctx, rec, routing.Look{}) {
				if !yield(ack, err) {
					return
				}
			}
		}
	}
}

func (s *sweeper) Pace(perSecond float64) { s.pace = perSecond }

func (s *sweeper) Survival(routing.Region) routing.Survival {
	return routing.Survival{Asked: 3, Held: 2, Age: 5 * time.Hour}
}

// A sweep reaches every network, whether it can sweep or not; one that is away hides
// nothing of the others.
func TestParallelSweep(t *testing.T) {
	wan, lan, away := &sweeper{Network: routingtest.New(20)}, routingtest.New(3), routingtest.New(0)
	lan.Name, away.Name = "lan", "away"
	var records []*ipns.Record
	for i := range 70 {
		records = append(records, routingtest.Sign(t, routingtest.NewKey(t), ipns.Fields{Value: fmt.Sprintf("/ipfs/bafkqaaa/%d", i)}))
	}
	receipts := map[ipns.Name]*routing.Receipt{}
	for ack, err := range (routing.Parallel{wan, lan, away}).Sweep(t.Context(), routing.Region{}, slices.Values(records)) {
		if err != nil {
			t.Fatal(err)
		}
		if receipts[ack.Name] == nil {
			receipts[ack.Name] = &routing.Receipt{}
		}
		receipts[ack.Name].Add(ack)
	}
	for _, rec := range records {
		r := receipts[rec.Name()]
		if r == nil || len(r.Networks) != 2 || r.Networks[0].Announced != 3 || r.Networks[1].Announced != 20 {
			t.Fatalf("receipt %+v", r)
		}
		if wan.Holders(rec) != 20 || lan.Holders(rec) != 3 {
			t.Fatalf("held by %d and %d", wan.Holders(rec), lan.Holders(rec))
		}
	}
	if wan.sweeps != 1 {
		t.Fatalf("%d sweeps", wan.sweeps)
	}
	if (routing.Parallel{wan, lan}).Pace(7); wan.pace != 7 {
		t.Fatalf("a pace of %v", wan.pace)
	}
	if s := (routing.Parallel{wan, lan, wan}).Survival(routing.Region{}); s != (routing.Survival{Asked: 6, Held: 4, Age: 10 * time.Hour}) {
		t.Fatalf("survival %+v", s)
	}
}

func TestParallelSweepFails(t *testing.T) {
	rec := routingtest.Sign(t, routingtest.NewKey(t), ipns.Fields{Value: "/ipfs/bafkqaaa"})
	sweep := func(ctx context.Context, p routing.Parallel) (acks int, last error) {
		for _, err := range p.Sweep(ctx, routing.Region{}, slices.Values([]*ipns.Record{rec, rec})) {
			if last = err; err == nil {
				acks++
			}
		}
		return acks, last
	}
	if acks, err := sweep(t.Context(), routing.Parallel{routingtest.New(0), routingtest.New(0)}); acks > 0 || !errors.Is(err, routing.ErrNoTargets) {
		t.Errorf("without any server: %d acks, %v", acks, err)
	}
	broken := routingtest.New(5)
	broken.Fail = errors.New("broken")
	if acks, err := sweep(t.Context(), routing.Parallel{broken, routingtest.New(5)}); acks != 10 || !errors.Is(err, broken.Fail) {
		t.Errorf("one of two is broken: %d acks, %v", acks, err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if acks, err := sweep(ctx, routing.Parallel{routingtest.New(5)}); acks > 0 || !errors.Is(err, context.Canceled) {
		t.Errorf("after the end of its context: %d acks, %v", acks, err)
	}
}

// Breaking out of a sweep leaves no goroutine behind; otherwise the bubble would not end.
func TestParallelSweepBreaks(t *testing.T) {
	rec := routingtest.Sign(t, routingtest.NewKey(t), ipns.Fields{Value: "/ipfs/bafkqaaa", EOL: time.Date(2100, 1, 1, 0, 0, 0, 0, time.UTC)})
	synctest.Test(t, func(t *testing.T) {
		net := routingtest.New(5)
		net.Servers[0].Fault = routingtest.Dead
		for range (routing.Parallel{net, net}).Sweep(t.Context(), routing.Region{}, slices.Values([]*ipns.Record{rec, rec})) {
			break
		}
	})
}
