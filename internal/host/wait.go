package host

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"time"

	"github.com/ipfs/go-cid"
	kbucket "github.com/libp2p/go-libp2p-kbucket"
	corerouting "github.com/libp2p/go-libp2p/core/routing"

	"github.com/goipns/ipns"
	"github.com/goipns/ipns/routing"
	"github.com/goipns/ipns/routing/dht"
)

// knowsPeers reports whether one of the DHTs has a peer.
func (n *Network) knowsPeers() bool {
	return n.DHT.Dual.LAN.RoutingTable().Size()+n.DHT.Dual.WAN.RoutingTable().Size() > 0
}

// onNetwork reports whether the expected network was joined, or any network if none is
// expected.
func (n *Network) onNetwork() bool {
	switch n.Expected() {
	case dht.WAN:
		return n.DHT.WAN.Joined()
	case dht.LAN:
		return n.DHT.LAN.Joined()
	}
	return n.knowsPeers()
}

// joining is the networks of a node that has just started: puts and searches first wait
// until the expected network is joined, so that they do not fail for lack of servers.
type joining struct {
	routing.Parallel
	n *Network
}

func (j joining) Put(ctx context.Context, rec *ipns.Record, look routing.Look) iter.Seq2[routing.Ack, error] {
	return func(yield func(routing.Ack, error) bool) {
		j.n.waitForPeers(ctx)
		j.Parallel.Put(ctx, rec, look)(yield)
	}
}

func (j joining) Search(ctx context.Context, name ipns.Name) iter.Seq2[routing.Answer, error] {
	return func(yield func(routing.Answer, error) bool) {
		j.n.waitForPeers(ctx)
		j.Parallel.Search(ctx, name)(yield)
	}
}

func (j joining) Sweep(ctx context.Context, region routing.Region, records iter.Seq[*ipns.Record]) iter.Seq2[routing.Ack, error] {
	return func(yield func(routing.Ack, error) bool) {
		j.n.waitForPeers(ctx)
		j.Parallel.Sweep(ctx, region, records)(yield)
	}
}

func (j joining) Ask(ctx context.Context, region routing.Region, names iter.Seq[ipns.Name], closest int) iter.Seq2[routing.Finding, error] {
	return func(yield func(routing.Finding, error) bool) {
		j.n.waitForPeers(ctx)
		j.Parallel.Ask(ctx, region, names, closest)(yield)
	}
}

// joiningContent does the same for announcements of content, which go to the first of its
// DHTs that has servers.
type joiningContent struct {
	corerouting.Routing
	n  *Network
	on []*dht.Router
}

func (j joiningContent) Provide(ctx context.Context, c cid.Cid, announce bool) error {
	j.n.waitForPeers(ctx)
	if !announce {
		return j.Routing.Provide(ctx, c, false)
	}
	if err := j.Routing.Provide(ctx, c, false); err != nil { // what this node's own server knows
		return err
	}
	nowhere := error(kbucket.ErrLookupFailure)
	for _, r := range j.on {
		took, err := r.Announce(ctx, c.Hash())
		switch {
		case errors.Is(err, routing.ErrNoTargets), errors.Is(err, routing.ErrAway):
		case errors.Is(err, dht.ErrNoAddress):
			nowhere = err
		case err == nil && took == 0:
			return fmt.Errorf("announcing content on %s: no server took it", r.Network())
		default:
			return err
		}
	}
	return nowhere
}

// waitForPeers waits, in the first seconds of a node and after bootstrap peers were
// added, until the expected network is joined. It reports whether there are any peers.
func (n *Network) waitForPeers(ctx context.Context) bool {
	for !n.onNetwork() {
		if n.Expected() == "" || !n.boot.fresh() {
			return n.knowsPeers()
		}
		select {
		case <-ctx.Done():
			return false
		case <-time.After(20 * time.Millisecond):
		}
	}
	return true
}

// WaitForPeers waits as puts and searches do. The error is routing.ErrAway or
// routing.ErrNoTargets if the network that is expected is not joined by then.
func (n *Network) WaitForPeers(ctx context.Context) error {
	n.waitForPeers(ctx)
	switch network := n.Expected(); {
	case n.onNetwork():
		return nil
	case ctx.Err() != nil:
		return ctx.Err()
	case network != "":
		return &routing.AwayError{Network: network}
	}
	return routing.ErrNoTargets
}

// Expected returns the network that should have servers; "" if none need to.
func (n *Network) Expected() string {
	if n.DHT == nil {
		return ""
	}
	return n.DHT.Expected()
}
