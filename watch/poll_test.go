package watch_test

import (
	"context"
	"errors"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/goipns/ipns"
	"github.com/goipns/ipns/names"
	"github.com/goipns/ipns/recordstore"
	"github.com/goipns/ipns/recordstore/recordstoretest"
	"github.com/goipns/ipns/watch"
)

// network has records of names that nobody holds here.
type network struct {
	book *names.Book

	mu       sync.Mutex
	records  map[ipns.Name]*ipns.Record
	searches map[ipns.Name]int
	at       []time.Time
}

func newNetwork(b *names.Book) *network {
	return &network{book: b, records: map[ipns.Name]*ipns.Record{}, searches: map[ipns.Name]int{}}
}

func (n *network) put(rec *ipns.Record) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.records[rec.Name()] = rec
}

func (n *network) count(name ipns.Name) int {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.searches[name]
}

var errNowhere = errors.New("nobody has it")

// search takes a second.
func (n *network) search(ctx context.Context, name ipns.Name) (*ipns.Record, error) {
	n.mu.Lock()
	rec := n.records[name]
	n.searches[name]++
	n.at = append(n.at, time.Now())
	n.mu.Unlock()
	select {
	case <-time.After(time.Second):
	case <-ctx.Done():
		return nil, ctx.Err()
	}
	if rec == nil {
		return nil, errNowhere
	}
	_, err := n.book.Take(ctx, rec, names.Entrance{Origin: recordstore.Seen})
	return rec, err
}

// changes reads into a channel, without heartbeats.
func changes(t *testing.T, n *watch.Names, req watch.Request) (<-chan watch.Event, func()) {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	events := make(chan watch.Event, 100)
	over := make(chan struct{})
	go func() {
		defer close(over)
		for e, err := range n.Read(ctx, req) {
			if err == nil && e.Kind != 0 {
				events <- e
			}
		}
	}()
	leave := func() { cancel(); <-over }
	t.Cleanup(leave)
	return events, leave
}

// A name of others is searched at its TTL, once for all who watch it, and no more when the
// last of them leaves.
func TestAForeignNameIsSearchedOnceForAllWhoWatchIt(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBook()
		net := newNetwork(b)
		n := &watch.Names{Book: b, Search: net.search}
		k := recordstoretest.NewKey(t)
		day := epoch.Add(24 * time.Hour)
		net.put(k.Record(t, 1, "/ipfs/bafkqaaa", day))
		var all []<-chan watch.Event
		var leaves []func()
		for range 100 {
			events, leave := changes(t, n, watch.Request{Names: []ipns.Name{k.Name}, Caller: "c"})
			all, leaves = append(all, events), append(leaves, leave)
		}
		time.Sleep(2 * time.Second)
		if got := net.count(k.Name); got != 1 {
			t.Fatalf("%d searches for 100 readers", got)
		}
		net.put(k.Record(t, 2, "/ipfs/bafkqaaa", day))
		time.Sleep(2 * watch.MinPoll) // the TTL is a minute
		for i, events := range all {
			var last uint64
			for len(events) > 0 {
				e := <-events
				if s := e.Entry.Record.Sequence(); s < last || e.Kind != watch.Changed {
					t.Fatalf("%s of sequence %d after %d", e.Kind, s, last)
				} else {
					last = s
				}
			}
			if last != 2 {
				t.Fatalf("reader %d was told of sequence %d", i, last)
			}
		}
		got := net.count(k.Name)
		if got < 2 || got > 3 {
			t.Errorf("%d searches in two times the TTL", got)
		}
		for _, leave := range leaves {
			leave()
		}
		time.Sleep(24 * time.Hour)
		if again := net.count(k.Name); again != got {
			t.Errorf("%d searches after the last reader has left", again-got)
		}
	})
}

// However short a TTL is or however often a search fails, the time between two searches is
// bounded.
func TestSearchesAreBoundedBelowAndAbove(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBook()
		net := newNetwork(b)
		n := &watch.Names{Book: b, Search: net.search}
		none := recordstoretest.NewKey(t)
		changes(t, n, watch.Request{Names: []ipns.Name{none.Name}})
		time.Sleep(24 * time.Hour)
		net.mu.Lock()
		defer net.mu.Unlock()
		if len(net.at) < 24 || len(net.at) > 24+8 {
			t.Errorf("%d searches in a day for a name that nobody has", len(net.at))
		}
		for i := 1; i < len(net.at); i++ {
			if d := net.at[i].Sub(net.at[i-1]); d < watch.MinPoll || d > watch.MaxPoll+watch.MaxPoll/9 {
				t.Errorf("%s between two searches", d)
			}
		}
	})
}

// Who comes back is told of the newest record of a foreign name: it has no position.
func TestWhoResumesIsToldOfForeignNames(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBook()
		net := newNetwork(b)
		n := &watch.Names{Book: b, Search: net.search}
		k := recordstoretest.NewKey(t)
		begin := read(t, n, "").event().Position
		net.put(k.Record(t, 5, "/ipfs/bafkqaaa", epoch.Add(24*time.Hour)))
		if _, err := net.search(t.Context(), k.Name); err != nil { // the Book has seen it
			t.Fatal(err)
		}
		for range 3 {
			events, leave := changes(t, n, watch.Request{Names: []ipns.Name{k.Name}, Since: begin})
			time.Sleep(10 * time.Second)
			if len(events) != 1 {
				t.Fatalf("%d events", len(events))
			}
			if e := <-events; e.Entry.Record.Sequence() != 5 {
				t.Errorf("sequence %d", e.Entry.Record.Sequence())
			}
			leave()
		}
	})
}

// Readers hear that a record comes near its EOL and expires, once each, and that a name is
// no longer held.
func TestReadersHearOfTheEndOfARecordAndOfAName(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		begin := time.Now()
		b := newBook()
		b.Now = func() time.Time { return epoch.Add(time.Since(begin)) }
		n := &watch.Names{Book: b}
		b.Forgotten = n.Forgotten
		k, other := recordstoretest.NewKey(t), recordstoretest.NewKey(t)
		for _, key := range []recordstoretest.Key{k, other} {
			if _, err := b.Take(t.Context(), key.Record(t, 1, "/ipfs/bafkqaaa", epoch.Add(4*time.Hour)), names.Entrance{Origin: recordstore.Hosted}); err != nil {
				t.Fatal(err)
			}
		}
		events, _ := changes(t, n, watch.Request{Names: []ipns.Name{k.Name, other.Name}})
		next := func(want watch.Kind, of ipns.Name) {
			t.Helper()
			e := <-events
			if e.Kind != want || e.Entry.Name != of {
				t.Fatalf("%s of %s after %s, want %s", e.Kind, e.Entry.Name, time.Since(begin), want)
			}
		}
		time.Sleep(time.Minute)
		e, err := b.Get(t.Context(), other.Name)
		if err == nil {
			err = b.Forget(t.Context(), e, recordstore.Lease{})
		}
		if err != nil {
			t.Fatal(err)
		}
		next(watch.Gone, other.Name)
		time.Sleep(2 * time.Hour)
		if len(events) > 0 {
			t.Errorf("%s after two of four hours", (<-events).Kind)
		}
		for _, end := range []struct {
			kind  watch.Kind
			after time.Duration
		}{{watch.Ending, 3 * time.Hour}, {watch.Ended, 4 * time.Hour}} {
			for range 2 { // nobody holds the other one, but it was seen
				e := <-events
				if d := time.Since(begin); e.Kind != end.kind || d < end.after || d > end.after+time.Minute {
					t.Errorf("%s after %s of four hours", e.Kind, d)
				}
			}
		}
	})
}
