package follow

import (
	"context"
	"errors"
	"log/slog"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/ipfs/go-cid"

	"github.com/goipns/ipns/content"
	"github.com/goipns/ipns/content/contenttest"
	"github.com/goipns/ipns/names"
	"github.com/goipns/ipns/recordstore"
	"github.com/goipns/ipns/recordstore/recordstoretest"
	"github.com/goipns/ipns/watch"
)

// node is what follows, until the test stops it.
type node struct {
	*Follower
	stop func()
}

// newNode returns what follows on rows and content that outlive it. It does not run.
func newNode(t *testing.T, rows recordstore.Rows, store *recordstore.Memory, s *content.Store) *node {
	t.Helper()
	b := &names.Book{Store: store}
	return &node{Follower: &Follower{Names: &watch.Names{Book: b}, Book: b, Rows: rows, Content: s, Log: slog.New(slog.DiscardHandler)}}
}

func (n *node) start(t *testing.T) *node {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	over := make(chan error, 1)
	go func() { over <- n.Run(ctx) }()
	n.stop = func() {
		cancel()
		if err := <-over; !errors.Is(err, context.Canceled) {
			t.Error(err)
		}
		n.stop = func() {}
	}
	t.Cleanup(func() { n.stop() })
	return n
}

func (n *node) put(t *testing.T, k recordstoretest.Key, sequence uint64, root cid.Cid) {
	t.Helper()
	rec := k.Record(t, sequence, "/ipfs/"+root.String(), time.Now().Add(time.Hour))
	if _, err := n.Book.Take(t.Context(), rec, names.Entrance{Origin: recordstore.Hosted}); err != nil {
		t.Fatal(err)
	}
}

// pins returns the recursive pins with their names.
func pins(t *testing.T, s *content.Store) (list []string) {
	t.Helper()
	for p, err := range s.Pins(t.Context(), content.Recursive) {
		if err != nil {
			t.Fatal(err)
		}
		list = append(list, p.CID.String())
	}
	slices.Sort(list)
	return list
}

// until waits until just these are pinned.
func until(t *testing.T, s *content.Store, want ...cid.Cid) {
	t.Helper()
	var texts []string
	for _, c := range want {
		texts = append(texts, c.String())
	}
	slices.Sort(texts)
	for begin := time.Now(); !slices.Equal(pins(t, s), texts); time.Sleep(time.Millisecond) {
		if time.Since(begin) > time.Minute {
			t.Fatalf("pinned %v, want %v", pins(t, s), texts)
		}
	}
}

func (n *node) add(t *testing.T, k recordstoretest.Key, keep int, maxSize uint64) {
	t.Helper()
	if _, err := n.Add(t.Context(), k.Name, true, keep, maxSize); err != nil {
		t.Fatal(err)
	}
}

func TestTheLastValuesOfAFollowAreKept(t *testing.T) {
	s := contenttest.Open(t)
	n := newNode(t, &recordstore.MemoryRows{}, recordstore.NewMemory(), s).start(t)
	k := recordstoretest.NewKey(t)
	one, two, three := contenttest.Add(t, s, "one"), contenttest.Add(t, s, "two"), contenttest.Add(t, s, "three")
	n.put(t, k, 1, one)
	n.add(t, k, 2, 0)
	until(t, s, one)
	n.put(t, k, 2, two)
	until(t, s, one, two)
	n.put(t, k, 3, three)
	until(t, s, two, three)
	n.add(t, k, 1, 0)
	until(t, s, three)
	if _, err := n.Remove(t.Context(), k.Name); err != nil {
		t.Fatal(err)
	}
	until(t, s)
}

// What a crash leaves is mended by the next start: of content that is pinned and in no row,
// of content that is in no row any more and pinned, and of a follow that was being removed.
func TestAFollowGoesOnAfterACrash(t *testing.T) {
	for what, c := range map[string]struct {
		values func(one, two cid.Cid) []Value // in the row
		remove bool
		newest int // the value that the name has
	}{
		"before the row was written":      {func(one, _ cid.Cid) []Value { return []Value{{Root: one.String()}} }, false, 1},
		"before older content was let go": {func(_, two cid.Cid) []Value { return []Value{{Root: two.String()}} }, false, 1},
		"after the name changed again":    {func(one, _ cid.Cid) []Value { return []Value{{Root: one.String()}} }, false, 2},
		"while it was removed":            {func(_, two cid.Cid) []Value { return []Value{{Root: two.String()}} }, true, 1},
	} {
		t.Run(what, func(t *testing.T) {
			s := contenttest.Open(t)
			rows := &recordstore.MemoryRows{}
			n := newNode(t, rows, recordstore.NewMemory(), s)
			k := recordstoretest.NewKey(t)
			all := []cid.Cid{contenttest.Add(t, s, "one"), contenttest.Add(t, s, "two"), contenttest.Add(t, s, "three")}
			n.put(t, k, 2, all[c.newest])
			n.add(t, k, 1, 0)
			for _, root := range all[:2] {
				if err := s.KeepFollowed(t.Context(), root, k.Name.String()); err != nil {
					t.Fatal(err)
				}
			}
			err := n.change(t.Context(), k.Name.String(), func(l *Follow) { l.Values, l.Removed = c.values(all[0], all[1]), c.remove })
			if err != nil {
				t.Fatal(err)
			}
			n.start(t)
			if c.remove {
				until(t, s)
				return
			}
			until(t, s, all[c.newest])
		})
	}
}

// What is too large is not fetched again to find that out, and what was kept stays. A limit
// that is raised has it fetched.
func TestAValueThatIsTooLargeIsNotKept(t *testing.T) {
	s := contenttest.Open(t)
	n := newNode(t, &recordstore.MemoryRows{}, recordstore.NewMemory(), s)
	n.fetches = make(chan struct{}, maxFetches)
	k := recordstoretest.NewKey(t)
	small, large := contenttest.Add(t, s, "small"), contenttest.Add(t, s, strings.Repeat("large", 1000))
	w := &follower{all: n.Follower, name: k.Name}
	n.add(t, k, 1, 100)
	keep := func(sequence uint64, root cid.Cid, limit uint64) error {
		t.Helper()
		l, _, err := n.get(t.Context(), k.Name.String())
		if err != nil {
			t.Fatal(err)
		}
		l.MaxSize = limit
		return w.keep(t.Context(), l, k.Record(t, sequence, "/ipfs/"+root.String(), time.Now().Add(time.Hour)))
	}
	if err := keep(1, small, 100); err != nil {
		t.Fatal(err)
	}
	if err := keep(2, large, 100); err == nil || !strings.Contains(err.Error(), "more than the 100 bytes") {
		t.Fatal(err)
	}
	until(t, s, small)
	for g := range s.Collect(t.Context(), n.Roots(t.Context()), content.Leave{}) { // what was fetched of it is garbage
		if g.Err != nil {
			t.Fatal(g.Err)
		}
	}
	if err := keep(2, large, 100); err == nil || !strings.Contains(err.Error(), "more than the 100 bytes") {
		t.Errorf("it was looked for again: %v", err)
	}
	contenttest.Add(t, s, strings.Repeat("large", 1000))
	if err := keep(2, large, 10_000); err != nil {
		t.Error(err)
	}
	until(t, s, large)
}

// Content that others need too stays when a follow lets it go.
func TestContentThatOthersNeedStays(t *testing.T) {
	s := contenttest.Open(t)
	n := newNode(t, &recordstore.MemoryRows{}, recordstore.NewMemory(), s).start(t)
	a, b := recordstoretest.NewKey(t), recordstoretest.NewKey(t)
	shared, byHand, own, after := contenttest.Add(t, s, "shared"), contenttest.Add(t, s, "by hand"), contenttest.Add(t, s, "own"), contenttest.Add(t, s, "after")
	if err := s.Pin(t.Context(), byHand, content.Recursive, "mine"); err != nil {
		t.Fatal(err)
	}
	n.put(t, a, 1, shared)
	n.put(t, b, 1, shared)
	n.add(t, a, 1, 0)
	n.add(t, b, 1, 0)
	until(t, s, shared, byHand)
	kept := func(k recordstoretest.Key, root cid.Cid) {
		t.Helper()
		for begin := time.Now(); ; time.Sleep(time.Millisecond) {
			l, _, err := n.get(t.Context(), k.Name.String())
			if err != nil || time.Since(begin) > time.Minute {
				t.Fatalf("%+v, %v", l, err)
			}
			if len(l.Values) == 1 && l.Values[0].Root == root.String() {
				return
			}
		}
	}
	kept(b, shared)
	n.put(t, a, 2, byHand)
	kept(a, byHand)
	until(t, s, shared, byHand) // b has it
	n.put(t, a, 3, own)
	until(t, s, shared, byHand, own)
	// A name of this node gets the same content, and a lets it go.
	if err := s.KeepTree(t.Context(), own, "k51own"); err != nil {
		t.Fatal(err)
	}
	n.put(t, a, 4, after)
	until(t, s, shared, byHand, own, after)
	kept(a, after)
	if err := n.letGo(t.Context()); err != nil {
		t.Fatal(err)
	}
	until(t, s, shared, byHand, own, after)
	if p, err := s.PinOf(t.Context(), own, content.Recursive); err != nil || p.Name != content.KeptFor("k51own") {
		t.Errorf("the pin of the own name: %+v, %v", p, err)
	}
}

// A record that is hosted only because it is followed goes with the follow, also if it was
// hosted for somebody else when that began.
func TestARecordGoesWithItsFollow(t *testing.T) {
	n := newNode(t, &recordstore.MemoryRows{}, recordstore.NewMemory(), contenttest.Open(t))
	k := recordstoretest.NewKey(t)
	rec := k.Record(t, 1, "/ipfs/bafkqaaa", time.Now().Add(time.Hour))
	if _, err := n.Book.Take(t.Context(), rec, names.Entrance{Origin: recordstore.Hosted, Tenant: "them"}); err != nil {
		t.Fatal(err)
	}
	if _, err := n.Add(t.Context(), k.Name, false, 1, 0); err != nil {
		t.Fatal(err)
	}
	e, err := n.Book.Get(t.Context(), k.Name)
	if err == nil {
		err = n.Book.Forget(t.Context(), e, recordstore.Lease{})
	}
	if err != nil {
		t.Fatal(err)
	}
	w := &follower{all: n.Follower, name: k.Name}
	if err := w.update(t.Context(), rec); err != nil {
		t.Fatal(err)
	}
	if _, err := n.Book.Get(t.Context(), k.Name); err != nil {
		t.Fatalf("it is not kept: %v", err)
	}
	if _, err := n.Remove(t.Context(), k.Name); err != nil {
		t.Fatal(err)
	}
	if _, err := n.Book.Get(t.Context(), k.Name); !errors.Is(err, recordstore.ErrNotFound) {
		t.Errorf("after the follow ended: %v", err)
	}
}
