package postgres

import (
	"errors"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/goipns/ipns"
	"github.com/goipns/ipns/recordstore"
	"github.com/goipns/ipns/recordstore/pebble"
	"github.com/goipns/ipns/recordstore/postgres/pgtest"
)

// A read of the store beside the same of Pebble, in turn: of random names, one after the
// other and by 16 at once.
func TestReadsBesidePebble(t *testing.T) {
	server := pgtest.Start(t, settings...)
	disk := &pebble.Disk{Dir: t.TempDir()}
	db, err := pebble.OpenDB(t.Context(), disk, nil)
	if err != nil {
		t.Fatal(err)
	}
	local, err := pebble.New(db, pebble.Options{Disk: disk})
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := errors.Join(local.Close(), pebble.CloseDB(t.Context(), disk, db)); err != nil {
			t.Error(err)
		}
	}()
	shared := newStore(t, server.Database(t))
	all := make([]ipns.Name, *names)
	eol := time.Now().Add(48 * time.Hour)
	for from := 0; from < *names; from += recordstore.MaxLoad {
		chunk := make([]recordstore.Whole, min(recordstore.MaxLoad, *names-from))
		for i := range chunk {
			name, signer := key(t, from+i)
			all[from+i], chunk[i].Entry = name, entry(name, record(t, signer, 1, eol), "tenant")
			if _, err := local.Swap(t.Context(), chunk[i].Entry, recordstore.Lease{}); err != nil {
				t.Fatal(err)
			}
		}
		if _, err := shared.Load(t.Context(), chunk); err != nil {
			t.Fatal(err)
		}
	}
	for _, readers := range []int{1, 16} {
		var ours, theirs [2][]time.Duration // p50, p99
		for range *rounds {
			for i, s := range []recordstore.Store{shared, local} {
				p50, p99 := reads(t, s, all, readers)
				to := [...]*[2][]time.Duration{&ours, &theirs}[i]
				to[0], to[1] = append(to[0], p50), append(to[1], p99)
			}
		}
		t.Logf("%d readers: p50 %v, p99 %v in the database; p50 %v, p99 %v in Pebble", readers, median(ours[0]), median(ours[1]), median(theirs[0]), median(theirs[1]))
	}
}

func reads(t *testing.T, s recordstore.Store, all []ipns.Name, readers int) (p50, p99 time.Duration) {
	var mu sync.Mutex
	var list []time.Duration
	begin := time.Now()
	parallel(readers, readers, func(w int) {
		var took []time.Duration
		for i := w; len(took) == 0 || time.Since(begin) < *duration; i += 7919 {
			start := time.Now()
			if _, err := s.Get(t.Context(), all[i%len(all)]); err != nil {
				t.Error(err)
				return
			}
			took = append(took, time.Since(start))
		}
		mu.Lock()
		defer mu.Unlock()
		list = append(list, took...)
	})
	slices.Sort(list)
	return list[len(list)/2], list[len(list)*99/100]
}
