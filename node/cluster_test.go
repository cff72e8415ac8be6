package node

import (
	"slices"
	"testing"
	"time"

	"github.com/goipns/ipns/internal/cluster"
	"github.com/goipns/ipns/internal/testnet"
	"github.com/goipns/ipns/publisher"
	"github.com/goipns/ipns/recordstore/postgres/pgtest"
)

// until waits for something to become true, within minutes.
func until(t *testing.T, what string, ok func() bool) {
	t.Helper()
	for end := time.Now().Add(3 * time.Minute); !ok(); time.Sleep(50 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("after three minutes: %s", what)
		}
	}
}

// TestNodesShareTheWork has two nodes on one database and one network: each looks after half
// of the sectors, and of all once the other has ended. A node of one command takes none. The
// name of one whose sector the other holds is announced, and is said to have its key elsewhere.
func TestNodesShareTheWork(t *testing.T) {
	url := pgtest.Start(t).Database(t)
	nw, err := testnet.Start(t.Context(), 3)
	if err != nil {
		t.Fatal(err)
	}
	defer nw.Close()
	c := Config{Bootstrap: nw.Addrs()[:1]}
	a, err := New(t.Context(), shared(t, url), c)
	if err != nil {
		t.Fatal(err)
	}
	closed := false
	defer func() {
		if !closed {
			a.Close()
		}
	}()
	until(t, "one alone does not hold all", func() bool { return len(a.Cluster.Leases()) == cluster.Sectors })
	b := start(t, shared(t, url), c)
	c.Brief = true
	brief := start(t, shared(t, url), c)
	half := cluster.Sectors / 2
	until(t, "they do not share", func() bool { return len(a.Cluster.Leases()) == half && len(b.Cluster.Leases()) == half })
	if n := len(brief.Cluster.Leases()); n != 0 {
		t.Errorf("a node of one command holds %d sectors", n)
	}
	for _, n := range []*Node{a, b, brief} {
		if _, err := n.Publish(t.Context(), "self", publisher.Request{Value: "/ipfs/bafkqaaa"}); err != nil {
			t.Error(err)
		}
	}
	s, err := b.Cluster.Status(t.Context())
	if err != nil || len(s.Daemons) != 2 || len(s.Sectors) != cluster.Sectors || !slices.ContainsFunc(s.Daemons, func(d cluster.Holder) bool {
		return d.Peer == a.Name.PeerID().String() && len(d.Sectors) == half
	}) {
		t.Errorf("%+v, %v", s, err)
	}
	until(t, "the two do not know of three names", func() bool {
		x, errx := a.Republisher.Look(t.Context())
		y, erry := b.Republisher.Look(t.Context())
		return errx == nil && erry == nil && x.Own+y.Own == 3
	})
	begin := time.Now()
	if closed = true; a.Close() != nil {
		t.Error("it does not close")
	}
	until(t, "who is left does not hold all", func() bool { return len(b.Cluster.Leases()) == cluster.Sectors })
	t.Logf("after %v, the other has all sectors of a node that was closed", time.Since(begin))
	until(t, "the keys of others are said to be here", func() bool {
		s, err := b.Republisher.Look(t.Context())
		return err == nil && s.Own == 3 && s.Elsewhere == 2 && s.AtRiskCount == 0
	})
	if f := b.about(t.Context()); f.Elsewhere != 2 || !f.Ready || f.Names != 3 {
		t.Errorf("%+v", f)
	}
}
