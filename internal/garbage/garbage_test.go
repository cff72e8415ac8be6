package garbage

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"log/slog"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/ipfs/go-cid"

	"github.com/goipns/ipns"
	"github.com/goipns/ipns/content"
	"github.com/goipns/ipns/content/contenttest"
	"github.com/goipns/ipns/names"
	"github.com/goipns/ipns/recordstore"
	"github.com/goipns/ipns/recordstore/recordstoretest"
)

// lines passes on what is logged.
type lines struct{ got chan string }

func (l *lines) Write(b []byte) (int, error) {
	select {
	case l.got <- string(b):
	default:
	}
	return len(b), nil
}

func TestValuesOfOwnNamesStayUntilLongAfterTheyWereReplaced(t *testing.T) {
	s := contenttest.Open(t)
	now := time.Now()
	b := &names.Book{Store: recordstore.NewMemory(), Now: func() time.Time { return now }}
	own, hosted := recordstoretest.NewKey(t), recordstoretest.NewKey(t)
	publish := func(k recordstoretest.Key, seq uint64, c cid.Cid, origin recordstore.Origin) {
		t.Helper()
		rec := k.Record(t, seq, "/ipfs/"+c.String()+"/index.html", time.Now().Add(30*24*time.Hour))
		if _, err := b.Take(t.Context(), rec, names.Entrance{Origin: origin}); err != nil {
			t.Fatal(err)
		}
	}
	first, second, third, others := contenttest.Add(t, s, "first"), contenttest.Add(t, s, "second"), contenttest.Add(t, s, "third"), contenttest.Add(t, s, "others")
	now = time.Now().Add(-100 * time.Hour)
	publish(own, 1, first, recordstore.Own)
	now = time.Now().Add(-Recent - time.Hour)
	publish(own, 2, second, recordstore.Own) // first was replaced long ago
	publish(hosted, 1, others, recordstore.Hosted)
	now = time.Now().Add(-time.Hour)
	publish(own, 3, third, recordstore.Own) // second was replaced just now, though it is old

	// Somebody wants the space back: of what was replaced, but not of what the name leads to.
	now = time.Now()
	gone, fourth, fifth := contenttest.Add(t, s, "gone"), contenttest.Add(t, s, "fourth"), contenttest.Add(t, s, "fifth")
	publish(own, 4, gone, recordstore.Own)
	publish(own, 5, fourth, recordstore.Own)
	publish(own, 6, fifth, recordstore.Own)
	for _, c := range []cid.Cid{gone, fourth, fifth} {
		if err := s.LetGo(t.Context(), c); err != nil {
			t.Fatal(err)
		}
	}
	if err := s.Pin(t.Context(), fourth, content.Recursive, ""); err != nil {
		t.Fatal(err)
	}
	if err := s.Unpin(t.Context(), fourth, content.Recursive); err != nil {
		t.Fatal(err)
	}

	c := &Collector{Content: s, Book: b, Log: slog.New(slog.DiscardHandler)}
	for g := range c.Collect(t.Context()) {
		if g.Err != nil {
			t.Fatal(g.Err)
		}
	}
	for what, want := range map[cid.Cid]bool{first: false, second: true, third: true, others: false, gone: false, fourth: true, fifth: true} {
		_, all, err := s.Local(t.Context(), what)
		if err != nil || all != want {
			t.Errorf("%s is here: %t, want %t; %v", what, all, want, err)
		}
	}
}

func TestStoreIsCleanedOnlyWhenItIsTooLarge(t *testing.T) {
	for _, above := range []uint64{0, 1 << 40} {
		s := contenttest.Open(t)
		garbage := contenttest.Add(t, s, fmt.Sprint("garbage", above))
		log := &lines{got: make(chan string, 10)}
		c := &Collector{
			Content: s, Book: &names.Book{Store: recordstore.NewMemory()}, Period: time.Millisecond, Above: above,
			Log: slog.New(slog.NewTextHandler(log, nil)),
		}
		ended := make(chan struct{})
		ctx, stop := context.WithCancel(t.Context())
		go func() {
			defer close(ended)
			_ = c.Run(ctx)
		}()
		if above == 0 {
			if line := <-log.got; !strings.Contains(line, "removed=1") {
				t.Error(line)
			}
		} else {
			time.Sleep(20 * time.Millisecond)
		}
		stop()
		<-ended
		_, all, err := s.Local(t.Context(), garbage)
		if err != nil || all != (above > 0) {
			t.Errorf("above %d: garbage is here: %t, %v", above, all, err)
		}
	}
}

func TestWhatWasSignedInAdvanceStays(t *testing.T) {
	s := contenttest.Open(t)
	k := recordstoretest.NewKey(t)
	ahead, other := contenttest.Add(t, s, "ahead"), contenttest.Add(t, s, "other")
	rec := k.Record(t, 1, "/ipfs/"+ahead.String(), time.Now().Add(30*24*time.Hour))
	var fails error
	c := &Collector{Content: s, Book: &names.Book{Store: recordstore.NewMemory()}, Log: slog.New(slog.DiscardHandler)}
	c.Ahead = func(context.Context) iter.Seq2[*ipns.Record, error] {
		return func(yield func(*ipns.Record, error) bool) {
			if fails != nil {
				yield(nil, fails)
				return
			}
			yield(rec, nil)
		}
	}
	collect := func() (removed []string, err error) {
		for g := range c.Collect(t.Context()) {
			if g.Err != nil {
				err = g.Err
			} else {
				removed = append(removed, string(g.CID.Hash()))
			}
		}
		return removed, err
	}
	fails = errors.New("it cannot be read")
	if removed, err := collect(); len(removed) > 0 || !errors.Is(err, fails) {
		t.Errorf("removed %q, %v", removed, err)
	}
	fails = nil
	if removed, err := collect(); err != nil || !slices.Equal(removed, []string{string(other.Hash())}) {
		t.Errorf("removed %q, %v", removed, err)
	}
}
