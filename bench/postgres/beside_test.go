package postgres

import (
	"context"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/goipns/ipns/recordstore"
	"github.com/goipns/ipns/recordstore/postgres"
	"github.com/goipns/ipns/recordstore/postgres/pgtest"
)

var (
	rounds   = flag.Int("rounds", 1, "how often each is measured, in turn")
	duration = flag.Duration("for", time.Second, "how long each is measured")
)

// pgbench runs the statement of a swap as the server was sent it, so that what is left is the
// client: its 64 clients swap one name each, as the writers of the store do.
func TestSwapsBesidePgbench(t *testing.T) {
	server := pgtest.Start(t, append([]string{"track_activity_query_size = 4096"}, settings...)...)
	url := server.Database(t)
	s, err := postgres.Open(t.Context(), url, postgres.Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	// All in one partition: the statement names it.
	var ours, theirs []recordstore.Entry
	for n := 0; len(theirs) < writers; n++ {
		name, signer := key(t, n)
		if name.Kad()[0] >= 16 {
			continue
		}
		e, err := s.Swap(t.Context(), entry(name, record(t, signer, 1, time.Now().Add(48*time.Hour)), "tenant"), recordstore.Lease{})
		if err != nil {
			t.Fatal(err)
		}
		if len(ours) < writers {
			ours = append(ours, e)
		} else {
			theirs = append(theirs, e)
		}
	}
	swaps(t, s, theirs) // the server shows the statement that each connection sent last
	script := swapScript(t, server, url, theirs)
	wide, err := postgres.Open(t.Context(), url, postgres.Options{Conns: writers})
	if err != nil {
		t.Fatal(err)
	}
	defer wide.Close()
	for conns, s := range map[int]*postgres.Store{postgres.DefaultConns: s, writers: wide} {
		var store, bench []float64
		var p99 []time.Duration
		for range *rounds {
			tps, p := swaps(t, s, ours)
			store, p99 = append(store, tps), append(p99, p)
			bench = append(bench, pgbench(t, server, url, script, conns, tps))
		}
		ratio := median(store) / median(bench)
		t.Logf("%d connections: the store swaps %.0f/s for %d writers (p99 %v), pgbench %.0f/s: %.2f of it",
			conns, median(store), writers, median(p99), median(bench), ratio)
		if *rounds >= 5 && ratio < 0.8 {
			t.Errorf("the ratio is %.2f; wanted is 0.8", ratio)
		}
	}
}

func median[T float64 | time.Duration](list []T) T {
	list = slices.Sorted(slices.Values(list))
	return list[len(list)/2]
}

// swaps returns how many swaps a second the writers make, and the 99th percentile.
func swaps(t *testing.T, s *postgres.Store, own []recordstore.Entry) (float64, time.Duration) {
	t.Helper()
	var wg sync.WaitGroup
	var n atomic.Int64
	var mu sync.Mutex
	var all []time.Duration
	begin := time.Now()
	for i := range own {
		wg.Go(func() {
			var took []time.Duration
			for first := true; first || time.Since(begin) < *duration; first = false {
				start := time.Now()
				e, err := s.Swap(t.Context(), own[i], recordstore.Lease{})
				if err != nil {
					t.Error(err)
					return
				}
				own[i] = e
				took = append(took, time.Since(start))
				n.Add(1)
			}
			mu.Lock()
			defer mu.Unlock()
			all = append(all, took...)
		})
	}
	wg.Wait()
	slices.Sort(all)
	return float64(n.Load()) / time.Since(begin).Seconds(), all[len(all)*99/100]
}

// swapScript makes a script of pgbench: each client takes a name, and swaps it from what its
// last swap returned.
func swapScript(t *testing.T, server *pgtest.Server, url string, names []recordstore.Entry) string {
	t.Helper()
	conn, err := pgx.Connect(t.Context(), url)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close(context.Background())
	var statement string
	err = conn.QueryRow(t.Context(), `select query from pg_stat_activity where query like 'with l as%update ipns.names_0%' limit 1`).Scan(&statement)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := conn.Exec(t.Context(), `create table clients (id int primary key, k bytea)`); err != nil {
		t.Fatal(err)
	}
	for i, e := range names {
		k := e.Name.Kad()
		if _, err := conn.Exec(t.Context(), `insert into clients values ($1, $2)`, i, k[:]); err != nil {
			t.Fatal(err)
		}
	}
	values := []string{`'\x00'`, "0", "''", "0", ":k", ":next", ":entry", ":version", ":pos", "'{}'", "'{}'", "15"}
	statement = regexp.MustCompile(`\$\d+`).ReplaceAllStringFunc(statement, func(arg string) string {
		n, _ := strconv.Atoi(arg[1:])
		v := values[n-1]
		if strings.HasPrefix(v, ":") || n > 4 && n < 10 {
			return v
		}
		return v + map[int]string{1: "::bytea", 2: "::int2", 3: "::text", 4: "::int8", 10: "::bytea[]", 11: "::bytea[]", 12: "::int8"}[n]
	})
	statement = strings.NewReplacer("::bytea::bytea", "::bytea", "::int8::int8", "::int8", "::bytea[]::bytea[]", "::bytea[]").Replace(statement)
	statement = strings.Replace(statement, "select (select pos from u),", "select (select pos from u) as pos,", 1)
	script := `\if :version = 0
select n.k, n.version, n.pos, n.entry from ipns.names n join clients c on c.k = n.k and c.id = :client_id \gset
\endif
\set next :version + 1
` + statement + ` as good \gset
\set version :next
`
	file := filepath.Join(filepath.Dir(server.Data()), "swap.sql")
	if err := os.WriteFile(file, []byte(script), 0o644); err != nil {
		t.Fatal(err)
	}
	return file
}

// pgbench returns how many transactions a second it makes. It is to make as many as take the
// duration at the rate that is expected: it counts the time of its connections as a part of a
// duration, but not of a rate, and on a busy machine 64 may take a second.
func pgbench(t *testing.T, server *pgtest.Server, url, script string, clients int, expected float64) float64 {
	t.Helper()
	each := max(1, int(expected*duration.Seconds())/clients)
	args := []string{"-n", "-M", "prepared", "-c", fmt.Sprint(clients), "-j", "2", "-t", fmt.Sprint(each), "-D", "version=0", "-f", script, url}
	out, err := server.Command("pgbench", args...).CombinedOutput()
	if err != nil {
		t.Fatalf("pgbench: %v\n%s", err, out)
	}
	found := regexp.MustCompile(`tps = ([0-9.]+)`).FindSubmatch(out)
	if found == nil {
		t.Fatalf("pgbench: no figure in\n%s", out)
	}
	tps, err := strconv.ParseFloat(string(found[1]), 64)
	if err != nil {
		t.Fatal(err)
	}
	return tps
}
