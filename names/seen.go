package names

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"maps"
	"slices"
	"sync"
	"time"

	"github.com/goipns/ipns"
	"github.com/goipns/ipns/recordstore"
)

// pendingMarks are marks of seen names that are not written yet. The store is never read or
// written with mu held: it may be slow, and somebody else's.
type pendingMarks struct {
	mu      sync.Mutex // guards the fields below
	marks   map[ipns.Name]recordstore.SeenMark
	written uint64     // counts how often marks were handed to the store
	writing sync.Mutex // held while that is done
}

// get returns the pending mark of a name; zero: there is none.
func (p *pendingMarks) get(name ipns.Name) (mark recordstore.Mark, written uint64) {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.marks[name].Mark, p.written
}

// raise makes mark the pending one of a name unless that is higher. Call with mu held.
func (p *pendingMarks) raise(name ipns.Name, mark recordstore.Mark) {
	if p.marks == nil {
		p.marks = make(map[ipns.Name]recordstore.SeenMark)
	}
	if pending := p.marks[name]; pending.Mark.Compare(mark) <= 0 {
		p.marks[name] = recordstore.SeenMark{Name: name, Mark: mark, Until: mark.EOL.Add(SeenGrace)}
	}
}

// Seen returns the highest mark of a name, whether or not it has an entry: an answer
// below it is older than one already shown. The zero Mark means that nothing is
// known. Of what other processes have seen, it knows what they have written.
func (b *Book) Seen(ctx context.Context, name ipns.Name) (recordstore.Mark, error) {
	mark, err := b.seenMark(ctx, name)
	if err != nil {
		return recordstore.Mark{}, err
	}
	e, err := b.Store.Get(ctx, name)
	switch {
	case errors.Is(err, recordstore.ErrNotFound):
		return mark, nil
	case err != nil:
		return recordstore.Mark{}, fmt.Errorf("mark of %s: %w", name, err)
	case e.Mark.Compare(mark) > 0:
		mark = e.Mark
	}
	return mark, nil
}

// Pending returns the mark of a seen name as far as it is not written yet. It never waits
// for the store.
func (b *Book) Pending(name ipns.Name) recordstore.Mark {
	mark, _ := b.seen.get(name)
	return mark
}

// seenMark returns the mark of a seen name.
func (b *Book) seenMark(ctx context.Context, name ipns.Name) (recordstore.Mark, error) {
	// Pending marks are read first: one that is written meanwhile is then in the store.
	mark, _ := b.seen.get(name)
	if !mark.IsZero() && !b.Shared() {
		return mark, nil // nobody else writes a higher one
	}
	s, err := b.marks().Seen(ctx, name)
	if err != nil && !errors.Is(err, recordstore.ErrNotFound) {
		return recordstore.Mark{}, fmt.Errorf("mark of %s: %w", name, err)
	}
	if s.Mark.Compare(mark) > 0 {
		mark = s.Mark
	}
	return mark, nil
}

// see raises the mark of a name that has no entry.
func (b *Book) see(ctx context.Context, rec *ipns.Record) (Outcome, error) {
	defer b.watchers.begin(rec.Name())()
	mark := recordstore.MarkOf(rec)
	if b.pending() > maxPendingSeen {
		if err := b.writeSeen(ctx); err != nil {
			return 0, err
		}
	}
	outcome, err := b.raiseSeen(ctx, rec.Name(), mark)
	if err != nil {
		return 0, err
	}
	b.counts[outcome].Add(1)
	if outcome == New {
		b.watchers.seen(Change{Outcome: New, Entry: recordstore.Entry{
			Name: rec.Name(), Record: rec, Mark: mark, Origin: recordstore.Seen, Changed: b.now(),
		}})
	}
	return outcome, nil
}

// raiseSeen compares a mark with the highest of its name, which it raises.
func (b *Book) raiseSeen(ctx context.Context, name ipns.Name, mark recordstore.Mark) (Outcome, error) {
	p := &b.seen
	for {
		_, written := p.get(name)
		old, err := b.seenMark(ctx, name)
		if err != nil {
			return 0, err
		}
		p.mu.Lock()
		if p.written != written { // what was pending may be neither in old nor in marks
			p.mu.Unlock()
			continue
		}
		if pending := p.marks[name].Mark; pending.Compare(old) > 0 {
			old = pending
		}
		outcome := New
		switch c := mark.Compare(old); {
		case c < 0:
			outcome = Older
		case mark.Hash == old.Hash:
			outcome = Same
		default:
			p.raise(name, mark)
		}
		p.mu.Unlock()
		return outcome, nil
	}
}

// liftSeen raises the mark of an entry that is about to be created to the mark kept
// while the name was merely seen.
func (b *Book) liftSeen(ctx context.Context, e *recordstore.Entry) error {
	if e.Version != 0 {
		return nil // was raised when the entry was created
	}
	mark, err := b.seenMark(ctx, e.Name)
	if err != nil {
		return err
	}
	if mark.Compare(e.Mark) > 0 {
		e.Mark = mark
		e.Next = max(e.Next, after(mark.Sequence))
	}
	return nil
}

// AllSeen yields the marks of all seen names, those that are not written yet included.
func (b *Book) AllSeen(ctx context.Context) iter.Seq2[recordstore.SeenMark, error] {
	return func(yield func(recordstore.SeenMark, error) bool) {
		b.seen.mu.Lock()
		pending := maps.Clone(b.seen.marks)
		b.seen.mu.Unlock()
		for m, err := range b.marks().AllSeen(ctx) {
			if p, ok := pending[m.Name]; err == nil && ok && p.Mark.Compare(m.Mark) >= 0 {
				continue
			}
			if !yield(m, err) || err != nil {
				return
			}
		}
		for _, m := range pending {
			if !yield(m, nil) {
				return
			}
		}
	}
}

// keepMark raises the mark of a name that is about to lose its entry.
func (b *Book) keepMark(name ipns.Name, mark recordstore.Mark) {
	b.seen.mu.Lock()
	defer b.seen.mu.Unlock()
	b.seen.raise(name, mark)
}

// writeSeen hands the pending marks to the store, without making them durable.
func (b *Book) writeSeen(ctx context.Context) error {
	p := &b.seen
	p.writing.Lock()
	defer p.writing.Unlock()
	p.mu.Lock()
	list := slices.Collect(maps.Values(p.marks))
	p.mu.Unlock()
	if len(list) == 0 {
		return nil
	}
	if err := b.marks().SetSeen(ctx, list...); err != nil {
		return fmt.Errorf("write seen marks: %w", err)
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.written++
	for _, m := range list {
		if p.marks[m.Name] == m {
			delete(p.marks, m.Name)
		}
	}
	return nil
}

// Sync makes notes and the marks of seen names durable.
func (b *Book) Sync(ctx context.Context) error {
	if err := b.writeSeen(ctx); err != nil {
		return err
	}
	marks, notes := b.marks(), b.notes()
	if err := marks.Sync(ctx); err != nil || any(marks) == any(notes) {
		return err
	}
	return notes.Sync(ctx)
}

// Run writes pending marks of seen names every second, prunes outdated ones, notifies
// subscribers of changes that others make to the store, and takes the records passed
// to Hear. It returns when ctx ends, after a last write.
func (b *Book) Run(ctx context.Context) error {
	defer b.takeIncoming(ctx)()
	var pump sync.WaitGroup
	defer pump.Wait()
	pump.Go(func() { b.pump(ctx) })
	flush := time.NewTicker(seenFlushEvery)
	defer flush.Stop()
	var pruned time.Time
	for {
		select {
		case <-ctx.Done():
			// The process is stopping: pending marks must not be lost.
			last, cancel := context.WithTimeout(context.WithoutCancel(ctx), 10*time.Second)
			defer cancel()
			return b.Sync(last)
		case <-flush.C:
		}
		if b.pending() > 0 {
			if err := b.Sync(ctx); err != nil && ctx.Err() == nil {
				continue // such as a full disk: the marks stay pending
			}
		}
		if now := b.now(); now.Sub(pruned) >= seenPruneEvery {
			pruned = now
			limit := b.SeenLimit
			if limit == 0 {
				limit = SeenLimit
			}
			if _, err := b.marks().PruneSeen(ctx, now, limit); err != nil && ctx.Err() == nil {
				continue
			}
		}
	}
}

func (b *Book) pending() int {
	b.seen.mu.Lock()
	defer b.seen.mu.Unlock()
	return len(b.seen.marks)
}
