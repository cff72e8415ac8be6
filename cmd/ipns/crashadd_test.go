package main

import (
	"bytes"
	"flag"
	"io/fs"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"
)

var addCrashRounds = flag.Int("add-crash-rounds", 10, "how often TestKilledAddAndCollectionLoseNothing kills an add and a collection")

// TestKilledAddAndCollectionLoseNothing kills adds and collections of garbage at random moments. What was acknowledged
// is there afterwards, all blocks are whole, and the next collection leaves nothing that nothing needs.
func TestKilledAddAndCollectionLoseNothing(t *testing.T) {
	t.Parallel() // it waits for other processes
	rounds := *addCrashRounds
	if testing.Short() {
		rounds = 3
	}
	repo, site := t.TempDir(), filepath.Join(t.TempDir(), "site")
	runIpns(t, repo, "init", "--profile", "test")
	empty := diskBytes(t, repo)
	rng := rand.New(rand.NewPCG(1, 2))
	source := rand.NewChaCha8([32]byte{1})
	change := func() { // large files make packs, small ones too if they are many
		for i := range 40 {
			if i > 8 && rng.IntN(2) == 0 {
				continue
			}
			body := make([]byte, []int{900_000, 3000}[min(i/8, 1)])
			_, _ = source.Read(body) // never fails
			name := filepath.Join(site, strconv.Itoa(i%3), strconv.Itoa(i))
			if err := os.MkdirAll(filepath.Dir(name), 0o755); err != nil {
				t.Fatal(err)
			}
			if err := os.WriteFile(name, body, 0o644); err != nil {
				t.Fatal(err)
			}
		}
	}
	// killed runs a command that is killed before long, unless it is faster, and returns what it said to the end.
	longest := 500 * time.Millisecond
	killed := func(args ...string) (out string, ended bool) {
		cmd := ipnsCommand(t, repo, args...)
		var b bytes.Buffer
		cmd.Stdout = &b
		start := time.Now()
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		timer := time.AfterFunc(time.Duration(rng.Int64N(int64(longest))), func() { _ = cmd.Process.Kill() })
		err := cmd.Wait()
		timer.Stop()
		if err == nil {
			longest = min(2*time.Second, time.Since(start)*5/4)
		}
		return strings.TrimSpace(b.String()), err == nil
	}
	var acked []string
	kills, adds := 0, 0
	for range rounds {
		change()
		if root, ended := killed("add", "-r", "-Q", site); ended {
			acked = append(acked, root)
			adds++
		} else {
			kills++
			longest = min(2*time.Second, longest*5/4) // until some get through
		}
		checkContent(t, repo, acked)
		if len(acked) > 2 {
			runIpns(t, repo, "pin", "rm", acked[0])
			acked = acked[1:]
		}
		if _, ended := killed("repo", "gc", "-q"); !ended {
			kills++
		}
		checkContent(t, repo, acked)
		if t.Failed() {
			return
		}
	}
	if len(acked) == 0 {
		acked = append(acked, runIpns(t, repo, "add", "-r", "-Q", site))
	}
	runIpns(t, repo, "repo", "gc", "-q")
	checkContent(t, repo, acked)
	// A kill may also come between the pin and its acknowledgement.
	acked = strings.Fields(runIpns(t, repo, "pin", "ls", "-t", "recursive", "-q"))
	local := strings.Fields(runIpns(t, repo, "refs", "local"))
	needed := strings.Fields(runIpns(t, repo, append([]string{"refs", "-r", "-u"}, acked...)...))
	needed = append(needed, acked...)
	slices.Sort(needed)
	if needed = slices.Compact(needed); len(local) != len(needed) {
		t.Errorf("%d blocks after a collection, and %d are needed: %v", len(local), len(needed), acked)
	}
	for _, root := range strings.Fields(runIpns(t, repo, "pin", "ls", "-t", "recursive", "-q")) {
		runIpns(t, repo, "pin", "rm", root)
	}
	runIpns(t, repo, "repo", "gc", "-q")
	if left := strings.Fields(runIpns(t, repo, "refs", "local")); len(left) > 0 {
		t.Errorf("%d blocks that nothing needs", len(left))
	}
	if n := diskBytes(t, repo); n > empty+8<<20 {
		t.Errorf("%d bytes on disk when all is deleted, %d before", n, empty)
	}
	t.Logf("%d kills, %d adds acknowledged", kills, adds)
}

// checkContent fails if a block is damaged, or a tree that was acknowledged is not pinned and whole.
func checkContent(t *testing.T, repo string, acked []string) {
	t.Helper()
	runIpns(t, repo, "repo", "verify")
	pins := runIpns(t, repo, "pin", "ls", "-t", "recursive", "-q")
	for _, root := range acked {
		if !strings.Contains(pins, root) {
			t.Errorf("%s was acknowledged, and is not pinned", root)
		}
	}
	if out := runIpns(t, repo, "pin", "verify"); strings.Contains(out, "broken") {
		t.Errorf("pin verify: %s", out)
	}
}

// diskBytes adds up the sizes of the files in a folder.
func diskBytes(t *testing.T, dir string) (n int64) {
	t.Helper()
	err := filepath.WalkDir(dir, func(_ string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		info, err := d.Info()
		if err == nil && info.Mode().IsRegular() {
			n += info.Size()
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return n
}
