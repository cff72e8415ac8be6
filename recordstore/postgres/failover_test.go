package postgres_test

import (
	"context"
	"errors"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/goipns/ipns/recordstore"
	"github.com/goipns/ipns/recordstore/postgres"
	"github.com/goipns/ipns/recordstore/postgres/pgtest"
	"github.com/goipns/ipns/recordstore/recordstoretest"
)

// patience is how long something may take on a busy machine that takes no time on another.
const patience = 2 * time.Minute

// eventually calls f until it returns no error.
func eventually(t *testing.T, what string, f func() error) {
	t.Helper()
	for end := time.Now().Add(patience); ; time.Sleep(20 * time.Millisecond) {
		err := f()
		if err == nil {
			return
		}
		if time.Now().After(end) {
			t.Fatalf("%s: %v", what, err)
		}
	}
}

// step swaps in the next version of a name, whose sequence is that of the swaps before.
func step(t *testing.T, s *postgres.Store, k recordstoretest.Key, e recordstore.Entry) recordstore.Entry {
	t.Helper()
	next := following(t, k, e)
	next, err := s.Swap(t.Context(), next, none)
	if err != nil {
		t.Fatal(err)
	}
	return next
}

func following(t *testing.T, k recordstoretest.Key, e recordstore.Entry) recordstore.Entry {
	seq := uint64(1)
	if e.Record != nil {
		seq = e.Record.Sequence() + 1
	}
	next := k.Entry(t, seq, recordstoretest.Value(int(seq)), recordstore.Own)
	next.Version = e.Version
	return next
}

func generation(t *testing.T, s *postgres.Store) recordstore.Generation {
	t.Helper()
	gen, err := s.Generation(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return gen
}

func here(t *testing.T, s *postgres.Store) recordstore.Position {
	t.Helper()
	for c, err := range s.Changes(t.Context(), "") {
		if err != nil {
			t.Fatal(err)
		}
		return c.Position
	}
	panic("Changes ended")
}

// checkNewLife checks what a daemon that has gone on finds in data that lacks the last swap:
// nothing of it has the meaning that something had before.
func checkNewLife(t *testing.T, s *postgres.Store, k recordstoretest.Key, kept, lost recordstore.Entry, gen recordstore.Generation, since recordstore.Position) {
	t.Helper()
	var got recordstore.Entry
	eventually(t, "a read", func() (err error) { got, err = s.Get(t.Context(), k.Name); return err })
	if d := recordstoretest.Equal(got, kept); d != "" {
		t.Fatalf("kept is another version: %s", d)
	}
	if generation(t, s) == gen {
		t.Fatal("the generation is the one of before")
	}
	for _, err := range s.Changes(t.Context(), since) {
		if !errors.Is(err, recordstore.ErrGap) {
			t.Fatalf("changes since a position of before: %v", err)
		}
	}
	if _, err := s.Swap(t.Context(), following(t, k, lost), none); !errors.Is(err, recordstore.ErrConflict) {
		t.Fatalf("a swap from the version that was lost: %v", err)
	}
	again := step(t, s, k, kept)
	if again.Version <= lost.Version {
		t.Fatalf("version %d was that of something else", again.Version)
	}
	if _, err := s.Swap(t.Context(), following(t, k, lost), none); !errors.Is(err, recordstore.ErrConflict) {
		t.Fatalf("a swap from the version that was lost: %v", err)
	}
	since = here(t, s)
	last := step(t, s, k, again)
	for c, err := range s.Changes(t.Context(), since) {
		if err != nil || recordstoretest.Equal(c.Entry, last) != "" {
			t.Fatalf("the first change is %+v, %v", c, err)
		}
		break
	}
}

// A database that is restored to an earlier moment is another life, for daemons that went on
// and for those that start.
func TestARestoreToAPointInTimeBeginsANewGeneration(t *testing.T) {
	server := pgtest.Start(t, pgtest.Archiving...)
	url := server.Database(t)
	s := open(t, url)
	k := recordstoretest.NewKey(t)
	first := step(t, s, k, recordstore.Entry{})
	backup := server.Backup(t)
	kept := step(t, s, k, first)
	since, gen := here(t, s), generation(t, s)
	server.Point(t, "earlier")
	lost := step(t, s, k, kept)
	server.Restore(t, backup, "earlier")
	other := open(t, url)
	if generation(t, other) == gen {
		t.Error("a daemon that starts finds the generation of before")
	}
	checkNewLife(t, s, k, kept, lost, gen, since)
	if a, b := generation(t, s), generation(t, other); a != b {
		t.Errorf("two daemons have the generations %x and %x", a, b)
	}
}

// An asynchronous standby may lack the last swaps when it takes over. Then it is another life.
func TestAStandbyThatLacksTheTailBeginsANewGeneration(t *testing.T) {
	primary := pgtest.Start(t)
	primary.Database(t)
	standby := primary.Standby(t, "standby")
	s := open(t, primary.URL("db1", standby))
	k := recordstoretest.NewKey(t)
	kept := step(t, s, k, recordstore.Entry{})
	since, gen := here(t, s), generation(t, s)
	caughtUp(t, primary)
	standby.Stop()
	lost := step(t, s, k, kept)
	primary.Kill()
	if err := standby.Restart(); err != nil {
		t.Fatal(err)
	}
	standby.Promote(t)
	checkNewLife(t, s, k, kept, lost, gen, since)
}

// caughtUp waits until the standbys have all that the primary has.
func caughtUp(t *testing.T, primary *pgtest.Server) {
	t.Helper()
	conn, err := pgx.Connect(t.Context(), primary.URL("postgres"))
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close(context.WithoutCancel(t.Context()))
	eventually(t, "the standby", func() error {
		var done bool
		err := conn.QueryRow(t.Context(), `select count(*) > 0 and bool_and(replay_lsn >= pg_current_wal_lsn()) from pg_stat_replication`).Scan(&done)
		if err == nil && !done {
			err = errors.New("it lags behind")
		}
		return err
	})
}

// With a synchronous standby nothing that was acknowledged or read is lost when it takes over.
func TestASynchronousStandbyHasAllThatWasAcknowledged(t *testing.T) {
	primary := pgtest.Start(t)
	primary.Database(t)
	standby := primary.Standby(t, "standby")
	primary.Exec(t, "postgres", `alter system set synchronous_standby_names = 'standby'`)
	primary.Exec(t, "postgres", `select pg_reload_conf()`)
	url := primary.URL("db1", standby)
	const names, writers = 8, 4
	keys, witnesses := make([]recordstoretest.Key, names), make([]witness, names)
	for i := range keys {
		keys[i] = recordstoretest.KeyFromSeed(t, uint64(i))
	}
	s := open(t, url)
	gen := generation(t, s)
	ctx, cancel := context.WithCancel(t.Context())
	var wg sync.WaitGroup
	defer wg.Wait()
	defer cancel()
	total := make(chan struct{}, 1<<16)
	for w := range writers {
		wg.Go(func() {
			for i := w; ctx.Err() == nil; i++ {
				k, wit := keys[i%names], &witnesses[i%names]
				e, err := s.Get(ctx, k.Name)
				if err != nil && !errors.Is(err, recordstore.ErrNotFound) {
					return // the primary is gone
				}
				wit.note(0, e.Version)
				if next, err := s.Swap(ctx, following(t, k, e), none); err == nil {
					wit.note(next.Version, next.Version)
					total <- struct{}{}
				}
			}
		})
	}
	for range 200 {
		<-total
	}
	primary.Kill()
	wg.Wait()
	standby.Promote(t)
	for i, k := range keys {
		var got recordstore.Entry
		eventually(t, "a read", func() (err error) { got, err = s.Get(t.Context(), k.Name); return err })
		if w := &witnesses[i]; got.Version < max(w.acked, w.shown) {
			t.Errorf("name %d has version %d; %d was acknowledged, %d was read", i, got.Version, w.acked, w.shown)
		}
	}
	if generation(t, s) == gen {
		t.Error("the generation is the one of before")
	}
}

// A server that no longer waits for its standby has not done what a swap is promised.
func TestASwapThatNoStandbyConfirmsIsInDoubt(t *testing.T) {
	primary := pgtest.Start(t)
	url := primary.Database(t)
	standby := primary.Standby(t, "standby")
	s := open(t, url)
	k := recordstoretest.NewKey(t)
	e := step(t, s, k, recordstore.Entry{})
	primary.Exec(t, "postgres", `alter system set synchronous_standby_names = 'standby'`)
	primary.Exec(t, "postgres", `select pg_reload_conf()`)
	step(t, s, recordstoretest.NewKey(t), recordstore.Entry{})
	standby.Freeze()
	defer standby.Thaw()
	done := make(chan error, 1)
	go func() {
		_, err := s.Swap(t.Context(), following(t, k, e), none)
		done <- err
	}()
	conn, err := pgx.Connect(t.Context(), primary.URL("postgres"))
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close(context.WithoutCancel(t.Context()))
	eventually(t, "the wait for the standby", func() error {
		var n int
		err := conn.QueryRow(t.Context(), `with w as materialized (select pid from pg_stat_activity where wait_event = 'SyncRep')
			select count(*) from w where pg_cancel_backend(pid)`).Scan(&n)
		if err == nil && n == 0 {
			err = errors.New("nobody waits")
		}
		return err
	})
	if err := <-done; !errors.Is(err, recordstore.ErrDoubt) {
		t.Errorf("it returned %v", err)
	}
}

// A standby is never used: not alone, and not where the URL names it, too.
func TestAStandbyIsNeverRead(t *testing.T) {
	primary := pgtest.Start(t)
	url := primary.Database(t)
	k := recordstoretest.NewKey(t)
	step(t, open(t, url), k, recordstore.Entry{})
	standby := primary.Standby(t, "standby")
	caughtUp(t, primary)
	for _, attrs := range []string{"", "&target_session_attrs=any", "&target_session_attrs=standby"} {
		_, err := postgres.Open(t.Context(), standby.URL("db1")+attrs, postgres.Options{})
		if err == nil || !errors.Is(err, postgres.ErrAway) || !strings.Contains(err.Error(), "standby") {
			t.Errorf("open of a standby%s: %v", attrs, err)
		}
	}
	for _, attrs := range []string{"", "&target_session_attrs=read-write", "&target_session_attrs=primary"} {
		s := open(t, standby.URL("db1", primary)+attrs)
		if _, err := s.Get(t.Context(), k.Name); err != nil {
			t.Errorf("%s: %v", attrs, err)
		}
		step(t, s, recordstoretest.NewKey(t), recordstore.Entry{})
	}
}

// A database that takes no writes is read all the same, also by a daemon that starts.
func TestAReadOnlyDatabaseIsReadAndSaysSo(t *testing.T) {
	server := pgtest.Start(t)
	url := server.Database(t)
	s := open(t, url)
	k := recordstoretest.NewKey(t)
	e := step(t, s, k, recordstore.Entry{})
	set := func(value string) {
		server.Exec(t, "postgres", `alter system set default_transaction_read_only = `+value)
		server.Exec(t, "postgres", `select pg_reload_conf()`)
	}
	set("on")
	other := open(t, url)
	for _, s := range []*postgres.Store{s, other} {
		eventually(t, "a write that is refused", func() error {
			_, err := s.Rows().Swap(t.Context(), recordstore.Row{Table: "t", Key: "k", Value: []byte{1}})
			if errors.Is(err, postgres.ErrReadOnly) {
				return nil
			}
			return errors.Join(errors.New("it is not refused"), err)
		})
		if _, err := s.Swap(t.Context(), following(t, k, e), none); !errors.Is(err, postgres.ErrReadOnly) {
			t.Errorf("a swap: %v", err)
		}
		if got, err := s.Get(t.Context(), k.Name); err != nil || recordstoretest.Equal(got, e) != "" {
			t.Errorf("a read: %v", err)
		}
	}
}
