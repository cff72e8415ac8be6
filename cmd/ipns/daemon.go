package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"os"
	"os/signal"
	"slices"
	"strings"
	"syscall"
	"time"

	ma "github.com/multiformats/go-multiaddr"
	manet "github.com/multiformats/go-multiaddr/net"

	"github.com/goipns/ipns/api"
	"github.com/goipns/ipns/internal/display"
	"github.com/goipns/ipns/internal/machine"
	"github.com/goipns/ipns/internal/reach"
	"github.com/goipns/ipns/internal/records"
	"github.com/goipns/ipns/internal/repo"
	"github.com/goipns/ipns/internal/routingapi"
	"github.com/goipns/ipns/internal/serve"
	"github.com/goipns/ipns/internal/systemd"
	"github.com/goipns/ipns/internal/tracing/otlp"
	"github.com/goipns/ipns/internal/transport"
	"github.com/goipns/ipns/internal/verbs"
	"github.com/goipns/ipns/node"
	"github.com/goipns/ipns/rpc"
)

// daemonReady is the last line that a daemon prints when it starts, as Kubo's does.
const daemonReady = "Daemon is ready"

// runDaemon runs the node of a repo until it is interrupted or told to stop.
func (c *cli) runDaemon(ctx context.Context, r repo.Repo, o node.Config) (err error) {
	if err := r.Check(); err != nil {
		return err
	}
	lock, err := c.lock(r)
	if err != nil {
		return err
	}
	d, err := c.startDaemon(ctx, r, lock, o, c.out)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, d.close()) }()
	display.Fprintln(c.out, daemonReady)
	if !o.Offline {
		d.reached = func(v reach.Verdict) { display.Fprintf(c.out, "Reachability: %s\n", v.Words) }
	}
	d.wait(ctx, c.out)
	return nil
}

// A runningDaemon is a node with its servers and the lock of its repo.
type runningDaemon struct {
	lock    *repo.Lock
	node    *node.Node
	routing *routingapi.Server // instead of a node, with the servers
	servers *serve.Servers
	log     *slog.Logger

	// reached is called when it has changed who can fetch from the node; nil: nobody wants to
	// know.
	reached    func(reach.Verdict)
	reload     <-chan os.Signal // has an element when the config should be reloaded
	stopReload func()
	stopTraces func() // nil: there are none
}

// startDaemon starts the node of a repo and its servers, and prints to out where
// they listen. It releases the lock if that fails.
func (c *cli) startDaemon(ctx context.Context, r repo.Repo, lock *repo.Lock, o node.Config, out io.Writer) (d *runningDaemon, err error) {
	d = &runningDaemon{lock: lock}
	d.reload, d.stopReload = reloads()
	d.log = c.logger()
	o.Log = d.log
	if d.stopTraces, err = otlp.Start(ctx, node.Release, d.log); err != nil {
		return nil, errors.Join(err, d.close())
	}
	if err := fit(r, o.Offline); err != nil {
		return nil, errors.Join(err, d.close())
	}
	if o.Listeners, err = socketsOfSystemd(); err != nil {
		return nil, errors.Join(err, d.close())
	}
	if o.Passphrase, o.Encrypt, err = c.daemonPassphrase(); err != nil {
		return nil, errors.Join(err, d.close())
	}
	v, err := rpc.Do(ctx, verbs.Mux(nil), api.Version, api.VersionRequest{})
	if err != nil {
		return nil, errors.Join(err, d.close())
	}
	unused, err := r.Unused()
	if err != nil {
		return nil, errors.Join(err, d.close())
	}
	for _, w := range unused {
		display.Fprintf(c.errOut, "warning: %s\n", w)
	}
	_, _ = io.WriteString(out, c.versions(v)) // the daemon also runs if nobody reads it
	o.API = verbs.Mux
	if d.node, err = c.openNode(ctx, d, r, o); err != nil {
		return nil, errors.Join(err, d.close())
	}
	if d.servers, err = d.node.Serve(); err != nil {
		return nil, errors.Join(err, d.close())
	}
	if err := c.describe(ctx, d, out); err != nil {
		return nil, errors.Join(err, d.close())
	}
	return d, nil
}

// fit refuses to start where this process may have too few descriptors, and keeps its memory
// within what it may use.
func fit(r repo.Repo, offline bool) error {
	c, err := r.Config()
	if err != nil {
		return err
	}
	room := machine.Here()
	if err := transport.CheckDescriptors(&c, offline, room); err != nil {
		return err
	}
	room.Confine()
	return nil
}

// databaseAgain is how long a daemon waits before it tries again to reach the database of its
// names, and how much longer systemd is to wait for it.
const (
	databaseAgain = 2 * time.Second
	databaseWait  = time.Minute
)

// openNode opens the node. While the database of its names cannot be reached it waits: after a
// reboot of all machines the database may come later, and a daemon that ends instead is not
// started again for ever.
func (c *cli) openNode(ctx context.Context, d *runningDaemon, r repo.Repo, o node.Config) (*node.Node, error) {
	for said := false; ; said = true {
		n, err := node.New(ctx, r, o)
		if !errors.Is(err, records.ErrAway) {
			if said {
				d.tell("STATUS=")
			}
			return n, err
		}
		if !said {
			display.Fprintf(c.errOut, "waiting for the database of the names: %v\n", err)
		}
		d.tell(fmt.Sprintf("STATUS=waiting for the database of the names\nEXTEND_TIMEOUT_USEC=%d", databaseWait.Microseconds()))
		select {
		case <-ctx.Done():
			return nil, err
		case <-time.After(databaseAgain):
		}
	}
}

// describe prints where the node listens, in the words that scripts expect.
func (c *cli) describe(ctx context.Context, d *runningDaemon, out io.Writer) error {
	n := verbs.Mux(d.node)
	id, err := rpc.Do(ctx, n, api.ID, rpc.New[api.IDRequest]())
	if err != nil {
		return err
	}
	display.Fprintf(out, "PeerID: %s\n", id.ID)
	if id.KeysLocked {
		display.Fprintln(c.errOut, "warning: the keys are encrypted, and no passphrase was given: nothing is signed or renewed, and the peer id is for this run alone")
	} else if !d.node.Identity.Store.Encrypt {
		display.Fprintln(c.errOut, "note: keys are in clear, as Kubo's are; 'ipns key encrypt' encrypts them")
	}
	listen, err := rpc.Do(ctx, n, api.SwarmAddrsListen, api.SwarmAddrsListenRequest{})
	if errors.Is(err, api.ErrOffline) {
		display.Fprintln(out, "Swarm not listening, running in offline mode.")
	} else if err != nil {
		return err
	} else {
		for _, line := range swarmLines(listen.Strings) {
			display.Fprintf(out, "Swarm listening on %s\n", line)
		}
		display.Fprintf(out, "Run '%s id' to inspect announced and discovered multiaddrs of this node.\n", c.name)
		display.Fprintf(out, "Reachability: %s\n", d.node.Network.Reachability().Words)
	}
	if d.servers.API != nil {
		display.Fprintf(out, "RPC API server listening on %s\n", d.servers.API)
		if at := d.servers.PageURL(); at != "" {
			display.Fprintf(out, "WebUI: %s\n", at)
		}
	}
	if d.servers.Gateway != nil {
		display.Fprintf(out, "Gateway server listening on %s\n", d.servers.Gateway)
	}
	if d.servers.Hosting != nil {
		display.Fprintf(out, "Hosting server listening on %s\n", d.servers.Hosting)
	}
	if d.servers.Metrics != nil {
		display.Fprintf(out, "Metrics server listening on %s\n", d.servers.Metrics)
	}
	return nil
}

// swarmLines groups addresses by host and port: 127.0.0.1:4001 (TCP+UDP).
func swarmLines(addrs []string) []string {
	protocols := map[string][]string{}
	for _, text := range addrs {
		m, err := ma.NewMultiaddr(text)
		if err != nil {
			continue
		}
		network, hostport, err := manet.DialArgs(m)
		if err != nil {
			continue
		}
		kind := strings.ToUpper(strings.TrimRight(network, "46"))
		if _, _, err := net.SplitHostPort(hostport); err == nil && !slices.Contains(protocols[hostport], kind) {
			protocols[hostport] = append(protocols[hostport], kind)
		}
	}
	var lines []string
	for hostport, kinds := range protocols {
		slices.Sort(kinds)
		lines = append(lines, fmt.Sprintf("%s (%s)", hostport, strings.Join(kinds, "+")))
	}
	slices.Sort(lines)
	return lines
}

// wait returns when the daemon should stop. A second signal ends the process.
func (d *runningDaemon) wait(ctx context.Context, out io.Writer) {
	defer d.watched(ctx)()
	d.tell(systemd.Ready)
	for {
		select {
		case <-d.reload:
			d.tell(systemd.Reloading())
			if done, err := d.servers.Reload(); err != nil {
				d.log.Error("the config was not reloaded; nothing has changed", "err", err.Error()+setupStep(err))
			} else if len(done.Waiting) > 0 {
				d.log.Warn("these changes of the config wait for a restart", "keys", strings.Join(done.Waiting, " "))
			}
			d.tell(systemd.Ready)
			continue
		case <-d.reachabilityChanged():
			d.reached(d.node.Network.Reachability())
			continue
		case <-ctx.Done():
			// A terminal that closes may send two signals, and ends the process that
			// reads the output.
			signal.Ignore(syscall.SIGHUP, syscall.SIGPIPE)
			display.Fprintln(out, "Received interrupt signal, shutting down...")
			display.Fprintln(out, "(Hit ctrl-c again to force-shutdown the daemon.)")
		case <-d.stopping():
		}
		d.tell(systemd.Stopping)
		return
	}
}

// stopping is closed when a command has told the node to stop; a server of routing alone
// has no commands.
func (d *runningDaemon) stopping() <-chan struct{} {
	if d.node == nil {
		return nil
	}
	return d.node.Stopping()
}

// tell reports the state of the daemon to systemd, if systemd started it.
func (d *runningDaemon) tell(state string) {
	if err := systemd.Notify(state); err != nil {
		d.log.Warn("cannot notify systemd", "err", err)
	}
}

// close stops the servers and the node, and releases the repo.
func (d *runningDaemon) close() error {
	var errs []error
	if d.node != nil {
		d.node.Stop() // readers that stay leave
	}
	if d.routing != nil {
		errs = append(errs, d.routing.Close())
	} else if d.servers != nil {
		errs = append(errs, d.servers.Close())
	}
	if d.node != nil {
		errs = append(errs, d.node.Close())
	}
	d.stopReload()
	if d.stopTraces != nil {
		d.stopTraces()
	}
	return errors.Join(append(errs, d.lock.Unlock())...)
}
