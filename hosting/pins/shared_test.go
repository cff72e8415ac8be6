package pins

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/libp2p/go-libp2p/core/peer"

	"github.com/goipns/ipns/recordstore"
)

// daemons returns pins of two daemons that share rows; each has content of its own.
func daemons(rows recordstore.Rows, one, two Content) (a, b *Pins) {
	return &Pins{Rows: rows, Content: one, Self: "one", Shared: true}, &Pins{Rows: rows, Content: two, Self: "two", Shared: true}
}

func TestARequestIsFetchedByTheDaemonThatTookIt(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		rows, x, far := &recordstore.MemoryRows{}, cidOf("x"), cidOf("far")
		first, second := newShelf(x), newShelf(x, far)
		one, two := daemons(rows, first, second)
		stop := start(t, one)
		pinned, waiting := mustAdd(t, one, "ann", Request{CID: x}), mustAdd(t, one, "ann", Request{CID: far})
		synctest.Wait()
		defer start(t, two)()
		mine := mustAdd(t, two, "ann", Request{CID: far})
		synctest.Wait()
		if got := status(t, two, "ann", mine.ID); got != Pinned || first.has(far) != "" {
			t.Errorf("its own request is %s, and pinned at the other as %q", got, first.has(far))
		}
		if second.has(x) != "" {
			t.Error("what the other keeps is pinned, too")
		}
		if got := status(t, two, "ann", waiting.ID); got != Queued {
			t.Errorf("what the other waits for is %s", got)
		}
		all, n, err := two.List(t.Context(), "ann", Query{Limit: 10})
		if err != nil || n != 3 {
			t.Errorf("%d are listed: %v, %v", n, all, err)
		}
		foreign, err := two.Get(t.Context(), "ann", pinned.ID)
		want := "/p2p/" + peer.ID("one").String()
		if got := two.Delegates(foreign); err != nil || len(got) != 1 || got[0] != want {
			t.Errorf("content of the other is brought to %v, not %s: %v", got, want, err)
		}
		if n, bytes, err := two.Used(t.Context(), "ann"); err != nil || n != 3 {
			t.Errorf("used: %d requests, %d bytes, %v", n, bytes, err)
		}
		// It goes on after a start, and leaves those of the other.
		stop()
		first.there[far] = true
		_, again := daemons(rows, second, first)
		again.Self = "one"
		defer start(t, again)()
		synctest.Wait()
		if got := status(t, again, "ann", waiting.ID); got != Pinned || first.has(far) == "" {
			t.Errorf("after a start it is %s", got)
		}
	})
}

func TestWhatAnotherDaemonRemovesIsLetGoAtTheNextReview(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		rows, x, y := &recordstore.MemoryRows{}, cidOf("x"), cidOf("y")
		first, second := newShelf(x), newShelf(x, y)
		one, two := daemons(rows, first, second)
		defer start(t, one)()
		defer start(t, two)()
		removed, replaced := mustAdd(t, one, "ann", Request{CID: x}), mustAdd(t, one, "ann", Request{CID: cidOf("far")})
		synctest.Wait()
		if err := two.Remove(t.Context(), "ann", removed.ID); err != nil {
			t.Fatal(err)
		}
		other, err := two.Replace(t.Context(), "ann", replaced.ID, Request{CID: y})
		if err != nil {
			t.Fatal(err)
		}
		time.Sleep(reviewPeriod + time.Second)
		synctest.Wait()
		if first.has(x) != "" || len(one.refs) != 0 || len(one.known) != 0 || len(one.running) != 0 {
			t.Errorf("left: pin %q, refs %v, known %v, %d fetches", first.has(x), one.refs, one.known, len(one.running))
		}
		if got := status(t, one, "ann", other.ID); got != Pinned || second.has(y) == "" {
			t.Errorf("what took its place is %s", got)
		}
		if n, _, err := one.Used(t.Context(), "ann"); err != nil || n != 1 {
			t.Errorf("%d requests are counted, %v", n, err)
		}
	})
}

func TestDaemonsShareTheLimitOfATenant(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		rows := &recordstore.MemoryRows{}
		one, two := daemons(rows, newShelf(), newShelf())
		two.Limit = allow(100)
		e := &entry{tenant: "ann", id: newID(1), row: row{CID: cidOf("x").String(), Status: Pinned, Created: 1, Size: 100, Daemon: one.Self.String()}}
		if _, err := one.store(t.Context(), e); err != nil {
			t.Fatal(err)
		}
		defer start(t, two)()
		if _, err := two.Add(t.Context(), "ann", Request{CID: cidOf("y")}); !errors.Is(err, ErrQuota) {
			t.Errorf("beside what another daemon keeps: %v", err)
		}
	})
}

// Rows of a repo that was alone have no daemon; after its names were moved into a database, they belong to
// who has their content.
func TestRowsWithoutADaemonBelongToWhoHasTheContent(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		rows, x := &recordstore.MemoryRows{}, cidOf("x")
		first, second := newShelf(x), newShelf(x)
		alone := &Pins{Rows: rows, Content: first, Self: "one"}
		stop := start(t, alone)
		kept := mustAdd(t, alone, "ann", Request{CID: x})
		waiting := mustAdd(t, alone, "ann", Request{CID: cidOf("far")})
		synctest.Wait()
		stop()
		one, two := daemons(rows, first, second)
		stop = start(t, two)
		synctest.Wait()
		if second.has(x) != "" {
			t.Error("a daemon without the content pins it")
		}
		defer start(t, one)()
		synctest.Wait()
		e, err := one.read(t.Context(), "ann", kept.ID)
		if err != nil || e.Daemon != one.Self.String() || first.has(x) == "" {
			t.Errorf("the content is that of %q, pin %q: %v", e.Daemon, first.has(x), err)
		}
		if e, err := one.read(t.Context(), "ann", waiting.ID); err != nil || e.Daemon != two.Self.String() {
			t.Errorf("what nobody has is that of %q, the first to come is %q: %v", e.Daemon, two.Self, err)
		}
		stop()
		first.mu.Lock()
		delete(first.pins, x) // by hand; it is pinned again
		first.mu.Unlock()
		time.Sleep(reviewPeriod + time.Second)
		synctest.Wait()
		if first.has(x) == "" {
			t.Error("its content is not pinned again")
		}
	})
}

// unsure commits one write, and says that it does not know.
type unsure struct {
	recordstore.Rows
	at int
}

func (u *unsure) Swap(ctx context.Context, r recordstore.Row) (recordstore.Row, error) {
	stored, err := u.Rows.Swap(ctx, r)
	if u.at--; u.at == 0 && err == nil {
		return recordstore.Row{}, recordstore.ErrDoubt
	}
	return stored, err
}

func TestAWriteInDoubtIsFoundByTheNextReview(t *testing.T) {
	for at, name := range []string{1: "of the request", 2: "that it is pinned"} {
		if at == 0 {
			continue
		}
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				x := cidOf("x")
				s := newShelf(x)
				p := &Pins{Rows: &unsure{&recordstore.MemoryRows{}, at}, Content: s}
				defer start(t, p)()
				_, err := p.Add(t.Context(), "ann", Request{CID: x})
				if told := errors.Is(err, recordstore.ErrDoubt); told != (at == 1) {
					t.Fatal(err)
				}
				time.Sleep(2*reviewPeriod + time.Second)
				synctest.Wait()
				found, _, err := p.List(t.Context(), "ann", Query{Limit: 2})
				if err != nil || len(found) != 1 || found[0].Status != Pinned || s.has(x) == "" {
					t.Errorf("%v, %v", found, err)
				}
				if n, _, err := p.Used(t.Context(), "ann"); err != nil || n != 1 {
					t.Errorf("%d requests are counted, %v", n, err)
				}
			})
		})
	}
}
