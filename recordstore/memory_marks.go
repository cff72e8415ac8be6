package recordstore

import (
	"bytes"
	"cmp"
	"context"
	"iter"
	"slices"
	"time"

	"github.com/goipns/ipns"
)

// Seen implements Marks.
func (m *Memory) Seen(ctx context.Context, name ipns.Name) (s SeenMark, err error) {
	err = m.do(ctx, OpSeen, name, func() error {
		k := m.names[name]
		if k == nil || k.seen.Mark.IsZero() {
			return ErrNotFound
		}
		s = k.seen
		return nil
	})
	return s, err
}

// SetSeen implements Marks.
func (m *Memory) SetSeen(ctx context.Context, marks ...SeenMark) error {
	for _, s := range marks {
		err := m.do(ctx, OpSetSeen, s.Name, func() error {
			k := m.of(s.Name)
			if k.seen.Mark.Compare(s.Mark) <= 0 {
				k.seen = s
			}
			return nil
		})
		if err != nil {
			return err
		}
	}
	return nil
}

// AllSeen implements Marks.
func (m *Memory) AllSeen(ctx context.Context) iter.Seq2[SeenMark, error] {
	return func(yield func(SeenMark, error) bool) {
		m.mu.RLock()
		var list []SeenMark
		for _, k := range m.names {
			if !k.seen.Mark.IsZero() {
				list = append(list, k.seen)
			}
		}
		m.mu.RUnlock()
		for _, s := range list {
			if err := ctx.Err(); err != nil {
				yield(SeenMark{}, err)
				return
			}
			if !yield(s, nil) {
				return
			}
		}
	}
}

// PruneSeen implements Marks.
func (m *Memory) PruneSeen(ctx context.Context, before time.Time, limit int) (int, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	var marked []*known
	for _, k := range m.names {
		if k.seen.Mark.IsZero() {
			continue
		}
		if k.seen.Until.Before(before) {
			m.forgetSeen(k)
			continue
		}
		marked = append(marked, k)
	}
	if len(marked) <= limit {
		return len(marked), ctx.Err()
	}
	slices.SortFunc(marked, func(a, b *known) int {
		return cmp.Or(b.seen.Until.Compare(a.seen.Until), bytes.Compare(a.seen.Name.Binary(), b.seen.Name.Binary()))
	})
	for _, k := range marked[limit:] {
		m.forgetSeen(k)
	}
	return limit, ctx.Err()
}

// forgetSeen drops the mark, and the name with it if nothing else is known.
// Call with mu held.
func (m *Memory) forgetSeen(k *known) {
	name := k.seen.Name
	k.seen = SeenMark{}
	if k.entry.Version == 0 {
		delete(m.names, name)
		m.sorted = nil
	}
}
