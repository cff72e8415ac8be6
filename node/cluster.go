package node

import (
	"cmp"
	"context"
	"time"

	"github.com/goipns/ipns/internal/cluster"
	"github.com/goipns/ipns/keystore"
	"github.com/goipns/ipns/republisher"
)

// openCluster makes the node a member of those that share its store, if others can. What is
// to be done once for a name is then left to the holder of its sector.
func (n *Node) openCluster(c Config) {
	if n.Records.Shared == nil {
		return
	}
	m := cluster.New(n.Records.Shared, n.Records.Rows(), cluster.SinceBoot)
	m.Log, m.About = n.Log, n.about
	m.Daemon.Peer, m.Daemon.Version, m.Daemon.Started = n.Name.PeerID().String(), Release, time.Now().UTC().Truncate(time.Second)
	m.Daemon.Takes = n.Router != nil && !c.ReadOnFull
	n.Cluster = m
	n.Republisher.Signers = republisher.Elsewhere(n.Republisher.Signers, keystore.ErrNotFound)
	n.Republisher.Leases = m
	n.Publisher.Resumes = m.Holds
	n.Hosting.Holds = m.Holds
	n.Ladders.Leases = m
	n.Webhooks.Leases = m
}

// about is what other daemons are told of this one.
func (n *Node) about(ctx context.Context) cluster.Figures {
	ready := n.ready(ctx)
	return cluster.FiguresOf(n.Republisher.Status(), n.Book.Lag(), cmp.Or(ready.Serve, ready.Sign))
}
