package node

import (
	"net"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/goipns/ipns"
	"github.com/goipns/ipns/internal/repo"
	"github.com/goipns/ipns/publisher"
	"github.com/goipns/ipns/recordstore"
	"github.com/goipns/ipns/rpc"
)

// newRepo makes a repo of the profile test.
func newRepo(t *testing.T) repo.Repo {
	t.Helper()
	r := repo.Repo(filepath.Join(t.TempDir(), "repo"))
	if err := create(t.Context(), r, "test", nil); err != nil {
		t.Fatal(err)
	}
	return r
}

// start starts a node that ends with the test.
func start(t *testing.T, r repo.Repo, c Config) *Node {
	t.Helper()
	n, err := New(t.Context(), r, c)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := n.Close(); err != nil {
			t.Errorf("close: %v", err)
		}
	})
	return n
}

// Another node's records of a name that is held here enter the Book; the others
// do not.
func TestHeard(t *testing.T) {
	n := start(t, newRepo(t), Config{Offline: true})
	if _, err := n.Publisher.Publish(t.Context(), ipns.NewSigner(n.Key), publisher.Request{Value: "/ipfs/bafkqaaa", Wait: publisher.WaitStored}); err != nil {
		t.Fatal(err)
	}
	stranger, err := ipns.GenerateKey(ipns.Ed25519, 0)
	if err != nil {
		t.Fatal(err)
	}
	for _, key := range []ipns.Signer{ipns.NewSigner(n.Key), ipns.NewSigner(stranger)} {
		rec, err := ipns.Sign(t.Context(), key, ipns.Fields{Value: "/ipfs/bafkqaaa", Sequence: 7, EOL: time.Now().Add(time.Hour)}, ipns.V1V2)
		if err != nil {
			t.Fatal(err)
		}
		n.received(rec)
	}
	eventually(t, "the own name has sequence 7", func() bool {
		got, err := n.Book.Get(t.Context(), n.Name)
		return err == nil && got.Record.Sequence() == 7
	})
	var held []ipns.Name
	for e, err := range n.Book.Scan(t.Context(), recordstore.Region{}) {
		if err != nil {
			t.Fatal(err)
		}
		if e.Record != nil {
			held = append(held, e.Name)
		}
	}
	if !slices.Equal(held, []ipns.Name{n.Name}) {
		t.Errorf("records are held of %v, want only %v", held, n.Name)
	}
}

// What cannot work is refused with the config key that is wrong, and everything
// is closed again.
func TestBadConfig(t *testing.T) {
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer taken.Close()
	port := strings.TrimPrefix(taken.Addr().String(), "127.0.0.1:")
	for _, c := range []struct {
		key   string
		value any
		err   string
	}{
		{"Swarm.AddrFilters", []any{"10.0.0.0/8"}, "config Swarm.AddrFilters"},
		{"Addresses.Announce", []any{"nope"}, "config Addresses.Announce"},
		{"Addresses.NoAnnounce", []any{"nope"}, "config Addresses.NoAnnounce"},
		{"Addresses.API", "nope", "config Addresses.API"},
		{"Addresses.API", "/ip4/127.0.0.1/tcp/" + port, "cannot listen on /ip4/127.0.0.1/tcp/" + port + ": address already in use"},
		{"Addresses.Swarm", []any{"/ip4/127.0.0.1/tcp/" + port}, "the port is taken"},
		{"Bootstrap", []any{"/ip4/127.0.0.1/tcp/1"}, "bootstrap"},
	} {
		r := newRepo(t)
		if _, err := r.Set(c.key, c.value); err != nil {
			t.Fatal(err)
		}
		n, err := New(t.Context(), r, Config{API: func(*Node) *rpc.Mux { return &rpc.Mux{} }})
		if err == nil {
			_, err = n.Serve()
			if cerr := n.Close(); cerr != nil {
				t.Errorf("%s: close: %v", c.key, cerr)
			}
		}
		if err == nil || !strings.Contains(err.Error(), c.err) {
			t.Errorf("%s = %v: %v, want %s", c.key, c.value, err, c.err)
		}
		// With the value corrected the same repo works.
		if _, err := r.Set(c.key, nil); err != nil {
			t.Fatal(err)
		}
		n, err = New(t.Context(), r, Config{Offline: true})
		if err != nil {
			t.Fatalf("after %s: %v", c.key, err)
		}
		if err := n.Close(); err != nil {
			t.Error(err)
		}
	}
}

// A second node on a repo whose lock was not asked for does no harm.
func TestTwoNodesOneDatabase(t *testing.T) {
	r := newRepo(t)
	start(t, r, Config{Offline: true})
	n, err := New(t.Context(), r, Config{Offline: true})
	if err == nil {
		n.Close()
		t.Fatal("two nodes on one database")
	}
	if !strings.Contains(err.Error(), "open the database") {
		t.Error(err)
	}
}
