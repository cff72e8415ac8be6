package node

import (
	"bytes"
	"errors"
	"io"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	manet "github.com/multiformats/go-multiaddr/net"

	"github.com/goipns/ipns"
	"github.com/goipns/ipns/hosting"
	"github.com/goipns/ipns/names"
	"github.com/goipns/ipns/recordstore"
	"github.com/goipns/ipns/recordstore/postgres/pgtest"
	"github.com/goipns/ipns/routing/routingtest"
)

// full has the database refuse writes as PostgreSQL does when its disk is full.
const full = `create function disk_full() returns trigger language plpgsql as $$
	begin raise exception 'could not extend file "base/5/16384": No space left on device' using errcode = '53100'; end $$;
do $do$ declare t regclass; begin
	for t in select inhrelid from pg_inherits where inhparent = 'ipns.names'::regclass union all select 'ipns.rows'::regclass loop
		execute format('create trigger disk_full before insert or update or delete on %s for each statement execute function disk_full()', t);
	end loop;
end $do$;`

// TestTenantsAreToldThatTheDatabaseTakesNothing has the database of a node stop, and be full:
// every door for tenants answers 503 with the time to try again, and tells nothing of where it is.
func TestTenantsAreToldThatTheDatabaseTakesNothing(t *testing.T) {
	server := pgtest.Start(t)
	url := server.Database(t)
	r := shared(t, url)
	for key, value := range map[string]string{"Addresses.Hosting": "/ip4/127.0.0.1/tcp/0", "Hosting.Policy": "token"} {
		if _, err := r.Set(key, value); err != nil {
			t.Fatal(err)
		}
	}
	n := open(t, r)
	s, err := n.Serve()
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	_, at, err := manet.DialArgs(s.Hosting)
	if err != nil {
		t.Fatal(err)
	}
	if err := n.Hosting.SetTenant(t.Context(), "ann", hosting.Quota{PinnedBytes: 1 << 20}); err != nil {
		t.Fatal(err)
	}
	token, _, err := n.Hosting.NewToken(t.Context(), "ann", nil, 0)
	if err != nil {
		t.Fatal(err)
	}
	send := func(method, path, kind string, body []byte) (*http.Response, string) {
		t.Helper()
		req, err := http.NewRequestWithContext(t.Context(), method, "http://"+at+path, bytes.NewReader(body))
		if err != nil {
			t.Fatal(err)
		}
		req.Header.Set("Content-Type", kind)
		req.Header.Set("Authorization", "Bearer "+token)
		resp, err := http.DefaultClient.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		defer resp.Body.Close()
		text, err := io.ReadAll(resp.Body)
		if err != nil {
			t.Fatal(err)
		}
		return resp, string(text)
	}
	key := routingtest.NewKey(t)
	put := func(sequence uint64) (*http.Response, string) {
		t.Helper()
		rec := routingtest.Sign(t, key, ipns.Fields{Value: "/ipfs/bafkqaaa", Sequence: sequence})
		return send("PUT", "/routing/v1/ipns/"+rec.Name().String(), ipns.RecordMediaType, rec.Raw())
	}
	name, err := ipns.NameOf(key.GetPublic())
	if err != nil {
		t.Fatal(err)
	}
	if resp, text := put(1); resp.StatusCode != http.StatusOK {
		t.Fatalf("at first: %d, %s", resp.StatusCode, text)
	}
	refused := func(what string) {
		t.Helper()
		check := func(door string, resp *http.Response, text string) {
			t.Helper()
			if resp.StatusCode != http.StatusServiceUnavailable || resp.Header.Get("Retry-After") == "" {
				t.Errorf("%s: %s: %d, Retry-After %q, %s", what, door, resp.StatusCode, resp.Header.Get("Retry-After"), text)
			}
			for _, secret := range []string{server.Data(), "base/5", "host=", "user=", ".s.PGSQL", "SQLSTATE"} {
				if strings.Contains(text, secret) {
					t.Errorf("%s: %s tells %s: %s", what, door, secret, text)
				}
			}
		}
		resp, text := put(2)
		check("a put", resp, text)
		resp, text = send("POST", "/pins", "application/json", []byte(`{"cid":"bafkqaaa"}`))
		check("a pin", resp, text)
	}
	back := func(what string) {
		t.Helper()
		eventually(t, "a put is taken again: "+what, func() bool { resp, _ := put(2); return resp.StatusCode == http.StatusOK })
	}
	server.Exec(t, databaseOf(url), full)
	refused("full")
	if _, err := publishAs(t, n, "/ipfs/bafkqaaa/not"); !errors.Is(err, recordstore.ErrFull) {
		t.Errorf("full: a publish ends with %v", err)
	}
	if e, err := n.Book.Get(t.Context(), name); err != nil || e.Record.Sequence() != 1 {
		t.Errorf("full: %v, %v", e.Record, err)
	}
	if ready := n.ready(t.Context()); !strings.Contains(ready.Sign, "no space") || ready.Serve != "" {
		t.Errorf("full: ready is %+v", ready)
	}
	server.Exec(t, databaseOf(url), `drop function disk_full cascade`)
	back("full")

	server.Stop()
	refused("stopped")
	if err := server.Restart(); err != nil {
		t.Fatal(err)
	}
	back("stopped")
}

// databaseOf returns the name of the database in a URL of pgtest.
func databaseOf(url string) string {
	_, rest, _ := strings.Cut(url, "//")
	_, rest, _ = strings.Cut(rest, "/")
	db, _, _ := strings.Cut(rest, "?")
	return db
}

// TestSwapsAreHeardWithoutNotifications has no daemon be notified of anything: it hears of
// others' swaps by its poll.
func TestSwapsAreHeardWithoutNotifications(t *testing.T) {
	server := pgtest.Start(t)
	url := server.Database(t)
	a, b := open(t, shared(t, url)), open(t, shared(t, url))
	if err := b.Book.CatchUp(t.Context()); err != nil {
		t.Fatal(err)
	}
	server.Exec(t, databaseOf(url), `set allow_system_table_mods = on; alter function pg_catalog.pg_notify(text, text) rename to gone`)
	var mu sync.Mutex
	var told time.Time
	defer b.Book.Subscribe(func(c names.Change) {
		mu.Lock()
		defer mu.Unlock()
		if c.Entry.Name == a.Name && c.Entry.Record != nil && c.Entry.Record.Value() == "/ipfs/bafkqaaa/heard" {
			told = time.Now()
		}
	})()
	if _, err := publishAs(t, a, "/ipfs/bafkqaaa/heard"); err != nil {
		t.Fatal(err)
	}
	at := time.Now()
	eventually(t, "the other is told", func() bool {
		mu.Lock()
		defer mu.Unlock()
		return !told.IsZero()
	})
	mu.Lock()
	t.Logf("told after %v", told.Sub(at))
	mu.Unlock()
}
