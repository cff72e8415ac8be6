package main

import (
	"runtime"
	"slices"
	"testing"
	"testing/cryptotest"
	"testing/synctest"

	"github.com/goipns/ipns/bench/internal/contender"
	"github.com/goipns/ipns/internal/simnet"
)

// TestEqualSeedsGiveEqualTables: of the contenders whose code does not go through
// Go maps in random order.
func TestEqualSeedsGiveEqualTables(t *testing.T) {
	defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(1))
	c := config{servers: 400, names: 20, profile: simnet.Real15, seed: 2}
	if testing.Short() {
		c.servers, c.names = 200, 10
	}
	var err error
	c.contenders, err = contender.Select("", func(c contender.Contender) bool { return c.Sweeps && c.Name != "fullrt" })
	if err != nil {
		t.Fatal(err)
	}
	// Until two are equal: Go runs its goroutines in another order if a busy machine stops the
	// process for longer than the time of one; an order that is random makes no two equal.
	var tables [][]row
	for equal := false; !equal && len(tables) < 6; {
		table := rowsOf(t, c)
		for i := range table {
			table[i].CPU, table[i].ClientHeap = 0, 0
		}
		equal = slices.ContainsFunc(tables, func(other []row) bool { return slices.Equal(table, other) })
		if tables = append(tables, table); len(tables) == 6 && !equal {
			t.Errorf("one seed, and all tables differ:\n%+v", tables)
		}
	}
}

// TestFullRT: the crawl asks every server alive 16 questions. It needs about one dial
// for each, a few less with some orders of its maps.
func TestFullRT(t *testing.T) {
	c := config{servers: 300, names: 50, profile: simnet.Ideal, seed: 1}
	var err error
	if c.contenders, err = contender.Select("fullrt", func(contender.Contender) bool { return true }); err != nil {
		t.Fatal(err)
	}
	r := rowsOf(t, c)[0]
	if r.ExploreRPCs != 16*300 {
		t.Errorf("%d requests to explore, want %d", r.ExploreRPCs, 16*300)
	}
	if r.HoldersMean < 15 || r.MsPerName <= 0 || r.BytesUp <= 0 || r.Dials < 250 {
		t.Errorf("implausible: %+v", r)
	}
}

// TestStore: what a store has reaches all of its holders, and what became of it is
// noted. That is checked where it is measured.
func TestStore(t *testing.T) {
	c, err := parse([]string{"-store", "-servers", "300", "-names", "500"})
	if err != nil {
		t.Fatal(err)
	}
	rows := rowsOf(t, c)
	if len(rows) != 1 || rows[0].Client != "ours" {
		t.Fatalf("%+v, want one row, of the client that can read a store", rows)
	}
	if r := rows[0]; !r.Store || r.Scan <= 0 || r.HoldersP001 != simnet.BucketSize {
		t.Errorf("implausible: %+v", r)
	}
}

func rowsOf(t *testing.T, c config) (rows []row) {
	t.Helper()
	cryptotest.SetGlobalRandom(t, c.seed)
	synctest.Test(t, func(t *testing.T) {
		err := c.run(t.Context(), func(r row) error {
			rows = append(rows, r)
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
	})
	return rows
}
