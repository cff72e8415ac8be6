package garbage

import (
	"context"
	"fmt"
	"iter"
	"log/slog"
	"slices"
	"testing"
	"time"

	"github.com/ipfs/go-cid"

	"github.com/goipns/ipns/content"
	"github.com/goipns/ipns/content/contenttest"
	"github.com/goipns/ipns/names"
	"github.com/goipns/ipns/recordstore"
	"github.com/goipns/ipns/recordstore/recordstoretest"
)

// site is a name whose values are kept, in virtual time.
type site struct {
	t     *testing.T
	c     *Collector
	key   recordstoretest.Key
	seq   uint64
	now   *time.Time
	start time.Time
}

func newSite(t *testing.T) *site {
	now := time.Now()
	clock := func() time.Time { return now }
	b := &names.Book{Store: recordstore.NewMemory(), Now: clock}
	c := &Collector{Content: contenttest.Open(t), Book: b, Log: slog.New(slog.DiscardHandler), Now: clock}
	return &site{t: t, c: c, key: recordstoretest.NewKey(t), now: &now, start: now}
}

// publish publishes a text as 'ipns up' does, with a record that lives so long, and returns its CID.
func (s *site) publish(text string, lifetime time.Duration, keep int) cid.Cid {
	s.t.Helper()
	root := contenttest.Add(s.t, s.c.Content, text)
	if err := s.c.Content.KeepTree(s.t.Context(), root, s.key.Name.String()); err != nil {
		s.t.Fatal(err)
	}
	rec := s.key.Record(s.t, s.seq, "/ipfs/"+root.String(), s.now.Add(lifetime))
	s.seq++
	if _, err := s.c.Book.Take(s.t.Context(), rec, names.Entrance{Origin: recordstore.Own}); err != nil {
		s.t.Fatal(err)
	}
	if err := s.c.Keep(s.t.Context(), rec, keep); err != nil {
		s.t.Fatal(err)
	}
	return root
}

func (s *site) after(d time.Duration) {
	s.t.Helper()
	*s.now = s.now.Add(d)
	if err := s.c.Retain(s.t.Context()); err != nil {
		s.t.Fatal(err)
	}
}

// pinned returns which of some roots are pinned.
func (s *site) pinned(roots ...cid.Cid) (is []bool) {
	s.t.Helper()
	for _, root := range roots {
		_, err := s.c.Content.PinOf(s.t.Context(), root, content.Recursive)
		is = append(is, err == nil)
	}
	return is
}

func (s *site) want(what string, got []bool, want ...bool) {
	s.t.Helper()
	if !slices.Equal(got, want) {
		s.t.Errorf("%s, %s after the start: pinned %v, want %v", what, s.now.Sub(s.start), got, want)
	}
}

func TestTheLastValuesStayAndTheOthersUntilTheirRecordsAreOver(t *testing.T) {
	s := newSite(t)
	const day, life = 24 * time.Hour, 48 * time.Hour
	var roots []cid.Cid
	for i := range 6 { // one a day; each record is over two days later
		roots = append(roots, s.publish(fmt.Sprint("day ", i), life, 0))
		s.after(day)
	}
	s.want("a day after the last", s.pinned(roots...), false, false, false, true, true, true)
	s.after(100 * day)
	s.want("long after", s.pinned(roots...), false, false, false, true, true, true)

	// Many in an hour: none of them goes before its record is over.
	s = newSite(t)
	roots = nil
	for i := range 6 {
		roots = append(roots, s.publish(fmt.Sprint("hour ", i), life, 2))
		s.after(time.Hour)
	}
	s.want("within a day", s.pinned(roots...), true, true, true, true, true, true)
	s.after(life - 6*time.Hour + time.Minute) // the record of the first is over
	s.want("two days after the first", s.pinned(roots...), false, true, true, true, true, true)
	s.after(life)
	s.want("long after", s.pinned(roots...), false, false, false, false, true, true)
}

func TestAValueStaysUntilItsTTLHasPassedSinceItWasReplaced(t *testing.T) {
	s := newSite(t)
	first := s.publish("first", 2*time.Hour, 1) // its TTL is a minute
	s.after(2*time.Hour - 10*time.Second)
	s.publish("second", 2*time.Hour, 1)
	s.after(30 * time.Second)
	s.want("after its EOL, but within its TTL", s.pinned(first), true)
	s.after(time.Hour)
	s.want("after both", s.pinned(first), false)
}

func TestHowManyValuesStayIsRemembered(t *testing.T) {
	s := newSite(t)
	var roots []cid.Cid
	for i, keep := range []int{1, 0, 5, 0, 0, 0} {
		roots = append(roots, s.publish(fmt.Sprint(i), time.Hour, keep))
		s.after(100 * time.Hour)
	}
	s.want("with five", s.pinned(roots...), false, true, true, true, true, true)
	roots = append(roots, s.publish("last", time.Hour, 2))
	s.after(100 * time.Hour)
	s.want("with two", s.pinned(roots...), false, false, false, false, false, true, true)
}

func TestTheConfigSaysHowManyValuesStay(t *testing.T) {
	s := newSite(t)
	s.c.Values = 1
	a := s.publish("a", time.Hour, 0)
	s.after(100 * time.Hour)
	b := s.publish("b", time.Hour, 0)
	s.after(100 * time.Hour)
	s.want("with one", s.pinned(a, b), false, true)
}

func TestPinsByHandStay(t *testing.T) {
	s := newSite(t)
	before, after := contenttest.Add(t, s.c.Content, "before"), contenttest.Add(t, s.c.Content, "after")
	pin := func(c cid.Cid, name string) {
		t.Helper()
		if err := s.c.Content.Pin(t.Context(), c, content.Recursive, name); err != nil {
			t.Fatal(err)
		}
	}
	pin(before, "") // then published
	s.publish("before", time.Hour, 1)
	s.publish("after", time.Hour, 1)
	pin(after, "mine") // published, then pinned
	last := s.publish("last", time.Hour, 1)
	stranger := contenttest.Add(t, s.c.Content, "of a name that is not here")
	pin(stranger, content.KeptFor("k51stranger"))
	s.after(1000 * time.Hour)
	s.want("by hand", s.pinned(before, after, last, stranger), true, true, true, true)
}

func TestAValueThatTwoNamesHaveStaysUntilNoneKeepsIt(t *testing.T) {
	s := newSite(t)
	other := &site{t: t, c: s.c, key: recordstoretest.NewKey(t), now: s.now, start: s.start}
	shared := s.publish("shared", time.Hour, 1)
	other.publish("shared", time.Hour, 1)
	s.publish("mine", time.Hour, 1)
	s.after(100 * time.Hour)
	s.want("one has it", s.pinned(shared), true)
	other.publish("theirs", time.Hour, 1)
	s.after(100 * time.Hour)
	s.want("none has it", s.pinned(shared), false)
}

// A tree is pinned when it was added; until it is published it is no value of the name.
func TestWhatIsAboutToBePublishedStaysPinned(t *testing.T) {
	s := newSite(t)
	s.publish("first", time.Hour, 1)
	about := contenttest.Add(t, s.c.Content, "about to be published")
	if err := s.c.Content.KeepTree(t.Context(), about, s.key.Name.String()); err != nil {
		t.Fatal(err)
	}
	s.after(underWay / 2)
	s.want("soon after", s.pinned(about), true)
	s.after(underWay)
	s.want("never published", s.pinned(about), false)

	// Nor does one that was a value long ago go before it is one again.
	old := s.publish("old", time.Hour, 1)
	s.after(100 * time.Hour)
	s.publish("new", time.Hour, 1)
	s.after(100 * time.Hour)
	s.want("replaced", s.pinned(old), false)
	*s.now = time.Now() // by which the store notes when it was pinned
	if err := s.c.Content.KeepTree(t.Context(), old, s.key.Name.String()); err != nil {
		t.Fatal(err)
	}
	s.after(time.Minute)
	s.want("again", s.pinned(old), true)
}

func TestNothingIsUnpinnedIfAnEntryIsDamaged(t *testing.T) {
	s := newSite(t)
	first := s.publish("first", time.Hour, 1)
	s.publish("second", time.Hour, 1)
	*s.now = s.now.Add(100 * time.Hour)
	s.c.Book = &names.Book{Store: damaged{s.c.Book.Store}}
	if err := s.c.Retain(t.Context()); err == nil {
		t.Error("a damaged entry is no error")
	}
	s.want("damaged", s.pinned(first), true)
}

// What goes is what only values need that are no longer kept; other unpinned content stays, as there is space for it.
func TestValuesThatAreNoLongerKeptAreDeletedAndNothingElse(t *testing.T) {
	s := newSite(t)
	loose := contenttest.Add(t, s.c.Content, "not pinned")
	first := s.publish("first", time.Hour, 1)
	second := s.publish("second", time.Hour, 1)
	byHand := s.publish("by hand", time.Hour, 1)
	if err := s.c.Content.Pin(t.Context(), byHand, content.Recursive, ""); err != nil {
		t.Fatal(err)
	}
	last := s.publish("last", time.Hour, 1)
	release := func(what string, want ...bool) {
		t.Helper()
		if err := s.c.Release(t.Context()); err != nil {
			t.Fatal(err)
		}
		var here []bool
		for _, root := range []cid.Cid{first, second, byHand, last, loose} {
			_, all, err := s.c.Content.Local(t.Context(), root)
			if err != nil {
				t.Fatal(err)
			}
			here = append(here, all)
		}
		s.want(what+": here", here, want...)
	}
	release("at once", true, true, true, true, true)
	*s.now = s.now.Add(2 * time.Hour)
	release("unpinned, but replaced not long ago", true, true, true, true, true)
	*s.now = s.now.Add(Recent)
	release("long after", false, false, true, true, true)
	if left, err := s.c.Content.Released(t.Context()); err != nil || len(left) != 0 {
		t.Errorf("%d trees are still to be deleted, %v", len(left), err)
	}
	if again := s.publish("first", time.Hour, 1); again != first {
		t.Fatal("another CID")
	}
	release("published again", true, false, true, true, true)
}

// damaged is a store whose entries cannot be read.
type damaged struct{ recordstore.Store }

func (d damaged) Scan(ctx context.Context, r recordstore.Region) iter.Seq2[recordstore.Entry, error] {
	return func(yield func(recordstore.Entry, error) bool) {
		for e, err := range d.Store.Scan(ctx, r) {
			if e.Damaged = true; !yield(e, err) {
				return
			}
		}
	}
}
