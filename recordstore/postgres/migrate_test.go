package postgres

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/goipns/ipns/recordstore"
	"github.com/goipns/ipns/recordstore/postgres/pgtest"
	"github.com/goipns/ipns/recordstore/recordstoretest"
)

func openAs(t *testing.T, url string, known schema) *Store {
	t.Helper()
	s, err := open(t.Context(), url, Options{}, known)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	return s
}

// later is a schema with one more version.
func later(oldest int, statements ...string) schema {
	return append(append(schema(nil), current...), step{version: current.version() + 1, oldest: oldest, statements: statements})
}

func put(t *testing.T, s *Store) error {
	_, err := s.Swap(t.Context(), recordstoretest.NewKey(t).Entry(t, 1, recordstoretest.Value(1), recordstore.Own), recordstore.Lease{})
	return err
}

// Of daemons that start at once, one makes the tables.
func TestDaemonsThatStartAtOnceMakeTheTablesOnce(t *testing.T) {
	url := pgtest.Start(t).Database(t)
	var wg sync.WaitGroup
	gens := make([]recordstore.Generation, 6)
	for i := range gens {
		wg.Go(func() {
			s, err := Open(t.Context(), url, Options{})
			if err != nil {
				t.Error(err)
				return
			}
			defer s.Close()
			gens[i], _ = s.Generation(t.Context())
		})
	}
	wg.Wait()
	for _, gen := range gens {
		if gen != gens[0] || gen == (recordstore.Generation{}) {
			t.Fatalf("generations %x", gens)
		}
	}
}

// A newer program brings the tables to its version while older ones run. Where the change
// allows it these go on, and others of their version may start.
func TestOlderDaemonsGoOnWhereTheTablesAllowIt(t *testing.T) {
	server := pgtest.Start(t)
	url := server.Database(t)
	old := openAs(t, url, current)
	newer := openAs(t, url, later(1, `alter table ipns.meta add column note text not null default ''`))
	for what, s := range map[string]*Store{"the running one": old, "the newer": newer, "one more of the old": openAs(t, url, current)} {
		if err := put(t, s); err != nil {
			t.Errorf("%s: %v", what, err)
		}
	}
}

// Where the change does not allow it, they stop by themselves and say what to do.
func TestOlderDaemonsRefuseWhereTheTablesForbidIt(t *testing.T) {
	url := pgtest.Start(t).Database(t)
	old := openAs(t, url, current)
	began, ended := make(chan struct{}), make(chan error, 1)
	go func() {
		for c, err := range old.Changes(t.Context(), "") {
			if err != nil {
				ended <- err
			} else if c.Entry.Name.IsZero() {
				close(began)
			}
		}
	}()
	<-began
	newer := openAs(t, url, later(current.version()+1, `alter table ipns.meta add column note text`))
	if err := put(t, newer); err != nil { // its notification comes before the next poll
		t.Fatal(err)
	}
	if err := <-ended; !errors.Is(err, errOutdated) {
		t.Errorf("its readers got %v", err)
	}
	if err := put(t, old); !errors.Is(err, errOutdated) {
		t.Errorf("a swap by the old one: %v", err)
	}
	if _, err := old.Get(t.Context(), recordstoretest.NewKey(t).Name); !errors.Is(err, errOutdated) {
		t.Errorf("a read by the old one: %v", err)
	}
	if _, err := open(t.Context(), url, Options{}, current); !errors.Is(err, errOutdated) || !strings.Contains(err.Error(), "install") {
		t.Errorf("one more of the old: %v", err)
	}
	if err := put(t, newer); err != nil {
		t.Error(err)
	}
}

// A step that fails leaves the tables as they were.
func TestAMigrationThatFailsChangesNothing(t *testing.T) {
	url := pgtest.Start(t).Database(t)
	old := openAs(t, url, current)
	broken := later(current.version()+1, `alter table ipns.names add column note text`, `select no_such_function()`)
	if _, err := open(t.Context(), url, Options{}, broken); err == nil || !strings.Contains(err.Error(), "version 2") {
		t.Errorf("it was opened: %v", err)
	}
	if err := put(t, old); err != nil {
		t.Error(err)
	}
	if err := put(t, openAs(t, url, current)); err != nil {
		t.Error(err)
	}
}

// No role needs more than it is granted: one that may make schemas, one that was given a
// schema, and one that only uses what another has made.
func TestOrdinaryRolesAreEnough(t *testing.T) {
	server := pgtest.Start(t)
	as := func(role, url string) string { return strings.Replace(url, "ipns@", role+"@", 1) }
	run := func(t *testing.T, s *Store) {
		t.Helper()
		k := recordstoretest.NewKey(t)
		e, err := s.Swap(t.Context(), k.Entry(t, 1, recordstoretest.Value(1), recordstore.Hosted), recordstore.Lease{})
		if err != nil {
			t.Fatal(err)
		}
		next := k.Entry(t, 2, recordstoretest.Value(2), recordstore.Hosted)
		next.Version = e.Version
		if e, err = s.Swap(t.Context(), next, recordstore.Lease{}); err != nil {
			t.Fatal(err)
		}
		row, err := s.Rows().Swap(t.Context(), recordstore.Row{Table: "t", Key: k.Name.String(), Value: []byte{1}})
		if err == nil {
			_, err = s.Rows().Swap(t.Context(), recordstore.Row{Table: "t", Key: row.Key, Version: row.Version})
		}
		_, errLease := s.Lease(t.Context(), "me", time.Second, recordstore.Region{})
		_, errLoad := s.Load(t.Context(), []recordstore.Whole{{Entry: recordstoretest.NewKey(t).Entry(t, 1, recordstoretest.Value(1), recordstore.Own)}})
		_, errPrune := s.PruneSeen(t.Context(), time.Now(), 1)
		err = errors.Join(err, errLease, errLoad, errPrune,
			s.SetUpkeep(t.Context(), recordstore.Upkeep{Name: k.Name, Due: time.Now()}),
			s.SetSeen(t.Context(), recordstore.SeenMark{Name: k.Name, Mark: e.Mark, Until: time.Now()}),
			s.Sync(t.Context()), s.Renew(t.Context()))
		for _, errScan := range s.Due(t.Context(), recordstore.Region{}, time.Now()) {
			err = errors.Join(err, errScan)
		}
		gone := recordstore.Entry{Name: k.Name, Origin: recordstore.Seen, Version: e.Version}
		if _, errGone := s.Swap(t.Context(), gone, recordstore.Lease{}); err != nil || errGone != nil {
			t.Fatal(err, errGone)
		}
	}
	for i, grants := range []string{
		`grant create on database %s to %s`,
		`create schema ipns authorization %[2]s`,
	} {
		url, role := server.Database(t), fmt.Sprintf("role%d", i)
		config, err := pgx.ParseConfig(url)
		if err != nil {
			t.Fatal(err)
		}
		db := config.Database
		server.Exec(t, "postgres", `create role `+role+` login`)
		if _, err := Open(t.Context(), as(role, url), Options{}); err == nil || code(err) != "42501" {
			t.Errorf("%s: it made a schema without the right to: %v", role, err)
		}
		server.Exec(t, db, fmt.Sprintf(grants, db, role))
		run(t, openAs(t, as(role, url), current))
	}
	// One role makes the tables and another uses them.
	url := server.Database(t)
	server.Exec(t, "postgres", `create role daemon login`)
	openAs(t, url, current).Close()
	conn, err := pgx.Connect(t.Context(), url)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close(context.WithoutCancel(t.Context()))
	if _, err := conn.Exec(t.Context(), `grant usage on schema ipns to daemon;
		grant select, insert, update, delete, truncate on all tables in schema ipns to daemon;
		grant usage, select on all sequences in schema ipns to daemon`); err != nil {
		t.Fatal(err)
	}
	run(t, openAs(t, as("daemon", url), current))
	// A newer one that may not change the tables says so, and changes nothing.
	if _, err := open(t.Context(), as("daemon", url), Options{}, later(1, `alter table ipns.meta add column note text`)); code(err) != "42501" {
		t.Errorf("it changed tables that are not its own: %v", err)
	}
	run(t, openAs(t, as("daemon", url), current))
}
