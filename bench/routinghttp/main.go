// Command routinghttp measures the HTTP routing API beside a bare net/http handler, boxo's
// server and the store. bench/README.md explains the columns and keeps the results.
//
// Client and servers share the process and its processors. All contenders take turns of
// half a second, so that a busy machine is as bad for each; what counts are their ratios.
package main

import (
	"context"
	"flag"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/signal"
	"runtime/pprof"
	"slices"
	"strings"
	"time"
)

type config struct {
	names, conns int
	rounds       int
	turn         time.Duration
	only         string
	profile      string
}

func main() {
	var c config
	flag.IntVar(&c.names, "names", 10_000, "names that are asked for")
	flag.IntVar(&c.conns, "conns", 64, "connections")
	flag.IntVar(&c.rounds, "rounds", 25, "rounds, in which each contender has a turn")
	flag.DurationVar(&c.turn, "turn", 500*time.Millisecond, "length of a turn")
	flag.StringVar(&c.only, "only", "", "measure only contenders with this in their name")
	flag.StringVar(&c.profile, "cpuprofile", "", "write a CPU profile of all turns to this file")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	if err := run(ctx, c); err != nil {
		fmt.Fprintln(os.Stderr, "routinghttp:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, c config) error {
	records, err := newRecords(ctx, c.names)
	if err != nil {
		return err
	}
	readers, done, err := readContenders(ctx, records)
	if err != nil {
		return err
	}
	defer done()
	writers, done, err := writeContenders(c.conns)
	if err != nil {
		return err
	}
	defer done()
	if c.profile != "" {
		f, err := os.Create(c.profile)
		if err != nil {
			return err
		}
		defer f.Close()
		if err := pprof.StartCPUProfile(f); err != nil {
			return err
		}
		defer pprof.StopCPUProfile()
	}
	for _, group := range [][]contender{readers, writers} {
		if err := c.measure(ctx, group); err != nil {
			return err
		}
	}
	return nil
}

// contender does one kind of request for as long as a turn.
type contender struct {
	name string
	// ready is called before each turn, which it is no part of; nil: nothing is to be done.
	ready func(context.Context) error
	// turn makes requests on so many connections, and returns how many were answered.
	turn func(ctx context.Context, conns int, length time.Duration) (int, error)
}

// rate is how fast a contender was in one turn.
type rate struct{ clock, cpu float64 } // requests for a second, and for one of the processors

// measure prints the medians of a group, and what they are of the first one's.
func (c config) measure(ctx context.Context, group []contender) error {
	group = slices.DeleteFunc(group, func(who contender) bool { return !strings.Contains(who.name, c.only) })
	if len(group) == 0 {
		return nil
	}
	rates := make([][]rate, len(group))
	for range c.rounds {
		for i, who := range group {
			if who.ready != nil {
				if err := who.ready(ctx); err != nil {
					return fmt.Errorf("%s: %w", who.name, err)
				}
			}
			begin, cpu := time.Now(), cpuTime()
			n, err := who.turn(ctx, c.conns, c.turn)
			if err != nil {
				return fmt.Errorf("%s: %w", who.name, err)
			}
			rates[i] = append(rates[i], rate{float64(n) / time.Since(begin).Seconds(), float64(n) / (cpuTime() - cpu).Seconds()})
		}
	}
	clock, cpu := func(r rate) float64 { return r.clock }, func(r rate) float64 { return r.cpu }
	fmt.Printf("| | requests/s | of %[1]s | requests/CPU second | of %[1]s |\n|---|---|---|---|---|\n", group[0].name)
	for i, who := range group {
		fmt.Printf("| %s | %.0f | %.2f | %.0f | %.2f |\n", who.name,
			median(rates[i], clock), ratio(rates[i], rates[0], clock), median(rates[i], cpu), ratio(rates[i], rates[0], cpu))
	}
	fmt.Println()
	return nil
}

// ratio is the median of what the turns were of those of the same rounds.
func ratio(list, of []rate, figure func(rate) float64) float64 {
	var ratios []float64
	for i := range list {
		ratios = append(ratios, figure(list[i])/figure(of[i]))
	}
	slices.Sort(ratios)
	return ratios[len(ratios)/2]
}

func median(list []rate, figure func(rate) float64) float64 {
	var figures []float64
	for _, r := range list {
		figures = append(figures, figure(r))
	}
	slices.Sort(figures)
	return figures[len(figures)/2]
}

// serve serves h on a free port of this machine until close is called.
func serve(h http.Handler) (addr string, closer func(), err error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return "", nil, err
	}
	s := &http.Server{Handler: h}
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		_ = s.Serve(l) // ends by Close
	}()
	return l.Addr().String(), func() { _ = s.Close(); <-ended }, nil
}
