//go:build unix

package cluster_test

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/goipns/ipns/internal/cluster"
	"github.com/goipns/ipns/internal/keyspace"
	"github.com/goipns/ipns/recordstore"
	"github.com/goipns/ipns/recordstore/postgres"
	"github.com/goipns/ipns/recordstore/postgres/pgtest"
	"github.com/goipns/ipns/recordstore/recordstoretest"
	"github.com/goipns/ipns/routing"
)

const (
	childStore = "IPNS_TEST_CLUSTER_STORE"
	childTTL   = 2 * time.Second
)

// TestMain runs the other daemon of TestADaemonThatWasStoppedWritesNothing in a process of
// its own.
func TestMain(m *testing.M) {
	if url := os.Getenv(childStore); url != "" {
		if err := work(url); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		return
	}
	os.Exit(m.Run())
}

// work holds sectors, swaps a name under its lease as often as it can, and prints each time
// what it was allowed to begin. It never ends by itself.
func work(url string) error {
	ctx := context.Background()
	s, err := postgres.Open(ctx, url, postgres.Options{})
	if err != nil {
		return err
	}
	m := cluster.New(s, s.Rows(), cluster.SinceBoot)
	m.Daemon.Takes, m.TTL = true, childTTL
	go func() { _ = m.Run(ctx) }()
	name := recordstoretest.KeyFromSeed(new(testing.T), 1).Name
	region := keyspace.RegionOf(name.Kad(), 6)
	for {
		under, done := m.Under(ctx, region)
		lease, held := m.Held(region)
		for held && routing.Allowed(under) == nil {
			// What follows may begin: its time is that of this check.
			begun := cluster.SinceBoot()
			fmt.Println("begins", lease.Epoch, begun.Nanoseconds())
			e, err := s.Get(ctx, name)
			if errors.Is(err, recordstore.ErrNotFound) {
				e, err = recordstore.Entry{Name: name, Origin: recordstore.Own}, nil
			}
			if err == nil {
				_, err = s.Swap(ctx, e, lease)
			}
			switch {
			case err == nil:
				fmt.Println("swapped", lease.Epoch, cluster.SinceBoot().Nanoseconds())
			case errors.Is(err, recordstore.ErrLease), errors.Is(err, recordstore.ErrConflict):
			default:
				return err
			}
			time.Sleep(time.Millisecond)
		}
		done()
		time.Sleep(time.Millisecond)
	}
}

// said is a line of the other process.
type said struct {
	what  string
	epoch uint64
	at    time.Duration // by the clock that all processes of the machine share
}

// A daemon in a process of its own is stopped (SIGSTOP) for longer than its lease lasts while
// it writes as fast as it can. Another takes its sectors over; what the first is told to go on
// with (SIGCONT) writes nothing under the old lease, and begins at most the one thing that it
// had checked before it was stopped.
func TestADaemonThatWasStoppedWritesNothing(t *testing.T) {
	url := pgtest.Start(t).Database(t)
	child := exec.Command(os.Args[0])
	child.Env = append(os.Environ(), childStore+"="+url)
	child.Stderr = os.Stderr
	out, err := child.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := child.Start(); err != nil {
		t.Fatal(err)
	}
	defer func() { _ = child.Process.Kill(); _ = child.Wait() }()
	lines := make(chan said, 1<<16)
	go func() {
		defer close(lines)
		for in := bufio.NewScanner(out); in.Scan(); {
			f := strings.Fields(in.Text())
			if len(f) != 3 {
				continue
			}
			epoch, _ := strconv.ParseUint(f[1], 10, 64)
			at, _ := strconv.ParseInt(f[2], 10, 64)
			lines <- said{f[0], epoch, time.Duration(at)}
		}
	}()
	for first := range lines { // until it swaps
		if first.what == "swapped" {
			break
		}
	}
	s, err := postgres.Open(t.Context(), url, postgres.Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	name := recordstoretest.KeyFromSeed(t, 1).Name
	region := keyspace.RegionOf(name.Kad(), 6)
	rounds := 3
	if testing.Short() {
		rounds = 1
	}
	for range rounds {
		if err := child.Process.Signal(syscall.SIGSTOP); err != nil {
			t.Fatal(err)
		}
		stopped := cluster.SinceBoot()
		// As another daemon does: at once when the lease has ended.
		var lease recordstore.Lease
		for lease.Epoch == 0 {
			got, err := s.Lease(t.Context(), "other", recordstore.MaxLease, region)
			if err != nil {
				t.Fatal(err)
			}
			if len(got) == 1 {
				lease = got[0]
			}
			time.Sleep(10 * time.Millisecond)
		}
		taken := cluster.SinceBoot()
		t.Logf("taken over %v after it was stopped", taken-stopped)
		before, err := s.Get(t.Context(), name)
		if err != nil {
			t.Fatal(err)
		}
		if err := child.Process.Signal(syscall.SIGCONT); err != nil {
			t.Fatal(err)
		}
		time.Sleep(time.Second) // it has time to do wrong
		after, err := s.Get(t.Context(), name)
		if err != nil || after.Version != before.Version {
			t.Fatalf("the daemon that was stopped has written: version %d, then %d, %v", before.Version, after.Version, err)
		}
		began := 0
		for more := true; more; {
			select {
			case l, ok := <-lines:
				if !ok {
					t.Fatal("the daemon has ended")
				}
				if l.at > taken && l.epoch < lease.Epoch {
					if l.what == "begins" { // it may also hear of what was committed before it was stopped
						began++
					}
				}
			default:
				more = false
			}
		}
		if began > 1 {
			t.Errorf("it began %d things after its lease had ended", began)
		}
		if err := s.Release(t.Context(), lease); err != nil {
			t.Fatal(err)
		}
		deadline := time.After(3 * time.Minute)
		for again := false; !again; { // it comes back under a higher epoch
			select {
			case l, ok := <-lines:
				if !ok {
					t.Fatal("the daemon has ended")
				}
				again = l.what == "swapped" && l.epoch > lease.Epoch
			case <-deadline:
				t.Fatal("the daemon does not come back")
			}
		}
	}
}
