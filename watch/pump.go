package watch

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/goipns/ipns"
	"github.com/goipns/ipns/names"
	"github.com/goipns/ipns/recordstore"
)

// passIdle is how long a pass that waits for the store keeps other readers waiting: all
// that there is has been read by then, or the store is slow and the pass begins again
// where it was.
const passIdle = 100 * time.Millisecond

// run is what goes on while there are readers: the pump, the passes of those that catch up,
// and the searches. Names.mu guards the fields below it.
type run struct {
	n      *Names
	cancel context.CancelFunc
	group  sync.WaitGroup
	began  chan struct{} // closed when the pump has a position
	failed chan struct{} // closed when the pump has ended, after err is set
	err    error

	wanting chan struct{} // has something if missed has
	look    chan struct{} // has something if due may be earlier

	users      int
	generation recordstore.Generation
	at         recordstore.Position // the pump has told of everything up to it
	place      recordstore.Place    // of at
	missed     []*reader            // those that catch up, and whose pass has not begun
	due        schedule
}

// start starts a run. Call with n.mu held.
func start(n *Names) *run {
	ctx, cancel := context.WithCancel(context.Background())
	u := &run{n: n, cancel: cancel, began: make(chan struct{}), failed: make(chan struct{}), wanting: make(chan struct{}, 1), look: make(chan struct{}, 1)}
	u.group.Go(func() {
		stop := n.Book.Subscribe(u.seen)
		defer stop()
		u.err = u.pump(ctx)
		close(u.failed)
		cancel()
	})
	u.group.Go(func() { u.catchUp(ctx) })
	u.group.Go(func() { u.poll(ctx) })
	return u
}

// stop ends a run that has no readers, and waits for it.
func (u *run) stop() {
	u.cancel()
	u.group.Wait()
}

// pump tells readers of the changes in the Book until ctx ends.
func (u *run) pump(ctx context.Context) error {
	for first := true; ; first = false {
		if err := u.pumpFromNow(ctx, !first); !errors.Is(err, recordstore.ErrGap) {
			return fmt.Errorf("watch names: %w", err)
		}
	}
}

// pumpFromNow tells readers of changes from now on, until an error. lost says that those
// before are not known.
func (u *run) pumpFromNow(ctx context.Context, lost bool) error {
	generation, err := u.n.Book.Store.Generation(ctx)
	if err != nil {
		return err
	}
	for c, err := range u.n.Book.Watch(ctx, "") {
		if err == nil && c.Entry.Name.IsZero() {
			err = u.begin(generation, c.Position, lost)
		} else if err == nil {
			err = u.tell(c)
		}
		if err != nil {
			return err
		}
	}
	return ctx.Err()
}

// begin is told where the pump begins. lost says that changes before are not known.
func (u *run) begin(generation recordstore.Generation, at recordstore.Position, lost bool) error {
	place, err := at.In(generation)
	if err != nil {
		return err
	}
	u.n.mu.Lock()
	defer u.n.mu.Unlock()
	first := u.at == ""
	u.generation, u.at, u.place = generation, at, place
	if first {
		close(u.began)
	}
	if first || !lost || u.n.run != u {
		return nil
	}
	for r := range u.n.all {
		r.lost(at, place)
	}
	for _, t := range u.n.topics {
		t.newest = recordstore.Mark{}
		for r := range t.readers {
			r.lost(at, place)
		}
	}
	return nil
}

// tell tells those who watch the name of a change.
func (u *run) tell(c recordstore.Change) error {
	place, err := c.Position.In(u.generation)
	if err != nil {
		return err
	}
	u.n.mu.Lock()
	defer u.n.mu.Unlock()
	if u.n.run != u {
		return nil // it has no readers any more
	}
	shared := &change{at: c.Position, place: place, kind: Changed, entry: c.Entry}
	u.at, u.place = c.Position, place
	for r := range u.n.all {
		r.offer(shared)
	}
	if t := u.n.topics[c.Entry.Name]; t != nil {
		t.held = true
		u.tellTopic(t, shared)
	}
	return nil
}

// seen is told by the Book of what it has of names that nobody holds here.
func (u *run) seen(c names.Change) {
	if c.Entry.Version != 0 || c.Entry.Record == nil {
		return // the pump tells of it
	}
	u.n.mu.Lock()
	defer u.n.mu.Unlock()
	if t := u.n.topics[c.Entry.Name]; t != nil && !t.held && u.n.run == u {
		u.tellTopic(t, &change{at: u.at, place: u.place, kind: Changed, entry: c.Entry})
	}
}

// tellTopic tells the readers of a name, unless they know of something newer. Call with
// Names.mu held.
func (u *run) tellTopic(t *topic, c *change) {
	if c.entry.Mark.Compare(t.newest) < 0 {
		return
	}
	t.newest, t.entry = c.entry.Mark, c.entry
	u.schedule(t, time.Now())
	for r := range t.readers {
		r.offer(c)
	}
}

// want has a reader catch up from where it is.
func (u *run) want(r *reader) {
	u.n.mu.Lock()
	defer u.n.mu.Unlock()
	r.mu.Lock()
	defer r.mu.Unlock()
	r.catching, r.behind, r.from, r.to = true, false, r.place, u.place
	u.missed = append(u.missed, r)
	signal(u.wanting)
}

// signal has the owner of a channel look again.
func signal(c chan struct{}) {
	select {
	case c <- struct{}{}:
	default:
	}
}

// catchUp reads what readers have missed, in one pass for all that wait.
func (u *run) catchUp(ctx context.Context) {
	for {
		select {
		case <-ctx.Done():
			return
		case <-u.wanting:
		}
		u.n.mu.Lock()
		group := u.missed
		u.missed = nil
		u.n.mu.Unlock()
		for len(group) > 0 && ctx.Err() == nil {
			group = u.pass(ctx, group)
		}
	}
}

// found is a change that the store has yielded, or its error.
type found struct {
	change recordstore.Change
	err    error
}

// pass reads what the readers of a group have missed. It returns those that have to begin
// again.
func (u *run) pass(ctx context.Context, group []*reader) []*reader {
	ctx, cancel := context.WithCancel(ctx)
	p := newPass(group)
	changes := make(chan found)
	u.n.mu.Lock()
	generation := u.generation
	u.n.mu.Unlock()
	from := recordstore.PositionOf(generation, p.from)
	go func() { // ends by cancel; its channel is read until it is closed
		defer close(changes)
		for c, err := range u.n.Book.Watch(ctx, from) {
			select {
			case changes <- found{c, err}:
			case <-ctx.Done():
				return
			}
		}
	}()
	defer func() {
		cancel()
		for range changes {
		}
	}()
	idle := time.NewTimer(passIdle)
	defer idle.Stop()
	var wanting <-chan struct{} // nil while changes come
	for p.at.Before(p.to) {
		select {
		case <-idle.C:
			wanting = u.wanting
		case <-wanting:
			signal(u.wanting)
			u.n.mu.Lock()
			u.missed = append(u.missed, group...)
			u.n.mu.Unlock()
			return nil
		case f, open := <-changes:
			switch {
			case !open:
				return nil
			case errors.Is(f.err, recordstore.ErrGap):
				return u.forgotten(p, group)
			case f.err != nil:
				select {
				case <-ctx.Done():
				case <-idle.C:
				}
				return group
			}
			place, err := f.change.Position.In(generation)
			if err != nil {
				return u.forgotten(p, group)
			}
			p.tell(&change{at: f.change.Position, place: place, kind: Changed, entry: f.change.Entry})
			idle.Reset(passIdle)
			wanting = nil
		}
	}
	for _, r := range group {
		r.caughtUp()
	}
	return nil
}

// forgotten tells the readers that are furthest behind that the store does not know what
// they have missed, and returns the others.
func (u *run) forgotten(p pass, group []*reader) (others []*reader) {
	u.n.mu.Lock()
	defer u.n.mu.Unlock()
	for _, r := range group {
		r.mu.Lock()
		furthest := !p.at.Before(r.from)
		r.mu.Unlock()
		if furthest {
			r.lost(u.at, u.place)
			r.caughtUp()
		} else {
			others = append(others, r)
		}
	}
	return others
}

// pass is one reading of the store for a group of readers.
type pass struct {
	from, to, at recordstore.Place
	all          []*reader
	named        map[ipns.Name][]*reader
}

func newPass(group []*reader) pass {
	p := pass{named: make(map[ipns.Name][]*reader)}
	for i, r := range group {
		r.mu.Lock()
		if i == 0 || r.from.Before(p.from) {
			p.from = r.from
		}
		if p.to.Before(r.to) {
			p.to = r.to
		}
		r.mu.Unlock()
		if len(r.names) == 0 {
			p.all = append(p.all, r)
		}
		for _, name := range r.names {
			p.named[name] = append(p.named[name], r)
		}
	}
	p.at = p.from
	return p
}

func (p *pass) tell(c *change) {
	p.at = c.place
	for _, r := range p.all {
		r.caught(c)
	}
	for _, r := range p.named[c.entry.Name] {
		r.caught(c)
	}
}
