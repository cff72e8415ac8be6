package recordstore

import (
	"context"

	"github.com/goipns/ipns"
)

var _ Loader = (*Memory)(nil)

// Load implements Loader.
func (m *Memory) Load(ctx context.Context, names []Whole) (there []ipns.Name, err error) {
	names, err = SettleLoad(names)
	if err != nil {
		return nil, err
	}
	err = m.do(ctx, OpSwap, ipns.Name{}, func() error {
		for _, w := range names {
			if k := m.names[w.Entry.Name]; k != nil && k.entry.Version != 0 {
				there = append(there, w.Entry.Name)
				continue
			}
			k := m.of(w.Entry.Name)
			k.entry, k.history, k.upkeep = w.Entry, make(map[PastKey]Past, len(w.Past)+1), w.Upkeep
			for _, p := range w.Past {
				k.history[PastKeyOf(p.Record)] = p
			}
			k.remember(w.Entry)
			k.changed = m.changes.add(w.Entry.Name, m.names)
		}
		return nil
	})
	return there, err
}
