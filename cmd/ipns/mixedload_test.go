package main

import (
	"bufio"
	"bytes"
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/goipns/ipns"
	"github.com/goipns/ipns/internal/testnet"
	"github.com/goipns/ipns/watch"
)

var (
	mixedLoad = flag.Duration("mixed-load", 20*time.Second, "how long TestMixedLoadWithKills puts, reads and watches names")
	mixedKill = flag.Duration("mixed-kill-every", 5*time.Second, "how often it kills the daemon")
)

const (
	mixedNames    = 400
	mixedWriters  = 4
	mixedWatchers = 8
	mixedPause    = 20 * time.Millisecond // between two puts of a writer
	mixedFailures = 3
	mixedSettle   = 2 * time.Minute // within which everybody must have heard of all names
)

// mixedName is a name of a tenant, and what became of it.
type mixedName struct {
	key  ipns.Signer
	name ipns.Name

	mu   sync.Mutex
	sent uint64 // highest sequence that was put
	kept uint64 // highest that was acknowledged, or read
}

// mixed is a daemon that hosts names, and its load.
type mixed struct {
	repo, door, token string
	names             []*mixedName
	byName            map[string]*mixedName

	puts, refused, reads, lost, back atomic.Int64
}

// Tenants put records through two doors, while others read and watch them and a webhook
// fails half of the time. The daemon is killed again and again. No put that was acknowledged
// is lost, no reader goes back, and whoever resumes gets the newest record of every name
// that changed, and no older one after a newer.
func TestMixedLoadWithKills(t *testing.T) {
	if testing.Short() {
		t.Skip("takes half a minute: the daemon is killed some times")
	}
	t.Parallel() // it mostly waits
	m := newMixed(t)
	hook := &mixedHook{seen: mixedSeen{what: "webhook", newest: map[string]uint64{}}, row: map[string]int{}}
	receiver := httptest.NewServer(hook)
	t.Cleanup(receiver.Close)
	nw := testnet.ForTest(t, 25)
	runIpns(t, m.repo, "bootstrap", "rm", "--all")
	runIpns(t, m.repo, "bootstrap", "add", nw.Addrs()[0])
	daemon := startDaemonWith(t, m.repo)
	t.Cleanup(func() { daemon.kill() })
	runIpns(t, m.repo, "name", "webhook", "add", "--private", receiver.URL)

	ctx, cancel := context.WithCancel(t.Context())
	var load, watching sync.WaitGroup
	defer watching.Wait()
	defer load.Wait()
	defer cancel()
	// Everybody listens before the first put: what came before is not told.
	var listening sync.WaitGroup
	watchers := make([]*mixedSeen, mixedWatchers)
	for i := range watchers {
		watchers[i] = &mixedSeen{what: fmt.Sprintf("watcher %d", i), newest: map[string]uint64{}}
		listening.Add(1)
		watching.Go(func() { m.watch(ctx, t, watchers[i], sync.OnceFunc(listening.Done)) })
	}
	listening.Wait()
	loading, stop := context.WithTimeout(ctx, *mixedLoad)
	defer stop()
	for w := range mixedWriters {
		load.Go(func() { m.write(loading, t, w) })
	}
	load.Go(func() { m.read(loading, t) })
	kills := 0
	for loading.Err() == nil {
		select {
		case <-loading.Done():
		case <-time.After(*mixedKill):
			daemon.kill()
			kills++
			daemon = startDaemonWith(t, m.repo)
			m.all(t)
		}
	}
	load.Wait()
	m.all(t)
	until := time.Now().Add(mixedSettle)
	for _, s := range append(watchers, &hook.seen) {
		for missing := m.missing(s); len(missing) > 0; missing = m.missing(s) {
			if time.Now().After(until) {
				t.Fatalf("%s has not heard of %d names, such as %s", s.what, len(missing), missing[0])
			}
			time.Sleep(50 * time.Millisecond)
		}
		m.back.Add(s.back.Load())
	}
	t.Logf("%d kills, %d puts acknowledged, %d not, %d reads, %d calls of the webhook, %d of them failed: %d puts lost, %d times an older record",
		kills, m.puts.Load(), m.refused.Load(), m.reads.Load(), hook.calls.Load(), hook.failed.Load(), m.lost.Load(), m.back.Load())
	if kills == 0 || m.puts.Load() == 0 || hook.failed.Load() == 0 {
		t.Error("there was no load, or nothing failed")
	}
	if m.lost.Load()+m.back.Load() > 0 {
		t.Error("a put was lost, or somebody was shown an older record after a newer one")
	}
}

func newMixed(t *testing.T) *mixed {
	t.Helper()
	m := &mixed{repo: filepath.Join(t.TempDir(), "repo"), byName: map[string]*mixedName{}}
	port := freePorts(t, 1)[0]
	m.door = "http://127.0.0.1:" + port
	runIpns(t, m.repo, "init", "--profile", "test")
	runIpns(t, m.repo, "config", "Addresses.Hosting", "/ip4/127.0.0.1/tcp/"+port)
	runIpns(t, m.repo, "config", "--json", "Hosting", `{"Policy": "token", "Tenant": {"Names": 1000, "PutsPerMinute": 1000000}}`)
	m.token = strings.Fields(runIpns(t, m.repo, "host", "token", "create", "--tenant=load", "--scope=put"))[0]
	for range mixedNames {
		key, err := ipns.GenerateKey(ipns.Ed25519, 0)
		if err != nil {
			t.Fatal(err)
		}
		name, err := ipns.NameOf(key.GetPublic())
		if err != nil {
			t.Fatal(err)
		}
		n := &mixedName{key: ipns.NewSigner(key), name: name}
		m.names = append(m.names, n)
		m.byName[name.String()] = n
	}
	return m
}

// do sends a request of the tenant.
func (m *mixed) do(ctx context.Context, method, path, kind string, body []byte) (*http.Response, error) {
	req, err := http.NewRequestWithContext(ctx, method, m.door+path, bytes.NewReader(body))
	if err != nil {
		return nil, err
	}
	req.Header.Set("Authorization", "Bearer "+m.token)
	req.Header.Set("Content-Type", kind)
	req.Header.Set("Accept", kind)
	return http.DefaultClient.Do(req)
}

// write puts the next records of the writer's names, through one door and the other.
func (m *mixed) write(ctx context.Context, t *testing.T, writer int) {
	for i := writer; ctx.Err() == nil; i += mixedWriters {
		n := m.names[i%mixedNames]
		n.sent++ // no other writer has this name
		rec, err := ipns.Sign(ctx, n.key, ipns.Fields{
			Value: fmt.Sprintf("/ipfs/bafkqaaa/%d", n.sent), Sequence: n.sent, EOL: time.Now().Add(48 * time.Hour),
		}, ipns.V2Only)
		if err != nil {
			if ctx.Err() == nil {
				t.Error(err)
			}
			return
		}
		var resp *http.Response
		if i%2 == 0 {
			resp, err = m.do(ctx, http.MethodPut, "/routing/v1/ipns/"+n.name.String(), ipns.RecordMediaType, rec.Raw())
		} else {
			resp, err = m.do(ctx, http.MethodPost, "/name/"+n.name.String(), "text/plain", []byte(base64.StdEncoding.EncodeToString(rec.Raw())))
		}
		switch {
		case err != nil: // the daemon was killed
			m.refused.Add(1)
			time.Sleep(20 * time.Millisecond)
			continue
		case resp.StatusCode == http.StatusTooManyRequests:
			m.refused.Add(1)
		case resp.StatusCode/100 == 2:
			n.keep(n.sent)
			m.puts.Add(1)
		default:
			b, _ := io.ReadAll(io.LimitReader(resp.Body, 500))
			t.Errorf("put %d of %s: %s %s", n.sent, n.name, resp.Status, b)
		}
		resp.Body.Close()
		time.Sleep(mixedPause)
	}
}

func (n *mixedName) keep(sequence uint64) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.kept = max(n.kept, sequence)
}

func (n *mixedName) keeps() uint64 {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.kept
}

// get reads the record of a name, which may not be older than what was acknowledged or read
// before.
func (m *mixed) get(ctx context.Context, n *mixedName) error {
	least := n.keeps()
	resp, err := m.do(ctx, http.MethodGet, "/routing/v1/ipns/"+n.name.String(), ipns.RecordMediaType, nil)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	raw, err := io.ReadAll(io.LimitReader(resp.Body, ipns.MaxRecordSize))
	switch {
	case err != nil:
		return err
	case resp.StatusCode == http.StatusOK && resp.Header.Get("Content-Type") == ipns.RecordMediaType:
	case least > 0:
		m.lost.Add(1)
		return fmt.Errorf("%s, which has sequence %d: %s %s", n.name, least, resp.Status, raw)
	default: // it has none yet
		return nil
	}
	rec, err := ipns.Reopen(n.name, raw)
	if err != nil {
		return err
	}
	m.reads.Add(1)
	if rec.Sequence() < least {
		m.lost.Add(1)
		return fmt.Errorf("%s has sequence %d, and %d was acknowledged or read", n.name, rec.Sequence(), least)
	}
	n.keep(rec.Sequence())
	return nil
}

// read reads names while the load goes on. Only a killed daemon may not answer.
func (m *mixed) read(ctx context.Context, t *testing.T) {
	for ctx.Err() == nil {
		err := m.get(ctx, m.names[rand.IntN(mixedNames)])
		var gone *net.OpError
		if err != nil && ctx.Err() == nil && !errors.As(err, &gone) && !errors.Is(err, io.EOF) && !errors.Is(err, io.ErrUnexpectedEOF) {
			t.Error(err)
		}
		time.Sleep(mixedPause)
	}
}

// all reads all names.
func (m *mixed) all(t *testing.T) {
	t.Helper()
	for _, n := range m.names {
		if err := m.get(t.Context(), n); err != nil {
			t.Error(err)
		}
	}
}

// missing returns the names whose newest record somebody has not heard of.
func (m *mixed) missing(s *mixedSeen) (list []string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, n := range m.names {
		if s.newest[n.name.String()] < n.keeps() {
			list = append(list, n.name.String())
		}
	}
	return list
}

// mixedSeen is what somebody has heard of names.
type mixedSeen struct {
	what   string
	mu     sync.Mutex
	newest map[string]uint64 // the sequence, by name
	back   atomic.Int64      // how often an older one followed
}

func (s *mixedSeen) hear(m watch.Message) {
	if m.Sequence == nil {
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if *m.Sequence < s.newest[m.Name] {
		s.back.Add(1)
	}
	s.newest[m.Name] = *m.Sequence
}

// watch reads events of all names, and calls listens when it has a position. When the daemon is gone it comes again, with the position
// of what it got last.
func (m *mixed) watch(ctx context.Context, t *testing.T, s *mixedSeen, listens func()) {
	defer listens()
	var query strings.Builder
	for _, n := range m.names {
		fmt.Fprintf(&query, "&name=%s", n.name)
	}
	last := ""
	for ctx.Err() == nil {
		req, err := http.NewRequestWithContext(ctx, http.MethodGet, m.door+"/v1/watch?"+query.String()[1:], nil)
		if err != nil {
			t.Error(err)
			return
		}
		req.Header.Set("Authorization", "Bearer "+m.token)
		if last != "" {
			req.Header.Set("Last-Event-ID", last)
		}
		resp, err := http.DefaultClient.Do(req)
		if err != nil {
			time.Sleep(50 * time.Millisecond)
			continue
		}
		if resp.StatusCode != http.StatusOK {
			b, _ := io.ReadAll(io.LimitReader(resp.Body, 500))
			t.Errorf("%s: %s %s", s.what, resp.Status, b)
		}
		lines := bufio.NewScanner(resp.Body)
		lines.Buffer(nil, 64<<10)
		id := last
		for lines.Scan() {
			if text, ok := strings.CutPrefix(lines.Text(), "id:"); ok {
				id = strings.TrimSpace(text)
			}
			if lines.Text() == "" {
				last = id // the event was whole: a kill in its middle leaves the id before
				listens()
			}
			data, ok := strings.CutPrefix(lines.Text(), "data:")
			if !ok {
				continue
			}
			var e watch.Message
			if err := json.Unmarshal([]byte(data), &e); err != nil {
				t.Errorf("%s: %s: %v", s.what, data, err)
			}
			if e.Type == "gap" {
				t.Errorf("%s: changes since %s are not known, though nothing was restored", s.what, last)
			}
			s.hear(e)
		}
		resp.Body.Close()
	}
}

// mixedHook is a webhook that fails half of the time.
type mixedHook struct {
	seen          mixedSeen
	calls, failed atomic.Int64

	mu  sync.Mutex
	row map[string]int // failures in a row, by name
}

// fails decides whether a call fails: half of them do, but of one name not more than
// mixedFailures in a row, since each failure doubles the time until the next call.
func (h *mixedHook) fails(name string) bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.row[name] == mixedFailures || rand.IntN(2) == 0 {
		h.row[name] = 0
		return false
	}
	h.row[name]++
	h.failed.Add(1)
	return true
}

func (h *mixedHook) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	h.calls.Add(1)
	var post watch.Post
	if err := json.NewDecoder(io.LimitReader(r.Body, 1<<20)).Decode(&post); err != nil {
		w.WriteHeader(http.StatusBadRequest)
		return
	}
	if h.fails(post.Data.Name) {
		w.WriteHeader(http.StatusServiceUnavailable)
		return
	}
	h.seen.hear(post.Data)
}
