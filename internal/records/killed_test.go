package records

import (
	"bufio"
	"context"
	"errors"
	"flag"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"testing"
	"time"

	"github.com/goipns/ipns/internal/repo"
	"github.com/goipns/ipns/internal/storemove"
	"github.com/goipns/ipns/recordstore/postgres"
	"github.com/goipns/ipns/recordstore/postgres/pgtest"
)

var kills = flag.Int("kills", 10, "how often a move of names is killed")

// steps is how many a move has.
const steps = 11

// childEnv makes the test binary a process that moves the names of a repo.
const childEnv = "IPNS_TEST_MOVE"

func TestMain(m *testing.M) {
	if dir := os.Getenv(childEnv); dir != "" {
		if err := child(repo.Repo(dir), os.Args[1]); err != nil {
			fmt.Println(err)
			os.Exit(1)
		}
		os.Exit(0)
	}
	os.Exit(m.Run())
}

// child moves the names. It says which step it begins, so that who kills it knows.
func child(r repo.Repo, to string) error {
	lock, err := r.Lock()
	if err != nil {
		return err
	}
	defer lock.Unlock()
	tell := func(step string) error { _, err := fmt.Println(step); return err }
	slow := func(storemove.Progress) { time.Sleep(time.Millisecond) }
	_, err = Move(context.Background(), r, to, MoveOptions{Tell: slow, Step: tell})
	if errors.Is(err, ErrThere) {
		return nil
	}
	return err
}

// TestAKilledMoveGoesOn kills a process that moves names, to a database and back, at any
// moment. There is never more than one store in use, and nothing is lost. -kills=200 is the
// long form.
func TestAKilledMoveGoesOn(t *testing.T) {
	url, r := pgtest.Start(t).Database(t), newConfigured(t)
	if err := use(t, r, func(s *Store) { round(t, s, 120) }); err != nil {
		t.Fatal(err)
	}
	killed, complete := 0, 0
	for to, back := url, ""; killed < *kills; to, back = back, to {
		var before string
		if err := use(t, r, func(s *Store) { round(t, s, 120); before = all(t, s) }); err != nil {
			t.Fatal(err)
		}
		for {
			cmd := exec.Command(os.Args[0], to)
			cmd.Env = append(os.Environ(), childEnv+"="+string(r))
			out, err := cmd.StdoutPipe()
			if err == nil {
				err = cmd.Start()
			}
			if err != nil {
				t.Fatal(err)
			}
			lines := bufio.NewScanner(out)
			for range rand.N(steps + 2) {
				lines.Scan()
			}
			time.Sleep(rand.N(20 * time.Millisecond))
			if killed < *kills { // else it goes on undisturbed
				_ = cmd.Process.Kill()
			}
			for lines.Scan() {
			}
			if err = cmd.Wait(); err == nil {
				complete++
				break
			}
			var exit *exec.ExitError
			if !errors.As(err, &exit) || exit.Exited() {
				t.Fatalf("to %q, after %d kills: %v", to, killed, err)
			}
			killed++
			err = With(t.Context(), r, Options{Store: storeOf(t, r)}, func(*Store) error { return nil })
			switch {
			case err == nil, errors.Is(err, ErrMoving), errors.Is(err, postgres.ErrMoved), errors.Is(err, ErrElsewhere), errors.Is(err, ErrLeft):
			default:
				t.Fatal(err)
			}
			if n := inUse(t, r, url); n > 1 {
				t.Fatalf("to %q: %d stores can be used", to, n)
			}
		}
		if err := use(t, r, func(s *Store) {
			if after := all(t, s); after != before {
				t.Errorf("to %q, after %d kills: before\n%s\nafter\n%s", to, killed, before, after)
			}
		}); err != nil {
			t.Fatal(err)
		}
	}
	t.Logf("%d kills in %d moves", killed, complete)
}
