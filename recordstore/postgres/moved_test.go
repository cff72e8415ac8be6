package postgres_test

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/goipns/ipns/recordstore"
	"github.com/goipns/ipns/recordstore/postgres"
	"github.com/goipns/ipns/recordstore/postgres/pgtest"
	"github.com/goipns/ipns/recordstore/recordstoretest"
)

// A database that is retired takes no write of any kind, also of a daemon that had it open
// before; one that opens it is refused, and told where the names are.
func TestRetiredDatabaseTakesNoWrites(t *testing.T) {
	server := pgtest.Start(t)
	url := server.Database(t)
	ctx := t.Context()
	mover, err := postgres.Open(ctx, url, postgres.Options{Moving: true})
	if err != nil {
		t.Fatal(err)
	}
	defer mover.Close()
	if n, err := mover.Users(ctx); err != nil || n != 0 {
		t.Errorf("%d sessions of daemons, before there is one: %v", n, err)
	}
	daemon := open(t, url)
	if n, err := mover.Users(ctx); err != nil || n == 0 {
		t.Errorf("%d sessions of daemons: %v", n, err)
	}
	k, fresh := recordstoretest.NewKey(t), recordstoretest.NewKey(t)
	e, err := daemon.Swap(ctx, k.Entry(t, 1, recordstoretest.Value(1), recordstore.Own), recordstore.Lease{})
	if err != nil {
		t.Fatal(err)
	}
	hosted, err := daemon.Swap(ctx, recordstoretest.NewKey(t).Entry(t, 1, recordstoretest.Value(1), recordstore.Hosted), recordstore.Lease{})
	if err != nil {
		t.Fatal(err)
	}
	leases, err := daemon.Lease(ctx, "a daemon", time.Minute, recordstore.Region{})
	if err != nil {
		t.Fatal(err)
	}
	kept, err := daemon.Rows().Swap(ctx, recordstore.Row{Table: "t", Key: "kept", Value: []byte("v")})
	if err != nil {
		t.Fatal(err)
	}
	for range 2 { // once more changes nothing
		if err := mover.Retire(ctx, "the repo of another daemon"); err != nil {
			t.Fatal(err)
		}
	}
	upkeep := recordstore.Upkeep{Name: k.Name, Due: recordstoretest.Epoch, LastPut: recordstoretest.Epoch}
	row := recordstore.Row{Table: "t", Key: "k", Value: []byte("v")}
	writes := func(s *postgres.Store) map[string]error {
		next := k.Entry(t, 2, recordstoretest.Value(2), recordstore.Own)
		next.Version = e.Version
		_, swap := s.Swap(ctx, next, recordstore.Lease{})
		_, first := s.Swap(ctx, fresh.Entry(t, 1, recordstoretest.Value(1), recordstore.Own), recordstore.Lease{})
		_, rows := s.Rows().Swap(ctx, row)
		_, load := s.Load(ctx, []recordstore.Whole{{Entry: recordstoretest.NewKey(t).Entry(t, 1, recordstoretest.Value(1), recordstore.Own)}})
		leased := next
		leased.Version = 0 // after the swap it is a conflict: what counts is whether it is refused
		_, renewal := s.Swap(ctx, leased, leases[0])
		gone := hosted
		gone.Origin = recordstore.Seen
		_, forget := s.Swap(ctx, gone, recordstore.Lease{})
		unset := kept
		unset.Value = nil
		_, deleted := s.Rows().Swap(ctx, unset)
		_, taken := s.Lease(ctx, "another daemon", time.Minute, recordstore.Region{Bits: 1})
		_, extended := s.Lease(ctx, "a daemon", time.Minute, recordstore.Region{})
		_, pruned := s.PruneSeen(ctx, recordstoretest.Epoch, 1)
		if errors.Is(renewal, recordstore.ErrConflict) {
			renewal = nil
		}
		return map[string]error{
			"renewal": renewal, "forgetting": forget, "deletion of a row": deleted, "lease": taken,
			"extension of a lease": extended, "pruning": pruned,
			"swap": swap, "first swap": first, "row": rows, "load": load, "upkeep": s.SetUpkeep(ctx, upkeep),
			"mark": s.SetSeen(ctx, recordstore.SeenMark{Name: fresh.Name, Mark: e.Mark, Until: recordstoretest.Epoch}),
		}
	}
	for what, err := range writes(daemon) {
		if !errors.Is(err, postgres.ErrMoved) {
			t.Errorf("%s: %v", what, err)
		}
	}
	if got, err := daemon.Get(ctx, k.Name); err != nil || got.Version != e.Version {
		t.Errorf("the name is at version %d: %v", got.Version, err)
	}
	if s, err := postgres.Open(ctx, url, postgres.Options{}); !errors.Is(err, postgres.ErrMoved) {
		if err == nil {
			s.Close()
		}
		t.Errorf("it was opened: %v", err)
	}
	if to, err := mover.MovedTo(ctx); err != nil || to != "the repo of another daemon" {
		t.Errorf("moved to %q: %v", to, err)
	}
	for what, err := range writes(mover) {
		if err != nil {
			t.Errorf("a move: %s: %v", what, err)
		}
	}
	if err := daemon.Release(ctx, leases...); !errors.Is(err, postgres.ErrMoved) {
		t.Errorf("release: %v", err)
	}
	gen, _ := mover.Generation(ctx)
	if err := mover.Clear(ctx); err != nil {
		t.Fatal(err)
	}
	for e, err := range mover.Scan(ctx, recordstore.Region{}) {
		t.Errorf("%s is there after Clear: %v", e.Name, err)
	}
	if now, _ := mover.Generation(ctx); now == gen {
		t.Error("Clear has begun no new generation")
	}
	if m, err := mover.Seen(ctx, fresh.Name); err != nil || m.Mark != e.Mark {
		t.Errorf("Clear has removed a mark: %v", err)
	}
	for range 2 {
		if err := mover.Unretire(ctx); err != nil {
			t.Fatal(err)
		}
	}
	if err := mover.Clear(ctx); err == nil {
		t.Error("a database in use was cleared")
	}
	again := open(t, url)
	if _, err := again.Swap(ctx, k.Entry(t, 3, recordstoretest.Value(3), recordstore.Own), recordstore.Lease{}); err != nil {
		t.Error(err)
	}
}

// A database is put out of use while names are loaded: it waits for them, and neither fails.
func TestRetiringWaitsForALoad(t *testing.T) {
	url := pgtest.Start(t).Database(t)
	s := open(t, url)
	conn, err := pgx.Connect(t.Context(), url)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close(context.WithoutCancel(t.Context()))
	load := func(statement string) { // what Load does, in its order
		t.Helper()
		if _, err := conn.Exec(t.Context(), statement); err != nil {
			t.Fatalf("%s: %v", statement, err)
		}
	}
	load(`begin`)
	load(`delete from ipns.upkeep where false`)
	retired := make(chan error, 1)
	go func() { retired <- s.Retire(t.Context(), "another") }()
	eventually(t, "the wait for the load", func() error {
		var n int
		err := conn.QueryRow(t.Context(), `select count(*) from pg_locks where not granted`).Scan(&n)
		if err == nil && n == 0 {
			err = errors.New("nobody waits")
		}
		return err
	})
	for _, table := range []string{"names", "history", "upkeep", "changes"} {
		load(`insert into ipns.` + table + ` select * from ipns.` + table)
	}
	load(`commit`)
	if err := <-retired; err != nil {
		t.Error(err)
	}
}
