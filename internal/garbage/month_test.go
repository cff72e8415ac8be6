package garbage

import (
	"bytes"
	"errors"
	"flag"
	"fmt"
	"io/fs"
	"log/slog"
	"math/rand/v2"
	"path/filepath"
	"syscall"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2"
	"github.com/ipfs/go-cid"

	"github.com/goipns/ipns/content"
	"github.com/goipns/ipns/names"
	"github.com/goipns/ipns/recordstore"
	"github.com/goipns/ipns/recordstore/recordstoretest"
)

var long = flag.Bool("long", false, "a month of a site of 50 MB instead of 10")

// A month of daily publishes of a site of which one file in ten changes each day ends with little more on disk than the
// values that are kept, though the store is far below its limit.
func TestAMonthOfDailyChangesDoesNotFillTheDisk(t *testing.T) {
	size, slack := 10<<20, uint64(16<<20)
	if *long {
		size, slack = 50<<20, 64<<20
	}
	const files, days = 100, 30
	dir := t.TempDir()
	db, err := pebble.Open(dir, &pebble.Options{FormatMajorVersion: pebble.FormatNewest})
	if err != nil {
		t.Fatal(err)
	}
	store, err := content.Open(t.Context(), content.Options{DB: db, Dir: dir})
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := store.Close(); err != nil {
			t.Error(err)
		}
		if err := db.Close(); err != nil {
			t.Error(err)
		}
	}()
	now := time.Now()
	clock := func() time.Time { return now }
	c := &Collector{
		Content: store, Book: &names.Book{Store: recordstore.NewMemory(), Now: clock}, Log: slog.New(slog.DiscardHandler), Now: clock,
		Above: 1 << 40,
	}
	key := recordstoretest.NewKey(t)
	random := rand.NewChaCha8([32]byte{1})
	site := make([][]byte, files)
	version := make([]int, files) // the day on which a file was changed last
	versions := map[int][]int{}   // of each day
	change := func(file, day int) {
		site[file], version[file] = make([]byte, size/files), day
		_, _ = random.Read(site[file]) // it never fails
	}
	for i := range site {
		change(i, 0)
	}
	for day := range days {
		for i := range files / 10 {
			change((day*files/10+i)%files, day)
		}
		versions[day] = append([]int{}, version...)
		root := addSite(t, store, site, key.Name.String())
		rec := key.Record(t, uint64(day), "/ipfs/"+root.String(), now.Add(48*time.Hour))
		if _, err := c.Book.Take(t.Context(), rec, names.Entrance{Origin: recordstore.Own}); err != nil {
			t.Fatal(err)
		}
		if err := c.Keep(t.Context(), rec, 0); err != nil {
			t.Fatal(err)
		}
		now = now.Add(24 * time.Hour)
		if err := c.Release(t.Context()); err != nil { // as Run does by itself
			t.Fatal(err)
		}
		c.look(t.Context())
	}
	kept := map[string]bool{}
	for day := days - Values; day < days; day++ {
		for file, v := range versions[day] {
			kept[fmt.Sprint(file, "/", v)] = true
		}
	}
	distinct := uint64(len(kept) * size / files)
	limit := distinct*11/10 + slack
	used := diskOf(t, dir)
	for end := time.Now().Add(time.Minute); used > limit && time.Now().Before(end); used = diskOf(t, dir) {
		time.Sleep(100 * time.Millisecond) // the database deletes files in the background
	}
	t.Logf("%d MB on disk, %d MB in the values that are kept, %d MB were published", used>>20, distinct>>20, (size+(days-1)*size/10)>>20)
	if used > limit {
		t.Errorf("%d bytes on disk, want at most %d", used, limit)
	}
}

func addSite(t *testing.T, s *content.Store, site [][]byte, name string) (root cid.Cid) {
	t.Helper()
	entries := func(yield func(content.Entry, error) bool) {
		if !yield(content.Entry{Path: "site", Mode: fs.ModeDir}, nil) {
			return
		}
		for i, b := range site {
			if !yield(content.Entry{Path: fmt.Sprintf("site/%03d", i), Content: bytes.NewReader(b)}, nil) {
				return
			}
		}
	}
	for a, err := range s.Add(t.Context(), entries, content.AddOptions{CIDVersion: 1, Pin: true, PinName: content.KeptFor(name)}) {
		if err != nil {
			t.Fatal(err)
		}
		root = a.CID
	}
	return root
}

// diskOf is what a folder takes on disk, as du counts it.
func diskOf(t *testing.T, dir string) (bytes uint64) {
	t.Helper()
	err := filepath.WalkDir(dir, func(_ string, d fs.DirEntry, err error) error {
		if errors.Is(err, fs.ErrNotExist) {
			return nil // it was deleted meanwhile
		}
		if err != nil {
			return err
		}
		info, err := d.Info()
		if errors.Is(err, fs.ErrNotExist) {
			return nil
		}
		if err != nil {
			return err
		}
		if s, ok := info.Sys().(*syscall.Stat_t); ok {
			bytes += uint64(s.Blocks) * 512
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return bytes
}
