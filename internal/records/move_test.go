package records

import (
	"errors"
	"fmt"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/goipns/ipns/internal/repo"
	"github.com/goipns/ipns/internal/storemove"
	"github.com/goipns/ipns/recordstore"
	"github.com/goipns/ipns/recordstore/postgres"
	"github.com/goipns/ipns/recordstore/postgres/pgtest"
	"github.com/goipns/ipns/recordstore/recordstoretest"
)

// newConfigured makes a repo with a config.
func newConfigured(t testing.TB) repo.Repo {
	t.Helper()
	r := repo.Repo(filepath.Join(t.TempDir(), "repo"))
	if err := r.Create(repo.Config{}); err != nil {
		t.Fatal(err)
	}
	return r
}

// storeOf is Ipns.Store of a repo.
func storeOf(t testing.TB, r repo.Repo) string {
	t.Helper()
	c, err := r.Config()
	if err != nil {
		t.Fatal(err)
	}
	return c.Ipns.Store
}

// use calls f with the store that the config of a repo names.
func use(t testing.TB, r repo.Repo, f func(*Store)) error {
	t.Helper()
	return With(t.Context(), r, Options{Store: storeOf(t, r)}, func(s *Store) error { f(s); return nil })
}

// round publishes once more under the names of some seeds.
func round(t testing.TB, s *Store, seeds int) {
	t.Helper()
	ctx := t.Context()
	gen, err := s.Generation(ctx)
	if err != nil {
		t.Fatal(err)
	}
	for seed := range seeds {
		k := recordstoretest.KeyFromSeed(t, uint64(seed))
		origin := recordstore.Own
		if seed%3 == 0 {
			origin = recordstore.Hosted
		}
		old, err := s.Get(ctx, k.Name)
		if err != nil && !errors.Is(err, recordstore.ErrNotFound) {
			t.Fatal(err)
		}
		e := k.Entry(t, old.Next, recordstoretest.Value(int(old.Next)), origin)
		e.Version, e.Known, e.Entered, e.Span = old.Version, gen, gen, time.Hour
		e.Changed = recordstoretest.Epoch.Add(time.Duration(old.Next) * time.Minute)
		if _, err := s.Swap(ctx, e, recordstore.Lease{}); err != nil {
			t.Fatal(err)
		}
		u := recordstore.Upkeep{Name: k.Name, Due: e.Changed.Add(time.Hour), LastPut: e.Changed, Announced: e.Record.Hash(), Holders: seed}
		m := recordstore.SeenMark{Name: recordstoretest.KeyFromSeed(t, uint64(1<<20+seed)).Name, Mark: e.Mark, Until: e.Changed}
		row, err := s.Rows().Get(ctx, "table", fmt.Sprint(seed))
		if err != nil {
			row = recordstore.Row{Table: "table", Key: fmt.Sprint(seed)}
		}
		row.Value = append(row.Value, byte(old.Next))
		_, err = s.Rows().Swap(ctx, row)
		if err := errors.Join(err, s.SetUpkeep(ctx, u), s.SetSeen(ctx, m), s.Sync(ctx)); err != nil {
			t.Fatal(err)
		}
	}
}

// all lists what a store has, but for what is its own.
func all(t testing.TB, s *Store) string {
	t.Helper()
	ctx := t.Context()
	gen, err := s.Generation(ctx)
	if err != nil {
		t.Fatal(err)
	}
	var b strings.Builder
	for e, err := range s.Scan(ctx, recordstore.Region{}) {
		if err != nil {
			t.Fatal(err)
		}
		fmt.Fprintf(&b, "%s %v %v %d %v %q known %v entered %v %v %v\n", e.Name, e.Record, e.Mark, e.Next, e.Origin, e.Tenant, e.Known == gen, e.Entered == gen, e.Span, e.Changed)
		for p, err := range s.History(ctx, e.Name) {
			fmt.Fprintf(&b, " %x %v %v\n", p.Record.Hash(), p.At, err)
		}
		u, err := s.Upkeep(ctx, e.Name)
		fmt.Fprintf(&b, " %v %v\n", u, err)
		m, err := s.Seen(ctx, recordstoretest.KeyFromSeed(t, 1<<20).Name)
		fmt.Fprintf(&b, " %v %v\n", m, err)
	}
	for r, err := range s.Rows().All(ctx) {
		if r.Table == "table" {
			fmt.Fprintf(&b, "%q %q %x %v\n", r.Table, r.Key, r.Value, err)
		}
	}
	return b.String()
}

// inUse counts the stores that a daemon of the repo could open and write to.
func inUse(t testing.TB, r repo.Repo, url string) (n int) {
	t.Helper()
	for _, store := range []string{"", url} {
		at, isMoving, err := r.NamesAt()
		if err != nil {
			t.Fatal(err)
		}
		if s, err := Open(t.Context(), r, Options{Store: store}); err == nil {
			n++
			if err := s.Close(); err != nil {
				t.Error(err)
			}
		}
		// A refused or accepted opening may note where the names are.
		switch {
		case isMoving:
			err = r.SetNamesMoving(url)
		case at == "":
			err = r.SetNamesAt("")
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	return n
}

func TestNamesMoveToADatabaseAndBack(t *testing.T) {
	url := pgtest.Start(t).Database(t)
	r := newConfigured(t)
	for turn := range 2 { // the second time, both have what they had before
		for _, to := range []string{url, ""} {
			var before string
			if err := use(t, r, func(s *Store) { round(t, s, 40); before = all(t, s) }); err != nil {
				t.Fatal(err)
			}
			m, err := Move(t.Context(), r, to, MoveOptions{})
			if err != nil || m.Names != 40 || m.Marks != 40 || m.Rows != 40 || m.Kept != 0 {
				t.Fatalf("turn %d to %q: %+v, %v", turn, to, m, err)
			}
			if got := storeOf(t, r); got != to {
				t.Errorf("the config names %q", got)
			}
			if n := inUse(t, r, url); n != 1 {
				t.Errorf("%d stores can be used", n)
			}
			if _, err := Move(t.Context(), r, to, MoveOptions{}); !errors.Is(err, ErrThere) {
				t.Errorf("moved once more: %v", err)
			}
			if err := use(t, r, func(s *Store) {
				if after := all(t, s); after != before {
					t.Errorf("turn %d to %q: before\n%s\nafter\n%s", turn, to, before, after)
				}
			}); err != nil {
				t.Fatal(err)
			}
		}
	}
}

// Who first writes the database into the config, and is then told to move the names, can.
func TestConfigThatNamesTheDatabaseTooEarlyDoesNotPreventTheMove(t *testing.T) {
	url := pgtest.Start(t).Database(t)
	r := newConfigured(t)
	if err := use(t, r, func(s *Store) { round(t, s, 3) }); err != nil {
		t.Fatal(err)
	}
	if _, err := r.Set("Ipns.Store", url); err != nil {
		t.Fatal(err)
	}
	if err := use(t, r, func(*Store) { t.Error("it was opened") }); !errors.Is(err, ErrLeft) {
		t.Errorf("opened with names left in the repo: %v", err)
	}
	if _, err := Move(t.Context(), r, "", MoveOptions{}); !errors.Is(err, ErrLeft) {
		t.Errorf("moved to where they are: %v", err)
	}
	m, err := Move(t.Context(), r, url, MoveOptions{})
	if err != nil || m.Names != 3 {
		t.Fatalf("%+v, %v", m, err)
	}
	if n := inUse(t, r, url); n != 1 || storeOf(t, r) != url {
		t.Errorf("%d stores can be used; the config names %q", n, storeOf(t, r))
	}
}

// A move that ends at any step leaves at most one store that can be used, and goes on when it
// is made again.
func TestMoveThatEndsAnywhereGoesOn(t *testing.T) {
	server := pgtest.Start(t)
	stopped := errors.New("stopped")
	steps := []string{"compare", "mark", "copy", "retire", "rows", "marks", "sync", "verify", "done", "use 0", "use 1"}
	if testing.Short() {
		steps = []string{"retire", "rows", "use 1"}
	}
	for _, at := range steps {
		t.Run(at, func(t *testing.T) {
			url, r := server.Database(t), newConfigured(t)
			if err := use(t, r, func(s *Store) { round(t, s, 10) }); err != nil {
				t.Fatal(err)
			}
			for _, to := range []string{url, ""} {
				_, err := Move(t.Context(), r, to, MoveOptions{Step: func(step string) error {
					if step == at {
						return stopped
					}
					return nil
				}})
				if !errors.Is(err, stopped) {
					t.Fatalf("to %q: %v", to, err)
				}
				var before string
				err = use(t, r, func(s *Store) { round(t, s, 12); before = all(t, s) })
				switch {
				case err == nil: // it is in use as before
				case errors.Is(err, ErrMoving), errors.Is(err, postgres.ErrMoved), errors.Is(err, ErrElsewhere), errors.Is(err, ErrLeft):
				default:
					t.Fatal(err)
				}
				if n := inUse(t, r, url); n > 1 {
					t.Fatalf("to %q: %d stores can be used", to, n)
				}
				if _, err := Move(t.Context(), r, to, MoveOptions{}); err != nil {
					t.Fatalf("to %q, again: %v", to, err)
				}
				if err := use(t, r, func(s *Store) {
					if after := all(t, s); before != "" && after != before {
						t.Errorf("to %q: before\n%s\nafter\n%s", to, before, after)
					}
				}); err != nil {
					t.Fatalf("to %q: %v", to, err)
				}
			}
		})
	}
}

// A store whose names were moved elsewhere is moved nowhere else, also to where a move was once
// begun: that would put two stores in use.
func TestMoveThatWasGivenUpIsNotTakenUpAfterAnother(t *testing.T) {
	server, stopped := pgtest.Start(t), errors.New("stopped")
	shared, abandoned, last := server.Database(t), server.Database(t), server.Database(t)
	at := func(step string) MoveOptions {
		return MoveOptions{Step: func(s string) error {
			if s == step {
				return stopped
			}
			return nil
		}}
	}
	one, two := newConfigured(t), newConfigured(t)
	if err := use(t, one, func(s *Store) { round(t, s, 3) }); err != nil {
		t.Fatal(err)
	}
	// Out of a repo.
	if _, err := Move(t.Context(), one, abandoned, at("retire")); !errors.Is(err, stopped) {
		t.Fatal(err)
	}
	if _, err := Move(t.Context(), one, shared, at("verify")); !errors.Is(err, stopped) {
		t.Fatal(err)
	}
	for _, to := range []string{abandoned, ""} {
		if _, err := Move(t.Context(), one, to, MoveOptions{}); !errors.Is(err, storemove.ErrOther) {
			t.Errorf("moved to %q: %v", to, err)
		}
	}
	if _, err := Move(t.Context(), one, shared, MoveOptions{}); err != nil {
		t.Fatal(err)
	}
	// Out of a database that two use.
	if _, err := two.Set("Ipns.Store", shared); err != nil {
		t.Fatal(err)
	}
	if err := use(t, two, func(*Store) {}); err != nil {
		t.Fatal(err)
	}
	other := server.Database(t)
	if _, err := Move(t.Context(), one, other, at("retire")); !errors.Is(err, stopped) {
		t.Fatal(err)
	}
	if _, err := Move(t.Context(), one, last, MoveOptions{}); err != nil {
		t.Fatal(err)
	}
	if _, err := Move(t.Context(), two, other, MoveOptions{}); !errors.Is(err, storemove.ErrOther) {
		t.Errorf("moved by the second repo: %v", err)
	}
}

// Names do not leave a database that other daemons use, and those of two repos meet in one.
func TestNamesOfTwoReposMeet(t *testing.T) {
	url := pgtest.Start(t).Database(t)
	one, two := newConfigured(t), newConfigured(t)
	if err := use(t, one, func(s *Store) { round(t, s, 5) }); err != nil {
		t.Fatal(err)
	}
	if err := use(t, two, func(s *Store) {
		k := recordstoretest.KeyFromSeed(t, 100)
		if _, err := s.Swap(t.Context(), k.Entry(t, 1, recordstoretest.Value(1), recordstore.Own), recordstore.Lease{}); err != nil {
			t.Fatal(err)
		}
	}); err != nil {
		t.Fatal(err)
	}
	if _, err := Move(t.Context(), one, url, MoveOptions{}); err != nil {
		t.Fatal(err)
	}
	daemon, err := Open(t.Context(), one, Options{Store: url})
	if err != nil {
		t.Fatal(err)
	}
	m, err := Move(t.Context(), two, url, MoveOptions{})
	if err != nil || m.Names != 1 || !m.Daemons {
		t.Errorf("%+v, %v", m, err)
	}
	if _, err := daemon.Get(t.Context(), recordstoretest.KeyFromSeed(t, 100).Name); err != nil {
		t.Error(err)
	}
	if _, err := Move(t.Context(), two, "", MoveOptions{}); !errors.Is(err, ErrInUse) {
		t.Errorf("names left a database that another daemon uses: %v", err)
	}
	if err := daemon.Close(); err != nil {
		t.Fatal(err)
	}
	if m, err := Move(t.Context(), two, "", MoveOptions{}); err != nil || m.Names != 6 {
		t.Errorf("%+v, %v", m, err)
	}
	if s, err := Open(t.Context(), one, Options{Store: url}); !errors.Is(err, postgres.ErrMoved) {
		t.Errorf("the database is in use: %v", err)
		if err == nil {
			s.Close()
		}
	}
}
