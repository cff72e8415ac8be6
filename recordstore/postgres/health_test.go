package postgres_test

import (
	"context"
	"errors"
	"sync"
	"testing"
	"time"

	"github.com/goipns/ipns/recordstore"
	"github.com/goipns/ipns/recordstore/postgres/pgtest"
	"github.com/goipns/ipns/recordstore/recordstoretest"
)

// TestWhoAsksADatabaseThatIsSilentIsToldSoAtOnce freezes the server. After a while nobody
// waits for it any more but those who find out whether it answers again; then it is used
// again.
func TestWhoAsksADatabaseThatIsSilentIsToldSoAtOnce(t *testing.T) {
	server := pgtest.Start(t)
	s := open(t, server.Database(t))
	ctx, stop := context.WithCancel(t.Context())
	var reading sync.WaitGroup
	defer reading.Wait()
	defer stop()
	reading.Go(func() { // as a daemon does
		for ctx.Err() == nil {
			for range s.Changes(ctx, "") {
			}
		}
	})
	name := recordstoretest.KeyFromSeed(t, 1).Name
	if _, err := s.Get(ctx, name); !errors.Is(err, recordstore.ErrNotFound) {
		t.Fatal(err)
	}
	if at, err := s.Answered(); err != nil || at.IsZero() {
		t.Fatalf("answered at %v: %v", at, err)
	}
	server.Freeze()
	silent := func(err error) bool { return errors.Is(err, recordstore.ErrAway) }
	wait(t, "it is said to be silent", func() bool { _, err := s.Answered(); return silent(err) })
	refused := 0
	for range 1000 {
		within, cancel := context.WithTimeout(ctx, time.Millisecond)
		_, err := s.Get(within, name)
		cancel()
		if silent(err) {
			refused++
		}
	}
	if refused < 900 { // the others tried whether it answers
		t.Errorf("%d of 1000 were told at once", refused)
	}
	server.Thaw()
	wait(t, "it answers again", func() bool { _, err := s.Answered(); return err == nil })
	if _, err := s.Get(ctx, name); !errors.Is(err, recordstore.ErrNotFound) {
		t.Errorf("after it answers again: %v", err)
	}
}

// wait waits until something is so.
func wait(t *testing.T, what string, so func() bool) {
	t.Helper()
	for begin := time.Now(); time.Since(begin) < patience; time.Sleep(10 * time.Millisecond) {
		if so() {
			return
		}
	}
	t.Fatalf("it never comes that %s", what)
}

// TestLastSwapBeforeCloseIsToldToOthers closes a store right after a swap: another one is
// told, and does not have to wait until it polls.
func TestLastSwapBeforeCloseIsToldToOthers(t *testing.T) {
	url := pgtest.Start(t).Database(t)
	reader := open(t, url)
	name := recordstoretest.KeyFromSeed(t, 1).Name
	told := make(chan time.Time, 1)
	began := make(chan struct{})
	go func() {
		for c, err := range reader.Changes(t.Context(), "") {
			if err == nil && c.Entry.Name.IsZero() {
				close(began)
				continue
			}
			told <- time.Now()
			return
		}
	}()
	<-began
	writer := open(t, url)
	if _, err := writer.Swap(t.Context(), recordstore.Entry{Name: name, Origin: recordstore.Own}, recordstore.Lease{}); err != nil {
		t.Fatal(err)
	}
	if err := writer.Close(); err != nil {
		t.Fatal(err)
	}
	at := time.Now()
	t.Logf("told %v after the store was closed", (<-told).Sub(at))
}

// TestBehindSeesWhatIsCommitted asks whether there is more after the position of a reader.
func TestBehindSeesWhatIsCommitted(t *testing.T) {
	url := pgtest.Start(t).Database(t)
	one, other := open(t, url), open(t, url)
	name := recordstoretest.KeyFromSeed(t, 1).Name
	var at recordstore.Position
	for c, err := range one.Changes(t.Context(), "") {
		if err != nil {
			t.Fatal(err)
		}
		at = c.Position
		break
	}
	if behind, err := one.Behind(t.Context(), at); err != nil || behind {
		t.Fatalf("behind: %v, %v", behind, err)
	}
	if _, err := other.Swap(t.Context(), recordstore.Entry{Name: name, Origin: recordstore.Own}, recordstore.Lease{}); err != nil {
		t.Fatal(err)
	}
	if behind, err := one.Behind(t.Context(), at); err != nil || !behind {
		t.Fatalf("behind: %v, %v", behind, err)
	}
	for c, err := range one.Changes(t.Context(), at) {
		if err != nil {
			t.Fatal(err)
		}
		at = c.Position
		break
	}
	if behind, err := one.Behind(t.Context(), at); err != nil || behind {
		t.Fatalf("behind after it was read: %v, %v", behind, err)
	}
	if err := other.Renew(t.Context()); err != nil {
		t.Fatal(err)
	}
	if _, err := one.Behind(t.Context(), at); !errors.Is(err, recordstore.ErrGap) {
		t.Errorf("a position of another generation: %v", err)
	}
}
