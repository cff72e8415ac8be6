package main

import (
	"errors"

	"github.com/spf13/cobra"

	"github.com/goipns/ipns/internal/display"
	"github.com/goipns/ipns/internal/repo"
	"github.com/goipns/ipns/internal/routingapi"
	"github.com/goipns/ipns/node"
)

// runRouting serves /routing/v1, and nothing else, until it is interrupted.
func (c *cli) runRouting(cmd *cobra.Command, r repo.Repo, o node.Config) (err error) {
	if c.offline {
		return usage(cmd, "--routing-only is for a node on a network, not for --offline")
	}
	if err := r.Check(); err != nil {
		return err
	}
	lock, err := c.lock(r)
	if err != nil {
		return err
	}
	d := &runningDaemon{lock: lock}
	d.reload, d.stopReload = reloads()
	defer func() { err = errors.Join(err, d.close()) }()
	d.log = c.logger()
	if err := fit(r, false); err != nil {
		return err
	}
	listeners, err := socketsOfSystemd()
	if err != nil {
		return err
	}
	settings, err := r.Config()
	if err != nil {
		return err
	}
	d.routing, err = routingapi.Serve(cmd.Context(), r, routingapi.ServerOptions{
		Agent: node.AgentOf(&settings, o.AgentSuffix), Bootstrap: o.Bootstrap, Listeners: listeners, Log: d.log,
	})
	if err != nil {
		return err
	}
	d.servers = d.routing.Servers
	display.Fprintf(c.out, "Routing server listening on %s\n%s\n", d.servers.Gateway, daemonReady)
	d.wait(cmd.Context(), c.out)
	return nil
}
