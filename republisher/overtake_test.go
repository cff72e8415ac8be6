package republisher_test

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/goipns/ipns"
	"github.com/goipns/ipns/names"
	"github.com/goipns/ipns/publisher"
	"github.com/goipns/ipns/recordstore"
	"github.com/goipns/ipns/recordstore/recordstoretest"
	"github.com/goipns/ipns/republisher"
)

// interleaving is a node on which publishes, records from outside and the steps of a
// republisher run whenever the republisher reads or writes the store, asks for a
// signature, or puts to a server.
type interleaving struct {
	t     *rapid.T
	p     *publisher.Publisher
	r     *republisher.Republisher
	net   *cloud
	key   recordstoretest.Key
	clock time.Time
	value int
	steps int
	stale []recordstore.Entry // entries read earlier, to renew them later

	between []int // actions at the next points
	inside  bool  // an action at a point is running

	// The invariants.
	last   *ipns.Record // the newest that a caller got, or that came from outside
	mark   recordstore.Mark
	failed string // an invariant broken at a point
}

func newInterleaving(t *rapid.T, outer *testing.T, key recordstoretest.Key) *interleaving {
	m := &interleaving{t: t, key: key, clock: epoch}
	now := func() time.Time { return m.clock }
	store := recordstore.NewMemory()
	book := &names.Book{Store: store, Now: now}
	m.net = &cloud{t: outer, of: 3, held: map[ipns.Name][]*ipns.Record{}, put: map[[32]byte]int{}, putAt: map[ipns.Name]time.Time{}}
	m.p = &publisher.Publisher{Book: book, Now: now}
	m.r = &republisher.Republisher{Book: book, Router: m.net, Now: now, Signers: func(context.Context, ipns.Name) (ipns.Signer, error) {
		m.point()
		return key.Signer, nil
	}}
	if err := book.Create(context.Background(), key.Name); err != nil {
		t.Fatal(err)
	}
	// A swap is not a point of its own: the signature comes between it and the read
	// before.
	store.Misbehave = func(op recordstore.Op, _ ipns.Name) (bool, error) {
		if op != recordstore.OpSwap {
			m.point()
		}
		return false, nil
	}
	m.net.misbehave = func(ipns.Name, int) error { m.point(); return nil }
	return m
}

// point is where other actions can run. The parts of a step run one after the other, even
// those with their own goroutines.
func (m *interleaving) point() {
	if m.inside || len(m.between) == 0 {
		return
	}
	what := m.between[0]
	m.between = m.between[1:]
	m.inside = true
	defer func() { m.inside = false }()
	switch what {
	case 1:
		m.publishNext()
	case 2:
		m.fromOutside(1, 5*time.Hour)
	case 3:
		m.fromOutside(0, 100*time.Hour)
	case 4:
		m.clock = m.clock.Add(5 * time.Hour)
	}
}

func (m *interleaving) entry() recordstore.Entry {
	inside := m.inside
	m.inside = true // reading in a check is not a step
	defer func() { m.inside = inside }()
	e, err := m.p.Book.Get(context.Background(), m.key.Name)
	if err != nil {
		m.failed = err.Error()
	}
	return e
}

// entered records a record that is now in the Book.
func (m *interleaving) entered(rec *ipns.Record) {
	if m.last == nil || ipns.Compare(rec, m.last) > 0 {
		m.last = rec
	}
}

func (m *interleaving) publishNext() {
	m.steps++
	m.value++
	m.renewed()
	res, err := m.p.Publish(context.Background(), m.key.Signer, publisher.Request{
		Value: fmt.Sprintf("/ipfs/bafkqaaa/%d", m.value), Form: ipns.V2Only, Wait: publisher.WaitStored,
	})
	if err != nil {
		m.failed = err.Error()
		return
	}
	m.entered(res.Record)
}

// fromOutside takes a record of another holder of the key.
func (m *interleaving) fromOutside(more uint64, life time.Duration) {
	m.steps++
	m.renewed()
	seq := more
	if m.last != nil {
		seq += m.last.Sequence()
	}
	m.value++
	rec, err := ipns.Sign(context.Background(), m.key.Signer, ipns.Fields{
		Value: fmt.Sprintf("/ipfs/bafkqaaa/outside/%d", m.value), Sequence: seq, EOL: m.clock.Add(life),
	}, ipns.V2Only)
	if err != nil {
		m.failed = err.Error()
		return
	}
	outcome, err := m.p.Book.Take(context.Background(), rec, names.Entrance{Origin: recordstore.Own})
	if err != nil {
		m.failed = err.Error()
	}
	if outcome == names.New || outcome == names.Fork {
		m.entered(rec)
	}
}

// surprise draws the actions at the next points.
func (m *interleaving) surprise(t *rapid.T) {
	m.between = rapid.SliceOfN(rapid.IntRange(0, 6), 0, 30).Draw(t, "between")
}

func (m *interleaving) publish(t *rapid.T) {
	m.surprise(t)
	m.inside = true
	m.publishNext()
	m.inside = false
}

// step lets the republisher scan, sign and put.
func (m *interleaving) step(t *rapid.T) {
	m.surprise(t)
	m.clock = m.clock.Add(5 * time.Minute) // so that new records are no longer left to their publisher
	m.r.Touch()
	if err := m.r.Step(context.Background()); err != nil {
		t.Fatalf("step: %v", err)
	}
	m.between = nil
	m.renewed()
}

// renewed checks what the republisher has entered since the last record: only a renewal
// of it is allowed.
func (m *interleaving) renewed() {
	e := m.entry()
	if m.last == nil || ipns.Compare(e.Record, m.last) <= 0 {
		return
	}
	if e.Record.Value() != m.last.Value() || e.Record.Sequence() != m.last.Sequence() {
		m.failed = fmt.Sprintf("republishing made %v of %v", e.Record, m.last)
	}
	m.entered(e.Record)
}

func (m *interleaving) read(*rapid.T) { m.stale = append(m.stale, m.entry()) }

// renew renews from an entry that was read earlier.
func (m *interleaving) renew(t *rapid.T) {
	if len(m.stale) == 0 {
		return
	}
	e := m.stale[0]
	m.stale = m.stale[1:]
	if e.Record == nil {
		return
	}
	m.surprise(t)
	m.steps++
	rec, err := m.r.Renew(context.Background(), e)
	m.between = nil
	switch now := m.entry(); {
	case err == nil && (now.Version != e.Version+1 || now.Record.Hash() != rec.Hash()):
		t.Fatalf("a renewal of version %d came after version %d", e.Version, now.Version-1)
	case err == nil:
		m.entered(rec)
	case !errors.Is(err, recordstore.ErrConflict) && e.Record.EOL().Before(m.clock.Add(time.Hour)):
		t.Fatalf("renew: %v", err)
	}
}

func (m *interleaving) pass(t *rapid.T) {
	m.clock = m.clock.Add(time.Duration(rapid.IntRange(0, 12*3600).Draw(t, "seconds")) * time.Second)
}

// check runs after every action.
func (m *interleaving) check(t *rapid.T) {
	m.steps++
	e := m.entry()
	if m.failed != "" {
		t.Fatal(m.failed)
	}
	if e.Mark.Compare(m.mark) < 0 {
		t.Fatalf("the mark went back from %d to %d", m.mark.Sequence, e.Mark.Sequence)
	}
	m.mark = e.Mark
	if m.last != nil && (e.Record == nil || ipns.Compare(e.Record, m.last) != 0) {
		t.Fatalf("rolled back: the Book has %v, entered was %v", e.Record, m.last)
	}
	if best := m.net.best(m.key.Name); best != nil && ipns.Compare(best, e.Record) > 0 {
		t.Fatalf("%v left the node and is not in the store, which has %v", best, e.Record)
	}
}

// TestRepublishNeverOvertakesPublish interleaves publishes, records from outside and
// republishing. F3, R8.
func TestRepublishNeverOvertakesPublish(t *testing.T) {
	goal := 20_000
	switch {
	case *long:
		goal = 1_000_000
	case testing.Short():
		goal = 5_000
	}
	key := recordstoretest.KeyFromSeed(t, 8)
	steps, puts, begin := 0, 0, time.Now()
	for steps < goal {
		rapid.Check(t, func(rt *rapid.T) {
			m := newInterleaving(rt, t, key)
			rt.Repeat(map[string]func(*rapid.T){
				"publish": m.publish, "step": m.step, "again": m.step, "read": m.read, "renew": m.renew, "pass": m.pass, "": m.check,
			})
			steps += m.steps
			puts += m.net.puts
		})
		if t.Failed() {
			return
		}
	}
	t.Logf("%d steps with %d puts, 0 roll-backs, in %v", steps, puts, time.Since(begin).Round(time.Millisecond))
}
