package pebble_test

import (
	"context"
	"errors"
	"io"
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"

	"github.com/goipns/ipns/recordstore"
	ours "github.com/goipns/ipns/recordstore/pebble"
	"github.com/goipns/ipns/recordstore/recordstoretest"
)

// rewrite changes the bytes of a file.
func rewrite(t *testing.T, fs vfs.FS, path string, change func([]byte) []byte) {
	t.Helper()
	f, err := fs.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	b, err := io.ReadAll(f)
	f.Close()
	if err != nil {
		t.Fatal(err)
	}
	if f, err = fs.Create(path, vfs.WriteCategoryUnspecified); err != nil {
		t.Fatal(err)
	}
	if _, err := f.Write(change(b)); err != nil {
		t.Fatal(err)
	}
	f.Sync()
	f.Close()
}

// A database that does not open, or of which a table cannot be read at all, is
// replaced by what can be read of it: nothing that nobody wrote comes out, no name is
// called known, and where only the list of files is damaged, nothing is missing.
func TestADamagedDatabaseIsSalvaged(t *testing.T) { // kind 8, R15
	damages := map[string]func(*testing.T, vfs.FS, string, *rand.Rand){
		"cut": func(t *testing.T, fs vfs.FS, path string, _ *rand.Rand) {
			rewrite(t, fs, path, func(b []byte) []byte { return b[:len(b)/2] })
		},
		"zeroes": func(t *testing.T, fs vfs.FS, path string, _ *rand.Rand) {
			rewrite(t, fs, path, func(b []byte) []byte { return make([]byte, len(b)) })
		},
		"gone": func(t *testing.T, fs vfs.FS, path string, _ *rand.Rand) {
			if err := fs.Remove(path); err != nil {
				t.Fatal(err)
			}
		},
		"bit":       func(t *testing.T, fs vfs.FS, path string, rng *rand.Rand) { flip(t, fs, path, rng) },
		"other bit": func(t *testing.T, fs vfs.FS, path string, rng *rand.Rand) { flip(t, fs, path, rng) },
		"end of it": func(t *testing.T, fs vfs.FS, path string, _ *rand.Rand) {
			rewrite(t, fs, path, func(b []byte) []byte { // of a table: its footer and index
				for i := len(b) - min(len(b), 200); i < len(b); i++ {
					b[i] ^= 0x55
				}
				return b
			})
		},
	}
	if testing.Short() { // one damage that shows at the start, and one when a table is read
		damages = map[string]func(*testing.T, vfs.FS, string, *rand.Rand){"zeroes": damages["zeroes"], "end of it": damages["end of it"]}
	}
	for _, closed := range []bool{true, false} {
		image, l := damageImage(t, closed)
		files, err := image.List("db")
		if err != nil {
			t.Fatal(err)
		}
		rng := rand.New(rand.NewPCG(8, 0))
		salvaged := map[string]int{}
		for _, name := range files {
			for what, damage := range damages {
				fs := image.CrashClone(vfs.CrashCloneCfg{})
				damage(t, fs, "db/"+name, rng)
				if found, done := salvage(t, fs, name+" "+what, l); done {
					salvaged[name]++
					if strings.HasPrefix(name, "MANIFEST") && found != damageNames {
						t.Errorf("%s %s: %d of %d names are salvaged", name, what, found, damageNames)
					}
				}
			}
		}
		t.Logf("closed %v: salvaged %v", closed, salvaged)
		for _, kind := range []string{"MANIFEST", ".sst"} {
			some := false
			for name := range salvaged {
				some = some || strings.Contains(name, kind)
			}
			if !some {
				t.Errorf("no damage to %s needed a salvage", kind)
			}
		}
	}
}

// salvage salvages a store if it needs that, and returns how many names have their
// last record.
func salvage(t *testing.T, fs *vfs.MemFS, what string, l *ledger) (found int, done bool) {
	t.Helper()
	ctx := context.Background()
	disk := func() *ours.Disk { return &ours.Disk{Dir: "db", FS: fs, Reserve: -1} }
	m, err := start(fs, fs)
	if err != nil && !errors.Is(err, ours.ErrDamaged) {
		t.Errorf("%s: the start says %v", what, err)
		return 0, false
	}
	needed := err != nil
	if err == nil {
		if err := m.Stop(); err != nil {
			t.Logf("%s: %v", what, err)
		}
		if needed, err = ours.NeedsSalvage(ctx, disk()); err != nil {
			t.Errorf("%s: %v", what, err)
		}
	}
	if !needed {
		return 0, false
	}
	if _, err := ours.Salvage(ctx, disk(), silent); err != nil {
		t.Errorf("%s: %v", what, err)
		return 0, false
	}
	if needed, err := ours.NeedsSalvage(ctx, disk()); needed || err != nil {
		t.Errorf("%s: it needs another: %v, %v", what, needed, err)
	}
	if m, err = start(fs, fs); err != nil {
		t.Errorf("%s: the start after it: %v", what, err)
		return 0, false
	}
	defer m.Stop()
	gen, err := m.store.Generation(ctx)
	if err != nil || gen == l.gen {
		t.Errorf("%s: the store goes on with its life: %v", what, err)
	}
	for i, k := range l.keys {
		e, err := m.store.Get(ctx, k.Name)
		switch {
		case errors.Is(err, recordstore.ErrNotFound):
		case err != nil:
			t.Errorf("%s: name %d: %v", what, i, err)
		case recordstoretest.Equal(e, l.acked[i]) != "" || e.Known == gen || e.Entered == gen:
			t.Errorf("%s: name %d came out as nobody wrote it", what, i)
		default:
			found++
		}
		if err == nil { // every name can be written again
			next := k.Entry(t, e.Mark.Sequence+1, recordstoretest.Value(99), recordstore.Own)
			next.Version = e.Version
			if _, err := m.store.Swap(ctx, next, recordstore.Lease{}); err != nil {
				t.Errorf("%s: name %d is not written: %v", what, i, err)
			}
		}
	}
	for d, err := range m.store.Check(ctx) {
		t.Errorf("%s: damage is left: %v, %v", what, d, err)
	}
	return found, true
}

// Whatever the moment of a crash, there is a database afterwards, and a second try
// ends what the first one began.
func TestASalvageThatIsInterruptedLosesNothing(t *testing.T) {
	image, l := damageImage(t, false)
	files, err := image.List("db")
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range files {
		if strings.HasPrefix(name, "MANIFEST") {
			rewrite(t, image, "db/"+name, func(b []byte) []byte { return make([]byte, len(b)) })
		}
	}
	// The last step, between its two renames.
	if _, err := ours.Salvage(context.Background(), &ours.Disk{Dir: "db", FS: image, Reserve: -1}, silent); err != nil {
		t.Fatal(err)
	}
	if err := image.Rename("db", "db.salvaged"); err != nil {
		t.Fatal(err)
	}
	m, err := start(image, image)
	if err != nil {
		t.Fatal(err)
	}
	defer m.Stop()
	for i, k := range l.keys {
		if e, err := m.store.Get(t.Context(), k.Name); err != nil || recordstoretest.Equal(e, l.acked[i]) != "" {
			t.Errorf("name %d: %v", i, err)
		}
	}
}
