package node

import (
	"path/filepath"
	"testing"

	"github.com/goipns/ipns/internal/repo"
	"github.com/goipns/ipns/publisher"
	"github.com/goipns/ipns/recordstore"
	"github.com/goipns/ipns/recordstore/postgres/pgtest"
)

// shared makes a repo with a key of its own, whose names are in a database.
func shared(t *testing.T, url string) repo.Repo {
	t.Helper()
	r := repo.Repo(filepath.Join(t.TempDir(), "repo"))
	c, _ := newConfig(t)
	c.Ipns.Store = url
	if err := Init(t.Context(), r, c, nil); err != nil {
		t.Fatal(err)
	}
	return r
}

// open starts an offline node, which ends with the test.
func open(t *testing.T, r repo.Repo) *Node {
	t.Helper()
	n, err := New(t.Context(), r, Config{Offline: true})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := n.Close(); err != nil {
			t.Error(err)
		}
	})
	return n
}

// TestNodesShareADatabase has two nodes, each with its repo and its own name, on one database:
// each knows the sequence of its name, and has what the other publishes.
func TestNodesShareADatabase(t *testing.T) {
	url := pgtest.Start(t).Database(t)
	a, b := open(t, shared(t, url)), open(t, shared(t, url))
	for _, n := range []*Node{a, b} {
		e, err := n.Book.Get(t.Context(), n.Name)
		if err != nil {
			t.Fatal(err)
		}
		if known, err := n.Book.Known(t.Context(), e); err != nil || !known {
			t.Errorf("the sequence of a new key is not known: %v", err)
		}
		if _, err := n.Publish(t.Context(), "self", publisher.Request{Value: "/ipfs/bafkqaaa"}); err != nil {
			t.Fatal(err)
		}
	}
	e, err := a.Book.Get(t.Context(), b.Name)
	if err != nil || e.Record == nil || e.Record.Value() != "/ipfs/bafkqaaa" || e.Origin != recordstore.Own {
		t.Errorf("what the other has published: %v, %v", e, err)
	}
	if msgs, err := verify(t, a, false); err != nil || msgs != "" {
		t.Errorf("%q, %v", msgs, err)
	}
}
