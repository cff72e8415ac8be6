package main

import (
	"context"
	"errors"
	"fmt"
	"math"
	"runtime"
	"slices"
	"sync"
	"syscall"
	"time"

	"github.com/goipns/ipns"
	"github.com/goipns/ipns/bench/internal/contender"
	"github.com/goipns/ipns/internal/simnet"
)

const (
	bootstrap  = 6               // servers that a client knows at first
	goal       = 19              // mean holders at which the clock stops
	heapPeriod = 5 * time.Minute // between two looks at the client's heap
	rest       = time.Hour       // between contenders: the timers of the one before end
	hostName   = "laptop"        // as in bench/dht
)

func (c config) run(ctx context.Context, print func(row) error) error {
	names, err := contender.NewNames(c.seed, c.names, false)
	if err != nil {
		return err
	}
	for _, who := range c.contenders {
		r, err := c.measure(ctx, who, names)
		if err != nil {
			return fmt.Errorf("%s: %w", who.Name, err)
		}
		if err := print(r); err != nil {
			return err
		}
		time.Sleep(rest)
	}
	return nil
}

// measure lets one contender republish all names on a network of its own, in
// which nobody holds them yet.
func (c config) measure(ctx context.Context, who contender.Contender, names []*contender.Name) (r row, err error) {
	net := simnet.New(simnet.Config{Servers: c.servers, Profile: c.profile, Seed: c.seed})
	defer net.Close()
	records := make([]*ipns.Record, len(names))
	for i, n := range names {
		records[i] = n.Last
	}
	net.Count(records, !who.Resigns)
	reached := net.MeanReached(goal)
	host, err := net.NewHost(hostName)
	if err != nil {
		return r, err
	}
	period := heapPeriod
	if c.store {
		period *= 6 // it takes hours, and what a look costs is in the processor time
	}
	heap := watchHeap(period)
	defer heap.end()
	setup := contender.Setup{Host: host, Bootstrap: net.Bootstrap(bootstrap)}
	var stored *store
	if c.store {
		if stored, err = openStore(); err != nil {
			return r, err
		}
		defer func() { err = errors.Join(err, stored.close()) }()
		if err := stored.fill(ctx, names); err != nil {
			return r, err
		}
		setup.Store = stored
	}
	client, err := who.Start(ctx, setup)
	if err != nil {
		return r, err
	}
	defer client.Close()

	start, cpu, before := time.Now(), processCPU(), net.Stats(host)
	done := make(chan error, 1)
	go func() { done <- client.(contender.Republisher).Republish(ctx, names) }()
	var took time.Duration
	select {
	case <-reached:
		took = time.Since(start)
		err = <-done
	case err = <-done:
		took = time.Since(start)
	}
	if err != nil {
		return r, err
	}
	heap.end()
	spent := net.Stats(host).Sub(before)
	perName := func(x float64) float64 { return round(x/float64(len(names)), 1000) }
	r = row{
		Bench: "sweep", Client: who.Name, Profile: c.profile.Name, Servers: c.servers, Names: len(names),
		MsPerName:   perName(took.Seconds() * 1000),
		ExploreRPCs: spent.Find, SelfcheckRPCs: spent.FindSelf + spent.Get, RPCsPerName: perName(float64(spent.RPCs())),
		Dials: spent.Dials, BytesUp: spent.BytesUp, BytesDown: spent.BytesDown,
		HoldersMean: round(net.MeanHolders(), 1000), HoldersP001: worst(net, len(names)),
		CPU: round((processCPU() - cpu).Seconds(), 10), ClientHeap: round(heap.client(), 10),
	}
	if stored == nil {
		return r, nil
	}
	r.Store, r.Scan = true, round(stored.read.Seconds(), 1000)
	return r, stored.check(ctx, len(names), start)
}

// worst is the number of holders that all but a thousandth of the names reach.
func worst(net *simnet.Network, names int) int {
	holders := make([]int, names)
	for i := range holders {
		holders[i] = net.CountedHolders(i)
	}
	slices.Sort(holders)
	return holders[max(0, int(math.Ceil(0.001*float64(names)))-1)]
}

// A heapWatch looks at the live heap now and then. What it grew by is the
// client's: nearly all else was there before the client.
type heapWatch struct {
	before, most uint64 // owned by the watching goroutine while it runs
	stop, done   chan struct{}
	once         sync.Once
}

func watchHeap(period time.Duration) *heapWatch {
	w := &heapWatch{stop: make(chan struct{}), done: make(chan struct{})}
	w.look()
	w.before = w.most
	go func() {
		defer close(w.done)
		for {
			select {
			case <-time.After(period):
				w.look()
			case <-w.stop:
				w.look()
				return
			}
		}
	}()
	return w
}

func (w *heapWatch) look() {
	var m runtime.MemStats
	runtime.GC()
	runtime.GC() // what finalizers kept
	runtime.ReadMemStats(&m)
	w.most = max(w.most, m.HeapAlloc)
}

func (w *heapWatch) client() float64 { return float64(w.most-w.before) / (1 << 20) }

// end takes the last look. It may be called twice.
func (w *heapWatch) end() {
	w.once.Do(func() { close(w.stop) })
	<-w.done
}

// processCPU is the processor time of the whole process: the client, the model
// of the servers, and the garbage collector of both.
func processCPU() time.Duration {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		return 0
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

func round(x, parts float64) float64 { return math.Round(x*parts) / parts }
