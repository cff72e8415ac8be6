package watch

import (
	"sync"

	"github.com/goipns/ipns"
	"github.com/goipns/ipns/recordstore"
)

// change is an event as all of its readers share it.
type change struct {
	at    recordstore.Position
	place recordstore.Place // of at
	kind  Kind
	entry recordstore.Entry

	encode sync.Once
	json   []byte
}

// follow returns the change that a reader gets who has not read the one before it. A new
// record makes what was said of the end of the old one pointless.
func (c *change) follow(before *change) *change {
	if c.kind&Changed != 0 || before.kind&^c.kind == 0 {
		return c
	}
	return &change{at: c.at, place: c.place, kind: c.kind | before.kind, entry: c.entry}
}

// queue holds changes in the order of their positions, one of each name.
type queue struct {
	list  []*change // nil: another of its name follows
	first int       // the number of list[0]
	index map[ipns.Name]int
}

func (q *queue) len() int { return len(q.index) }

// put adds a change, in place of an earlier one of its name.
func (q *queue) put(c *change) {
	if q.index == nil {
		q.index = make(map[ipns.Name]int, 1)
	}
	if i, ok := q.index[c.entry.Name]; ok {
		c = c.follow(q.list[i-q.first])
		q.list[i-q.first] = nil
	}
	if len(q.list) > 2*len(q.index)+16 {
		q.compact()
	}
	q.index[c.entry.Name] = q.first + len(q.list)
	q.list = append(q.list, c)
}

func (q *queue) compact() {
	kept := make([]*change, 0, len(q.index)+1)
	for _, c := range q.list {
		if c != nil {
			q.index[c.entry.Name] = q.first + len(kept)
			kept = append(kept, c)
		}
	}
	q.list = kept
}

// take returns the first change and removes it; nil: there is none.
func (q *queue) take() *change {
	for len(q.index) > 0 {
		c := q.list[0]
		q.list = q.list[1:]
		q.first++
		if c != nil {
			if delete(q.index, c.entry.Name); len(q.index) == 0 {
				*q = queue{}
			}
			return c
		}
	}
	return nil
}

// reader is one reader. While it catches up, what it has missed goes into queue, and what
// happens meanwhile into later.
type reader struct {
	names   []ipns.Name // none: all
	caller  string
	poll    bool
	resumes bool
	run     *run
	joined  bool // guarded by Names.mu
	wake    chan struct{}

	mu       sync.Mutex // guards all below
	queue    queue
	later    queue
	at       recordstore.Position // of what was yielded last
	place    recordstore.Place    // of at
	behind   bool                 // has missed something after at, which is in the store
	catching bool                 // and is reading it
	from, to recordstore.Place    // what it reads: after from, up to to
	gap      bool                 // the next event says that changes were lost
}

// offer gives a change to the reader. It does not block.
func (r *reader) offer(c *change) {
	r.mu.Lock()
	defer r.mu.Unlock()
	q := &r.queue
	if r.catching || r.behind {
		q = &r.later
	}
	switch {
	case c.kind == Changed && c.entry.Version != 0 && c.place.Before(r.place):
		return // it has read that by another daemon
	case len(r.names) > 0: // bounded by them
	case r.behind:
		return
	case q.len() >= MaxPending:
		r.behind = true
		r.later = queue{}
		return
	}
	q.put(c)
	r.wakeUp()
}

// caught gives a change to the reader that it has missed.
func (r *reader) caught(c *change) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if !r.from.Before(c.place) || r.to.Before(c.place) || r.behind {
		return
	}
	r.from = c.place
	if len(r.names) == 0 && r.queue.len() >= MaxPending {
		r.behind = true
		r.later = queue{}
		return
	}
	r.queue.put(c)
	r.wakeUp()
}

// caughtUp ends catching up.
func (r *reader) caughtUp() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.catching = false
	if !r.behind {
		for c := r.later.take(); c != nil; c = r.later.take() {
			r.queue.put(c)
		}
	}
	r.wakeUp()
}

// lost says that the store does not know what the reader has missed.
func (r *reader) lost(at recordstore.Position, place recordstore.Place) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.gap, r.behind = true, false
	r.at, r.place = at, place
	r.wakeUp()
}

// position returns where the reader is.
func (r *reader) position() recordstore.Position {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.at
}

// isBehind reports whether the reader has to read from the store now.
func (r *reader) isBehind() bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.behind && !r.catching && r.queue.len() == 0
}

// next returns the next event.
func (r *reader) next() (Event, bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.gap {
		r.gap = false
		return Event{Position: r.at, Gap: true, More: r.queue.len() > 0}, true
	}
	c := r.queue.take()
	if c == nil {
		return Event{}, false
	}
	if !c.place.Before(r.place) {
		r.at, r.place = c.at, c.place
	}
	return Event{Position: r.at, Kind: c.kind, Entry: c.entry, More: r.queue.len() > 0, from: c}, true
}

// wakeUp has the reader look again.
func (r *reader) wakeUp() {
	select {
	case r.wake <- struct{}{}:
	default:
	}
}
