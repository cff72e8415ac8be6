package recordstore

import (
	"bytes"
	"context"
	"crypto/rand"
	"fmt"
	"iter"
	"maps"
	"slices"
	"sync"
	"time"

	"github.com/goipns/ipns"
	"github.com/goipns/ipns/internal/keyspace"
)

// Op names a method, for [Memory.Misbehave].
type Op string

// The operations for which Memory can be made to fail.
const (
	OpGet       Op = "get"
	OpSwap      Op = "swap"
	OpScan      Op = "scan"
	OpUpkeep    Op = "upkeep"
	OpSetUpkeep Op = "set upkeep"
	OpHistory   Op = "history"
	OpSeen      Op = "seen"
	OpSetSeen   Op = "set seen"
	OpSync      Op = "sync"
	OpLease     Op = "lease"
)

// Memory is a Store, Notes, Marks and Leaser in memory, for tests and for nodes that keep
// nothing.
type Memory struct {
	// Misbehave, if set, is called before each operation, for tests. If it returns an
	// error, the operation returns it; apply says whether the operation still takes
	// effect, as if only its answer was lost. Misbehave may block. It must be set
	// before the store is used.
	Misbehave func(op Op, name ipns.Name) (apply bool, err error)

	mu      sync.RWMutex // guards all below
	gen     Generation
	names   map[ipns.Name]*known
	sorted  []point // keys of names in Kad order; nil: must be sorted again
	changes changes
	leases  map[Region]leased
	closed  bool
}

// noName is the name of an operation that is about none.
var noName ipns.Name

// point is a name and where it stands in the key space.
type point struct {
	key  keyspace.Key
	name ipns.Name
}

// known is everything about one name.
type known struct {
	entry   Entry // Version 0: no entry
	upkeep  Upkeep
	seen    SeenMark
	history map[PastKey]Past
	changed uint64 // number of the position of the last swap
}

var (
	_ Store = (*Memory)(nil)
	_ Notes = (*Memory)(nil)
	_ Marks = (*Memory)(nil)
)

// NewMemory returns an empty store with a new generation.
func NewMemory() *Memory {
	m := &Memory{names: make(map[ipns.Name]*known)}
	rand.Read(m.gen[:])
	return m
}

// Renew begins a new generation, as if the store had been restored from a copy.
func (m *Memory) Renew() {
	m.mu.Lock()
	defer m.mu.Unlock()
	rand.Read(m.gen[:])
	m.changes.wake()
}

// do runs f under the write lock, unless Misbehave prevents it.
func (m *Memory) do(ctx context.Context, op Op, name ipns.Name, f func() error) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	apply, fault := true, error(nil)
	if m.Misbehave != nil {
		if apply, fault = m.Misbehave(op, name); fault == nil {
			apply = true
		}
	}
	if !apply {
		return fault
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.closed {
		return ErrClosed
	}
	if err := f(); err != nil {
		return err
	}
	return fault
}

// of returns what is known about a name, adding it if needed. Call with mu held.
func (m *Memory) of(name ipns.Name) *known {
	k := m.names[name]
	if k == nil {
		k = &known{upkeep: Upkeep{Name: name}}
		m.names[name] = k
		m.sorted = nil
	}
	return k
}

// Get implements Store.
func (m *Memory) Get(ctx context.Context, name ipns.Name) (e Entry, err error) {
	err = m.do(ctx, OpGet, name, func() error {
		k := m.names[name]
		if k == nil || k.entry.Version == 0 {
			return ErrNotFound
		}
		e = k.entry
		return nil
	})
	return e, err
}

// Swap implements Store.
func (m *Memory) Swap(ctx context.Context, e Entry, lease Lease) (stored Entry, err error) {
	err = m.do(ctx, OpSwap, e.Name, func() error {
		if err := m.holds(lease, e); err != nil {
			return err
		}
		k := m.names[e.Name]
		if k == nil {
			k = &known{}
		}
		if stored, err = Settle(k.entry, e); err != nil {
			return err
		}
		if stored.Version == 0 {
			*k = known{upkeep: Upkeep{Name: e.Name}, seen: k.seen}
			if k.seen.Mark.IsZero() {
				delete(m.names, e.Name)
				m.sorted = nil
			}
			return nil
		}
		k = m.of(e.Name)
		k.entry = stored
		k.remember(stored)
		k.changed = m.changes.add(e.Name, m.names)
		return nil
	})
	if err != nil {
		return Entry{}, err
	}
	return stored, nil
}

// remember adds the entry's records to the history, within its limit.
func (k *known) remember(e Entry) {
	if e.Origin < Hosted {
		return
	}
	if k.history == nil {
		k.history = make(map[PastKey]Past)
	}
	for _, rec := range e.Kept() {
		key := PastKeyOf(rec)
		if old, ok := k.history[key]; ok && bytes.Equal(old.Record.Raw(), rec.Raw()) {
			continue
		}
		k.history[key] = Past{Record: rec, At: e.Changed}
	}
	if e.Origin == Hosted && len(k.history) > HostedHistory {
		for _, key := range k.versions()[HostedHistory:] {
			delete(k.history, key)
		}
	}
}

// versions lists the keys of the history, newest first.
func (k *known) versions() []PastKey {
	return slices.SortedFunc(maps.Keys(k.history), func(a, b PastKey) int { return bytes.Compare(b[:], a[:]) })
}

// order returns the names in Kad order.
func (m *Memory) order() []point {
	if m.sorted == nil {
		m.sorted = make([]point, 0, len(m.names))
		for name := range m.names {
			m.sorted = append(m.sorted, point{name.Kad(), name})
		}
		slices.SortFunc(m.sorted, func(a, b point) int { return a.key.Compare(b.key) })
	}
	return m.sorted
}

// Scan implements Store.
func (m *Memory) Scan(ctx context.Context, region Region) iter.Seq2[Entry, error] {
	return func(yield func(Entry, error) bool) {
		for w, err := range m.work(ctx, region) {
			if !yield(w.Entry, err) {
				return
			}
		}
	}
}

// Due implements Store.
func (m *Memory) Due(ctx context.Context, region Region, before time.Time) iter.Seq2[Work, error] {
	return func(yield func(Work, error) bool) {
		for w, err := range m.work(ctx, region) {
			if err == nil && (w.Entry.Record == nil || !w.Upkeep.Due.Before(before)) {
				continue
			}
			if !yield(w, err) {
				return
			}
		}
	}
}

func (m *Memory) work(ctx context.Context, region Region) iter.Seq2[Work, error] {
	return func(yield func(Work, error) bool) {
		var points []point
		if err := m.do(ctx, OpScan, noName, func() error { points = m.order(); return nil }); err != nil {
			yield(Work{}, err)
			return
		}
		first, _ := slices.BinarySearchFunc(points, region.First(), func(p point, k keyspace.Key) int { return p.key.Compare(k) })
		for _, p := range points[first:] {
			if !region.Contains(p.key) {
				return
			}
			w, found, err := m.one(ctx, p.name)
			if err != nil {
				yield(Work{}, err)
				return
			}
			if found && !yield(w, nil) {
				return
			}
		}
	}
}

func (m *Memory) one(ctx context.Context, name ipns.Name) (w Work, found bool, err error) {
	if err := ctx.Err(); err != nil {
		return Work{}, false, err
	}
	m.mu.RLock()
	defer m.mu.RUnlock()
	if m.closed {
		return Work{}, false, ErrClosed
	}
	k := m.names[name]
	if k == nil || k.entry.Version == 0 {
		return Work{}, false, nil
	}
	return Work{Entry: k.entry, Upkeep: k.upkeep}, true, nil
}

// Upkeep implements Notes.
func (m *Memory) Upkeep(ctx context.Context, name ipns.Name) (u Upkeep, err error) {
	u.Name = name
	err = m.do(ctx, OpUpkeep, name, func() error {
		if k := m.names[name]; k != nil {
			u = k.upkeep
		}
		return nil
	})
	return u, err
}

// SetUpkeep implements Notes.
func (m *Memory) SetUpkeep(ctx context.Context, notes ...Upkeep) error {
	for _, u := range notes {
		receipt, err := EncodeReceipt(u.Receipt)
		if err == nil {
			u.Receipt, err = DecodeReceipt(receipt) // as if read from disk
		}
		if err != nil {
			return fmt.Errorf("upkeep of %s: %w", u.Name, err)
		}
		err = m.do(ctx, OpSetUpkeep, u.Name, func() error { m.of(u.Name).upkeep = u; return nil })
		if err != nil {
			return err
		}
	}
	return nil
}

// History implements Store.
func (m *Memory) History(ctx context.Context, name ipns.Name) iter.Seq2[Past, error] {
	return func(yield func(Past, error) bool) {
		var list []Past
		err := m.do(ctx, OpHistory, name, func() error {
			if k := m.names[name]; k != nil {
				for _, key := range k.versions() {
					list = append(list, k.history[key])
				}
				NewestFirst(list)
			}
			return nil
		})
		if err != nil {
			yield(Past{}, err)
			return
		}
		for _, p := range list {
			if !yield(p, nil) {
				return
			}
		}
	}
}

// NewestFirst sorts versions for History.
func NewestFirst(list []Past) {
	slices.SortFunc(list, func(a, b Past) int { return ipns.Compare(b.Record, a.Record) })
}

// Sync implements Notes and Marks.
func (m *Memory) Sync(ctx context.Context) error {
	return m.do(ctx, OpSync, noName, func() error { return nil })
}

// Generation implements Store.
func (m *Memory) Generation(ctx context.Context) (Generation, error) {
	m.mu.RLock()
	defer m.mu.RUnlock()
	return m.gen, ctx.Err()
}

// Close implements Store.
func (m *Memory) Close() error {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.closed = true
	m.changes.wake()
	return nil
}
