package main

import (
	"context"
	"errors"
	"math/rand/v2"
	"sync/atomic"
	"testing"
	"time"

	"github.com/goipns/ipns"
	"github.com/goipns/ipns/names"
	"github.com/goipns/ipns/publisher"
	"github.com/goipns/ipns/recordstore"
	"github.com/goipns/ipns/recordstore/postgres"
	"github.com/goipns/ipns/recordstore/postgres/pgtest"
)

// clockDoor is the part of a daemon that publishes, in this process, where its clock can be
// set: a process has that of the machine.
type clockDoor struct {
	keys  map[string]ipns.Signer
	store *postgres.Store
	off   atomic.Int64 // nanoseconds that its clock is ahead
	pub   *publisher.Publisher
	way   *dbProxy
}

// The same with clocks that jump by days back and up to a year ahead, while connections to the
// database are cut. R3.
func TestClocksThatJumpMakeNoSecondValue(t *testing.T) {
	if testing.Short() {
		t.Skip("takes half a minute: histories with clocks that jump")
	}
	t.Parallel() // it mostly waits
	seed := uint64(time.Now().UnixNano())
	t.Logf("seed %d", seed)
	server := pgtest.Start(t)
	c := &cluster{server: server, url: server.Database(t)}
	keys := map[string]ipns.Signer{}
	var clocks []*clockDoor
	var doors []registerDoor
	for range clusterDaemons {
		d := &clockDoor{keys: keys, way: newDBProxy(t, c.url)}
		var err error
		if d.store, err = postgres.Open(t.Context(), d.way.url(t, c.url, "ipns"), postgres.Options{}); err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { d.store.Close() })
		d.pub = &publisher.Publisher{Book: &names.Book{Store: d.store, Now: d.now}, Now: d.now}
		clocks, doors = append(clocks, d), append(doors, d)
	}
	var sum registerFigures
	var all []*registerHistory
	jumps := 0
	for i := range *clusterHistories {
		h := newRegisterHistory(i)
		for _, label := range h.labels {
			key, err := ipns.GenerateKey(ipns.Ed25519, 0)
			if err != nil {
				t.Fatal(err)
			}
			signer := ipns.NewSigner(key)
			name, err := ipns.NameOf(signer.Public())
			if err == nil {
				err = clocks[0].pub.Book.Create(t.Context(), name)
			}
			if err != nil {
				t.Fatal(err)
			}
			keys[label], h.names = signer, append(h.names, name.String())
		}
		ctx, cancel := h.lasting(t.Context(), clocksLast)
		h.run(ctx, t, seed+uint64(i), doors, func(ctx context.Context, rng *rand.Rand) {
			for ctx.Err() == nil {
				time.Sleep(time.Duration(rng.Int64N(int64(100 * time.Millisecond))))
				d := clocks[rng.IntN(len(clocks))]
				d.off.Store(rng.Int64N(int64(clockAhead+clockBehind)) - int64(clockBehind))
				jumps++
				if rng.IntN(3) == 0 {
					d.way.set(way{noRequests: rng.IntN(2) == 0, noAnswers: rng.IntN(2) == 0, cut: rng.IntN(2) == 0})
					time.Sleep(time.Duration(rng.Int64N(int64(200 * time.Millisecond))))
					d.way.set(way{})
				}
			}
			for _, d := range clocks {
				d.off.Store(0)
			}
		})
		cancel()
		all = append(all, h)
	}
	for _, h := range all {
		var stored []map[uint64]string
		for _, name := range h.names {
			stored = append(stored, c.stored(t, name))
		}
		sum.add(h.check(t, stored))
	}
	t.Logf("%d histories, clocks jumped %d times: %s", len(all), jumps, sum)
	if sum.acked < registerEnough*len(all) || jumps < len(all) {
		t.Error("that is too little to show anything")
	}
}

const clocksLast = 700 * time.Millisecond // how long a history is, at least

// How far clocks are off, at most.
const (
	clockAhead  = 366 * 24 * time.Hour
	clockBehind = 20 * 24 * time.Hour // a clock from before this code was written signs nothing
)

func (d *clockDoor) now() time.Time { return time.Now().Add(time.Duration(d.off.Load())) }

// publish implements registerDoor.
func (d *clockDoor) publish(ctx context.Context, label, value string, cond *uint64) (registerAnswer, error) {
	res, err := d.pub.Publish(ctx, d.keys[label], publisher.Request{
		Value: value, IfSequence: cond, Form: ipns.V2Only, Wait: publisher.WaitStored, Force: true,
	})
	var conflict *publisher.IfSequenceError
	if errors.As(err, &conflict) {
		return registerAnswer{refused: true, life: d}, nil
	}
	if err != nil {
		return registerAnswer{}, err
	}
	return registerAnswer{life: d, registerState: registerState{true, res.Record.Sequence(), res.Record.Value()}}, nil
}

// last implements registerDoor.
func (d *clockDoor) last(ctx context.Context, label string) (registerAnswer, error) {
	name, err := ipns.NameOf(d.keys[label].Public())
	if err != nil {
		return registerAnswer{}, err
	}
	e, err := d.pub.Book.Get(ctx, name)
	if err != nil && !errors.Is(err, recordstore.ErrNotFound) {
		return registerAnswer{}, err
	}
	if e.Record == nil {
		return registerAnswer{life: d}, nil
	}
	return registerAnswer{life: d, registerState: registerState{true, e.Record.Sequence(), e.Record.Value()}}, nil
}

// resolve implements registerDoor: it is what the last record says.
func (d *clockDoor) resolve(ctx context.Context, label string) (registerAnswer, error) {
	a, err := d.last(ctx, label)
	if err == nil && !a.some {
		err = recordstore.ErrNotFound
	}
	return a, err
}
