package pebble

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"iter"
	"sync"

	"github.com/cockroachdb/pebble/v2"

	"github.com/goipns/ipns"
	"github.com/goipns/ipns/recordstore"
	"github.com/goipns/ipns/recordstore/blob"
)

// Each swap of a name gets a number. The batch of the swap writes the key of its change
// and deletes that of the previous one, so that one remains for each name.
//
// Numbers never go back, whatever a crash undid and whichever names were forgotten:
// their upper bits count how often the database was opened.
const startBits = 24 // 16 M starts, of 1 T swaps each

// changes numbers the swaps of one Store, and knows up to which number they can be
// read.
type changes struct {
	mu      sync.Mutex        // guards the fields below
	last    uint64            // the highest number given out
	floor   uint64            // changes below it may be lost
	pending map[uint64]uint64 // swaps that may not be durable yet, each with the number of the change that it replaces
	more    chan struct{}     // closes when there may be more to read
	closed  bool
}

// startChanges counts this start of the database. It writes, so that no number of an
// earlier start is given out again.
func (s *Store) startChanges() error {
	starts, floor := uint64(0), uint64(0)
	err := s.get(s.key(kindStarts), func(b []byte) error {
		d := blob.NewDecoder(b)
		starts, floor = d.Uint(), d.Uint()
		return d.Done()
	})
	lost := isDamage(err)
	if err != nil && !lost && !errors.Is(err, recordstore.ErrNotFound) {
		return fmt.Errorf("count of starts: %w", err)
	}
	newest, err := s.newestChange()
	if err != nil {
		return err
	}
	starts = max(starts, newest>>(64-startBits))
	s.changes.last, s.changes.floor = max(newest, starts<<(64-startBits)), floor
	if s.disk.readOnly {
		return nil
	}
	starts++
	s.rowVersions.Store(starts << (64 - startBits))
	s.changes.last = starts << (64 - startBits)
	if lost {
		s.changes.floor = s.changes.last
	}
	return s.writeStarts(starts, s.changes.floor)
}

func (s *Store) writeStarts(starts, floor uint64) error {
	w := blob.NewEncoder(32)
	w.Uint(starts)
	w.Uint(floor)
	key, value := s.key(kindStarts), w.Sum()
	return s.disk.Do(context.Background(), func() error { return s.db.Set(key, value, pebble.Sync) })
}

// forgetChanges makes all earlier positions invalid, so that readers start over: a
// change that they have not read may be lost.
func (s *Store) forgetChanges() error {
	c := &s.changes
	c.mu.Lock()
	c.floor = c.last
	starts, floor := c.last>>(64-startBits), c.floor
	c.mu.Unlock()
	return s.writeStarts(starts, floor)
}

// newestChange returns the number of the last change on disk, or 0.
func (s *Store) newestChange() (number uint64, err error) {
	it, err := s.db.NewIter(&pebble.IterOptions{LowerBound: s.key(kindChange), UpperBound: s.key(kindChange + 1)})
	if err != nil {
		return 0, err
	}
	defer func() { err = errors.Join(err, it.Close()) }()
	if it.Last() {
		number = s.numberOf(it.Key())
	}
	if err := it.Error(); err != nil {
		return 0, fmt.Errorf("newest change: %w", err)
	}
	return number, nil
}

func (s *Store) changeKey(number uint64) []byte {
	return s.key(kindChange, binary.BigEndian.AppendUint64(nil, number))
}

func (s *Store) numberOf(key []byte) uint64 {
	number := key[len(s.prefix)+1:]
	if len(number) != 8 {
		return 0
	}
	return binary.BigEndian.Uint64(number)
}

// changed returns the number of the last change of a name, or 0.
func (s *Store) changed(name ipns.Name) (number uint64, err error) {
	err = s.get(s.nameKey(kindChanged, name), func(b []byte) error {
		d := blob.NewDecoder(b)
		number = d.Uint()
		return d.Done()
	})
	// If it cannot be read, the old change stays, and readers get the entry twice.
	if errors.Is(err, recordstore.ErrNotFound) || isDamage(err) {
		return 0, nil
	}
	return number, err
}

// fillChange adds the change of an entry to the batch of its swap, replacing the
// previous one.
func (s *Store) fillChange(b *pebble.Batch, next recordstore.Entry, old, number uint64) error {
	if old != 0 {
		if err := b.Delete(s.changeKey(old), nil); err != nil {
			return err
		}
	}
	at := s.nameKey(kindChanged, next.Name)
	if next.Version == 0 {
		return b.Delete(at, nil)
	}
	name, last := blob.NewEncoder(64), blob.NewEncoder(16)
	name.Bytes(next.Name.Binary())
	last.Uint(number)
	return errors.Join(b.Set(s.changeKey(number), name.Sum(), nil), b.Set(at, last.Sum(), nil))
}

// begin gives out the number of a swap that replaces the change old.
func (c *changes) begin(old uint64) uint64 {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.last++
	if c.pending == nil {
		c.pending = make(map[uint64]uint64)
	}
	c.pending[c.last] = old
	return c.last
}

// done marks a swap as durable, or as never written. A swap in doubt stays pending:
// Changes reads nothing after it until the next start, since it may still become
// durable.
func (c *changes) done(number uint64) {
	c.mu.Lock()
	defer c.mu.Unlock()
	delete(c.pending, number)
	c.wake()
}

func (c *changes) close() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.closed = true
	c.wake()
}

// renewed wakes readers, whose position is now from an earlier generation.
func (c *changes) renewed() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.wake()
}

// wake makes waiting readers look again. Call with mu held.
func (c *changes) wake() {
	if c.more != nil {
		close(c.more)
		c.more = nil
	}
}

// settled returns the number up to which all swaps are durable, and a channel that is
// closed when it may have grown.
func (c *changes) settled() (number uint64, more <-chan struct{}) {
	c.mu.Lock()
	defer c.mu.Unlock()
	number = c.last
	for n := range c.pending {
		number = min(number, n-1)
	}
	if c.more == nil {
		c.more = make(chan struct{})
		if c.closed {
			close(c.more)
		}
	}
	return number, c.more
}

// before returns how far one can read after since, at most to end. A change that a
// pending swap replaces must not be passed: a crash may bring it back.
func (c *changes) before(since, end uint64) uint64 {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, old := range c.pending {
		if old > since {
			end = min(end, old-1)
		}
	}
	return end
}

// Changes implements recordstore.Store.
func (s *Store) Changes(ctx context.Context, since recordstore.Position) iter.Seq2[recordstore.Change, error] {
	return func(yield func(recordstore.Change, error) bool) {
		fail := func(err error) {
			yield(recordstore.Change{}, fmt.Errorf("changes of the record store: %w", err))
		}
		for {
			list, next, more, err := s.changesAfter(ctx, since)
			for _, c := range list {
				if !yield(c, nil) {
					return
				}
			}
			if err != nil {
				fail(err)
				return
			}
			if next != since {
				since = next
				continue
			}
			select {
			case <-more:
			case <-ctx.Done():
				fail(ctx.Err())
				return
			}
		}
	}
}

// changesAfter returns some changes after a position, the position to continue from,
// and a channel that is closed when there may be more.
func (s *Store) changesAfter(ctx context.Context, since recordstore.Position) (list []recordstore.Change, next recordstore.Position, more <-chan struct{}, err error) {
	if err := s.begin(ctx); err != nil {
		return nil, since, nil, err
	}
	defer s.use.RUnlock()
	gen, err := s.Generation(ctx)
	if err != nil {
		return nil, since, nil, err
	}
	end, more := s.changes.settled()
	if since == "" {
		next = recordstore.PositionOf(gen, recordstore.Place{Number: end})
		return []recordstore.Change{{Position: next}}, next, more, nil
	}
	at, err := since.In(gen)
	after := at.Number
	if err == nil {
		err = s.changes.known(after)
	}
	if err != nil || after >= end {
		return nil, since, more, err
	}
	pairs, err := s.changePairs(after, end)
	next = since
	for _, p := range pairs {
		next = recordstore.PositionOf(gen, recordstore.Place{Number: s.numberOf(p.key)})
		d := blob.NewDecoder(p.value)
		name := d.Name()
		if d.Done() != nil {
			s.damaged(p.key, blob.ErrDamaged)
			return list, next, more, recordstore.ErrGap
		}
		e, err := s.durable(name)
		switch {
		case errors.Is(err, recordstore.ErrNotFound): // forgotten meanwhile
			continue
		case err != nil:
			return list, next, more, fmt.Errorf("entry of %s: %w", name, err)
		}
		list = append(list, recordstore.Change{Position: next, Entry: e})
	}
	if isDamage(err) {
		s.damaged(s.changeKey(after), err)
		err = recordstore.ErrGap
	}
	return list, next, more, err
}

// known returns ErrGap if changes after a number may be missing, or the number was
// never given out.
func (c *changes) known(number uint64) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if number > c.last || number < c.floor {
		return recordstore.ErrGap
	}
	return nil
}

// changePairs reads some changes with numbers above after, up to end. All swaps up to
// end were durable before the call.
func (s *Store) changePairs(after, end uint64) (list []pair, err error) {
	it, err := s.db.NewIter(&pebble.IterOptions{LowerBound: s.changeKey(after + 1), UpperBound: s.key(kindChange + 1)})
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, it.Close()) }()
	// Call before only after the iterator was made: what it shows and is not durable is
	// then still pending, or has become durable since.
	end = s.changes.before(after, end)
	for it.First(); it.Valid() && len(list) < chunk; it.Next() {
		if s.numberOf(it.Key()) > end {
			break
		}
		value, err := it.ValueAndErr()
		if err != nil {
			return list, err
		}
		list = append(list, pair{bytes.Clone(it.Key()), bytes.Clone(value)})
	}
	return list, it.Error()
}
