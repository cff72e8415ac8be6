// Package up measures 'ipns up' of a folder of which one file has changed, beside a first 'ipns up' and 'ipfs add -r' of
// Kubo on the same folder.
package up

import (
	"bytes"
	"crypto/rand"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"testing"
	"time"
)

var (
	ipns  = flag.String("ipns", "", "the binary of ipns; none: nothing is measured")
	ipfs  = flag.String("ipfs", "", "that of Kubo; none: without it")
	flat  = flag.Bool("flat", false, "all files in one folder, which becomes a HAMT")
	files = flag.Int("files", 10_000, "of 2 kB")
	runs  = flag.Int("runs", 5, "of each; medians are printed")
)

// TestUp prints a table. It fails if a changed folder takes longer than a first add.
func TestUp(t *testing.T) {
	if *ipns == "" {
		t.Skip("give a binary with -ipns")
	}
	dir := t.TempDir()
	site := filepath.Join(dir, "site")
	path := func(i int) string {
		if *flat {
			return filepath.Join(site, fmt.Sprint(i))
		}
		return filepath.Join(site, fmt.Sprint(i/100), fmt.Sprint(i%100))
	}
	write := func(i int) {
		t.Helper()
		b := make([]byte, 2000)
		_, _ = rand.Read(b) // it never fails
		if err := os.MkdirAll(filepath.Dir(path(i)), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path(i), b, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	for i := range *files {
		write(i)
	}
	run := func(repo, bin string, args ...string) time.Duration {
		t.Helper()
		cmd := exec.Command(bin, args...)
		cmd.Env = append(os.Environ(), "IPNS_PATH="+repo, "IPFS_PATH="+repo, "HOME="+dir)
		var out bytes.Buffer
		cmd.Stdout, cmd.Stderr = &out, &out
		begin := time.Now()
		if err := cmd.Run(); err != nil {
			t.Fatalf("%s %q: %v\n%s", bin, args, err, out.String())
		}
		return time.Since(begin)
	}
	times := map[string][]time.Duration{}
	note := func(what string, d time.Duration) { times[what] = append(times[what], d) }
	ours := filepath.Join(dir, "ours")
	run(ours, *ipns, "init", "--profile", "test")
	run(ours, *ipns, "--offline", "up", "--once", site)
	time.Sleep(3 * time.Second) // until no file is too new to be trusted
	for n := range *runs {
		first := filepath.Join(dir, fmt.Sprint("first", n))
		run(first, *ipns, "init", "--profile", "test")
		note("first up", run(first, *ipns, "--offline", "up", "--once", site))
		if err := os.RemoveAll(first); err != nil {
			t.Fatal(err)
		}
		if *ipfs != "" {
			kubo := filepath.Join(dir, fmt.Sprint("kubo", n))
			run(kubo, *ipfs, "init", "--profile", "test")
			note("ipfs add -r", run(kubo, *ipfs, "add", "-r", "-Q", "--cid-version=1", site))
			write(n)
			note("ipfs add -r, one file changed", run(kubo, *ipfs, "add", "-r", "-Q", "--cid-version=1", site))
			if err := os.RemoveAll(kubo); err != nil {
				t.Fatal(err)
			}
		}
		write(*files/2 + n)
		note("up, one file changed", run(ours, *ipns, "--offline", "up", "--once", site))
		note("up, unchanged", run(ours, *ipns, "--offline", "up", "--once", site))
	}
	median := func(what string) time.Duration {
		slices.Sort(times[what])
		return times[what][len(times[what])/2]
	}
	for what := range times {
		t.Logf("%-32s %v", what, median(what).Round(time.Millisecond))
	}
	if changed, first := median("up, one file changed"), median("first up"); changed > first {
		t.Errorf("a changed folder takes %v, a first one %v", changed, first)
	}
}
