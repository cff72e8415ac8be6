package recordstoretest

import (
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/goipns/ipns"
	"github.com/goipns/ipns/recordstore"
)

// patience is how long something may take on a busy machine that takes no time on another.
const patience = 2 * time.Minute

// now returns the current position of a store.
func now(t testing.TB, s recordstore.Store) recordstore.Position {
	t.Helper()
	for c, err := range s.Changes(t.Context(), "") {
		if err != nil || c.Position == "" || !c.Entry.Name.IsZero() {
			t.Fatalf("the first change from now on is %+v, %v", c, err)
		}
		return c.Position
	}
	panic("Changes ended")
}

// until reads changes after a position up to that of a name swapped for this purpose,
// which comes after all others.
func until(ctx context.Context, s recordstore.Store, since recordstore.Position, end recordstore.Entry) (list []recordstore.Change, err error) {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	if end, err = s.Swap(ctx, end, none); err != nil {
		return nil, err
	}
	for c, err := range s.Changes(ctx, since) {
		if err != nil {
			return list, err
		}
		if list = append(list, c); c.Entry.Name == end.Name && c.Entry.Version >= end.Version {
			return list, nil
		}
	}
	return list, errors.New("no more changes")
}

// From any position, Changes yields the last swap of each name, in order.
func testChanges(t *testing.T, s Store) {
	const names, rounds = 10, 5
	begin := now(t, s)
	last := make(map[ipns.Name]recordstore.Entry)
	for round := range rounds {
		for i := range names {
			if i == 0 && round > 0 {
				continue // swapped once, at the start
			}
			k := KeyFromSeed(t, uint64(i))
			e := k.Entry(t, uint64(round), Value(round), recordstore.Hosted)
			e.Version = last[k.Name].Version
			last[k.Name] = mustSwap(t, s, e)
		}
	}
	gone := KeyFromSeed(t, names-1).Name
	forget := recordstore.Entry{Name: gone, Origin: recordstore.Seen, Version: last[gone].Version}
	if _, err := s.Swap(t.Context(), forget, none); err != nil {
		t.Fatal(err)
	}
	end := KeyFromSeed(t, names)
	list, err := until(t.Context(), s, begin, end.Entry(t, 1, Value(1), recordstore.Own))
	if err != nil || len(list) != names*recordstore.KeptChanges {
		t.Fatalf("%d changes of %d names, one of them forgotten, and one more: %v", len(list), names, err)
	}
	for i, c := range list[:names-1] {
		want := last[KeyFromSeed(t, uint64(i)).Name]
		if d := Equal(c.Entry, want); d != "" {
			t.Errorf("change %d: %s", i, d)
		}
	}
	e := end.Entry(t, 2, Value(2), recordstore.Own)
	for i, c := range list {
		e.Version = list[names-1].Entry.Version + uint64(i)
		rest, err := until(t.Context(), s, c.Position, e)
		// The last name was swapped again, which moved it to the end.
		if want := max(names-1-i, 1); err != nil || len(rest) != want {
			t.Errorf("%d changes after the change %d, want %d, %v", len(rest), i, want, err)
		}
	}
}

// A reader that has read everything waits for the next change.
func testChangesWait(t *testing.T, s Store) {
	k := NewKey(t)
	stored := mustSwap(t, s, k.Entry(t, 1, Value(1), recordstore.Own))
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	began, told, ended := make(chan struct{}), make(chan recordstore.Change), make(chan error, 1)
	go func() {
		for c, err := range s.Changes(ctx, "") {
			switch {
			case err != nil:
				ended <- err
			case c.Entry.Name.IsZero():
				close(began)
			default:
				told <- c
			}
		}
	}()
	<-began
	for seq := range uint64(3) {
		e := k.Entry(t, 2+seq, Value(int(seq)), recordstore.Own)
		e.Version = stored.Version
		stored = mustSwap(t, s, e)
		if c := <-told; Equal(c.Entry, stored) != "" {
			t.Fatalf("told of version %d, not %d", c.Entry.Version, stored.Version)
		}
	}
	cancel()
	if err := <-ended; !errors.Is(err, context.Canceled) {
		t.Fatalf("after the end of its context: %v", err)
	}
}

// A position from another generation, or one never given out, cannot be resumed from.
// Positions begin with the generation and end with a number.
func testForeignPosition(t *testing.T, s Store) {
	gen, err := s.Generation(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	rest, found := strings.CutPrefix(string(now(t, s)), hex.EncodeToString(gen[:]))
	last := strings.LastIndexFunc(rest, func(r rune) bool { return r < '0' || r > '9' }) + 1
	number, err := strconv.ParseUint(rest[last:], 10, 64)
	if !found || err != nil {
		t.Fatalf("position %s in generation %x: %v", now(t, s), gen, err)
	}
	rest = rest[:last]
	at := func(gen recordstore.Generation, n uint64) recordstore.Position {
		return recordstore.Position(fmt.Sprintf("%x%s%d", gen[:], rest, n))
	}
	other := gen
	other[3]++
	for what, p := range map[string]recordstore.Position{
		"of another generation":  at(other, number),
		"that is not here yet":   at(gen, number+1),
		"from far in the future": at(gen, 1<<64-1),
	} {
		for _, err := range s.Changes(t.Context(), p) {
			if !errors.Is(err, recordstore.ErrGap) {
				t.Errorf("a position %s: %v", what, err)
			}
		}
	}
	for _, p := range []recordstore.Position{"x", "-", "1", now(t, s) + "x", now(t, s) + "-1"} {
		for _, err := range s.Changes(t.Context(), p) {
			if err == nil || errors.Is(err, recordstore.ErrGap) {
				t.Errorf("%q: %v", p, err)
			}
		}
	}
}

// Doubt tests a swap whose outcome was unknown to its caller and that becomes durable
// later: Changes must yield it then, and not before. hold makes the writes of the store
// wait until release is called; waiting swaps return ErrDoubt.
func Doubt(t *testing.T, s recordstore.Store, hold func() (release func())) {
	k := NewKey(t)
	since := now(t, s)
	release := hold()
	e := k.Entry(t, 1, Value(1), recordstore.Own)
	SwapInDoubt(t, s, e)
	told := make(chan recordstore.Change, 1)
	go func() {
		for c, err := range s.Changes(t.Context(), since) {
			if err == nil {
				told <- c
			}
			return
		}
	}()
	select {
	case c := <-told:
		t.Fatalf("told of %+v before it was durable", c)
	case <-time.After(50 * time.Millisecond):
	}
	release()
	select {
	case c := <-told:
		if e.Version = 1; Equal(c.Entry, e) != "" {
			t.Fatal(Equal(c.Entry, e))
		}
	case <-time.After(patience):
		t.Fatal("a durable swap is not told")
	}
}

// SwapInDoubt swaps an entry of a store whose writes are held up, with a context that ends
// meanwhile. One that has ended before the swap began has changed nothing: then it is tried
// again with more time.
func SwapInDoubt(t testing.TB, s recordstore.Store, e recordstore.Entry) {
	t.Helper()
	for limit := 20 * time.Millisecond; limit < patience; limit *= 2 {
		ctx, cancel := context.WithTimeout(t.Context(), limit)
		_, err := s.Swap(ctx, e, none)
		cancel()
		switch {
		case !errors.Is(err, context.DeadlineExceeded):
			t.Fatalf("a swap that is held up: %v", err)
		case errors.Is(err, recordstore.ErrDoubt):
			return
		}
	}
	t.Fatal("a swap that is held up is never in doubt")
}
