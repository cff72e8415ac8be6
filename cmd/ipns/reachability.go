package main

import (
	"context"
	"time"

	"github.com/goipns/ipns/api"
	"github.com/goipns/ipns/internal/reach"
	"github.com/goipns/ipns/rpc"
)

// reachWait bounds how long 'ipns up' waits until others have tried to connect, so that its
// last words say who can fetch.
const reachWait = time.Minute

// reachabilityChanged receives a value when it has changed who can fetch from the node.
func (d *runningDaemon) reachabilityChanged() <-chan struct{} {
	if d.reached == nil {
		return nil
	}
	return d.node.Network.ReachabilityChanged()
}

// waitForReachability says who can fetch from the node once that is known. On a network
// without public servers nobody tells, and it does not wait. It reports whether the node goes
// on: else it was told to end, and says nothing.
func (d *runningDaemon) waitForReachability(whole context.Context) bool {
	ctx, cancel := context.WithTimeout(whole, reachWait)
	defer cancel()
	n := d.node.Network
	v := n.Reachability()
	for v.Fetch == reach.NotYet && n.DHT != nil && n.DHT.WAN.Joined() {
		select {
		case <-n.ReachabilityChanged():
			v = n.Reachability()
			continue
		case <-d.stopping():
			return false
		case <-ctx.Done():
		}
		break
	}
	if whole.Err() != nil {
		return false
	}
	d.reached(v)
	return true
}

// sayReachability says what a daemon knows of who can fetch from it. One that is offline
// has said so already.
func (c *cli) sayReachability(ctx context.Context, n rpc.Caller, view *upView) {
	a, err := rpc.Do(ctx, n, api.SwarmAddrsAutoNAT, api.SwarmAutoNATRequest{})
	if err == nil && a.Meaning != "" {
		view.reachability(reach.Verdict{Fetch: reach.Fetch(a.Fetch), Words: a.Meaning})
	}
}

// reachability shows who can fetch from the node.
func (v *upView) reachability(r reach.Verdict) {
	if v.c.asJSON() {
		v.json(reachabilityEvent{Event: "reachability", Time: time.Now().UTC(), Fetch: string(r.Fetch), Reachability: r.Words})
		return
	}
	v.note("Reachability: %s", r.Words)
}
