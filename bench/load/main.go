// Command load measures what a daemon that keeps many names alive has left for
// others: how long it takes to resolve names of strangers while it sweeps its own,
// beside the same daemon when nothing is due. bench/README.md keeps the results.
//
// The daemon is a process of its own. The network is one of real servers in this
// process, so that the machine also does the work of the servers.
package main

import (
	"context"
	"flag"
	"fmt"
	"net/url"
	"os"
	"os/signal"
	"slices"
	"time"

	"github.com/goipns/ipns"
	"github.com/goipns/ipns/internal/testnet"
)

type config struct {
	names, servers int
	rate           float64       // resolves a second
	turn           time.Duration // the period in which all names are put
	measure        time.Duration
}

func main() {
	var c config
	flag.IntVar(&c.names, "names", 100_000, "names that the daemon keeps alive")
	flag.IntVar(&c.servers, "servers", 50, "servers of the network")
	flag.Float64Var(&c.rate, "rate", 20, "resolves a second")
	flag.DurationVar(&c.turn, "period", 5000*time.Second, "how often each name is put")
	flag.DurationVar(&c.measure, "for", 3*time.Minute, "how long to measure idle, and again sweeping")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	if err := c.run(ctx); err != nil {
		fmt.Fprintln(os.Stderr, "load:", err)
		os.Exit(1)
	}
}

// idleTurn is a period so long that next to nothing is due.
const idleTurn = 24 * time.Hour

func (c config) run(ctx context.Context) error {
	dir, err := os.MkdirTemp("", "ipns-load-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	nw, err := testnet.Start(ctx, c.servers)
	if err != nil {
		return err
	}
	defer nw.Close()
	strangers, err := publishStrangers(ctx, nw)
	if err != nil {
		return err
	}
	d, err := build(ctx, dir)
	if err != nil {
		return err
	}
	fmt.Printf("%d names, %d servers, %g resolves/s for %v, names of which nobody has the answer cached\n\n", c.names, c.servers, c.rate, c.measure)
	fmt.Println("| daemon | names/s | resolve p50 ms | p99 ms | max ms | daemon CPU |\n|---|---|---|---|---|---|")
	var idle, sweeping figures
	for _, run := range []struct {
		what string
		turn time.Duration
		into *figures
	}{{"idle", idleTurn, &idle}, {"sweeping", c.turn, &sweeping}} {
		if err := d.fill(ctx, c.names, run.turn); err != nil {
			return fmt.Errorf("filling the store: %w", err)
		}
		if *run.into, err = c.measured(ctx, d, nw.Addrs()[0], strangers); err != nil {
			return fmt.Errorf("%s: %w", run.what, err)
		}
		f := *run.into
		fmt.Printf("| %s | %.1f | %.2f | %.2f | %.1f | %.0f %% of a core |\n", run.what, f.perSecond, ms(f.p50), ms(f.p99), ms(f.max), 100*f.cpu)
	}
	fmt.Printf("\np99 sweeping / idle: %.2f\n", float64(sweeping.p99)/float64(idle.p99))
	return nil
}

// figures are those of one run.
type figures struct {
	p50, p99, max  time.Duration
	perSecond, cpu float64
}

// measured starts the daemon, lets it settle, and resolves.
func (c config) measured(ctx context.Context, d *daemon, network string, strangers []ipns.Name) (figures, error) {
	if err := d.start(ctx, network); err != nil {
		return figures{}, err
	}
	defer d.stop()
	if err := d.settle(ctx); err != nil {
		return figures{}, err
	}
	putsBefore, cpuBefore, begin := d.puts(ctx), d.cpu(), time.Now()
	took, err := resolves(ctx, d, strangers, c.rate, c.measure)
	if err != nil {
		return figures{}, err
	}
	seconds := time.Since(begin).Seconds()
	slices.Sort(took)
	return figures{
		p50: took[len(took)/2], p99: took[len(took)*99/100], max: took[len(took)-1],
		perSecond: float64(d.puts(ctx)-putsBefore) / seconds, cpu: (d.cpu() - cpuBefore).Seconds() / seconds,
	}, nil
}

// resolves asks at a steady rate, whether or not the answers before have come, and
// returns how long each took from the moment at which it was due.
func resolves(ctx context.Context, d *daemon, names []ipns.Name, rate float64, length time.Duration) ([]time.Duration, error) {
	type result struct {
		took time.Duration
		err  error
	}
	count := int(rate * length.Seconds())
	results := make(chan result, count)
	begin := time.Now()
	for i := range count {
		due := begin.Add(time.Duration(float64(i) / rate * float64(time.Second)))
		select {
		case <-time.After(time.Until(due)):
		case <-ctx.Done():
			return nil, ctx.Err()
		}
		go func() {
			var answer struct{ Path string }
			err := d.call(ctx, &answer, "name/resolve", url.Values{"arg": {names[i%len(names)].String()}, "nocache": {"true"}})
			results <- result{time.Since(due), err}
		}()
	}
	var took []time.Duration
	for range count {
		r := <-results
		if r.err != nil {
			return nil, r.err
		}
		took = append(took, r.took)
	}
	return took, nil
}

func ms(d time.Duration) float64 { return float64(d) / float64(time.Millisecond) }
