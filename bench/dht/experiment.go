package main

import (
	"context"
	"fmt"
	"math"
	"os"
	"slices"
	"testing/synctest"
	"time"

	"github.com/goipns/ipns/bench/internal/contender"
	"github.com/goipns/ipns/internal/simnet"
	"github.com/libp2p/go-libp2p/core/host"
	"github.com/libp2p/go-libp2p/core/peer"
)

const (
	pause        = 30 * time.Second // between two operations: connections are trimmed meanwhile
	bootstrap    = 6                // servers that a client knows at first
	nearby       = 30               // the servers closest to a name, which "cold" and "warm" are about
	agedReplaced = 0.10             // share of the servers replaced since the exploration

	// The clients' host. Its id matters: as long as kad-dht finds a gap in its
	// routing table, which with most ids it always does, it asks each new
	// connection for its neighbours, 20 requests more per operation. With this
	// host and seed 1 there is no gap in any of the three networks.
	hostName = "laptop"
)

// An experiment is one operation of one contender in one state, done for all
// names, one after the other. It has a network of its own, made from the seed, so
// that no line of the table depends on another.
type experiment struct {
	config
	who                 contender.Contender
	bench, state, conns string

	net   *simnet.Network
	host  host.Host
	names []*contender.Name
}

func (x *experiment) run(ctx context.Context) (rows []row, err error) {
	x.net = simnet.New(simnet.Config{Servers: x.servers, Profile: x.profile, Seed: x.seed})
	defer x.net.Close()
	if x.names, err = contender.NewNames(x.seed, x.config.names, true); err != nil {
		return nil, err
	}
	setup := contender.Setup{Bootstrap: x.net.Bootstrap(bootstrap)}
	if x.bench == "publish" {
		setup.Names = x.names
	}
	for _, n := range x.names {
		x.net.Place(n.Last, simnet.BucketSize)
	}
	if setup.Host, err = x.net.NewHost(hostName); err != nil {
		return nil, err
	}
	x.host = setup.Host
	client, err := x.who.Start(ctx, setup)
	if err != nil {
		return nil, err
	}
	defer client.Close()
	if x.state != "empty" {
		if err := client.(contender.Explorer).Explore(ctx); err != nil {
			return nil, fmt.Errorf("exploring: %w", err)
		}
	}
	if x.state == "aged" {
		x.net.Replace(agedReplaced)
	}
	if x.bench == "publish" {
		return x.publish(ctx, client.(contender.Publisher))
	}
	return x.resolve(ctx, client.(contender.Resolver))
}

func (x *experiment) publish(ctx context.Context, client contender.Publisher) ([]row, error) {
	tally := newTally(x.who.PublishAcks)
	for _, n := range x.names {
		if err := x.arrange(ctx, n); err != nil {
			return nil, err
		}
		op := x.begin(x.who.PublishAcks)
		if err := client.Publish(ctx, n, op.reached); err != nil {
			fmt.Fprintf(os.Stderr, "%s: publish %v: %v\n", x.who.Name, n.Last.Name(), err)
		}
		op.reached(math.MaxInt)
		op.costs(op.now())
		time.Sleep(pause)
		op.holders(x.net.Holders(n.Next))
		tally.add(op)
	}
	return x.rows(tally), nil
}

func (x *experiment) resolve(ctx context.Context, client contender.Resolver) ([]row, error) {
	tally := newTally(x.who.ResolveAcks)
	for _, n := range x.names {
		if err := x.arrange(ctx, n); err != nil {
			return nil, err
		}
		op := x.begin(x.who.ResolveAcks)
		err := client.Resolve(ctx, n.Last.Name(), func(servers int, value string) {
			if value == n.Last.Value() {
				op.reached(servers)
			}
		})
		if err != nil {
			fmt.Fprintf(os.Stderr, "%s: resolve %v: %v\n", x.who.Name, n.Last.Name(), err)
		}
		op.reached(math.MaxInt)
		time.Sleep(pause)
		op.holders(x.net.Holders(n.Last))
		tally.add(op)
	}
	return x.rows(tally), nil
}

// arrange makes the connections around a name what the experiment wants.
func (x *experiment) arrange(ctx context.Context, n *contender.Name) error {
	around := x.net.Closest(n.Last.Name().RoutingKey(), nearby)
	if x.conns == "cold" {
		var ids []peer.ID
		for _, p := range around {
			ids = append(ids, p.ID)
		}
		x.net.Disconnect(x.host, ids...)
		return nil
	}
	for _, p := range around {
		if err := x.host.Connect(ctx, p); err != nil {
			return fmt.Errorf("warming up: %w", err)
		}
	}
	return nil
}

// An operation notes when it got how far, and what it had cost until then.
type operation struct {
	x       *experiment
	levels  []int
	start   time.Time
	before  simnet.Stats
	samples []sample // one for each level reached
}

type sample struct {
	took        time.Duration
	rpcs, dials int64
	holders     int
}

func (x *experiment) begin(levels []int) *operation {
	return &operation{x: x, levels: levels, start: time.Now(), before: x.net.Stats(x.host)}
}

// now is what the operation has taken until this instant, all of it: what
// happens at the same instant in other goroutines included.
func (o *operation) now() sample {
	synctest.Wait()
	spent := o.x.net.Stats(o.x.host).Sub(o.before)
	return sample{took: time.Since(o.start), rpcs: spent.RPCs(), dials: spent.Dials}
}

// reached notes that so many servers have acknowledged. A level that is never
// reached is noted at the end of the operation.
func (o *operation) reached(servers int) {
	for len(o.samples) < len(o.levels) && servers >= o.levels[len(o.samples)] {
		o.samples = append(o.samples, o.now())
	}
}

// costs replaces what each level had cost by what the whole operation did.
func (o *operation) costs(whole sample) {
	for i := range o.samples {
		o.samples[i].rpcs, o.samples[i].dials = whole.rpcs, whole.dials
	}
}

func (o *operation) holders(count int) {
	for i := range o.samples {
		o.samples[i].holders = count
	}
}

// A tally has the samples of all operations, by level.
type tally [][]sample

func newTally(levels []int) tally { return make(tally, len(levels)) }

func (t tally) add(o *operation) {
	for i, s := range o.samples {
		t[i] = append(t[i], s)
	}
}

// rows makes the lines of the table, one for each level.
func (x *experiment) rows(t tally) []row {
	levels := x.who.PublishAcks
	if x.bench == "resolve" {
		levels = x.who.ResolveAcks
	}
	var rows []row
	for i, samples := range t {
		var rpcs, dials, holders int64
		fewest := math.MaxInt
		for _, s := range samples {
			rpcs, dials, holders = rpcs+s.rpcs, dials+s.dials, holders+int64(s.holders)
			fewest = min(fewest, s.holders)
		}
		slices.SortFunc(samples, func(a, b sample) int { return int(a.took - b.took) })
		mean := func(sum int64) float64 { return round(float64(sum)/float64(len(samples)), 100) }
		rows = append(rows, row{
			Bench: x.bench, Client: x.who.Name, Profile: x.profile.Name, Servers: x.servers,
			Map: x.state, Conns: x.conns, Acks: levels[i],
			P50: quantile(samples, 0.50), P95: quantile(samples, 0.95),
			RPCs: mean(rpcs), Dials: mean(dials), HoldersMean: mean(holders), HoldersMin: fewest,
		})
	}
	return rows
}

// quantile is the smallest time, in milliseconds, that at least the share q of
// the sorted samples did not exceed.
func quantile(sorted []sample, q float64) float64 {
	i := max(0, int(math.Ceil(q*float64(len(sorted))))-1)
	return round(sorted[i].took.Seconds()*1000, 10)
}

func round(x, parts float64) float64 { return math.Round(x*parts) / parts }
