package publisher_test

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
)

// interleaving is a node on which publishes, renewals and records from outside
// meet at every point where another one may come in between.
type interleaving struct {
	t     *rapid.T
	p     *publisher.Publisher
	key   recordstoretest.Key
	clock time.Time
	value int
	steps int

	// What must hold.
	last  *ipns.Record               // the newest that a caller was told of, or that came from outside
	used  map[uint64]map[string]bool // values by sequence
	mark  recordstore.Mark           // the highest seen
	stale []recordstore.Entry        // entries that somebody read and has not acted on yet
	depth int                        // of publishes inside of publishes
}

func newInterleaving(t *rapid.T, key recordstoretest.Key) *interleaving {
	m := &interleaving{t: t, key: key, clock: epoch, used: map[uint64]map[string]bool{}}
	now := func() time.Time { return m.clock }
	m.p = &publisher.Publisher{
		Book: &names.Book{Store: recordstore.NewMemory(), Now: now}, Now: now,
		Signers: func(context.Context, ipns.Name) (ipns.Signer, error) { return key.Signer, nil },
	}
	if err := m.p.Book.Create(context.Background(), key.Name); err != nil {
		t.Fatal(err)
	}
	return m
}

func (m *interleaving) entry() recordstore.Entry {
	e, err := m.p.Book.Get(context.Background(), m.key.Name)
	if err != nil {
		m.t.Fatal(err)
	}
	return e
}

// entered notes a record that is now in the Book.
func (m *interleaving) entered(rec *ipns.Record) {
	if m.last == nil || ipns.Compare(rec, m.last) > 0 {
		m.last = rec
	}
	if m.used[rec.Sequence()] == nil {
		m.used[rec.Sequence()] = map[string]bool{}
	}
	m.used[rec.Sequence()][rec.Value()] = true
}

// publish publishes another value, or the same one again, with other actions
// between its steps.
func (m *interleaving) publish(t *rapid.T) {
	if rapid.IntRange(0, 3).Draw(t, "again") > 0 {
		m.value++
	}
	value := fmt.Sprintf("/ipfs/bafkqaaa/%d", m.value)
	between := rapid.SampledFrom(append([]string{""}, publisher.Steps[:7]...)).Draw(t, "between")
	m.p.SetStep(func(step string) error {
		if step == between && m.depth == 0 {
			m.depth++
			// Not another publish: in one process they take turns.
			rapid.SampledFrom([]func(*rapid.T){m.read, m.renew, m.outside}).Draw(t, "inside")(t)
			m.depth--
		}
		return nil
	})
	before := m.entry()
	res, err := m.p.Publish(context.Background(), m.key.Signer, publisher.Request{Value: value, Form: ipns.V2Only, Wait: publisher.WaitStored})
	m.p.SetStep(func(string) error { return nil })
	if err != nil {
		t.Fatalf("publish: %v", err)
	}
	if before.Record != nil && ipns.Compare(res.Record, before.Record) < 0 {
		t.Fatalf("published sequence %d after %d", res.Record.Sequence(), before.Record.Sequence())
	}
	m.entered(res.Record)
}

// read reads the entry as a republisher does, to act on it later.
func (m *interleaving) read(*rapid.T) { m.stale = append(m.stale, m.entry()) }

// renew renews the record of an entry that was read some time ago.
func (m *interleaving) renew(t *rapid.T) {
	if len(m.stale) == 0 {
		return
	}
	i := rapid.IntRange(0, len(m.stale)-1).Draw(t, "stale")
	e := m.stale[i]
	m.stale = append(m.stale[:i], m.stale[i+1:]...)
	if e.Record == nil {
		return
	}
	now := m.entry()
	rec, err := m.p.Renew(context.Background(), e)
	switch {
	case errors.Is(err, recordstore.ErrConflict) && now.Version != e.Version, errors.Is(err, publisher.ErrOlder):
		return // overtaken itself, or nothing to gain
	case err != nil:
		t.Fatalf("renew: %v", err)
	case now.Version != e.Version:
		t.Fatalf("a renewal of version %d came after version %d", e.Version, now.Version)
	case rec.Value() != e.Record.Value() || rec.Sequence() != e.Record.Sequence() || rec.TTL() != e.Record.TTL() || rec.Form() != e.Record.Form():
		t.Fatalf("a renewal changed more than the EOL")
	}
	m.entered(rec)
}

// outside is a record of another holder of the key, or an old one again.
func (m *interleaving) outside(t *rapid.T) {
	seq := uint64(rapid.IntRange(0, 3).Draw(t, "sequence"))
	if m.last != nil {
		seq += max(m.last.Sequence(), 2) - 2
	}
	rec, err := ipns.Sign(context.Background(), m.key.Signer, ipns.Fields{
		Value: fmt.Sprintf("/ipfs/bafkqaaa/outside/%d", rapid.IntRange(0, 2).Draw(t, "value")), Sequence: seq,
		EOL: m.clock.Add(time.Duration(rapid.IntRange(1, 60).Draw(t, "hours")) * time.Hour),
	}, ipns.V2Only)
	if err != nil {
		t.Fatal(err)
	}
	outcome, err := m.p.Book.Take(context.Background(), rec, recordstore.Own)
	if err != nil {
		t.Fatal(err)
	}
	if outcome == names.New || outcome == names.Fork {
		m.entered(rec)
	}
}

// pass lets time pass.
func (m *interleaving) pass(t *rapid.T) {
	m.clock = m.clock.Add(time.Duration(rapid.IntRange(0, 3600).Draw(t, "seconds")) * time.Second)
}

// check holds after every action.
func (m *interleaving) check(t *rapid.T) {
	m.steps++
	e := m.entry()
	if e.Mark.Compare(m.mark) < 0 {
		t.Fatalf("the mark went back from %d to %d", m.mark.Sequence, e.Mark.Sequence)
	}
	m.mark = e.Mark
	if m.last != nil && (e.Record == nil || ipns.Compare(e.Record, m.last) != 0) {
		t.Fatalf("rolled back: the Book has sequence %d %s, entered was %d %s",
			e.Record.Sequence(), e.Record.Value(), m.last.Sequence(), m.last.Value())
	}
	if len(e.Rivals) == 0 && e.Record != nil && e.Forks == 0 && len(m.used[e.Record.Sequence()]) > 1 {
		t.Fatalf("sequence %d has %d values and nobody says so", e.Record.Sequence(), len(m.used[e.Record.Sequence()]))
	}
}

// TestR8F3NeverOvertaken interleaves publishes, renewals and records from outside.
func TestR8F3NeverOvertaken(t *testing.T) {
	goal := 20_000
	if *long {
		goal = 1_000_000
	}
	key := recordstoretest.KeyFromSeed(t, 8)
	steps, begin := 0, time.Now()
	for steps < goal {
		rapid.Check(t, func(t *rapid.T) {
			m := newInterleaving(t, key)
			t.Repeat(map[string]func(*rapid.T){
				"publish": m.publish, "read": m.read, "renew": m.renew, "outside": m.outside, "pass": m.pass, "": m.check,
			})
			steps += m.steps
		})
		if t.Failed() {
			return
		}
	}
	t.Logf("%d steps, 0 roll-backs, in %v", steps, time.Since(begin).Round(time.Millisecond))
}
