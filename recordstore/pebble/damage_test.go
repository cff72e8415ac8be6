package pebble_test

import (
	"bytes"
	"context"
	"errors"
	"io"
	"math/rand/v2"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"

	"github.com/goipns/ipns"
	"github.com/goipns/ipns/recordstore"
	ours "github.com/goipns/ipns/recordstore/pebble"
	"github.com/goipns/ipns/recordstore/recordstoretest"
)

// damageNames is how many names the damaged store has. Unless it was closed, half of them
// are in a table and half in the log.
const damageNames = 120

// TestFlippedBitsAreFoundOrHarmless flips single bits in every file of a store. Every
// value read must then be right, or missing and reported; a record that nobody signed is
// never returned.
//
// There is one exception, which the test counts: the last block of the log of a store
// that was not closed. A flipped bit in it looks like a write torn by a power cut, which
// was never acknowledged. R15.
func TestFlippedBitsAreFoundOrHarmless(t *testing.T) {
	for _, closed := range []bool{true, false} {
		name := "crashed"
		if closed {
			name = "closed"
		}
		t.Run(name, func(t *testing.T) {
			image, l := damageImage(t, closed)
			flipAll(t, image, l, closed)
		})
	}
}

// damageImage returns a disk with a store of some names.
func damageImage(t *testing.T, closed bool) (*vfs.MemFS, *ledger) {
	mem := vfs.NewCrashableMem()
	l := newLedger(t, damageNames)
	m, err := start(mem, mem)
	if err != nil {
		t.Fatal(err)
	}
	for i := range damageNames {
		if i == damageNames/2 {
			if err := m.db.Flush(); err != nil {
				t.Fatal(err)
			}
		}
		if err := l.swap(t, m.store, i); err != nil {
			t.Fatal(err)
		}
	}
	l.gen, _ = m.store.Generation(t.Context())
	image := mem.CrashClone(vfs.CrashCloneCfg{})
	if err := m.Stop(); err != nil {
		t.Fatal(err)
	}
	if closed {
		image = mem.CrashClone(vfs.CrashCloneCfg{})
	}
	return image, l
}

func flipAll(t *testing.T, image *vfs.MemFS, l *ledger, closed bool) {
	perFile := 4
	switch {
	case *long:
		perFile = 2000
	case testing.Short():
		perFile = 1
	}
	begin := time.Now()
	files, err := image.List("db")
	if err != nil {
		t.Fatal(err)
	}
	rng := rand.New(rand.NewPCG(15, 0))
	var all damageCounts
	for _, name := range files {
		c := damageCounts{tornAllowed: !closed && strings.HasSuffix(name, ".log")}
		for range perFile {
			clone := image.CrashClone(vfs.CrashCloneCfg{})
			if !flip(t, clone, "db/"+name, rng) {
				break // an empty file
			}
			c.try(t, clone, name, l)
		}
		if c.flips > 0 {
			t.Logf("%-20s %v", name, c)
		}
		all.add(c)
	}
	t.Logf("%-20s %v, in %v", "all", all, time.Since(begin).Round(time.Millisecond))
	if all.refused+all.partial+all.renewed == 0 {
		t.Error("no damage was done")
	}
}

// flip flips one bit of a file.
func flip(t *testing.T, fs vfs.FS, path string, rng *rand.Rand) bool {
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
	used := len(bytes.TrimRight(b, "\x00")) // a log is allocated longer than needed
	if used == 0 {
		return false
	}
	b[rng.IntN(used)] ^= 1 << rng.IntN(8)
	if f, err = fs.Create(path, vfs.WriteCategoryUnspecified); err == nil {
		_, err = f.Write(b)
		f.Sync()
		f.Close()
	}
	if err != nil {
		t.Fatal(err)
	}
	return true
}

type damageCounts struct {
	flips    int
	harmless int // nothing was lost
	refused  int // the store did not open
	partial  int // some names could not be read, and were reported
	whole    int // a table could not be read or repaired at all
	rebuilt  int // names rebuilt from their history
	missing  int // the most names that one bit made unreadable
	renewed  int // the store noticed that it had lost something
	torn     int // the end of the log was taken for a torn write

	tornAllowed bool
}

func (c damageCounts) String() string {
	var b strings.Builder
	b.WriteString(plural(c.flips, "bit") + ": ")
	b.WriteString(plural(c.harmless, "harmless") + ", " + plural(c.refused, "refused at start") + ", ")
	b.WriteString(plural(c.partial, "detected when read") + " (at most " + plural(c.missing, "name") + " lost to reading), " + plural(c.rebuilt, "name") + " rebuilt")
	if c.whole > 0 {
		b.WriteString(", " + plural(c.whole, "table") + " as a whole")
	}
	if c.renewed > 0 {
		b.WriteString(", " + plural(c.renewed, "noticed by the witness"))
	}
	if c.torn > 0 {
		b.WriteString(", " + plural(c.torn, "taken for a torn write"))
	}
	return b.String()
}

func (c *damageCounts) add(o damageCounts) {
	c.flips += o.flips
	c.harmless += o.harmless
	c.refused += o.refused
	c.partial += o.partial
	c.torn += o.torn
	c.whole += o.whole
	c.rebuilt += o.rebuilt
	c.renewed += o.renewed
	c.missing = max(c.missing, o.missing)
}

func (c *damageCounts) try(t *testing.T, fs *vfs.MemFS, file string, l *ledger) {
	t.Helper()
	c.flips++
	m, err := start(fs, fs)
	if err != nil {
		c.refused++
		return
	}
	defer m.Stop()
	ctx := context.Background()
	gen, err := m.store.Generation(ctx)
	if err != nil {
		t.Fatal(err)
	}
	if gen != l.gen {
		c.renewed++ // later reads may return older data, and the store knows it
		if _, err := fs.Stat("db.aside"); err == nil {
			return
		}
	}
	missing, gone := make(map[int]bool), 0
	for i, k := range l.keys {
		e, err := m.store.Get(ctx, k.Name)
		switch {
		case err == nil && e.Damaged:
			missing[i] = true
			if e.Record != nil && e.Record.Hash() != l.acked[i].Record.Hash() {
				t.Errorf("%s: name %d was rebuilt with a record that nobody wrote", file, i)
			}
			if e.Record != nil {
				c.rebuilt++
			}
			if e.Known == gen {
				t.Errorf("%s: name %d is called known", file, i)
			}
		case err == nil && recordstoretest.Equal(e, l.acked[i]) != "":
			t.Errorf("%s: name %d was read with a record that nobody wrote", file, i)
		case err != nil:
			missing[i] = true
		}
		if errors.Is(err, recordstore.ErrNotFound) {
			if gone++; !c.tornAllowed || i < damageNames/2 {
				t.Errorf("%s: name %d is missing without a report: %v", file, i, err)
			}
		}
	}
	if gone > 0 {
		c.torn++
		return
	}
	scanned := 0
	for e, err := range m.store.Scan(ctx, recordstore.Region{}) {
		if err != nil {
			t.Errorf("%s: scan ended: %v", file, err)
		}
		if err == nil && !e.Name.IsZero() {
			scanned++
		}
	}
	// A scan skips the range of the damaged block, including names in it that can be read
	// one by one.
	if scanned < damageNames/2 && len(missing) < damageNames/2 {
		t.Errorf("%s: scan has %d names, %d of %d can be read one by one", file, scanned, damageNames-len(missing), damageNames)
	}
	reported := c.repair(t, m.store, file, l, missing)
	switch {
	case len(missing) == 0 && reported == 0:
		c.harmless++
	case reported == 0:
		t.Errorf("%s: %d names cannot be read, and Check finds nothing", file, len(missing))
	default:
		c.partial++
		c.missing = max(c.missing, len(missing))
	}
}

// repair repairs what Check finds, and returns how many damages that was. Afterwards
// Check finds nothing, and every name can be written.
func (c *damageCounts) repair(t *testing.T, s *ours.Store, file string, l *ledger, missing map[int]bool) int {
	t.Helper()
	ctx := context.Background()
	check := func() (found []ours.Damage) {
		for d, err := range s.Check(ctx) {
			if err != nil {
				t.Errorf("%s: check ended: %v", file, err)
				break
			}
			found = append(found, d)
		}
		return found
	}
	found := check()
	if len(found) == 0 {
		return 0
	}
	var names []ipns.Name
	records := make(map[int]*ipns.Record)
	for i, k := range l.keys {
		names = append(names, k.Name)
		if e, err := s.Get(ctx, k.Name); err == nil {
			records[i] = e.Record
		}
	}
	for _, d := range found {
		if err := s.Repair(ctx, d, names); err != nil {
			// The index of a table: nothing in it can be read or cut out.
			if len(missing) < len(l.keys)/2 {
				t.Errorf("%s: repair %v: %v", file, d, err)
			}
			c.whole++
			return len(found)
		}
	}
	if left := check(); len(left) > 0 {
		t.Errorf("%s: after the repair: %v", file, left)
	}
	scanned := make(map[ipns.Name]bool)
	for e, err := range s.Scan(ctx, recordstore.Region{}) {
		if err != nil {
			t.Errorf("%s: scan after the repair: %v", file, err)
		}
		scanned[e.Name] = true
	}
	for i, k := range l.keys {
		e, err := s.Get(ctx, k.Name)
		if err != nil || e.Damaged || !scanned[k.Name] {
			t.Errorf("%s: name %d after the repair: %v, damaged %t, scanned %t", file, i, err, e.Damaged, scanned[k.Name])
			continue
		}
		if was := records[i]; was != nil && (e.Record == nil || e.Record.Hash() != was.Hash()) {
			t.Errorf("%s: name %d lost its record by repair", file, i)
		}
		next := k.Entry(t, e.Mark.Sequence+1, recordstoretest.Value(99), recordstore.Own)
		next.Version = e.Version
		if _, err := s.Swap(ctx, next, recordstore.Lease{}); err != nil {
			t.Errorf("%s: name %d is not written after the repair: %v", file, i, err)
		}
	}
	return len(found)
}

func plural(n int, what string) string { return strconv.Itoa(n) + " " + what }
