package pebble_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/cockroachdb/pebble/v2/vfs/errorfs"

	"github.com/goipns/ipns/recordstore"
	ours "github.com/goipns/ipns/recordstore/pebble"
	"github.com/goipns/ipns/recordstore/recordstoretest"
)

// ledger is what a client was told about some names.
type ledger struct {
	keys  []recordstoretest.Key
	acked map[int]recordstore.Entry
	doubt map[int]recordstore.Entry // swaps with an unknown outcome
	tell  io.Writer                 // if set, gets a line for each swap acknowledged or in doubt
	gen   recordstore.Generation    // of the store, if it matters
}

func newLedger(t testing.TB, names int) *ledger {
	l := &ledger{acked: make(map[int]recordstore.Entry), doubt: make(map[int]recordstore.Entry)}
	for i := range names {
		l.keys = append(l.keys, recordstoretest.KeyFromSeed(t, uint64(i)))
	}
	return l
}

// swap writes the next version of name i.
func (l *ledger) swap(t testing.TB, s recordstore.Store, i int) error {
	last := l.acked[i].Version
	next := l.keys[i].Entry(t, last+1, recordstoretest.Value(int(last+1)), recordstore.Own)
	next.Version = last
	before, doubtful := l.doubt[i]
	l.doubt[i] = next
	l.say("doubt", i, last+1)
	stored, err := s.Swap(context.Background(), next, recordstore.Lease{})
	if err == nil {
		l.acked[i] = stored
		l.say("ack", i, stored.Version)
	}
	switch {
	case err == nil:
		delete(l.doubt, i)
	case !errors.Is(err, recordstore.ErrFull) || errors.Is(err, recordstore.ErrDoubt):
	case doubtful:
		l.doubt[i] = before // refused: the earlier swap is still in doubt
	default:
		delete(l.doubt, i)
	}
	return err
}

func (l *ledger) say(what string, i int, version uint64) {
	if l.tell != nil {
		fmt.Fprintln(l.tell, what, i, version)
	}
}

// told enters a line that another process wrote.
func (l *ledger) told(t testing.TB, acked bool, i int, version uint64) {
	e := l.keys[i].Entry(t, version, recordstoretest.Value(int(version)), recordstore.Own)
	if e.Version = version; acked {
		l.acked[i] = e
		delete(l.doubt, i)
		return
	}
	e.Version--
	l.doubt[i] = e
}

// check compares a store with what the client was told.
func (l *ledger) check(s recordstore.Store) error {
	for i, k := range l.keys {
		e, err := s.Get(context.Background(), k.Name)
		if err != nil && !errors.Is(err, recordstore.ErrNotFound) {
			return fmt.Errorf("name %d: %w", i, err)
		}
		if recordstoretest.Equal(e, l.acked[i]) == "" {
			continue
		}
		d, doubtful := l.doubt[i]
		d.Version++
		if !doubtful || recordstoretest.Equal(e, d) != "" {
			return fmt.Errorf("name %d: version %d was acknowledged, stored is %d", i, l.acked[i].Version, e.Version)
		}
	}
	return nil
}

// The environment that makes a test process the child of TestErrorAtEachCallLosesNothing.
const (
	faultDir  = "FAULT_DIR"
	faultCall = "FAULT_CALL"
)

// TestErrorAtEachCallLosesNothing makes the n-th file system call fail, for every n, each
// in its own process. What that process acknowledged is stored afterwards, whether it
// continued or ended. R14.
func TestErrorAtEachCallLosesNothing(t *testing.T) {
	if os.Getenv(faultDir) != "" {
		faultChild(t)
		return
	}
	t.Parallel() // it mostly waits
	step := 6
	switch {
	case *long:
		step = 1
	case testing.Short():
		step = 10
	}
	begin := time.Now()
	var runs, ended, refused, unfaulted int
	for n := 1; unfaulted == 0; n += step {
		l := newLedger(t, 4)
		dir := t.TempDir()
		out, err := faultRun(t, dir, n)
		if err != nil {
			ended++
		}
		for line := range strings.Lines(out) {
			switch f := strings.Fields(line); {
			case len(f) == 3 && (f[0] == "ack" || f[0] == "doubt"):
				i, _ := strconv.Atoi(f[1])
				v, _ := strconv.Atoi(f[2])
				l.told(t, f[0] == "ack", i, uint64(v))
			case len(f) > 0 && f[0] == "refused:":
				refused++
			case len(f) > 0 && f[0] == "unfaulted":
				unfaulted++
			}
		}
		runs++
		disk := &ours.Disk{Dir: dir, Reserve: -1}
		db, err := ours.OpenDB(t.Context(), disk, silent)
		if err != nil {
			t.Fatalf("fault at call %d: does not start again: %v\n%s", n, err, out)
		}
		s, err := ours.New(db, ours.Options{Disk: disk, Log: silent})
		if err != nil {
			t.Fatalf("fault at call %d: %v\n%s", n, err, out)
		}
		if err := l.check(s); err != nil {
			t.Fatalf("fault at call %d: %v\n%s", n, err, out)
		}
		if err := l.again(t, s); err != nil {
			t.Fatalf("fault at call %d: no write after the next start: %v\n%s", n, err, out)
		}
		if err := errors.Join(s.Close(), db.Close()); err != nil {
			t.Fatal(err)
		}
	}
	t.Logf("a fault at every %dth call: %d runs, %d with an error to the client, %d ended the process, 0 lies, in %v",
		step, runs-1, refused, ended, time.Since(begin).Round(time.Millisecond))
	if refused == 0 || ended == 0 {
		t.Error("the faults did not reach the store")
	}
}

// faultRun runs the operations in another process.
func faultRun(t *testing.T, dir string, n int) (string, error) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	cmd := exec.CommandContext(ctx, os.Args[0], "-test.run=^TestErrorAtEachCallLosesNothing$")
	cmd.Env = append(os.Environ(), faultDir+"="+dir, faultCall+"="+strconv.Itoa(n))
	out, err := cmd.CombinedOutput()
	if ctx.Err() != nil {
		t.Fatalf("fault at call %d: neither an error nor an end\n%s", n, out)
	}
	return string(out), err
}

func faultChild(t *testing.T) {
	n, err := strconv.ParseInt(os.Getenv(faultCall), 10, 64)
	if err != nil {
		t.Fatal(err)
	}
	var calls atomic.Int64
	fs := errorfs.Wrap(vfs.Default, errorfs.InjectorFunc(func(op errorfs.Op) error {
		if calls.Add(1) == n {
			return fmt.Errorf("fault at call %d, %v: %w", n, op.Kind, errorfs.ErrInjected)
		}
		return nil
	}))
	l := newLedger(t, 4)
	l.tell = os.Stdout
	if err := twelveOperations(t, fs, os.Getenv(faultDir), l); err != nil {
		fmt.Println("refused:", err)
	}
	if calls.Load() < n {
		fmt.Println("unfaulted")
	}
}

// twelveOperations opens a store, uses each of its operations, and closes it. It
// continues after an error, as a client would, and returns the first one.
func twelveOperations(t testing.TB, fs vfs.FS, dir string, l *ledger) (first error) {
	disk := &ours.Disk{Dir: dir, FS: fs, Reserve: -1}
	go func() { // as the owner of a store does
		<-disk.Failed()
		fmt.Println("ended: the database has failed")
		os.Exit(2)
	}()
	db, err := ours.OpenDB(t.Context(), disk, silent)
	if err != nil {
		return err
	}
	s, err := ours.New(db, ours.Options{Disk: disk, Log: silent})
	if err != nil {
		return errors.Join(err, db.Close())
	}
	ctx, name := context.Background(), l.keys[0].Name
	note := func(err error) {
		if err != nil && first == nil {
			first = err
		}
	}
	for _, op := range []func() error{
		func() error { return l.swap(t, s, 0) },
		func() error { return l.swap(t, s, 1) },
		func() error { return s.SetUpkeep(ctx, recordstore.Upkeep{Name: name, Holders: 1}) },
		func() error { return l.swap(t, s, 0) },
		func() error { return s.SetSeen(ctx, recordstore.SeenMark{Name: name, Mark: l.acked[0].Mark}) },
		func() error { return s.Sync(ctx) },
		func() error { return db.Flush() },
		func() error { return l.swap(t, s, 2) },
		func() error { _, err := s.Get(ctx, name); return err },
		func() error { return s.Renew() },
		func() error { return db.Compact(ctx, []byte{0}, []byte{255}, false) },
		func() error { return l.swap(t, s, 1) },
	} {
		note(op())
	}
	s.Close()
	note(db.Close())
	return first
}

// again swaps every name, after finding out the outcome of the swaps in doubt.
func (l *ledger) again(t testing.TB, s recordstore.Store) error {
	for i, k := range l.keys {
		if err := l.check(s); err != nil {
			return err
		}
		e, err := s.Get(context.Background(), k.Name)
		if err == nil {
			l.acked[i] = e
		}
		if err := l.swap(t, s, i); err != nil {
			return err
		}
	}
	return nil
}
