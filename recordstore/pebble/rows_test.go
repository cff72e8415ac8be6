package pebble_test

import (
	"errors"
	"math/rand/v2"
	"strconv"
	"sync/atomic"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"

	"github.com/goipns/ipns/recordstore"
	ours "github.com/goipns/ipns/recordstore/pebble"
	"github.com/goipns/ipns/recordstore/recordstoretest"
)

func TestRows(t *testing.T) {
	recordstoretest.RunRows(t, func(t *testing.T) recordstore.Rows {
		s, err := ours.New(openMem(t), ours.Options{})
		if err != nil {
			t.Fatal(err)
		}
		return s.Rows()
	})
}

// TestRowsOutliveAPowerLoss cuts the power while a counter in a row is incremented. No
// value that was acknowledged or read is lost.
func TestRowsOutliveAPowerLoss(t *testing.T) {
	mem := vfs.NewCrashableMem()
	m, err := start(mem, syncFS{mem, slow})
	if err != nil {
		t.Fatal(err)
	}
	rows := m.store.Rows()
	var acked, shown atomic.Int64
	end, ended := make(chan struct{}), make(chan struct{}, 2)
	loop := func(f func(r recordstore.Row, n int)) {
		defer func() { ended <- struct{}{} }()
		for {
			select {
			case <-end:
				return
			default:
			}
			r, err := rows.Get(t.Context(), "t", "k")
			if err != nil && !errors.Is(err, recordstore.ErrNotFound) {
				t.Error(err)
				return
			}
			n, _ := strconv.Atoi(string(r.Value))
			f(r, n)
		}
	}
	go loop(func(r recordstore.Row, n int) {
		if _, err := rows.Swap(t.Context(), recordstore.Row{Table: "t", Key: "k", Value: []byte(strconv.Itoa(n + 1)), Version: r.Version}); err != nil {
			t.Error(err)
		}
		acked.Store(int64(n) + 1)
	})
	go loop(func(_ recordstore.Row, n int) {
		shown.Store(int64(n))
		time.Sleep(50 * time.Microsecond)
	})
	rng := rand.New(rand.NewPCG(1, 0))
	versions := make(map[uint64]string)
	for range 40 {
		time.Sleep(time.Duration(rng.IntN(3)) * time.Millisecond)
		atLeast := max(acked.Load(), shown.Load())
		crashed, err := m.Crash(rng)
		if err != nil {
			t.Fatal(err)
		}
		s := crashed.(*machine).store
		r, err := s.Rows().Get(t.Context(), "t", "k")
		if errors.Is(err, recordstore.ErrNotFound) {
			err = nil
		}
		if n, _ := strconv.Atoi(string(r.Value)); err != nil || int64(n) < atLeast {
			t.Errorf("%d after a crash, %d before, %v", n, atLeast, err)
		}
		if was, ok := versions[r.Version]; ok && was != string(r.Value) {
			t.Errorf("version %d was %s and is %s", r.Version, was, r.Value)
		}
		versions[r.Version] = string(r.Value)
		if err := crashed.Stop(); err != nil {
			t.Error(err)
		}
	}
	close(end)
	<-ended
	<-ended
	if err := m.Stop(); err != nil {
		t.Error(err)
	}
	if acked.Load() == 0 {
		t.Error("nothing was written")
	}
}
