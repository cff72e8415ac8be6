package postgres_test

import (
	"context"
	"errors"
	"maps"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/goipns/ipns"
	"github.com/goipns/ipns/recordstore"
	"github.com/goipns/ipns/recordstore/blob"
	"github.com/goipns/ipns/recordstore/postgres"
	"github.com/goipns/ipns/recordstore/postgres/pgtest"
	"github.com/goipns/ipns/recordstore/recordstoretest"
)

var none recordstore.Lease

// What one daemon swaps, the other is told of, also with no notification.
func TestEachDaemonIsToldOfTheOthersSwaps(t *testing.T) {
	server := pgtest.Start(t)
	url := server.Database(t)
	a, b := open(t, url), open(t, url)
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	began, told := make(chan struct{}), make(chan recordstore.Change)
	done := make(chan struct{})
	go func() {
		defer close(done)
		for c, err := range b.Changes(ctx, "") {
			switch {
			case err != nil:
				if ctx.Err() == nil {
					t.Error(err)
				}
				return
			case c.Entry.Name.IsZero():
				close(began)
			default:
				select {
				case told <- c:
				case <-ctx.Done():
				}
			}
		}
	}()
	<-began
	for i := range 20 {
		k := recordstoretest.KeyFromSeed(t, uint64(i))
		stored, err := a.Swap(ctx, k.Entry(t, 1, recordstoretest.Value(i), recordstore.Hosted), none)
		if err != nil {
			t.Fatal(err)
		}
		select {
		case c := <-told:
			if d := recordstoretest.Equal(c.Entry, stored); d != "" {
				t.Fatal(d)
			}
		case <-time.After(patience):
			t.Fatal("the other daemon is not told")
		}
	}
	cancel()
	<-done
}

// A dump that is restored elsewhere is another life: publishes since may be unknown there.
func TestARestoredDumpBeginsANewGeneration(t *testing.T) {
	server := pgtest.Start(t)
	url := server.Database(t)
	s := open(t, url)
	k := recordstoretest.NewKey(t)
	e, err := s.Swap(t.Context(), k.Entry(t, 1, recordstoretest.Value(1), recordstore.Own), none)
	if err != nil {
		t.Fatal(err)
	}
	gen, err := s.Generation(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	dump, err := server.Command("pg_dump", url).Output()
	if err != nil {
		t.Fatal(err)
	}
	copied := server.Database(t)
	psql := server.Command("psql", "-q", "-v", "ON_ERROR_STOP=1", copied)
	psql.Stdin = strings.NewReader(string(dump))
	if out, err := psql.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	other := open(t, copied)
	if got, err := other.Generation(t.Context()); err != nil || got == gen {
		t.Errorf("the copy has the generation %x of the original, %v", got, err)
	}
	if got, err := other.Get(t.Context(), k.Name); err != nil || recordstoretest.Equal(got, e) != "" {
		t.Errorf("%v %s", err, recordstoretest.Equal(got, e))
	}
	if got, err := open(t, url).Generation(t.Context()); err != nil || got != gen {
		t.Errorf("the original has another generation, %v", err)
	}
}

// Without its database a store says so, acknowledges nothing, and goes on by itself.
func TestADatabaseThatIsAwayIsSaidToBe(t *testing.T) {
	server := pgtest.Start(t)
	url := server.Database(t)
	s := open(t, url)
	k := recordstoretest.NewKey(t)
	e, err := s.Swap(t.Context(), k.Entry(t, 1, recordstoretest.Value(1), recordstore.Own), none)
	if err != nil {
		t.Fatal(err)
	}
	server.Stop()
	next := k.Entry(t, 2, recordstoretest.Value(2), recordstore.Own)
	next.Version = e.Version
	for range 20 { // each connection notices by itself
		if _, err := s.Swap(t.Context(), next, none); err == nil || errors.Is(err, recordstore.ErrConflict) {
			t.Fatalf("a swap without a database: %v", err)
		}
		if _, err := s.Get(t.Context(), k.Name); !errors.Is(err, postgres.ErrAway) {
			t.Fatalf("a read without a database: %v", err)
		}
	}
	if _, err := postgres.Open(t.Context(), url, postgres.Options{}); !errors.Is(err, postgres.ErrAway) {
		t.Errorf("open without a database: %v", err)
	}
	if err := server.Restart(); err != nil {
		t.Fatal(err)
	}
	wait(t, "swaps are made", func() bool {
		_, err := s.Swap(t.Context(), next, none)
		if err != nil && !errors.Is(err, postgres.ErrAway) {
			t.Fatalf("a swap after it came back: %v", err)
		}
		return err == nil
	})
}

// One entry whose bytes are damaged is an error when it is read, and hides no other one: not
// from scans, not from what is due, not from readers of changes.
func TestADamagedEntryHidesNoOther(t *testing.T) {
	server := pgtest.Start(t)
	url := server.Database(t)
	s := open(t, url)
	const names = 12
	since := here(t, s)
	var bad recordstoretest.Key
	good := map[ipns.Name]bool{}
	for i := range names {
		k := recordstoretest.KeyFromSeed(t, uint64(i))
		step(t, s, k, recordstore.Entry{})
		if good[k.Name] = true; i == names/2 {
			bad = k
		}
	}
	delete(good, bad.Name)
	conn, err := pgx.Connect(t.Context(), url)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close(context.WithoutCancel(t.Context()))
	kad := bad.Name.Kad()
	if _, err := conn.Exec(t.Context(), `update ipns.names set entry = set_byte(entry, 80, get_byte(entry, 80) # 1) where k = $1`, kad[:]); err != nil {
		t.Fatal(err)
	}
	s = open(t, url) // remembers nothing
	if _, err := s.Get(t.Context(), bad.Name); !errors.Is(err, blob.ErrDamaged) || errors.Is(err, postgres.ErrAway) {
		t.Errorf("a read of it: %v", err)
	}
	scanned, due, changed := map[ipns.Name]bool{}, map[ipns.Name]bool{}, map[ipns.Name]bool{}
	for e, err := range s.Scan(t.Context(), recordstore.Region{}) {
		if err != nil {
			t.Fatal(err)
		}
		scanned[e.Name] = true
	}
	for w, err := range s.Due(t.Context(), recordstore.Region{}, time.Now()) {
		if err != nil {
			t.Fatal(err)
		}
		due[w.Entry.Name] = true
	}
	for c, err := range s.Changes(t.Context(), since) {
		if err != nil {
			t.Fatal(err)
		}
		if changed[c.Entry.Name] = true; len(changed) == len(good) {
			break
		}
	}
	for what, got := range map[string]map[ipns.Name]bool{"scan": scanned, "due": due, "changes": changed} {
		if !maps.Equal(got, good) {
			t.Errorf("%s: %d of %d names", what, len(got), len(good))
		}
	}
}

// A generation that one daemon begins, another that goes on meets at its next look at the
// changes, without a new connection: until then it would take what it knows to be all there is.
func TestEachDaemonMeetsAGenerationThatAnotherBegins(t *testing.T) {
	url := pgtest.Start(t).Database(t)
	one, other := open(t, url), open(t, url)
	since := here(t, other)
	if err := one.Renew(t.Context()); err != nil {
		t.Fatal(err)
	}
	for _, err := range other.Changes(t.Context(), since) {
		if !errors.Is(err, recordstore.ErrGap) {
			t.Fatalf("changes since a position of before: %v", err)
		}
	}
	if a, b := generation(t, one), generation(t, other); a != b {
		t.Errorf("two daemons have the generations %x and %x", a, b)
	}
	if err := one.Renew(t.Context()); err != nil {
		t.Fatal(err)
	}
	at := here(t, one)
	if behind, err := other.Behind(t.Context(), at); err != nil || behind {
		t.Errorf("behind a position of the new generation: %v, %v", behind, err)
	}
	if a, b := generation(t, one), generation(t, other); a != b {
		t.Errorf("two daemons have the generations %x and %x", a, b)
	}
}
