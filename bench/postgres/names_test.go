package postgres

import (
	"context"
	"crypto/ed25519"
	"encoding/binary"
	"flag"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/libp2p/go-libp2p/core/crypto"

	"github.com/goipns/ipns"
	"github.com/goipns/ipns/recordstore"
	"github.com/goipns/ipns/recordstore/postgres"
	"github.com/goipns/ipns/recordstore/postgres/pgtest"
)

var names = flag.Int("names", 2000, "names in the database")

// settings of the server are those of docs/guides/scale-database.md, for a small machine.
var settings = []string{
	"shared_buffers = '1GB'", "max_wal_size = '4GB'", "checkpoint_timeout = '15min'", "wal_compression = on",
	"autovacuum_vacuum_cost_limit = 2000", "random_page_cost = 1.1", "max_connections = 250",
}

func newStore(t testing.TB, url string) *postgres.Store {
	t.Helper()
	s, err := postgres.Open(t.Context(), url, postgres.Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	return s
}

// key returns the key of a number, the same on every run.
func key(t testing.TB, n int) (ipns.Name, ipns.Signer) {
	t.Helper()
	var seed [ed25519.SeedSize]byte
	binary.BigEndian.PutUint64(seed[:], uint64(n)+1)
	priv, err := crypto.UnmarshalEd25519PrivateKey(ed25519.NewKeyFromSeed(seed[:]))
	if err != nil {
		t.Fatal(err)
	}
	name, err := ipns.NameOf(priv.GetPublic())
	if err != nil {
		t.Fatal(err)
	}
	return name, ipns.NewSigner(priv)
}

// record signs one as Kubo does, of about 400 bytes.
func record(t testing.TB, signer ipns.Signer, seq uint64, eol time.Time) *ipns.Record {
	t.Helper()
	rec, err := ipns.Sign(context.Background(), signer, ipns.Fields{
		Value: "/ipfs/bafybeigdyrzt5sfp7udm7hu76uh7y26nf3efuylqabf3oclgtqy55fbzdi", Sequence: seq, EOL: eol, TTL: 5 * time.Minute,
	}, ipns.V1V2)
	if err != nil {
		t.Fatal(err)
	}
	return rec
}

func entry(name ipns.Name, rec *ipns.Record, tenant string) recordstore.Entry {
	return recordstore.Entry{
		Name: name, Record: rec, Mark: recordstore.MarkOf(rec), Next: rec.Sequence() + 1,
		Origin: recordstore.Hosted, Tenant: tenant, Changed: time.Now(),
	}
}

// parallel calls f for each number below n, by as many workers.
func parallel(workers, n int, f func(int)) {
	var wg sync.WaitGroup
	for w := range workers {
		wg.Go(func() {
			for i := w; i < n; i += workers {
				f(i)
			}
		})
	}
	wg.Wait()
}

// table is the size of a table, of all its partitions, in bytes.
type table struct {
	name       string
	heap, rest int64 // rest: indexes, TOAST and maps
	rows       int64
}

func tables(t testing.TB, url string) (list []table, total int64) {
	t.Helper()
	conn, err := pgx.Connect(t.Context(), url)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close(context.Background())
	rows, err := conn.Query(t.Context(), `select split_part(c.relname, '_', 1), sum(pg_relation_size(c.oid))::int8,
			sum(pg_total_relation_size(c.oid) - pg_relation_size(c.oid))::int8
		from pg_class c join pg_namespace n on n.oid = c.relnamespace
		where n.nspname = 'ipns' and c.relkind = 'r' group by 1 order by 1`)
	if err != nil {
		t.Fatal(err)
	}
	list, err = pgx.CollectRows(rows, func(row pgx.CollectableRow) (x table, err error) {
		err = row.Scan(&x.name, &x.heap, &x.rest)
		return x, err
	})
	if err != nil {
		t.Fatal(err)
	}
	for i := range list {
		total += list[i].heap + list[i].rest
		if err := conn.QueryRow(t.Context(), `select count(*) from ipns.`+list[i].name).Scan(&list[i].rows); err != nil {
			t.Fatal(err)
		}
	}
	return list, total
}

// log is what the server has written to its log since it started, in bytes, and how often it
// has waited for the disk with it.
type log struct{ bytes, syncs int64 }

func written(t testing.TB, url string) (l log) {
	t.Helper()
	conn, err := pgx.Connect(t.Context(), url)
	if err == nil {
		defer conn.Close(context.Background())
		err = conn.QueryRow(t.Context(), `select wal_bytes::int8, wal_sync from pg_stat_wal`).Scan(&l.bytes, &l.syncs)
	}
	if err != nil {
		t.Fatal(err)
	}
	return l
}

// cpu is the time that the server's processes have taken on the processors, without those
// that have ended.
func cpu(server *pgtest.Server) (all time.Duration) {
	files, _ := filepath.Glob("/proc/[0-9]*/cwd")
	for _, file := range files {
		if dir, err := os.Readlink(file); err != nil || dir != server.Data() {
			continue
		}
		stat, _ := os.ReadFile(filepath.Join(filepath.Dir(file), "stat"))
		_, rest, _ := strings.Cut(string(stat), ") ")
		if f := strings.Fields(rest); len(f) > 13 {
			user, _ := strconv.Atoi(f[11])
			system, _ := strconv.Atoi(f[12])
			all += time.Duration(user+system) * 10 * time.Millisecond
		}
	}
	return all
}
