package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"strings"

	"github.com/dustin/go-humanize"
	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/spf13/cobra"

	"github.com/goipns/ipns/internal/display"
	"github.com/goipns/ipns/internal/identity"
	"github.com/goipns/ipns/internal/ownrelay"
	"github.com/goipns/ipns/internal/repo"
	"github.com/goipns/ipns/internal/systemd"
	"github.com/goipns/ipns/node"
)

// relayOutput is what the relay prints as JSON.
type relayOutput struct {
	ID           string
	Nodes        []string
	Rate         int64    // bytes a second
	Public       bool     // the addresses are public
	StaticRelays []string // the value of Swarm.RelayClient.StaticRelays for the nodes
}

func (c *cli) relayCmd() *cobra.Command {
	var rate string
	cmd := &cobra.Command{
		Use:   "relay <peer>...",
		Short: "Run a relay of your own, over which others fetch from your nodes, until interrupted",
		Long: `Run a relay of your own, over which others fetch from your nodes. It runs
until it is interrupted.

It is for a node behind a router that lets nobody in. Run it on a host with a
public address, and put the line that it prints into the config of each node:
others then connect to the node through the relay, and fetch content over it.
Over public relays they do not, since those limit each connection.

It serves only the nodes that are named, by their peer ids (` + "'ipns id'" + `), and
only what is sent to and from them. Its own peer id is that of its repo, which
is made if there is none.`,
		Example: examples("ipns relay $NODE", "ipns relay --rate=2MiB $NODE"),
		Args:    cobra.MinimumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			o := ownrelay.Options{}
			for _, text := range args {
				p, err := peer.Decode(strings.TrimPrefix(text, "/p2p/"))
				if err != nil {
					return usage(cmd, "%q is no peer id: %v", text, err)
				}
				o.Nodes = append(o.Nodes, p)
			}
			bytes, err := humanize.ParseBytes(rate)
			if err != nil || bytes == 0 || bytes > 1<<40 {
				return usage(cmd, "--rate is %q: give bytes a second, such as 2MiB", rate)
			}
			o.Rate = int64(bytes)
			return c.relay(cmd, o)
		},
	}
	cmd.Flags().StringVar(&rate, "rate", humanize.IBytes(ownrelay.DefaultRate), "bytes a second that all connections through the relay may carry together")
	return cmd
}

// relay runs a relay with the identity and the config of a repo.
func (c *cli) relay(cmd *cobra.Command, o ownrelay.Options) (err error) {
	ctx := cmd.Context()
	r, err := c.repository()
	if err != nil {
		return err
	}
	if !r.Exists() {
		if err := c.initRepo(ctx, r, initOptions{}, c.errOut); err != nil {
			return err
		}
	}
	if err := r.Check(); err != nil {
		return err
	}
	lock, err := c.lock(r)
	if errors.Is(err, repo.ErrLocked) {
		return fmt.Errorf("%w: a relay needs a repo, a peer id and ports of its own", err)
	}
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, lock.Unlock()) }()
	settings, err := r.Config()
	if err != nil {
		return err
	}
	passphrase, err := c.passphrase()
	if err != nil {
		return err
	}
	keys, err := identity.Open(r, settings.Identity, passphrase)
	if err != nil {
		return err
	}
	if keys.Self == nil {
		return errors.New("the keys of the repo are encrypted: a relay needs the passphrase, for its peer id")
	}
	o.Key, o.Agent, o.SwarmKey, o.Overrides, o.Log = keys.Self, node.AgentOf(&settings, ""), r.SwarmKey(), r.LimitOverrides(), c.logger()
	relay, err := ownrelay.Open(settings, o)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, relay.Close()) }()
	if err := c.describeRelay(relay, o); err != nil {
		return err
	}
	return c.serveRelay(ctx, o.Log)
}

// describeRelay prints how nodes use the relay.
func (c *cli) describeRelay(relay *ownrelay.Relay, o ownrelay.Options) error {
	v := relayOutput{ID: relay.ID().String(), Rate: o.Rate}
	for _, p := range o.Nodes {
		v.Nodes = append(v.Nodes, p.String())
	}
	v.StaticRelays, v.Public = relay.Addrs()
	list, err := json.Marshal(v.StaticRelays)
	if err != nil {
		return err
	}
	if !v.Public {
		display.Fprintln(c.errOut, "warning: this host knows no public address of its own: if it has one, set Addresses.AppendAnnounce, and start the relay again")
	}
	return c.print(v, display.Sprintf("Relay %s is for %d of your nodes, and carries at most %s a second.\n"+
		"On each of them run the following, and start its daemon again:\n\n  ipns config --json Swarm.RelayClient.StaticRelays '%s'\n\nRelay is ready\n",
		v.ID, len(o.Nodes), humanize.IBytes(uint64(o.Rate)), list))
}

// serveRelay waits until the relay should stop.
func (c *cli) serveRelay(ctx context.Context, log *slog.Logger) error {
	d := &runningDaemon{log: log}
	d.tell(systemd.Ready)
	<-ctx.Done()
	d.tell(systemd.Stopping)
	return nil
}
