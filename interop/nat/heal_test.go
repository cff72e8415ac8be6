package nat

import (
	"fmt"
	"net/url"
	"os"
	"path/filepath"
	"testing"
	"time"

	"golang.org/x/sync/errgroup"
)

const (
	healServers = 24
	healWithin  = 2 * time.Minute
	linkDown    = 45 * time.Second // longer than libp2p and the routers keep a silent connection
	leaseLooks  = 90 * time.Second // longer than the lease of an opened port, which is a minute
	portMoment  = 5 * time.Second  // for which a port may be closed while it is opened again
	upTries     = 3
)

// TestHealing changes the network under running nodes. What a home needs of it is back without
// anybody's help: names are published to 20 of 20, others resolve them and fetch content.
//
// Clocks cannot jump in a namespace: that a machine slept for a day is shown with virtual time, in
// internal/host and republisher.
func TestHealing(t *testing.T) {
	t.Parallel() // it mostly waits
	need(t)
	needUPnP(t)
	net := newInternet(t, "heal", healServers)
	other := net.newHome(t, cone, "other")
	moved, asleep, upnp := net.newHome(t, port, "moved"), net.newHome(t, port, "asleep"), net.newHome(t, openPorts, "upnp")
	opener := upnp.opener
	nodes := map[*home]*node{other: nil, moved: nil, asleep: nil, upnp: nil}
	for h := range nodes {
		n, err := initNode(t, h, ours)
		if err == nil {
			err = n.start()
		}
		if err != nil {
			t.Fatal(err)
		}
		nodes[h] = n
	}
	for _, n := range nodes {
		if err := n.words(); err != nil {
			t.Fatal(err)
		}
		if err := n.healsSoon(nodes[other], "it was started"); err != nil {
			t.Fatal(err)
		}
	}

	var g errgroup.Group
	g.Go(func() error { // the provider gives the home another address, as many do every night
		moved.router.ip(t, "addr flush dev wan", "addr add "+address4(net.first+50)+link4+" dev wan")
		return nodes[moved].healsSoon(nodes[other], "its address changed")
	})
	g.Go(func() error { // a laptop is closed and opened
		asleep.machine.ip(t, "link set eth0 down")
		time.Sleep(linkDown)
		asleep.machine.ip(t, "link set eth0 up", "route add default via "+asleep.lan(1))
		return nodes[asleep].healsSoon(nodes[other], "its link was down")
	})
	g.Go(func() error {
		for begin := time.Now(); time.Since(begin) < leaseLooks; time.Sleep(time.Second) {
			// A router that is asked to go on may replace its rules one after the other.
			if _, err := eventually(portMoment, "the port is open", opener.open); err != nil {
				return fmt.Errorf("the port of %s is closed after %v", upnp.name, time.Since(begin))
			}
		}
		opener.stop() // the router is switched off and on, and has forgotten everything
		opener.start(t)
		took, err := eventually(healWithin, "the port is opened again", opener.open)
		t.Logf("the port is open again %v after the router was switched on", took.Round(time.Second))
		return err
	})
	if err := g.Wait(); err != nil {
		t.Fatal(err)
	}

	net.upInterrupted(t)

	// The doctor is asked about each step, the last of which is that all bootstrap nodes are dead.
	// Who starts then knows others from before.
	net.doctor(t)
	if !interrupt(nodes[asleep].cmd, nodes[asleep].ended) {
		t.Fatal("the daemon does not end")
	}
	nodes[asleep].client.CloseIdleConnections()
	if err := nodes[asleep].start(); err != nil {
		t.Fatal(err)
	}
	if err := nodes[asleep].healsSoon(nodes[other], "it was started without bootstrap nodes"); err != nil {
		t.Fatal(err)
	}
}

// upInterrupted ends `ipns up` while it waits until it is known who can fetch. If that becomes
// known just then, it is tried again.
func (n *internet) upInterrupted(t *testing.T) {
	t.Helper()
	site := t.TempDir()
	if err := os.WriteFile(filepath.Join(site, "index.html"), []byte("a page"), 0o644); err != nil {
		t.Fatal(err)
	}
	for i := range upTries {
		up, err := initNode(t, n.newHome(t, port, fmt.Sprint("brief", i)), ours)
		if err == nil {
			err = up.launch("announced to", "up", site)
		}
		if err != nil {
			t.Fatal(err)
		}
		known := up.log.has("Reachability")
		if !interrupt(up.cmd, up.ended) {
			t.Fatal("it does not end")
		}
		switch {
		case known:
			t.Log("it was known at once who can fetch: nothing was waited for")
			return
		case !up.log.has("Reachability") && up.log.has("shutting down") && !up.log.has("Serving it"):
			return
		case !up.log.has("Reachability") || i == upTries-1:
			t.Errorf("interrupted, it says:\n%s", up.log.tail())
			return
		}
	}
}

// healsSoon waits until all of a node works again.
func (n *node) healsSoon(other *node, what string) error {
	var last error
	took, err := eventually(healWithin, fmt.Sprintf("%v works after %s", n, what), func() bool {
		_, last = n.heals(other)
		return last == nil
	})
	if err != nil {
		return fmt.Errorf("%w: %w", err, last)
	}
	n.t.Logf("%v works %v after %s", n, took.Round(time.Second), what)
	return nil
}

// heals publishes a new value and has another node resolve it and fetch what it leads to.
func (n *node) heals(other *node) (*cell, error) {
	c := &cell{from: n, to: other}
	var err error
	if c.cid, err = n.add(); err != nil {
		return nil, err
	}
	var got struct {
		Name          string
		Announced, Of *int
	}
	if err := n.call(&got, "name/publish", url.Values{"arg": {"/ipfs/" + c.cid}, "resolve": {"false"}, "wait": {"all"}}); err != nil {
		return nil, err
	}
	n.name = got.Name
	if got.Announced == nil || got.Of == nil || *got.Announced < replicas {
		return nil, fmt.Errorf("%v announced to fewer than %d: %+v", n, replicas, got)
	}
	if n == other {
		return c, nil
	}
	var found struct{ Path string }
	if err := other.call(&found, "name/resolve", url.Values{"arg": {n.name}, "nocache": {"true"}}); err != nil {
		return nil, err
	}
	if found.Path != "/ipfs/"+c.cid {
		return nil, fmt.Errorf("%v resolves the name of %v to %s", other, n, found.Path)
	}
	if err := c.fetch(); err != nil {
		return nil, err
	}
	if c.way == refused {
		return nil, fmt.Errorf("%v cannot fetch from %v: %s", other, n, c.why)
	}
	return c, nil
}
