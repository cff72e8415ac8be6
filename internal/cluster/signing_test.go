package cluster_test

import (
	"context"
	"fmt"
	"iter"
	"maps"
	"math/rand/v2"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/fxamacker/cbor/v2"

	"github.com/goipns/ipns"
	"github.com/goipns/ipns/internal/cluster"
	"github.com/goipns/ipns/names"
	"github.com/goipns/ipns/publisher"
	"github.com/goipns/ipns/recordstore"
	"github.com/goipns/ipns/recordstore/recordstoretest"
	"github.com/goipns/ipns/republisher"
	"github.com/goipns/ipns/routing"
)

// signed notes what keys have signed, and what left the daemons.
type signed struct {
	mu     sync.Mutex
	values map[string]map[string]bool // signed of a name and a sequence
	left   map[string]map[string]bool // the same of records that left a daemon
	newest map[ipns.Name]*ipns.Record // of those
	count  int
}

func (s *signed) note(in map[string]map[string]bool, version, value string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if in[version] == nil {
		in[version] = make(map[string]bool)
	}
	in[version][value] = true
}

// slowSigner takes a while, as one elsewhere does, and notes what it signs.
type slowSigner struct {
	ipns.Signer
	name ipns.Name
	all  *signed
}

func (s slowSigner) Sign(ctx context.Context, msg []byte) ([]byte, error) {
	var doc struct {
		Value    []byte
		Sequence uint64
	}
	if err := cbor.Unmarshal(msg[len("ipns-signature:"):], &doc); err != nil {
		return nil, err
	}
	select {
	case <-time.After(time.Duration(rand.IntN(2000)) * time.Millisecond):
	case <-ctx.Done():
		return nil, ctx.Err()
	}
	s.all.mu.Lock()
	s.all.count++
	s.all.mu.Unlock()
	s.all.note(s.all.values, fmt.Sprint(s.name, doc.Sequence), string(doc.Value))
	return s.Signer.Sign(ctx, msg)
}

// taking is a network that takes everything, and notes it.
type taking struct {
	all  *signed
	dead *atomic.Bool
}

func (n taking) Put(ctx context.Context, rec *ipns.Record, _ routing.Look) iter.Seq2[routing.Ack, error] {
	return func(yield func(routing.Ack, error) bool) {
		if err := routing.Allowed(ctx); err != nil || n.dead.Load() {
			yield(routing.Ack{}, errDead)
			return
		}
		n.all.note(n.all.left, fmt.Sprint(rec.Name(), rec.Sequence()), rec.Value())
		n.all.mu.Lock()
		if was := n.all.newest[rec.Name()]; was == nil || ipns.Compare(rec, was) > 0 {
			n.all.newest[rec.Name()] = rec
		}
		n.all.mu.Unlock()
		time.Sleep(50 * time.Millisecond)
		for i := range 20 {
			if !yield(routing.Ack{Name: rec.Name(), Target: fmt.Sprint(i), Network: "wan", Of: 20}, nil) {
				return
			}
		}
	}
}

func (n taking) Search(context.Context, ipns.Name) iter.Seq2[routing.Answer, error] {
	return func(func(routing.Answer, error) bool) {}
}

// writer is a daemon that publishes and renews.
type writer struct {
	p    *publisher.Publisher
	kill func()
}

// In 200 take-overs after kills, while daemons renew names and publish them as fast as they
// can, all with the same keys, which take their time to sign, no two records of one sequence
// with different values leave, and what left is in the store.
func TestNoSequenceIsSignedTwiceInTakeOvers(t *testing.T) {
	kills := 200
	if testing.Short() {
		kills = 20
	}
	synctest.Test(t, func(t *testing.T) {
		db, rows := recordstore.NewMemory(), new(recordstore.MemoryRows)
		all := &signed{values: map[string]map[string]bool{}, left: map[string]map[string]bool{}, newest: map[ipns.Name]*ipns.Record{}}
		keys := map[ipns.Name]recordstoretest.Key{}
		for i := range 64 {
			k := recordstoretest.KeyFromSeed(t, uint64(i))
			keys[k.Name] = k
			if err := (&names.Book{Store: db}).Create(t.Context(), k.Name); err != nil {
				t.Fatal(err)
			}
		}
		list := slices.Collect(maps.Keys(keys))
		origin := time.Now()
		now := func() time.Time { return recordstoretest.Epoch.Add(time.Since(origin)) }
		sign := func(_ context.Context, name ipns.Name) (ipns.Signer, error) {
			return slowSigner{keys[name].Signer, name, all}, nil
		}
		start := func() *writer {
			dead := new(atomic.Bool)
			s := shared{db, dead}
			begin := time.Now()
			m := cluster.New(s, rows, func() time.Duration { return time.Since(begin) })
			m.Daemon.Takes = true
			book, net := &names.Book{Store: s, Now: now}, taking{all, dead}
			p := &publisher.Publisher{Book: book, Router: net, Signers: sign, Resumes: m.Holds, Now: now}
			r := &republisher.Republisher{Book: book, Router: net, Signers: sign, Leases: m, OwnPeriod: 4 * time.Minute, Now: now}
			ctx, cancel := context.WithCancel(context.WithoutCancel(t.Context()))
			var parts sync.WaitGroup
			parts.Go(func() { _ = book.Run(ctx) })
			parts.Go(func() { _ = m.Run(ctx) })
			parts.Go(func() { _ = r.Run(ctx) })
			parts.Go(func() { _ = p.Run(ctx) })
			parts.Go(func() { // publishes, now and then two daemons the same name
				for ctx.Err() == nil {
					time.Sleep(time.Duration(rand.IntN(4000)) * time.Millisecond)
					life := 10 * time.Minute
					name := list[rand.IntN(8)]
					signer, _ := sign(ctx, name)
					_, _ = p.Publish(ctx, signer, publisher.Request{Value: fmt.Sprintf("/ipfs/bafkqaaa/%d", rand.Int64()), Lifetime: &life, Form: ipns.V2Only, Wait: publisher.WaitStored})
				}
			})
			return &writer{p, sync.OnceFunc(func() { dead.Store(true); cancel(); parts.Wait() })}
		}
		daemons := []*writer{start(), start(), start()}
		defer func() {
			for _, d := range daemons {
				d.kill()
			}
		}()
		life := 10 * time.Minute
		for _, name := range list { // all have a record to be renewed
			signer, _ := sign(t.Context(), name)
			if _, err := daemons[0].p.Publish(t.Context(), signer, publisher.Request{Value: "/ipfs/bafkqaaa", Lifetime: &life, Form: ipns.V2Only, Wait: publisher.WaitStored}); err != nil {
				t.Fatal(err)
			}
		}
		for range kills {
			time.Sleep(time.Duration(20+rand.IntN(20)) * time.Second)
			victim := rand.IntN(3)
			daemons[victim].kill()
			time.Sleep(time.Duration(rand.IntN(20)) * time.Second)
			daemons[victim] = start()
		}
		time.Sleep(time.Minute)
		all.mu.Lock()
		defer all.mu.Unlock()
		twice, unsent := 0, 0
		for version, values := range all.left {
			if len(values) > 1 {
				t.Errorf("%s left with %d values", version, len(values))
			}
		}
		for version, values := range all.values {
			if len(values) > 1 {
				if twice++; len(all.left[version]) > 1 {
					t.Errorf("%s was signed with %d values", version, len(values))
				}
			}
			if len(all.left[version]) == 0 {
				unsent++
			}
		}
		for name, rec := range all.newest {
			if e, err := db.Get(t.Context(), name); err != nil || e.Mark.Compare(recordstore.MarkOf(rec)) < 0 {
				t.Errorf("sequence %d of %s has left and is not in the store: %v", rec.Sequence(), name, err)
			}
			if rec.Expired(now()) {
				t.Errorf("%s was not renewed", name)
			}
		}
		t.Logf("%d kills, %d signatures of %d sequences; %d were signed by two that both wanted to publish, of which one let the other win; %d never left", kills, all.count, len(all.values), twice, unsent)
	})
}
