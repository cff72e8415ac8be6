package postgres_test

import (
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/goipns/ipns/recordstore"
	"github.com/goipns/ipns/recordstore/postgres/pgtest"
	"github.com/goipns/ipns/recordstore/recordstoretest"
)

// Of an own name all versions are kept. A publish must not read them: it would cost more with
// each one before it.
func TestAPublishDoesNotReadAllPastVersions(t *testing.T) {
	const publishes = 60
	server := pgtest.Start(t)
	url := server.Database(t)
	s := open(t, url)
	k := recordstoretest.KeyFromSeed(t, 1)
	var e recordstore.Entry
	for i := range publishes {
		next := k.Entry(t, uint64(i), recordstoretest.Value(i), recordstore.Own)
		next.Version = e.Version
		var err error
		if e, err = s.Swap(t.Context(), next, none); err != nil {
			t.Fatal(err)
		}
	}
	if err := s.Close(); err != nil { // a connection tells what it has read when it ends
		t.Fatal(err)
	}
	conn, err := pgx.Connect(t.Context(), url)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close(t.Context())
	for begin := time.Now(); ; time.Sleep(20 * time.Millisecond) {
		var inserted, read int
		if err := conn.QueryRow(t.Context(), `select sum(n_tup_ins), sum(seq_tup_read + coalesce(idx_tup_fetch, 0))
			from pg_stat_user_tables where relname like 'history%'`).Scan(&inserted, &read); err != nil {
			t.Fatal(err)
		}
		if inserted < publishes-1 && time.Since(begin) < time.Minute {
			continue // the connections have not ended yet
		}
		if inserted < publishes-1 {
			t.Fatalf("%d versions are in the history", inserted)
		}
		if read > publishes {
			t.Errorf("%d publishes have read %d past versions", publishes, read)
		}
		return
	}
}
