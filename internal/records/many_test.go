package records

import (
	"flag"
	"testing"
	"time"

	"github.com/goipns/ipns/recordstore"
	"github.com/goipns/ipns/recordstore/postgres/pgtest"
	"github.com/goipns/ipns/recordstore/recordstoretest"
)

var many = flag.Int("names", 1500, "how many names are moved to a database and back")

// TestManyNamesMove logs how long it takes. -names=100000 is the measurement.
func TestManyNamesMove(t *testing.T) {
	url, r := pgtest.Start(t).Database(t), newConfigured(t)
	if err := use(t, r, func(s *Store) {
		var list []recordstore.Whole
		for n := range *many {
			k := recordstoretest.KeyFromSeed(t, uint64(n))
			w := recordstore.Whole{Entry: k.Entry(t, 1, recordstoretest.Value(1), recordstore.Own)}
			w.Past = []recordstore.Past{{Record: k.Record(t, 0, recordstoretest.Value(0), recordstoretest.Epoch), At: recordstoretest.Epoch}}
			w.Upkeep = recordstore.Upkeep{Name: k.Name, Due: recordstoretest.Epoch, LastPut: recordstoretest.Epoch, Holders: 20}
			if list = append(list, w); len(list) == recordstore.MaxLoad || n == *many-1 {
				if _, err := s.Own.Load(t.Context(), list); err != nil {
					t.Fatal(err)
				}
				list = nil
			}
		}
	}); err != nil {
		t.Fatal(err)
	}
	for _, to := range []string{url, ""} {
		start := time.Now()
		m, err := Move(t.Context(), r, to, MoveOptions{})
		if err != nil || m.Names != *many || m.Versions != 2**many {
			t.Fatalf("%+v, %v", m, err)
		}
		took := time.Since(start)
		t.Logf("%d names from %s: %v, %.0f names/s, verified", m.Names, m.From, took.Round(time.Millisecond), float64(m.Names)/took.Seconds())
	}
}
