// Command soak runs a daemon for hours as it may fare: it keeps names alive on a network whose
// servers come and go, publishes, resolves and serves its gateway, while it is killed, its disk
// fills up and its network is away. It prints how many names were lost, went back or expired,
// and how its memory, descriptors and goroutines grew. bench/README.md keeps the results.
//
// The daemon is a process of its own; the servers are in this one. Times follow -for: two hours
// have a kill every ten minutes, a disk that is full for a minute, a network that is away for ten,
// and records that last 40 minutes.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"math/rand/v2"
	"os"
	"os/signal"
	"sync"
	"syscall"
	"time"

	"github.com/goipns/ipns/internal/testnet"
)

type config struct {
	names, servers int
	rate           float64 // publishes, resolves and gateway requests a second, of each
	length         time.Duration
	disk           int    // MB
	program        string // "": built from this module
}

func main() {
	var c config
	flag.IntVar(&c.names, "names", 2000, "names that the daemon keeps alive")
	flag.IntVar(&c.servers, "servers", 50, "servers of the network")
	flag.Float64Var(&c.rate, "rate", 2, "publishes a second, and as many resolves and requests to the gateway")
	flag.DurationVar(&c.length, "for", 2*time.Hour, "how long; all that happens follows it")
	flag.IntVar(&c.disk, "disk", 512, "MB of the disk of the repo, which is mounted in memory; needs root, without which no disk fills up")
	flag.StringVar(&c.program, "program", "", "the ipns to run, instead of one that is built from this module")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := c.run(ctx); err != nil {
		fmt.Fprintln(os.Stderr, "soak:", err)
		os.Exit(1)
	}
}

// whole is the length to which times are given; part is that of another.
const whole = 2 * time.Hour

func (c config) part(t, least time.Duration) time.Duration {
	return max(time.Duration(float64(t)*float64(c.length)/float64(whole)), least)
}

// Times of a run of two hours, and the least of a shorter one.
func (c config) life() time.Duration   { return c.part(40*time.Minute, 5*time.Minute) } // of records
func (c config) period() time.Duration { return c.part(8*time.Minute, time.Minute) }    // of republishing
func (c config) killEvery() time.Duration {
	return c.part(10*time.Minute, 30*time.Second)
}
func (c config) fullFor() time.Duration { return c.part(time.Minute, 5*time.Second) }
func (c config) awayFor() time.Duration { return c.part(10*time.Minute, 30*time.Second) }
func (c config) churn() time.Duration   { return c.part(time.Minute, 5*time.Second) } // between two servers that are replaced

func (c config) run(ctx context.Context) (err error) {
	dir, err := os.MkdirTemp("", "ipns-soak-")
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	d, err := newDaemon(ctx, dir, c)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, d.close()) }()
	nw, err := testnet.Start(ctx, c.servers)
	if err != nil {
		return err
	}
	defer nw.Close()
	s := &soak{config: c, daemon: d, nw: nw, begun: time.Now()}
	if err := d.start(ctx, nw.Addrs()[0]); err != nil {
		return err
	}
	if err := s.fill(ctx); err != nil {
		return err
	}
	s.say("%d names are published", len(s.names))

	loading, stop := context.WithCancel(ctx)
	var load sync.WaitGroup
	for _, f := range []func(context.Context, *name){s.publish, s.resolve, s.browse} {
		load.Go(func() { s.again(loading, f) })
	}
	load.Go(func() { s.sample(loading) })
	err = s.events(ctx)
	stop()
	load.Wait()
	if err != nil {
		return err
	}
	return s.end(ctx)
}

// soak is a run.
type soak struct {
	config
	daemon *daemon
	nw     *testnet.Network // used by events and end alone
	names  []*name
	begun  time.Time
	counts counts
	growth growth
}

// say prints what happens, and when.
func (s *soak) say(format string, args ...any) {
	fmt.Printf("%8s  %s\n", time.Since(s.begun).Round(time.Second), fmt.Sprintf(format, args...))
}

// events lets happen what happens to a daemon, one thing after another.
func (s *soak) events(ctx context.Context) error {
	end := time.Now().Add(s.length)
	full, away := time.Now().Add(s.length/4), time.Now().Add(s.length/2)
	kill, churn := time.Now().Add(s.killEvery()), time.Now().Add(s.churn())
	look := time.Now().Add(s.churn())
	var back time.Time // when the network comes back
	for time.Now().Before(end) {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(200 * time.Millisecond):
		}
		now := time.Now()
		switch {
		case !full.IsZero() && now.After(full):
			full = time.Time{}
			if err := s.fillDisk(ctx); err != nil {
				return err
			}
		case !away.IsZero() && now.After(away):
			away, back = time.Time{}, now.Add(s.awayFor())
			s.nw.CutOff(s.daemon.peer)
			s.say("the network is away")
		case !back.IsZero() && now.After(back):
			back = time.Time{}
			s.nw.CutOff()
			s.say("the network is back")
		case now.After(kill):
			kill = now.Add(s.killEvery())
			if err := s.kill(ctx); err != nil {
				return err
			}
		case now.After(churn) && back.IsZero():
			churn = now.Add(s.churn())
			if err := s.nw.Replace(1 + rand.IntN(s.nw.Len()-1)); err != nil { // the first is the way in
				return err
			}
			s.counts.replaced++
		case now.After(look):
			look = now.Add(s.churn())
			s.look()
		}
	}
	if !back.IsZero() {
		s.nw.CutOff()
	}
	return nil
}

// kill kills the daemon, starts it again and compares what it has with what it acknowledged.
func (s *soak) kill(ctx context.Context) error {
	if ended := s.daemon.kill(); ended != nil {
		s.counts.ended++
		s.say("the daemon had ended by itself: %v", ended)
	}
	s.growth.restarted()
	begin := time.Now()
	if err := s.daemon.start(ctx, s.nw.Addrs()[0]); err != nil {
		return err
	}
	s.counts.kills++
	if err := s.compare(ctx); err != nil {
		return err
	}
	s.say("killed; ready and compared after %s", time.Since(begin).Round(100*time.Millisecond))
	return nil
}

// fillDisk fills the disk of the repo for some time.
func (s *soak) fillDisk(ctx context.Context) error {
	if !s.daemon.mounted {
		s.say("the disk does not fill up: not root, or nothing can be mounted")
		return nil
	}
	free, err := s.daemon.fillDisk()
	if err != nil {
		return err
	}
	s.say("the disk is full")
	select {
	case <-ctx.Done():
	case <-time.After(s.fullFor()):
	}
	s.counts.full++
	s.say("the disk has room again")
	return free()
}

// settle is how long the daemon has for what is late when all is well again.
func (s *soak) settle() time.Duration { return 2*s.period() + time.Minute }

// end waits until the network has what was acknowledged, compares, and prints the figures.
func (s *soak) end(ctx context.Context) error {
	s.say("the load ends")
	for end := time.Now().Add(s.settle()); s.missing() > 0 && time.Now().Before(end); {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(time.Second):
		}
	}
	s.look()
	if err := s.compare(ctx); err != nil {
		return err
	}
	missing := s.missing()
	c := &s.counts
	fmt.Printf("\n%d names, %d servers (%d replaced), %s: %d kills, %d times a full disk, %s without a network\n",
		len(s.names), s.nw.Len(), c.replaced, s.length, c.kills, c.full, s.awayFor())
	fmt.Printf("%d publishes acknowledged and %d not, %d resolves and %d not, %d pages and %d not\n",
		c.published.Load(), c.unpublished.Load(), c.resolved.Load(), c.unresolved.Load(), c.pages.Load(), c.noPages.Load())
	fmt.Printf("lost: %d, rolled back: %d, expired: %d; not on the network in the end: %d; ended by itself: %d times\n",
		c.lost.Load(), c.back.Load(), c.expired, missing, c.ended)
	s.growth.print()
	if c.lost.Load() > 0 || c.back.Load() > 0 || c.expired > 0 || missing > 0 || c.ended > 0 {
		return errors.New("names were lost, went back, expired, or are not on the network, or the daemon ended by itself")
	}
	return nil
}
