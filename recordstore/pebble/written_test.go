package pebble_test

import (
	"log/slog"
	"os"
	"path/filepath"
	"reflect"
	"testing"
	"time"

	"github.com/goipns/ipns/recordstore"
	ours "github.com/goipns/ipns/recordstore/pebble"
	"github.com/goipns/ipns/recordstore/recordstoretest"
	"github.com/goipns/ipns/routing"
)

// openCopy opens a copy of a database written by an earlier version.
func openCopy(t *testing.T, from string) *ours.Store {
	t.Helper()
	dir := filepath.Join(t.TempDir(), "db")
	if err := os.CopyFS(dir, os.DirFS(from)); err != nil {
		t.Fatal(err)
	}
	disk := &ours.Disk{Dir: dir, Reserve: -1}
	db, err := ours.OpenDB(t.Context(), disk, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	s, err := ours.New(db, ours.Options{Disk: disk})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
		if err := db.Close(); err != nil {
			t.Error(err)
		}
	})
	return s
}

// TestDatabaseOfAnEarlierVersionOpens reads everything in a database that was written
// before there were positions and rows.
func TestDatabaseOfAnEarlierVersionOpens(t *testing.T) {
	ctx, s := t.Context(), openCopy(t, "testdata/written-2026-11-28")
	own, hosted, seen := recordstoretest.KeyFromSeed(t, 1), recordstoretest.KeyFromSeed(t, 2), recordstoretest.KeyFromSeed(t, 3)
	want := own.Entry(t, 2, recordstoretest.Value(2), recordstore.Own)
	want.Version = 3
	e, err := s.Get(ctx, own.Name)
	if err != nil || recordstoretest.Equal(e, want) != "" {
		t.Fatalf("%v %s", err, recordstoretest.Equal(e, want))
	}
	versions := 0
	for _, err := range s.History(ctx, own.Name) {
		if err != nil {
			t.Fatal(err)
		}
		versions++
	}
	if versions != 3 {
		t.Errorf("%d versions of 3", versions)
	}
	if h, err := s.Get(ctx, hosted.Name); err != nil || h.Tenant != "tenant" || h.Origin != recordstore.Hosted {
		t.Errorf("hosted: %+v, %v", h, err)
	}
	receipt := routing.Receipt{Networks: []routing.NetworkReceipt{{Network: "wan", Announced: 1, Of: 2, Targets: []routing.TargetReceipt{
		{Target: "peer one", RTT: time.Second}, {Target: "peer two", Reason: "full", RTT: 1},
	}}}}
	if u, err := s.Upkeep(ctx, own.Name); err != nil || u.Holders != 1 || u.LastErr != "1 of 2" || !reflect.DeepEqual(u.Receipt, receipt) {
		t.Errorf("upkeep: %+v, %v", u, err)
	}
	if m, err := s.Seen(ctx, seen.Name); err != nil || m.Mark.Sequence != 5 {
		t.Errorf("seen: %+v, %v", m, err)
	}
	for d, err := range s.Check(ctx) {
		t.Errorf("damage: %v, %v", d, err)
	}
}

// TestReceiptKeepsItsBytes: the format on disk does not change.
func TestReceiptKeepsItsBytes(t *testing.T) {
	receipt := routing.Receipt{Networks: []routing.NetworkReceipt{{Network: "wan", Announced: 1, Of: 2, Targets: []routing.TargetReceipt{
		{Target: "peer one", RTT: time.Second}, {Target: "peer two", Reason: "full", RTT: 1},
	}}}}
	const want = `{"Networks":[{"Network":"wan","Announced":1,"Of":2,"Targets":[{"Target":"peer one","RTT":1000000000},{"Target":"peer two","Reason":"full","RTT":1}]}]}`
	if b, err := recordstore.EncodeReceipt(receipt); err != nil || string(b) != want {
		t.Errorf("%s, %v", b, err)
	}
	if b, err := recordstore.EncodeReceipt(receipt.Figures()); err != nil || string(b) != `{"Networks":[{"Network":"wan","Announced":1,"Of":2,"Targets":null}]}` {
		t.Errorf("%s, %v", b, err)
	}
}
