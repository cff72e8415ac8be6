package main

import (
	"fmt"
	"runtime"
	"slices"
	"strings"
	"testing"
	"testing/cryptotest"
	"testing/synctest"

	"github.com/goipns/ipns/bench/internal/contender"
	"github.com/goipns/ipns/internal/simnet"
)

// runs is how often an experiment is run at most, until two tables are equal. Go runs its
// goroutines in another order if a busy machine stops the process for longer than the time of
// one; an order that is random makes no two tables equal.
const runs = 6

// TestEqualSeedsGiveEqualTables runs small experiments twice.
func TestEqualSeedsGiveEqualTables(t *testing.T) {
	defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(1))
	servers, names, profiles := 400, 4, []simnet.Profile{simnet.Ideal, simnet.Real30}
	if testing.Short() {
		servers, names, profiles = 100, 2, profiles[1:]
	}
	for _, profile := range profiles {
		c := config{servers: servers, names: names, profile: profile, seed: 2, contenders: contender.All()}
		var tables []string
		equal := false
		for !equal && len(tables) < runs {
			table := ""
			cryptotest.SetGlobalRandom(t, c.seed)
			synctest.Test(t, func(t *testing.T) {
				err := c.run(t.Context(), func(r row) error {
					table += fmt.Sprintf("%+v\n", r)
					if r.P50 <= 0 || r.P95 < r.P50 || r.RPCs <= 0 || r.HoldersMean > simnet.BucketSize {
						t.Errorf("implausible: %+v", r)
					}
					return nil
				})
				if err != nil {
					t.Fatal(err)
				}
			})
			equal = slices.Contains(tables, table)
			tables = append(tables, table)
		}
		if !equal {
			t.Errorf("one seed, %d tables:\n%s", len(tables), strings.Join(tables, "\n"))
		}
		t.Logf("of run %d:\n%s", len(tables), tables[len(tables)-1])
	}
}

// TestBoxoOnTheIdealNetwork: with a constant round trip of 100 ms the number of
// round trips of boxo's operations is known from its code.
func TestBoxoOnTheIdealNetwork(t *testing.T) {
	if testing.Short() {
		t.Skip("takes seconds")
	}
	cryptotest.SetGlobalRandom(t, 1)
	c := config{servers: 1000, names: 20, profile: simnet.Ideal, seed: 1}
	var err error
	if c.contenders, err = contender.Select("boxo", func(contender.Contender) bool { return true }); err != nil {
		t.Fatal(err)
	}
	synctest.Test(t, func(t *testing.T) {
		err := c.run(t.Context(), func(r row) error {
			if r.Conns == "cold" && r.Bench == "publish" && (r.P50 < 700 || r.P50 > 1200 || r.HoldersMean < 19.9) {
				t.Errorf("publish: %+v, want 7 to 12 round trips and all copies", r)
			}
			if r.Conns == "cold" && r.Bench == "resolve" && (r.P50 < 500 || r.P50 > 1100) {
				t.Errorf("resolve: %+v, want 5 to 11 round trips", r)
			}
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
	})
}

func TestParse(t *testing.T) {
	c, err := parse([]string{"-servers", "500", "-profile", "ideal", "-client", "boxo", "-json"})
	if err != nil || c.servers != 500 || c.profile.Name != "ideal" || len(c.contenders) != 1 || !c.json {
		t.Errorf("%+v, %v", c, err)
	}
	for _, bad := range [][]string{{"-profile", "real99"}, {"-client", "nobody"}, {"-client", "fullrt"}, {"-names", "0"}, {"extra"}} {
		if _, err := parse(bad); err == nil {
			t.Errorf("%v was accepted", bad)
		}
	}
}
