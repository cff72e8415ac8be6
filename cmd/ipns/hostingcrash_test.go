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
	"net/url"
	"regexp"
	"sync"
	"testing"
	"time"

	"github.com/goipns/ipns"
)

var hostingLoad = flag.Duration("hosting-load", 20*time.Second, "how long TestAKilledHosterLosesNoRecord puts and watches; 2h to be sure")

// tenantName is a name of a tenant, and what the tenant was told about it.
type tenantName struct {
	name   ipns.Name
	signer ipns.Signer

	mu        sync.Mutex // guards all below
	tried     uint64     // the highest sequence that was sent
	acked     uint64     // the highest that was acknowledged
	watched   uint64     // the last that the watcher was shown
	backwards bool       // it was shown an older one after a newer
}

func (n *tenantName) next(ctx context.Context) (*ipns.Record, error) {
	n.tried++
	f := ipns.Fields{Value: fmt.Sprintf("/ipfs/bafkqaaa/%d", n.tried), Sequence: n.tried, EOL: time.Now().Add(48 * time.Hour)}
	return ipns.Sign(ctx, n.signer, f, ipns.V1V2)
}

// hoster is a daemon that hosts names, its tenant, and what is known of the names.
type hoster struct {
	repo, token string
	names       []*tenantName
	byName      map[string]*tenantName

	doors string // URL
	since string // where the watcher goes on
}

var hostingLine = regexp.MustCompile(`Hosting server listening on /ip4/127.0.0.1/tcp/(\d+)`)

// start starts the daemon.
func (h *hoster) start(t *testing.T) *daemonProcess {
	d := startDaemon(t, h.repo)
	m := hostingLine.FindStringSubmatch(d.log.String())
	if m == nil {
		d.kill()
		t.Fatalf("no address of hosting:\n%s", d.log.String())
	}
	h.doors = "http://127.0.0.1:" + m[1]
	return d
}

// put puts the next record of a name, and reports whether the daemon still answers.
func (h *hoster) put(t *testing.T, n *tenantName) bool {
	n.mu.Lock()
	defer n.mu.Unlock()
	rec, err := n.next(t.Context())
	if err != nil {
		t.Error(err)
		return false
	}
	req, err := http.NewRequestWithContext(t.Context(), http.MethodPut, h.doors+"/routing/v1/ipns/"+n.name.String(), bytes.NewReader(rec.Raw()))
	if err != nil {
		t.Error(err)
		return false
	}
	req.Header.Set("Content-Type", ipns.RecordMediaType)
	req.Header.Set("Authorization", "Bearer "+h.token)
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return false // killed
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	switch {
	case err != nil:
		return false
	case resp.StatusCode == http.StatusOK:
		n.acked = n.tried
	case resp.StatusCode == http.StatusTooManyRequests && resp.Header.Get("Retry-After") != "":
		time.Sleep(10 * time.Millisecond) // a name may change only so often
	default:
		t.Errorf("a newer record of %s: %s %s", n.name, resp.Status, body)
	}
	return true
}

// watch notes what a watcher is shown, and where it goes on, until the daemon is killed or
// ctx ends.
func (h *hoster) watch(ctx context.Context) {
	q := url.Values{"since": {h.since}}
	for _, n := range h.names {
		q.Add("name", n.name.String())
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, h.doors+"/v1/watch?"+q.Encode(), nil)
	if err != nil {
		return
	}
	req.Header.Set("Accept", "application/x-ndjson")
	req.Header.Set("Authorization", "Bearer "+h.token)
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return
	}
	defer resp.Body.Close()
	lines := bufio.NewScanner(resp.Body)
	lines.Buffer(nil, 1<<20)
	for lines.Scan() {
		var e struct {
			Position, Name string
			Sequence       *uint64
		}
		if json.Unmarshal(lines.Bytes(), &e) != nil {
			return // cut off
		}
		if n := h.byName[e.Name]; n != nil && e.Sequence != nil {
			n.seen(*e.Sequence)
		}
		if e.Position != "" {
			h.since = e.Position
		}
	}
}

// seen notes that the watcher was shown a record. The daemon may show it before the tenant
// has read that it was taken, which holds mu.
func (n *tenantName) seen(seq uint64) {
	for !n.mu.TryLock() {
		time.Sleep(time.Millisecond)
	}
	defer n.mu.Unlock()
	n.backwards = n.backwards || seq < n.watched
	n.watched = max(n.watched, seq)
}

// TestAKilledHosterLosesNoRecord kills a daemon that hosts names while tenants put and a
// watcher watches: nothing that was acknowledged is lost or rolled back, and the watcher is
// shown the newest record of every name, and never an older one after a newer.
func TestAKilledHosterLosesNoRecord(t *testing.T) {
	t.Parallel() // it waits for other processes
	const nameCount, clientCount = 200, 4
	h := &hoster{repo: t.TempDir(), byName: map[string]*tenantName{}}
	runIpns(t, h.repo, "init", "--profile", "test")
	runIpns(t, h.repo, "config", "Addresses.Hosting", "/ip4/127.0.0.1/tcp/0")
	runIpns(t, h.repo, "config", "Hosting.Policy", "token")
	runIpns(t, h.repo, "host", "tenant", "set", "--puts-per-minute=1000000", "a")
	h.token = runIpns(t, h.repo, "host", "token", "create", "--tenant=a")
	for range nameCount {
		key, err := ipns.GenerateKey(ipns.Ed25519, 0)
		if err != nil {
			t.Fatal(err)
		}
		s := ipns.NewSigner(key)
		name, err := ipns.NameOf(s.Public())
		if err != nil {
			t.Fatal(err)
		}
		n := &tenantName{name: name, signer: s}
		h.names, h.byName[name.String()] = append(h.names, n), n
	}
	rounds, end := 0, time.Now().Add(*hostingLoad)
	d := h.start(t)
	for time.Now().Before(end) && !t.Failed() {
		var clients sync.WaitGroup
		for c := range clientCount {
			clients.Go(func() {
				for i := c; h.put(t, h.names[i%nameCount]); {
					i += clientCount
				}
			})
		}
		watching, stop := context.WithCancel(t.Context())
		var watcher sync.WaitGroup
		watcher.Go(func() { h.watch(watching) })
		time.Sleep(min(time.Minute, 700*time.Millisecond+*hostingLoad/20))
		d.kill()
		clients.Wait()
		stop()
		watcher.Wait()
		d = h.start(t)
		h.check(t, d)
		rounds++
	}
	// What changed last is shown to a watcher that goes on.
	watching, stop := context.WithCancel(t.Context())
	var watcher sync.WaitGroup
	watcher.Go(func() { h.watch(watching) })
	shown := func() (behind int) {
		for _, n := range h.names {
			n.mu.Lock()
			if n.watched < n.acked {
				behind++
			}
			n.mu.Unlock()
		}
		return behind
	}
	for deadline := time.Now().Add(readyTimeout); shown() > 0 && time.Now().Before(deadline); {
		time.Sleep(10 * time.Millisecond)
	}
	stop()
	watcher.Wait()
	if n := shown(); n > 0 {
		t.Errorf("the watcher was not shown the newest record of %d names", n)
	}
	d.kill()
	var acks uint64
	for _, n := range h.names {
		acks += n.acked
		if n.backwards {
			t.Errorf("the watcher was shown an older record of %s after a newer one", n.name)
		}
	}
	if out := runIpns(t, h.repo, "host", "audit", "--verify", "--last=1"); !regexp.MustCompile(`verified: \d+ lines`).MatchString(out) {
		t.Errorf("the audit log: %s", out)
	}
	t.Logf("%d kills, %d puts acknowledged", rounds, acks)
	if acks < uint64(nameCount) {
		t.Errorf("only %d puts: the test shows nothing", acks)
	}
}

// check compares what the daemon has with what was acknowledged.
func (h *hoster) check(t *testing.T, d *daemonProcess) {
	for _, n := range h.names {
		if n.acked == 0 {
			continue
		}
		var shown struct{ Sequence uint64 }
		if err := d.call(&shown, "host/show", url.Values{"arg": {n.name.String()}}); err != nil {
			t.Errorf("%s: acknowledged with sequence %d, now: %v", n.name, n.acked, err)
			continue
		}
		if shown.Sequence < n.acked || shown.Sequence > n.tried {
			t.Errorf("%s: sequence %d was acknowledged and %d tried, now it is %d", n.name, n.acked, n.tried, shown.Sequence)
		}
		n.acked = shown.Sequence
	}
}
