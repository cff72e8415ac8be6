package postgres

import (
	"bytes"
	"context"
	"errors"
	"flag"
	"fmt"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	ma "github.com/multiformats/go-multiaddr"
	manet "github.com/multiformats/go-multiaddr/net"

	"github.com/goipns/ipns"
	"github.com/goipns/ipns/api"
	"github.com/goipns/ipns/recordstore"
	"github.com/goipns/ipns/recordstore/postgres/pgtest"
	"github.com/goipns/ipns/rpc"
)

var program = flag.String("program", "", "the program ipns, to measure publishes through daemons of it")

// daemon is a process of the program, without a network.
type daemon struct {
	api  string
	http *http.Client
}

func startDaemon(t *testing.T, url string) *daemon {
	t.Helper()
	dir := filepath.Join(t.TempDir(), "repo")
	command := func(args ...string) *exec.Cmd {
		c := exec.Command(*program, args...)
		c.Env = append(os.Environ(), "IPNS_PATH="+dir)
		return c
	}
	if out, err := command("init", "--profile=test", "--store="+url).CombinedOutput(); err != nil {
		t.Fatalf("init: %v\n%s", err, out)
	}
	run := command("daemon", "--offline")
	var log bytes.Buffer
	run.Stdout, run.Stderr = &log, &log
	if err := run.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = run.Process.Signal(os.Interrupt) // it may have ended
		if err := run.Wait(); err != nil {
			t.Errorf("the daemon ended with %v:\n%s", err, log.String())
		}
	})
	for begin := time.Now(); ; time.Sleep(20 * time.Millisecond) {
		text, err := os.ReadFile(filepath.Join(dir, "api"))
		if err == nil {
			addr, err := ma.NewMultiaddr(strings.TrimSpace(string(text)))
			if err != nil {
				t.Fatal(err)
			}
			_, at, err := manet.DialArgs(addr)
			if err != nil {
				t.Fatal(err)
			}
			return &daemon{"http://" + at, &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: writers}}}
		}
		if time.Since(begin) > time.Minute {
			t.Fatal("the daemon does not start")
		}
	}
}

// makeKey makes a key at the daemon.
func (d *daemon) makeKey(t *testing.T, label string) {
	t.Helper()
	c, err := rpc.NewClient(d.api)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	req := rpc.New[api.KeyGenRequest]()
	req.Name = label
	if _, err := rpc.Do(t.Context(), c, api.KeyGen, req); err != nil {
		t.Fatal(err)
	}
}

// publish publishes a value, and waits until it is stored.
func (d *daemon) publish(ctx context.Context, label, value string) error {
	query := url.Values{"arg": {value}, "key": {label}, "resolve": {"false"}, "allow-offline": {"true"}}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, d.api+"/api/v0/name/publish?"+query.Encode(), nil)
	if err != nil {
		return err
	}
	resp, err := d.http.Do(req)
	if err != nil {
		return err
	}
	var body bytes.Buffer
	_, err = body.ReadFrom(resp.Body)
	if err := errors.Join(err, resp.Body.Close()); err != nil {
		return err
	}
	if resp.StatusCode != http.StatusOK {
		return fmt.Errorf("%s: %s", resp.Status, body.String())
	}
	return nil
}

// published is how a share of the writers fared.
type published struct {
	perSecond float64
	p50, p99  time.Duration
}

// publishes has the writers publish through daemons, each through one of them, and returns
// what each daemon did.
func publishes(t *testing.T, daemons []*daemon) (all published, each []float64) {
	t.Helper()
	var wg sync.WaitGroup
	var mu sync.Mutex
	var took []time.Duration
	each = make([]float64, len(daemons))
	begin := time.Now()
	for w := range writers {
		wg.Go(func() {
			d := daemons[w%len(daemons)]
			var own []time.Duration
			for i := 0; time.Since(begin) < *duration; i++ {
				start := time.Now()
				if err := d.publish(t.Context(), fmt.Sprintf("w%d", w), fmt.Sprintf("/ipfs/bafkqaaa/%d/%d", begin.UnixNano(), i)); err != nil {
					t.Error(err)
					return
				}
				own = append(own, time.Since(start))
			}
			mu.Lock()
			defer mu.Unlock()
			took = append(took, own...)
			each[w%len(daemons)] += float64(len(own))
		})
	}
	wg.Wait()
	if len(took) == 0 {
		t.Fatal("nothing was published")
	}
	for i := range each {
		each[i] /= float64(len(took))
	}
	slices.Sort(took)
	return published{float64(len(took)) / time.Since(begin).Seconds(), took[len(took)/2], took[len(took)*99/100]}, each
}

// Whole publishes through one daemon and through three that share a server, in turn, beside
// pgbench with the statement of the swap. All share the machine.
func TestPublishesBesidePgbench(t *testing.T) {
	if *program == "" {
		t.Skip("measured with -program ipns")
	}
	server := pgtest.Start(t, append([]string{"track_activity_query_size = 4096"}, settings...)...)
	url := server.Database(t)
	s := newStore(t, url)
	var names []recordstore.Entry
	for n := 0; len(names) < writers; n++ {
		name, signer := key(t, n)
		if name.Kad()[0] >= 16 {
			continue
		}
		e, err := s.Swap(t.Context(), entry(name, record(t, signer, 1, time.Now().Add(ipns.DefaultLifetime)), "tenant"), recordstore.Lease{})
		if err != nil {
			t.Fatal(err)
		}
		names = append(names, e)
	}
	expected, _ := swaps(t, s, names) // and the server shows the statement that each connection sent last
	script := swapScript(t, server, url, names)
	var daemons []*daemon
	for range 3 {
		daemons = append(daemons, startDaemon(t, url))
	}
	for w := range writers {
		daemons[w%3].makeKey(t, fmt.Sprintf("w%d", w))
		if w%3 > 0 {
			daemons[0].makeKey(t, fmt.Sprintf("w%d", w)) // for when it is alone
		}
	}
	var bench, one, three, least []float64
	var p99one, p99three, p50one, p50three []time.Duration
	for range *rounds {
		bench = append(bench, pgbench(t, server, url, script, 16, expected))
		a, _ := publishes(t, daemons[:1])
		one, p50one, p99one = append(one, a.perSecond), append(p50one, a.p50), append(p99one, a.p99)
		b, each := publishes(t, daemons)
		three, p50three, p99three = append(three, b.perSecond), append(p50three, b.p50), append(p99three, b.p99)
		least = append(least, slices.Min(each))
	}
	t.Logf("pgbench %.0f swaps/s; one daemon %.0f publishes/s, %.2f of it, p50 %v, p99 %v; three %.0f/s, %.2f of one, p50 %v, p99 %v, the slowest of them %.0f %% of all",
		median(bench), median(one), median(one)/median(bench), median(p50one), median(p99one),
		median(three), median(three)/median(one), median(p50three), median(p99three), 100*median(least))
	if *rounds >= 5 && (median(one) < 0.5*median(bench) || median(three) < 0.8*median(one) || median(least) < 0.25) {
		t.Error("wanted are 0.5 of pgbench, 0.8 of one daemon, and fair shares")
	}
}
