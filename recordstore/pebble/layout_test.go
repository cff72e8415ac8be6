package pebble

import (
	"bytes"
	"encoding/binary"
	"hash/crc32"
	"log/slog"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2"

	"github.com/goipns/ipns/recordstore"
	"github.com/goipns/ipns/recordstore/blob"
	"github.com/goipns/ipns/recordstore/recordstoretest"
)

// firstLayout returns the value in layout 1.
func firstLayout(t *testing.T, b, cut []byte) []byte {
	t.Helper()
	body := bytes.Clone(b[:len(b)-4])
	at := bytes.Index(body, cut)
	if at < 0 {
		t.Fatal("the value does not hold what layout 1 lacks")
	}
	body = append(body[:at], body[at+len(cut):]...)
	body[0] = 1
	return binary.BigEndian.AppendUint32(body, crc32.Checksum(body, blob.Castagnoli))
}

// readAsBefore reads a value as the version before layout 2 did.
func readAsBefore(b []byte) error { return blob.NewDecoder(b).Err() }

// TestStoreOfTheFirstLayoutOpens reads a store of layout 1, which versions before layout
// 2 then refuse.
func TestStoreOfTheFirstLayoutOpens(t *testing.T) {
	disk := &Disk{Dir: filepath.Join(t.TempDir(), "db"), Reserve: -1}
	db, err := OpenDB(t.Context(), disk, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	s := &Store{db: db, disk: disk, prefix: []byte(DefaultPrefix)}
	gen := recordstore.Generation{1, 2, 3, 15: 4}
	s.before = recordstore.Generation{5, 6, 7}
	k := recordstoretest.KeyFromSeed(t, 1)
	e := k.Entry(t, 7, recordstoretest.Value(1), recordstore.Own)
	e.Known, e.Entered, e.Span, e.Version = gen, recordstore.Generation{8, 9, 15: 10}, 90*time.Minute, 1
	var generation []byte
	if err := s.writeGeneration(gen); err != nil {
		t.Fatal(err)
	}
	if err := s.get(s.key(kindGeneration), func(b []byte) error { generation = bytes.Clone(b); return nil }); err != nil {
		t.Fatal(err)
	}
	if err := readAsBefore(generation); err == nil || !strings.Contains(err.Error(), "does not know") {
		t.Fatalf("an earlier version reads the generation: %v", err)
	}
	span := binary.AppendUvarint(bytes.Clone(e.Entered[:]), uint64(e.Span))
	span = append(span, 0) // no rival
	for key, value := range map[string][]byte{
		string(s.key(kindGeneration)):        firstLayout(t, generation, s.before[:]),
		string(s.nameKey(kindEntry, k.Name)): firstLayout(t, blob.EncodeEntry(e), span),
	} {
		if err := readAsBefore(value); err != nil {
			t.Fatal(err)
		}
		if err := db.Set([]byte(key), value, pebble.Sync); err != nil {
			t.Fatal(err)
		}
	}

	opened, err := New(db, Options{Disk: disk})
	if err != nil {
		t.Fatal(err)
	}
	defer func() { opened.Close() }()
	want := e
	want.Entered, want.Span = gen, 0
	if got, err := opened.Get(t.Context(), k.Name); err != nil || recordstoretest.Equal(got, want) != "" {
		t.Fatalf("%v, %s", err, recordstoretest.Equal(got, want))
	}
	if now, _ := opened.Generation(t.Context()); now != gen {
		t.Fatal("opening an older store began a new generation")
	}
	if err := opened.get(opened.key(kindGeneration), readAsBefore); err == nil {
		t.Fatal("an earlier version still opens the store")
	}
	// Entries of layout 1 keep their generation when a new one begins.
	if err := opened.Renew(); err != nil {
		t.Fatal(err)
	}
	opened.Close()
	if opened, err = New(db, Options{Disk: disk}); err != nil {
		t.Fatal(err)
	}
	if got, _ := opened.Get(t.Context(), k.Name); got.Entered != gen {
		t.Fatalf("after a restore, Entered is %x", got.Entered)
	}
	if now, _ := opened.Generation(t.Context()); now == gen {
		t.Fatal("no new generation")
	}
}
