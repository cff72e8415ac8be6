package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"math/rand/v2"
	"sync"
	"testing"
	"time"

	"github.com/goipns/ipns"
	"github.com/goipns/ipns/api"
	"github.com/goipns/ipns/internal/testnet"
	"github.com/goipns/ipns/recordstore/postgres"
	"github.com/goipns/ipns/rpc"
)

var (
	clusterHistories   = flag.Int("cluster-histories", 20, "how many histories of publishes through three daemons are checked")
	clusterKills       = flag.Int("cluster-kills", 50, "how often a daemon is killed meanwhile")
	clusterServerKills = flag.Int("cluster-server-kills", 5, "how often the server of the database is killed meanwhile")
)

const (
	clusterDaemons = 3
	historyLasts   = 1500 * time.Millisecond // and longer while there are kills to be made
	heldServers    = 3
)

// Clients publish through three daemons, which are killed and stopped, and whose connections
// to the database are cut, half open and slow; the server is killed too. Each name is a
// register: what was acknowledged is there, in an order that agrees with what everybody was
// told. No sequence has two values, in answers, in the store or at any server of the DHT, and
// no daemon shows an older value than before. R1, R3.
func TestThreeDaemonsAreOneRegister(t *testing.T) {
	if testing.Short() {
		t.Skip("takes a minute: three daemons and their database are killed many times")
	}
	t.Parallel() // it mostly waits
	seed := uint64(time.Now().UnixNano())
	t.Logf("seed %d", seed)
	c := newCluster(t, clusterDaemons, heldServers)
	put := &putValues{values: map[ipns.Name]map[uint64]map[string]bool{}}
	c.net.Hear(put.hear)
	var doors []registerDoor
	for _, m := range c.members {
		doors = append(doors, m)
	}
	var all []*registerHistory
	kills, serverKills := 0, 0
	for i := range *clusterHistories {
		h := newRegisterHistory(i)
		h.names = c.share(t, h.labels...)
		ctx, cancel := h.lasting(t.Context(), historyLasts)
		h.run(ctx, t, seed+uint64(i), doors, func(ctx context.Context, rng *rand.Rand) {
			share := func(all int) int { return all*(i+1)/(*clusterHistories) - all*i/(*clusterHistories) }
			kills += share(*clusterKills)
			serverKills += share(*clusterServerKills)
			c.trouble(ctx, rng, share(*clusterKills), share(*clusterServerKills))
		})
		cancel()
		all = append(all, h)
		if t.Failed() {
			break
		}
	}
	for _, m := range c.members {
		m.kill() // what is announced now is announced
	}
	var sum registerFigures
	for _, h := range all {
		var stored []map[uint64]string
		for _, name := range h.names {
			stored = append(stored, c.stored(t, name))
		}
		f := h.check(t, stored)
		sum.add(f)
		put.check(t, h.names, stored)
	}
	t.Logf("%d histories, %d kills of daemons, %d of the server: %s; %d puts at servers of the DHT", len(all), kills, serverKills, sum, put.count)
	if sum.acked < registerEnough*len(all) || put.count == 0 || sum.shown <= sum.acked {
		t.Error("that is too little to show anything")
	}
}

func (f *registerFigures) add(g registerFigures) {
	f.ops += g.ops
	f.acked += g.acked
	f.refused += g.refused
	f.doubts += g.doubts
	f.came += g.came
	f.failed += g.failed
	f.shown += g.shown
}

func (f registerFigures) String() string {
	return fmt.Sprintf("%d operations, of them %d publishes acknowledged and %d refused by their conditions; %d failed, %d more were in doubt, of which %d were stored; %d values shown",
		f.ops, f.acked, f.refused, f.failed, f.doubts, f.came, f.shown)
}

// trouble makes trouble until ctx ends and all kills are made. In the end there is none.
func (c *cluster) trouble(ctx context.Context, rng *rand.Rand, kills, serverKills int) {
	pause := func(least, most time.Duration) { time.Sleep(least + time.Duration(rng.Int64N(int64(most-least)))) }
	for ctx.Err() == nil || kills > 0 || serverKills > 0 {
		pause(20*time.Millisecond, 150*time.Millisecond)
		m := c.members[rng.IntN(len(c.members))]
		what := rng.IntN(8)
		switch {
		case kills > 0 && what < 4 || ctx.Err() != nil && kills > 0:
			kills--
			m.kill()
			m.start()
		case serverKills > 0:
			serverKills--
			c.server.Kill()
			if err := c.server.Restart(); err != nil {
				m.t.Fatal(err)
			}
		case what < 5:
			m.stop()
			pause(50*time.Millisecond, 600*time.Millisecond)
			m.resume()
		case what < 6:
			m.way.set(way{cut: true})
			pause(50*time.Millisecond, 400*time.Millisecond)
		case what < 7:
			m.way.set(way{noRequests: rng.IntN(2) == 0, noAnswers: true})
			pause(50*time.Millisecond, 400*time.Millisecond)
		default:
			m.way.set(way{delay: time.Duration(rng.Int64N(int64(30 * time.Millisecond)))})
			pause(50*time.Millisecond, 400*time.Millisecond)
		}
		m.way.set(way{})
	}
}

// publish implements registerDoor.
func (m *member) publish(ctx context.Context, label, value string, cond *uint64) (registerAnswer, error) {
	l := m.life.Load()
	req := rpc.New[api.PublishRequest]()
	short := false
	req.Path, req.Key, req.IfSequence, req.Resolve, req.AllowOffline, req.Wait, req.V1Compat = value, label, cond, false, true, "stored", &short
	p, err := rpc.Do(ctx, l.client, api.NamePublish, req)
	if rpc.HasReason(err, api.ReasonConflict) {
		return registerAnswer{refused: true, life: l}, nil
	}
	var told *rpc.Error
	if err != nil && !errors.As(err, &told) {
		err = doubtError{err}
	}
	return registerAnswer{life: l, registerState: registerState{true, p.Sequence, p.Value}}, err
}

// last implements registerDoor.
func (m *member) last(ctx context.Context, label string) (registerAnswer, error) {
	l := m.life.Load()
	p, err := rpc.Do(ctx, l.client, api.NameStatus, api.StatusRequest{Name: label, Local: true})
	if rpc.HasReason(err, api.ReasonNotPublished) {
		return registerAnswer{life: l}, nil
	}
	if err != nil {
		return registerAnswer{}, err
	}
	return registerAnswer{life: l, registerState: registerState{true, p.One.Sequence, p.One.Value}}, nil
}

// resolve implements registerDoor.
func (m *member) resolve(ctx context.Context, label string) (registerAnswer, error) {
	l := m.life.Load()
	req := rpc.New[api.ResolveRequest]()
	req.Name, req.Recursive = m.c.keys[label].name, false
	p, err := rpc.Do(ctx, l.client, api.NameResolve, req)
	return registerAnswer{life: l, registerState: registerState{value: p.Path}}, err
}

// stored returns all that was ever stored of a name, by sequence.
func (c *cluster) stored(t *testing.T, text string) map[uint64]string {
	t.Helper()
	s, err := postgres.Open(t.Context(), c.url, postgres.Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	name, err := ipns.ParseName(text)
	if err != nil {
		t.Fatal(err)
	}
	e, err := s.Get(t.Context(), name)
	if err != nil || len(e.Rivals) > 0 || e.Forks > 0 || e.Rival != nil || e.Pending != nil {
		t.Errorf("nobody else has the key of %s, but: %+v, %v", name, e, err)
	}
	values := map[uint64]string{}
	for p, err := range s.History(t.Context(), name) {
		if err != nil {
			t.Fatal(err)
		}
		if v, ok := values[p.Record.Sequence()]; ok && v != p.Record.Value() {
			t.Errorf("%s is stored with sequence %d and two values, %s and %s", name, p.Record.Sequence(), v, p.Record.Value())
		}
		values[p.Record.Sequence()] = p.Record.Value()
	}
	return values
}

// putValues are the values that came to servers of the DHT.
type putValues struct {
	mu     sync.Mutex // guards all below
	count  int
	values map[ipns.Name]map[uint64]map[string]bool
}

func (p *putValues) hear(a testnet.Asked) {
	rec, err := ipns.Reopen(a.Name, a.Record)
	if err != nil {
		return
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.count++
	if p.values[a.Name] == nil {
		p.values[a.Name] = map[uint64]map[string]bool{}
	}
	if p.values[a.Name][rec.Sequence()] == nil {
		p.values[a.Name][rec.Sequence()] = map[string]bool{}
	}
	p.values[a.Name][rec.Sequence()][rec.Value()] = true
}

// check looks whether anything was put that is not stored.
func (p *putValues) check(t *testing.T, names []string, stored []map[uint64]string) {
	t.Helper()
	p.mu.Lock()
	defer p.mu.Unlock()
	for i, text := range names {
		name, err := ipns.ParseName(text)
		if err != nil {
			t.Fatal(err)
		}
		for seq, values := range p.values[name] {
			for value := range values {
				if stored[i][seq] != value {
					t.Errorf("%s was put with sequence %d and %s; stored is %s", name, seq, value, stored[i][seq])
				}
			}
		}
	}
}
