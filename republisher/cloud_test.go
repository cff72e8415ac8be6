package republisher_test

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"maps"
	"sync"
	"testing"
	"time"

	"github.com/goipns/ipns"
	"github.com/goipns/ipns/routing"
)

// cloud is a network of servers without addresses: each record belongs on the same number
// of them, counted from 0. It verifies nothing and so is cheap, takes many records at
// once, checks its arguments, and misbehaves on request.
type cloud struct {
	t  *testing.T
	of int
	// misbehave, if set, is called before a server answers.
	misbehave func(name ipns.Name, server int) error
	// delay, if set, is how long one put takes.
	delay func(name ipns.Name) time.Duration

	mu     sync.Mutex // guards all below
	held   map[ipns.Name][]*ipns.Record
	put    map[[32]byte]int // how often each record was put
	puts   int
	sweeps int
	paces  []float64 // set by Pace

	putAt map[ipns.Name]time.Time
	lasts [64]routing.Survival // by the first 6 bits
}

var (
	_ routing.Sweeper = (*cloud)(nil)
	_ routing.Router  = (*cloud)(nil)
)

// newCloud makes a cloud the network of the site.
func newCloud(t *testing.T, s *site) *cloud {
	c := &cloud{t: t, of: 20, held: map[ipns.Name][]*ipns.Record{}, put: map[[32]byte]int{}, putAt: map[ipns.Name]time.Time{}}
	s.Router = c
	return c
}

var (
	errOlder   = errors.New("have a newer record")
	errRefused = errors.New("refused")
)

func (c *cloud) begin(rec *ipns.Record) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.puts++
	c.put[rec.Hash()]++
	c.putAt[rec.Name()] = time.Now()
}

// Put implements routing.Router.
func (c *cloud) Put(ctx context.Context, rec *ipns.Record, look routing.Look) iter.Seq2[routing.Ack, error] {
	return func(yield func(routing.Ack, error) bool) {
		c.begin(rec)
		if c.delay != nil {
			select {
			case <-time.After(c.delay(rec.Name())):
			case <-ctx.Done():
				yield(routing.Ack{}, ctx.Err())
				return
			}
		}
		for server := range c.of {
			ack := c.offer(rec, server)
			if errors.Is(ack.Err, routing.ErrNoTargets) {
				yield(routing.Ack{}, ack.Err)
				return
			}
			if !yield(ack, nil) {
				return
			}
		}
	}
}

func (c *cloud) offer(rec *ipns.Record, server int) routing.Ack {
	ack := routing.Ack{Name: rec.Name(), Target: fmt.Sprint(server), Network: "wan", Of: c.of}
	if c.misbehave != nil {
		if ack.Err = c.misbehave(rec.Name(), server); ack.Err != nil {
			return ack
		}
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	held := c.held[rec.Name()]
	if held == nil {
		held = make([]*ipns.Record, c.of)
		c.held[rec.Name()] = held
	}
	if old := held[server]; old != nil && ipns.Compare(old, rec) > 0 {
		ack.Err, ack.Newer = errOlder, old
		return ack
	}
	held[server] = rec
	return ack
}

// Sweep implements routing.Sweeper.
func (c *cloud) Sweep(ctx context.Context, region routing.Region, records iter.Seq[*ipns.Record]) iter.Seq2[routing.Ack, error] {
	return func(yield func(routing.Ack, error) bool) {
		c.mu.Lock()
		c.sweeps++
		c.mu.Unlock()
		last := region.First()
		for rec := range records {
			kad := rec.Name().Kad()
			if !region.Contains(kad) || last.Compare(kad) > 0 {
				c.t.Errorf("record of %x in a sweep of %v after %x", kad[:4], region, last[:4])
			}
			last = kad
			c.ask(rec)
			for ack, err := range c.Put(ctx, rec, routing.Look{}) {
				if !yield(ack, err) || err != nil {
					return
				}
			}
		}
	}
}

// ask asks all servers for a record that was put before.
func (c *cloud) ask(rec *ipns.Record) {
	c.mu.Lock()
	defer c.mu.Unlock()
	at, ok := c.putAt[rec.Name()]
	if !ok || time.Since(at) < time.Hour {
		return
	}
	s := &c.lasts[rec.Name().Kad()[0]>>2]
	for _, held := range c.held[rec.Name()] {
		s.Asked++
		s.Age += time.Since(at)
		if held != nil {
			s.Held++
		}
	}
}

// Pace implements routing.Sweeper.
func (c *cloud) Pace(perSecond float64) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.paces = append(c.paces, perSecond)
}

// Survival implements routing.Sweeper. It is called for regions of 6 bits.
func (c *cloud) Survival(region routing.Region) routing.Survival {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.lasts[region.Prefix[0]>>2]
}

// Search implements routing.Router.
func (c *cloud) Search(_ context.Context, name ipns.Name) iter.Seq2[routing.Answer, error] {
	return func(yield func(routing.Answer, error) bool) {
		c.mu.Lock()
		held := append(make([]*ipns.Record, 0, c.of), c.held[name]...)
		c.mu.Unlock()
		for server := range c.of {
			a := routing.Answer{Source: fmt.Sprint(server), Network: "wan", At: time.Now()}
			if server < len(held) {
				a.Record = held[server]
			}
			if !yield(a, nil) {
				return
			}
		}
	}
}

// onlyPut is a Router that cannot sweep.
type onlyPut struct{ routing.Router }

// best returns the newest record of a name on any server; nil if there is none.
func (c *cloud) best(name ipns.Name) (best *ipns.Record) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, rec := range c.held[name] {
		if rec != nil && (best == nil || ipns.Compare(rec, best) > 0) {
			best = rec
		}
	}
	return best
}

// seen returns how many puts there were, and how often each record was put.
func (c *cloud) seen() (puts int, put map[[32]byte]int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.puts, maps.Clone(c.put)
}

// holders counts the servers that have exactly this record.
func (c *cloud) holders(rec *ipns.Record) int {
	c.mu.Lock()
	defer c.mu.Unlock()
	n := 0
	for _, held := range c.held[rec.Name()] {
		if held != nil && held.Hash() == rec.Hash() {
			n++
		}
	}
	return n
}

// forget deletes all records of the first servers.
func (c *cloud) forget(servers int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, held := range c.held {
		clear(held[:servers])
	}
}
