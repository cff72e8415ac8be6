package pebble_test

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"

	"github.com/goipns/ipns/recordstore"
	ours "github.com/goipns/ipns/recordstore/pebble"
	"github.com/goipns/ipns/recordstore/recordstoretest"
)

func hangingMachine(t *testing.T) (m *machine, hold func() (release func())) {
	t.Helper()
	held := make(chan struct{}, 1000)
	for range 200 {
		held <- struct{}{}
	}
	m, err := start(vfs.NewMem(), hangingFS{vfs.NewMem(), held})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := m.Stop(); err != nil {
			t.Error(err)
		}
	})
	return m, func() func() {
		for len(held) > 0 {
			<-held
		}
		return func() { close(held) }
	}
}

func TestDoubtThatLandsLaterIsTold(t *testing.T) {
	t.Parallel() // it mostly waits
	m, hold := hangingMachine(t)
	recordstoretest.Doubt(t, m.store, hold)
}

// read returns the changes after a position: the least there must be, and what comes right after
// them.
func read(t *testing.T, s recordstore.Store, since recordstore.Position, least int) (list []recordstore.Change) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	wait := func() time.Duration {
		if len(list) < least {
			return patience
		}
		return 200 * time.Millisecond
	}
	end := time.AfterFunc(wait(), cancel)
	defer end.Stop()
	for c, err := range s.Changes(ctx, since) {
		if err != nil {
			if !errors.Is(err, context.Canceled) {
				t.Fatal(err)
			}
			break
		}
		list = append(list, c)
		end.Reset(wait())
	}
	if len(list) < least {
		t.Fatalf("%d changes since %s, want %d", len(list), since, least)
	}
	return list
}

// patience is how long something may take on a busy machine that takes no time on another.
const patience = 2 * time.Minute

// TestReaderWaitsForAChangeThatMayComeBack: a swap that is not durable yet replaces a
// change that was not read. A reader that went past it would miss that change after a
// crash.
func TestReaderWaitsForAChangeThatMayComeBack(t *testing.T) {
	t.Parallel() // it mostly waits
	m, hold := hangingMachine(t)
	begin := read(t, m.store, "", 1)[0].Position
	one, two := recordstoretest.KeyFromSeed(t, 1), recordstoretest.KeyFromSeed(t, 2)
	var first recordstore.Entry
	for _, k := range []recordstoretest.Key{two, one} {
		e, err := m.store.Swap(t.Context(), k.Entry(t, 1, recordstoretest.Value(1), recordstore.Own), recordstore.Lease{})
		if err != nil {
			t.Fatal(err)
		}
		if k.Name == two.Name {
			first = e
		}
	}
	release := hold()
	next := two.Entry(t, 2, recordstoretest.Value(2), recordstore.Own)
	next.Version = first.Version
	recordstoretest.SwapInDoubt(t, m.store, next)
	if list := read(t, m.store, begin, 0); len(list) != 0 {
		t.Errorf("%d changes were read past one that may come back", len(list))
	}
	release()
	if list := read(t, m.store, begin, 2); len(list) != 2 || list[1].Entry.Version != 2 {
		t.Fatalf("changes: %+v", list)
	}
}

// onDisk opens a store in a directory.
func onDisk(t *testing.T, dir string) (s *ours.Store, stop func()) {
	t.Helper()
	disk := &ours.Disk{Dir: filepath.Join(dir, "db"), Reserve: -1}
	db, err := ours.OpenDB(t.Context(), disk, silent)
	if err != nil {
		t.Fatal(err)
	}
	if s, err = ours.New(db, ours.Options{Disk: disk, Log: silent, Witness: filepath.Join(dir, "witness")}); err != nil {
		t.Fatal(err)
	}
	return s, func() {
		if err := errors.Join(s.Close(), db.Close()); err != nil {
			t.Error(err)
		}
	}
}

// TestPositionsOutliveARestart, even when the name changed last was forgotten, and no
// position is given out twice.
func TestPositionsOutliveARestart(t *testing.T) {
	t.Parallel() // it mostly waits
	dir := t.TempDir()
	s, stop := onDisk(t, dir)
	swap := func(seed uint64, origin recordstore.Origin) recordstore.Entry {
		t.Helper()
		e, err := s.Swap(t.Context(), recordstoretest.KeyFromSeed(t, seed).Entry(t, 1, recordstoretest.Value(1), origin), recordstore.Lease{})
		if err != nil {
			t.Fatal(err)
		}
		return e
	}
	swap(1, recordstore.Own)
	last := swap(2, recordstore.Hosted)
	begin := read(t, s, "", 1)[0].Position
	if _, err := s.Swap(t.Context(), recordstore.Entry{Name: last.Name, Origin: recordstore.Seen, Version: last.Version}, recordstore.Lease{}); err != nil {
		t.Fatal(err)
	}
	for seed := uint64(3); seed < 6; seed++ {
		stop()
		s, stop = onDisk(t, dir)
		e := swap(seed, recordstore.Own)
		list := read(t, s, begin, 1)
		if len(list) != 1 || list[0].Entry.Name != e.Name {
			t.Fatalf("after restart %d: %d changes", seed-2, len(list))
		}
		begin = list[0].Position
	}
	// A copy is another generation.
	stop()
	if err := os.Remove(filepath.Join(dir, "witness")); err != nil {
		t.Fatal(err)
	}
	s, stop = onDisk(t, dir)
	defer stop()
	for _, err := range s.Changes(t.Context(), begin) {
		if !errors.Is(err, recordstore.ErrGap) {
			t.Fatalf("a position from before the restoration: %v", err)
		}
	}
}

// killedEnv makes the test binary write to a store until it is killed.
const killedEnv = "IPNS_TEST_KILLED_WRITER"

// TestKilledWriter is the process that is killed.
func TestKilledWriter(t *testing.T) {
	dir := os.Getenv(killedEnv)
	if dir == "" {
		t.Skip("run by TestPositionsOutliveAKill in a separate process")
	}
	s, _ := onDisk(t, dir)
	fmt.Println("at", read(t, s, "", 1)[0].Position)
	for i := uint64(0); ; i++ {
		k := recordstoretest.KeyFromSeed(t, i%8)
		e, err := s.Get(t.Context(), k.Name)
		if err != nil && !errors.Is(err, recordstore.ErrNotFound) {
			t.Fatal(err)
		}
		next := k.Entry(t, i, recordstoretest.Value(int(i)), recordstore.Own)
		next.Version = e.Version
		if e, err = s.Swap(t.Context(), next, recordstore.Lease{}); err != nil {
			t.Fatal(err)
		}
		fmt.Println("swapped", i, e.Version)
	}
}

// TestPositionsOutliveAKill resumes from an old position after kill -9, and gets every
// name that was swapped since.
func TestPositionsOutliveAKill(t *testing.T) {
	t.Parallel() // it mostly waits
	dir := t.TempDir()
	for round := range 3 {
		cmd := exec.CommandContext(t.Context(), os.Args[0], "-test.run=^TestKilledWriter$")
		cmd.Env = append(os.Environ(), killedEnv+"="+dir)
		out, err := cmd.StdoutPipe()
		if err != nil {
			t.Fatal(err)
		}
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		var at recordstore.Position
		versions := make(map[uint64]uint64)
		swaps := 0
		for lines := bufio.NewScanner(out); lines.Scan(); {
			var i, version uint64
			if p, ok := strings.CutPrefix(lines.Text(), "at "); ok {
				at = recordstore.Position(p)
			} else if n, _ := fmt.Sscanf(lines.Text(), "swapped %d %d", &i, &version); n == 2 {
				versions[i%8] = version
				if swaps++; swaps == 40+round {
					break
				}
			}
		}
		if err := cmd.Process.Kill(); err != nil {
			t.Fatal(err)
		}
		_ = cmd.Wait() // was killed
		if swaps == 0 || at == "" {
			t.Fatal("nothing was written")
		}
		s, stop := onDisk(t, dir)
		told := make(map[string]uint64)
		for _, c := range read(t, s, at, len(versions)) {
			told[c.Entry.Name.String()] = c.Entry.Version
		}
		for seed, version := range versions {
			if name := recordstoretest.KeyFromSeed(t, seed).Name.String(); told[name] < version {
				t.Errorf("round %d: told of version %d of name %d, which has at least %d", round, told[name], seed, version)
			}
		}
		stop()
	}
}
