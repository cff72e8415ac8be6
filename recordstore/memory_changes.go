package recordstore

import (
	"cmp"
	"context"
	"fmt"
	"iter"
	"slices"

	"github.com/goipns/ipns"
)

// changes are the last swaps of all names, oldest first.
type changes struct {
	last uint64
	list []change // by rising number; may include swaps since superseded
	more chan struct{}
}

type change struct {
	number uint64
	name   ipns.Name
}

// add appends a swap and returns its number. Superseded swaps are dropped once they
// are half of the list.
func (c *changes) add(name ipns.Name, names map[ipns.Name]*known) uint64 {
	if len(c.list) > 2*len(names)+16 {
		c.list = slices.DeleteFunc(c.list, func(old change) bool {
			k := names[old.name]
			return k == nil || k.changed != old.number || old.name == name
		})
	}
	c.last++
	c.list = append(c.list, change{c.last, name})
	c.wake()
	return c.last
}

// wake makes waiting readers look again.
func (c *changes) wake() {
	if c.more != nil {
		close(c.more)
		c.more = nil
	}
}

// Changes implements Store.
func (m *Memory) Changes(ctx context.Context, since Position) iter.Seq2[Change, error] {
	return func(yield func(Change, error) bool) {
		for {
			c, wait, err := m.next(ctx, since)
			switch {
			case err != nil:
				yield(Change{}, err)
				return
			case wait != nil:
				select {
				case <-wait:
				case <-ctx.Done():
					yield(Change{}, ctx.Err())
					return
				}
			default:
				if !yield(c, nil) {
					return
				}
				since = c.Position
			}
		}
	}
}

// next returns the change after a position, or a channel that closes when there may
// be one.
func (m *Memory) next(ctx context.Context, since Position) (Change, <-chan struct{}, error) {
	if err := ctx.Err(); err != nil {
		return Change{}, nil, err
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	c := &m.changes
	if m.closed {
		return Change{}, nil, ErrClosed
	}
	if since == "" {
		return Change{Position: PositionOf(m.gen, Place{Number: c.last})}, nil, nil
	}
	after, err := since.In(m.gen)
	if err == nil && after.Compare(Place{Number: c.last}) > 0 {
		err = ErrGap
	}
	if err != nil {
		return Change{}, nil, fmt.Errorf("changes since %.80s: %w", since, err)
	}
	from, _ := slices.BinarySearchFunc(c.list, after.Number+1, func(c change, n uint64) int { return cmp.Compare(c.number, n) })
	for _, ch := range c.list[from:] {
		if k := m.names[ch.name]; k != nil && k.changed == ch.number && k.entry.Version != 0 {
			return Change{Position: PositionOf(m.gen, Place{Number: ch.number}), Entry: k.entry}, nil, nil
		}
	}
	if c.more == nil {
		c.more = make(chan struct{})
	}
	return Change{}, c.more, nil
}
