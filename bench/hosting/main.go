// Command hosting measures a daemon that keeps the names of many tenants: how long an import
// takes, what a PUT takes while nothing is due and while the names are put on a network, how
// much one tenant's puts delay another's, and how much memory it has had.
// bench/README.md keeps the results.
//
// The daemon is a process of its own, and so is the network of real servers, which yields to
// the daemon: elsewhere it would run on other machines.
package main

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/signal"
	"path/filepath"
	"slices"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/goipns/ipns"
	"github.com/goipns/ipns/hosting"
	"github.com/goipns/ipns/names"
	"github.com/goipns/ipns/node"
	"github.com/goipns/ipns/recordstore"
)

type config struct {
	hosted, own, servers, puts int
	crowd                      int // puts a second of the tenant that crowds
	binary                     string
}

func main() {
	var c config
	flag.IntVar(&c.hosted, "hosted", 100_000, "names of tenants")
	flag.IntVar(&c.own, "own", 1000, "names of the node itself")
	flag.IntVar(&c.servers, "servers", 20, "servers of the network")
	flag.IntVar(&c.puts, "puts", 1000, "PUTs that are measured each time")
	flag.IntVar(&c.crowd, "crowd", 1000, "puts a second of a tenant that crowds")
	flag.StringVar(&c.binary, "ipns", "", "the program (default: it is built)")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	if err := c.run(ctx); err != nil {
		fmt.Fprintln(os.Stderr, "hosting:", err)
		os.Exit(1)
	}
}

func (c config) run(ctx context.Context) error {
	dir, err := os.MkdirTemp("", "ipns-hosting-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	d, err := newDaemon(ctx, dir, c.binary)
	if err != nil {
		return err
	}
	if err := c.fill(ctx, d); err != nil {
		return err
	}
	export := filepath.Join(dir, "records.ndjson")
	if err := c.sign(ctx, export); err != nil {
		return err
	}
	if err := d.start(ctx, "--offline"); err != nil {
		return err
	}
	begin := time.Now()
	if err := d.run(ctx, "host", "import", "--tenant=big", "-q", export); err != nil {
		return err
	}
	took := time.Since(begin)
	own, all := d.memory()
	fmt.Printf("import of %d records: %.1f s, %.0f a second; memory at most: %d MB, with the program's pages %d MB\n", c.hosted, took.Seconds(), float64(c.hosted)/took.Seconds(), own, all)
	begin = time.Now()
	if err := d.run(ctx, "host", "import", "--tenant=big", "-q", export); err != nil {
		return err
	}
	fmt.Printf("the same again: %.1f s\n", time.Since(begin).Seconds())
	small, err := d.token(ctx, "small")
	if err != nil {
		return err
	}
	big, err := d.token(ctx, "big")
	if err != nil {
		return err
	}
	fmt.Printf("\n| PUT of a new record | p50 ms | p99 ms | max ms |\n|---|---|---|---|\n")
	idle, err := c.measure(ctx, d, small)
	if err != nil {
		return err
	}
	fmt.Printf("| nothing is due | %s |\n", idle)
	crowded, rate, err := c.crowded(ctx, d, big, small)
	if err != nil {
		return err
	}
	fmt.Printf("| another tenant puts %.0f a second | %s |\n", rate, crowded)
	d.stop()
	network, err := d.network(ctx, c.servers)
	if err != nil {
		return err
	}
	defer network.stop()
	if err := d.start(ctx, "--bootstrap", network.peer); err != nil {
		return err
	}
	defer d.stop()
	before, err := d.sweeping(ctx)
	if err != nil {
		return err
	}
	begin = time.Now()
	sweeping, err := c.measure(ctx, d, small)
	if err != nil {
		return err
	}
	after, err := d.status(ctx)
	if err != nil {
		return err
	}
	fmt.Printf("| while %.0f names a second are put on a network | %s |\n", float64(after.Puts-before.Puts)/time.Since(begin).Seconds(), sweeping)
	own, all = d.memory()
	fmt.Printf("\nmemory of the daemon that sweeps, at most: %d MB, with the program's pages %d MB (%d names due)\n", own, all, after.Due)
	return nil
}

// fill makes names of the node itself. Their keys are nowhere: nothing is signed.
func (c config) fill(ctx context.Context, d *daemon) error {
	n, err := node.Open(ctx, node.Config{Dir: d.repo, Offline: true})
	if err != nil {
		return err
	}
	for range c.own {
		rec, err := newRecord(ctx, 0)
		if err == nil {
			_, err = n.Book.Take(ctx, rec, names.Entrance{Origin: recordstore.Own})
		}
		if err != nil {
			return err
		}
	}
	return n.Close()
}

// sign writes records of as many names as are hosted.
func (c config) sign(ctx context.Context, path string) error {
	f, err := os.Create(path)
	if err != nil {
		return err
	}
	out := bufio.NewWriter(f)
	var mu sync.Mutex
	g, ctx := errgroup.WithContext(ctx)
	g.SetLimit(8)
	for range c.hosted {
		g.Go(func() error {
			rec, err := newRecord(ctx, 0)
			if err != nil {
				return err
			}
			mu.Lock()
			defer mu.Unlock()
			return json.NewEncoder(out).Encode(hosting.Item{Name: rec.Name().String(), Record: rec.Raw()})
		})
	}
	if err := g.Wait(); err != nil {
		return err
	}
	if err := out.Flush(); err != nil {
		return err
	}
	return f.Close()
}

// newRecord signs a record of a new name that lives for a year.
func newRecord(ctx context.Context, seq uint64) (*ipns.Record, error) {
	key, err := ipns.GenerateKey(ipns.Ed25519, 0)
	if err != nil {
		return nil, err
	}
	f := ipns.Fields{
		Value:    "/ipfs/bafybeigdyrzt5sfp7udm7hu76uh7y26nf3efuylqabf3oclgtqy55fbzdi",
		Sequence: seq, EOL: time.Now().Add(365 * 24 * time.Hour), TTL: time.Hour,
	}
	return ipns.Sign(ctx, ipns.NewSigner(key), f, ipns.V1V2)
}

// put puts a record, and returns how long that took.
func put(ctx context.Context, d *daemon, token string, rec *ipns.Record) (time.Duration, int, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodPut, d.doors+"/routing/v1/ipns/"+rec.Name().String(), bytes.NewReader(rec.Raw()))
	if err != nil {
		return 0, 0, err
	}
	req.Header.Set("Content-Type", ipns.RecordMediaType)
	req.Header.Set("Authorization", "Bearer "+token)
	begin := time.Now()
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return 0, 0, err
	}
	defer resp.Body.Close()
	_, err = io.Copy(io.Discard, resp.Body)
	return time.Since(begin), resp.StatusCode, err
}

// figures are the times of many PUTs.
type figures []time.Duration

func (f figures) String() string {
	slices.Sort(f)
	ms := func(d time.Duration) float64 { return float64(d) / float64(time.Millisecond) }
	return fmt.Sprintf("%.1f | %.1f | %.1f", ms(f[len(f)/2]), ms(f[len(f)*99/100]), ms(f[len(f)-1]))
}

// measure times PUTs of new names, one after another.
func (c config) measure(ctx context.Context, d *daemon, token string) (f figures, err error) {
	for range c.puts {
		rec, err := newRecord(ctx, 1)
		if err != nil {
			return nil, err
		}
		took, status, err := put(ctx, d, token, rec)
		if err != nil {
			return nil, err
		}
		if status != http.StatusOK {
			return nil, fmt.Errorf("a PUT was answered with %d", status)
		}
		f = append(f, took)
	}
	return f, nil
}

// crowded is measure while another tenant puts as much as it may. rate is how much that was.
func (c config) crowded(ctx context.Context, d *daemon, big, small string) (f figures, rate float64, err error) {
	crowding, stop := context.WithCancel(ctx)
	defer stop()
	var crowd sync.WaitGroup
	var mu sync.Mutex
	taken := 0
	begin := time.Now()
	const clients = 32
	for range clients {
		crowd.Go(func() {
			tick := time.NewTicker(clients * time.Second / time.Duration(c.crowd))
			defer tick.Stop()
			for {
				select {
				case <-crowding.Done():
					return
				case <-tick.C:
				}
				rec, err := newRecord(ctx, 1)
				if err != nil {
					return
				}
				if _, status, err := put(crowding, d, big, rec); err == nil && status == http.StatusOK {
					mu.Lock()
					taken++
					mu.Unlock()
				}
			}
		})
	}
	f, err = c.measure(ctx, d, small)
	rate = float64(taken) / time.Since(begin).Seconds()
	stop()
	crowd.Wait()
	return f, rate, err
}
