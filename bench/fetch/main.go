// Command fetch measures how fast a real Kubo fetches a site by 'ipfs get': from a daemon of
// ours, and from a Kubo daemon with the same site, in turn. bench/README.md keeps the results.
//
// Each fetch is that of a new daemon with an empty repo, connected with the one that has the
// site and with nobody else. All are processes on this machine.
package main

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"flag"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"time"
)

const (
	readyLimit = time.Minute      // for a daemon to start
	stopLimit  = 20 * time.Second // and to stop
	getLimit   = 5 * time.Minute
)

type config struct {
	kubo, ipns   string // programs
	megabytes    int
	files        int
	rounds       int
	dir          string
	site, out    string
	ours, theirs *daemon
}

func main() {
	var c config
	flag.StringVar(&c.kubo, "kubo", "ipfs", "Kubo's program")
	flag.StringVar(&c.ipns, "ipns", "", "ours (default: built now)")
	flag.IntVar(&c.megabytes, "mb", 200, "megabytes of the site")
	flag.IntVar(&c.files, "files", 200, "files of the site, of one size")
	flag.IntVar(&c.rounds, "rounds", 5, "fetches from each")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	if err := c.run(ctx); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func (c *config) run(ctx context.Context) (err error) {
	if c.dir, err = os.MkdirTemp("", "fetch-"); err != nil {
		return err
	}
	defer os.RemoveAll(c.dir)
	c.site, c.out = filepath.Join(c.dir, "site"), filepath.Join(c.dir, "out")
	if err := c.makeSite(); err != nil {
		return err
	}
	if c.ipns == "" {
		c.ipns = filepath.Join(c.dir, "ipns")
		if out, err := exec.CommandContext(ctx, "go", "build", "-o", c.ipns, "github.com/goipns/ipns/cmd/ipns").CombinedOutput(); err != nil {
			return fmt.Errorf("build ipns: %w\n%s", err, out)
		}
	}
	var cids []string
	for _, d := range []**daemon{&c.ours, &c.theirs} {
		program, name := c.ipns, "ours"
		if d == &c.theirs {
			program, name = c.kubo, "kubo"
		}
		*d = &daemon{program: program, repo: filepath.Join(c.dir, name)}
		if err := (*d).init(ctx); err != nil {
			return err
		}
		cid, err := (*d).run(ctx, "add", "-rQ", "--cid-version=1", c.site)
		if err != nil {
			return err
		}
		cids = append(cids, cid)
		if err := (*d).start(ctx); err != nil {
			return err
		}
		defer func() { err = errors.Join(err, (*d).stop()) }()
	}
	if cids[0] != cids[1] {
		return fmt.Errorf("one site has two CIDs: %s and %s", cids[0], cids[1])
	}
	return c.measure(ctx, cids[0])
}

// measure prints a line for each round, and the medians.
func (c *config) measure(ctx context.Context, cid string) error {
	var ours, theirs []time.Duration
	for i := range c.rounds {
		pair := []*daemon{c.ours, c.theirs}
		if i%2 == 1 {
			slices.Reverse(pair) // who comes second finds a warmer machine
		}
		for _, from := range pair {
			took, err := c.fetch(ctx, from, cid)
			if err != nil {
				return err
			}
			if from == c.ours {
				ours = append(ours, took)
			} else {
				theirs = append(theirs, took)
			}
		}
		fmt.Printf("round %d: from ours %.2f s, from Kubo %.2f s\n", i+1, ours[i].Seconds(), theirs[i].Seconds())
	}
	a, b := median(ours), median(theirs)
	speed := func(d time.Duration) float64 { return float64(c.megabytes) / d.Seconds() }
	fmt.Printf("medians of %d: from ours %.0f MB/s, from Kubo %.0f MB/s, ratio %.2f\n", c.rounds, speed(a), speed(b), b.Seconds()/a.Seconds())
	return nil
}

func median(d []time.Duration) time.Duration {
	d = slices.Sorted(slices.Values(d))
	return (d[(len(d)-1)/2] + d[len(d)/2]) / 2
}

// makeSite writes files of random bytes, always the same.
func (c *config) makeSite() error {
	r := rand.NewChaCha8([32]byte{1})
	size := c.megabytes * 1_000_000 / c.files
	b := make([]byte, size)
	for i := range c.files {
		if _, err := r.Read(b); err != nil {
			return err
		}
		path := filepath.Join(c.site, fmt.Sprintf("%02d", i%20), fmt.Sprintf("%04d.bin", i))
		if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
			return err
		}
		if err := os.WriteFile(path, b, 0o600); err != nil {
			return err
		}
	}
	return nil
}

// fetch lets a new Kubo get the site from one daemon.
func (c *config) fetch(ctx context.Context, from *daemon, cid string) (took time.Duration, err error) {
	to := &daemon{program: c.kubo, repo: filepath.Join(c.dir, "fetcher")}
	defer func() { err = errors.Join(err, os.RemoveAll(to.repo), os.RemoveAll(c.out)) }()
	if err := to.init(ctx); err != nil {
		return 0, err
	}
	if err := to.start(ctx); err != nil {
		return 0, err
	}
	defer func() { err = errors.Join(err, to.stop()) }()
	if _, err := to.run(ctx, "swarm", "connect", from.addr); err != nil {
		return 0, err
	}
	ctx, cancel := context.WithTimeout(ctx, getLimit)
	defer cancel()
	begin := time.Now()
	if _, err := to.run(ctx, "get", "-o", c.out, cid); err != nil {
		return 0, err
	}
	took = time.Since(begin)
	last := filepath.Join("00", fmt.Sprintf("%04d.bin", (c.files-1)/20*20))
	want, err := os.ReadFile(filepath.Join(c.site, last))
	if err != nil {
		return 0, err
	}
	if got, err := os.ReadFile(filepath.Join(c.out, last)); err != nil || !bytes.Equal(got, want) {
		return 0, fmt.Errorf("%s was not fetched as it is: %w", last, err)
	}
	return took, nil
}

// daemon is a program with a repo.
type daemon struct {
	program, repo string
	cmd           *exec.Cmd
	addr          string // of the running daemon, with its peer id
}

func (d *daemon) command(ctx context.Context, args ...string) *exec.Cmd {
	cmd := exec.CommandContext(ctx, d.program, args...)
	cmd.Env = append(os.Environ(), "IPNS_PATH="+d.repo, "IPFS_PATH="+d.repo)
	return cmd
}

func (d *daemon) run(ctx context.Context, args ...string) (string, error) {
	var errOut bytes.Buffer
	cmd := d.command(ctx, args...)
	cmd.Stderr = &errOut
	out, err := cmd.Output()
	if err != nil {
		return "", fmt.Errorf("%s %s: %w\n%s", filepath.Base(d.program), strings.Join(args, " "), err, errOut.Bytes())
	}
	return strings.TrimSpace(string(out)), nil
}

func (d *daemon) init(ctx context.Context) error {
	for _, args := range [][]string{
		{"init", "--profile=test"},
		{"config", "--json", "Addresses.Swarm", `["/ip4/127.0.0.1/tcp/0"]`},
	} {
		if _, err := d.run(ctx, args...); err != nil {
			return err
		}
	}
	return nil
}

// start runs the daemon, and waits until it is ready.
func (d *daemon) start(ctx context.Context) error {
	d.cmd = d.command(context.WithoutCancel(ctx), "daemon")
	out, err := d.cmd.StdoutPipe()
	if err != nil {
		return err
	}
	if err := d.cmd.Start(); err != nil {
		return err
	}
	timer := time.AfterFunc(readyLimit, func() { _ = d.cmd.Process.Kill() })
	defer timer.Stop()
	lines := bufio.NewScanner(out)
	for lines.Scan() {
		if strings.Contains(lines.Text(), "Daemon is ready") {
			go func() { // ends with the daemon
				for lines.Scan() {
				}
			}()
			id, err := d.run(ctx, "id", "-f=<addrs>")
			for addr := range strings.Lines(id) {
				if strings.HasPrefix(addr, "/ip4/127.0.0.1/tcp/") {
					d.addr = strings.TrimSpace(addr)
				}
			}
			if err == nil && d.addr == "" {
				err = fmt.Errorf("%s listens nowhere: %s", d.program, id)
			}
			return errors.Join(err)
		}
	}
	return errors.Join(fmt.Errorf("%s has not started", d.program), d.stop())
}

func (d *daemon) stop() error {
	if d.cmd == nil {
		return nil
	}
	timer := time.AfterFunc(stopLimit, func() { _ = d.cmd.Process.Kill() })
	defer timer.Stop()
	_ = d.cmd.Process.Signal(syscall.SIGTERM) // it may have ended
	_ = d.cmd.Wait()
	return nil
}
