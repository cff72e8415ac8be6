package watch

import (
	"container/heap"
	"context"
	"errors"
	"math/rand/v2"
	"sync"
	"time"

	"github.com/goipns/ipns"
	"github.com/goipns/ipns/recordstore"
)

const (
	// MinPoll is the least time between two searches for a name, however short its TTL is.
	MinPoll = time.Minute
	// MaxPoll is the longest, however long its TTL is, or however often a search failed.
	MaxPoll = time.Hour
	// Warn is how long before its EOL a record is said to be ending, if that is not more
	// than a quarter of its time.
	Warn = 12 * time.Hour
	// maxSearches bounds the searches at one time.
	maxSearches = 64
	// searchTimeout bounds one of them.
	searchTimeout = time.Minute
)

// topic is a name that readers watch by name. Names.mu guards it.
type topic struct {
	name    ipns.Name
	readers map[*reader]struct{}
	owed    map[*reader]struct{} // resume, and have not been told how it stands with the name
	index   int                  // in the schedule; -1: it is being looked at
	due     time.Time

	looked bool // at least once
	held   bool // by the Book, as an own or hosted name
	newest recordstore.Mark
	entry  recordstore.Entry // the newest known; without a record: none
	warn   time.Duration     // how long before the EOL it is ending
	said   Kind              // Ending, Ended: of the record with the EOL below
	eol    time.Time
	pause  time.Duration // before the next search, after one that failed
	search time.Time     // when to search; zero: at once
	quiet  context.CancelFunc
}

// Forgotten says that the Book may not hold a name any more, so that its readers hear of it
// now and not when it is next looked at.
func (n *Names) Forgotten(_ context.Context, name ipns.Name) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if t := n.topics[name]; t != nil {
		n.run.schedule(t, time.Now())
	}
}

// subscribe adds a reader to a name. Call with Names.mu held.
func (n *Names) subscribe(r *reader, name ipns.Name) {
	t := n.topics[name]
	if t == nil {
		t = &topic{name: name, readers: make(map[*reader]struct{}), due: time.Now()}
		if n.topics == nil {
			n.topics = make(map[ipns.Name]*topic)
		}
		n.topics[name] = t
		heap.Push(&r.run.due, t)
	}
	t.readers[r] = struct{}{}
	if !r.resumes {
		return
	}
	if t.owed == nil {
		t.owed = make(map[*reader]struct{})
	}
	t.owed[r] = struct{}{}
	r.run.schedule(t, time.Now())
}

// unsubscribe removes a reader from a name. With its last reader a name is searched no
// more. Call with Names.mu held.
func (n *Names) unsubscribe(r *reader, name ipns.Name) {
	t := n.topics[name]
	delete(t.readers, r)
	delete(t.owed, r)
	if len(t.readers) > 0 {
		return
	}
	delete(n.topics, name)
	if t.quiet != nil {
		t.quiet()
	}
	if t.index >= 0 {
		heap.Remove(&r.run.due, t.index)
	}
}

// schedule has a name looked at at some time, or earlier. Call with Names.mu held.
func (u *run) schedule(t *topic, at time.Time) {
	if t.index < 0 {
		t.due = at // it is being looked at: seen when that ends
		return
	}
	if at.Before(t.due) {
		t.due = at
		heap.Fix(&u.due, t.index)
		u.poke()
	}
}

func (u *run) poke() { signal(u.look) }

// poll looks at each name when it is due.
func (u *run) poll(ctx context.Context) {
	var looks sync.WaitGroup
	defer looks.Wait()
	free := make(chan struct{}, maxSearches)
	for {
		t, wait := u.next()
		if t == nil {
			timer := time.NewTimer(wait)
			select {
			case <-ctx.Done():
				timer.Stop()
				return
			case <-u.look:
			case <-timer.C:
			}
			timer.Stop()
			continue
		}
		select {
		case free <- struct{}{}:
		case <-ctx.Done():
			return
		}
		looks.Go(func() {
			u.lookAt(ctx, t, looks.Go)
			<-free
		})
	}
}

// next takes the name that is due, or says how long to wait for one.
func (u *run) next() (*topic, time.Duration) {
	u.n.mu.Lock()
	defer u.n.mu.Unlock()
	if len(u.due) == 0 {
		return nil, time.Hour
	}
	if wait := time.Until(u.due[0].due); wait > 0 {
		return nil, wait
	}
	t := heap.Pop(&u.due).(*topic)
	t.due = time.Time{}
	return t, 0
}

// lookAt finds out whether the Book holds a name, searches it if it does not, and says what
// time has changed.
func (u *run) lookAt(ctx context.Context, t *topic, background func(func())) {
	n := u.n
	e, err := n.Book.Get(ctx, t.name)
	var seen recordstore.Mark
	if errors.Is(err, recordstore.ErrNotFound) {
		seen, err = n.Book.Seen(ctx, t.name)
	}
	if err != nil { // the store's fault: the pump says so
		u.again(t, time.Now().Add(or(n.MinPoll, MinPoll)))
		return
	}
	if u.found(ctx, t, e, seen, background) {
		ctx, cancel := context.WithTimeout(ctx, searchTimeout)
		rec, err := n.Search(ctx, t.name)
		cancel()
		u.searched(t, rec, err)
	}
	u.again(t, u.say(t))
}

// found notes what the Book has, and reports whether to search the name.
func (u *run) found(ctx context.Context, t *topic, e recordstore.Entry, seen recordstore.Mark, background func(func())) (search bool) {
	n := u.n
	n.mu.Lock()
	defer n.mu.Unlock()
	before := t.held
	t.held = e.Version != 0
	switch {
	case t.held:
		if e.Mark.Compare(t.newest) >= 0 {
			t.newest, t.entry = e.Mark, e
		}
	case before:
		gone := &change{at: u.at, place: u.place, kind: Gone, entry: recordstore.Entry{Name: t.name}}
		for r := range t.readers {
			r.offer(gone)
		}
		t.search = time.Time{}
	case seen.Compare(t.newest) > 0:
		t.newest = seen
	}
	poll := !t.held
	if e.Origin == recordstore.Hosted {
		for r := range t.readers {
			poll = poll || r.poll
		}
	}
	if !poll && t.quiet != nil {
		t.quiet()
		t.quiet = nil
	}
	if poll && n.Listen != nil && t.quiet == nil && len(t.readers) > 0 {
		var listening context.Context
		listening, t.quiet = context.WithCancel(ctx)
		background(func() { n.Listen(listening, t.name) })
	}
	if !poll || n.Search == nil {
		t.search = time.Time{}
		return false
	}
	return !time.Now().Before(t.search) || len(t.owed) > 0 && t.entry.Record == nil
}

// searched notes the outcome of a search. What it has found has come by the Book.
func (u *run) searched(t *topic, rec *ipns.Record, err error) {
	n := u.n
	n.mu.Lock()
	defer n.mu.Unlock()
	least, most := or(n.MinPoll, MinPoll), or(n.MaxPoll, MaxPoll)
	if err != nil || rec == nil {
		t.pause = min(max(2*t.pause, least), most)
		t.search = time.Now().Add(jittered(t.pause))
		return
	}
	t.pause = 0
	t.search = time.Now().Add(jittered(min(max(rec.TTL(), least), most)))
	if mark := recordstore.MarkOf(rec); mark.Compare(t.newest) >= 0 {
		t.newest, t.entry = mark, recordstore.Entry{Name: t.name, Record: rec, Mark: mark, Origin: recordstore.Seen}
	}
}

// jittered returns a time that is up to a tenth longer.
func jittered(d time.Duration) time.Duration { return d + rand.N(d/10+1) }

// say tells what those who resume are owed, and of an EOL that is near or over. It returns
// when to look again.
func (u *run) say(t *topic) time.Time {
	n := u.n
	n.mu.Lock()
	defer n.mu.Unlock()
	now := time.Now()
	next := now.Add(or(n.MinPoll, MinPoll)) // it may not be held any more by then
	if t.search.After(now) && (!t.held || t.search.Before(next)) {
		next = t.search
	}
	first := !t.looked
	t.looked = true
	if t.entry.Record == nil {
		return next
	}
	if eol := t.entry.Record.EOL(); !eol.Equal(t.eol) {
		t.said, t.eol = 0, eol
		t.warn = min(Warn, n.until(eol)/4)
		if t.held {
			t.warn = min(Warn, eol.Sub(t.entry.Changed)/4)
		}
	}
	kind := Kind(0)
	switch left := n.until(t.eol); {
	case left <= 0:
		kind = Ended
	case left <= t.warn:
		kind = Ending
		next = earlier(next, now.Add(left))
	default:
		next = earlier(next, now.Add(left-t.warn))
	}
	news := kind > t.said
	t.said = max(t.said, kind)
	for r := range t.readers {
		_, owed := t.owed[r]
		c := &change{at: u.at, place: u.place, entry: t.entry}
		if owed && !t.held {
			c.kind |= Changed // the pump tells of those that are held
		}
		if news && !first || owed {
			c.kind |= kind
		}
		if c.kind != 0 {
			r.offer(c)
		}
	}
	clear(t.owed)
	return next
}

func earlier(a, b time.Time) time.Time {
	if b.Before(a) {
		return b
	}
	return a
}

// again puts a name back into the schedule.
func (u *run) again(t *topic, at time.Time) {
	u.n.mu.Lock()
	defer u.n.mu.Unlock()
	if len(t.readers) == 0 {
		return
	}
	if !t.due.IsZero() { // something has come meanwhile
		at = earlier(at, t.due)
	}
	t.due = at
	heap.Push(&u.due, t)
	u.poke()
}

// schedule holds names by when they are due.
type schedule []*topic

func (s schedule) Len() int           { return len(s) }
func (s schedule) Less(i, j int) bool { return s[i].due.Before(s[j].due) }
func (s schedule) Swap(i, j int) {
	s[i], s[j] = s[j], s[i]
	s[i].index, s[j].index = i, j
}

// Push implements heap.Interface.
func (s *schedule) Push(x any) {
	t := x.(*topic)
	t.index = len(*s)
	*s = append(*s, t)
}

// Pop implements heap.Interface.
func (s *schedule) Pop() any {
	old := *s
	t := old[len(old)-1]
	old[len(old)-1] = nil
	*s = old[:len(old)-1]
	t.index = -1
	return t
}
