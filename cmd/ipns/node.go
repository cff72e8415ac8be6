package main

import (
	"context"
	"fmt"

	"github.com/spf13/cobra"

	"github.com/goipns/ipns/internal/daemon"
	"github.com/goipns/ipns/rpc"
)

func (c *cli) idCmd() *cobra.Command {
	return single(c, "id [<peer id>]", "Show who this node is, or another peer", rpc.Node.ID)
}

func (c *cli) shutdownCmd() *cobra.Command {
	cmd := &cobra.Command{Use: "shutdown", Short: "Stop the daemon", Args: cobra.NoArgs}
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		ctx, cancel := c.context(cmd)
		defer cancel()
		api := c.api
		if api == "" {
			r, err := c.repository()
			if err != nil {
				return err
			}
			if err := r.Check(); err != nil {
				return err
			}
			lock, addr, err := r.LockOrAPI(ctx)
			if err != nil {
				return err
			}
			if addr == "" {
				lock.Unlock()
				return fmt.Errorf("no daemon runs on %s", string(r))
			}
			api = addr
		}
		return c.withClient(api, func(n rpc.Node) error {
			_, err := n.Shutdown(ctx, rpc.ShutdownRequest{})
			return err
		})
	}
	return cmd
}

// versionCmd needs no repo.
func (c *cli) versionCmd() *cobra.Command {
	var req rpc.VersionRequest
	cmd := &cobra.Command{Use: "version", Short: "Show the version", Args: cobra.NoArgs}
	bind(cmd, &req)
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		v := daemon.Version()
		return c.print(v, req.Text(v))
	}
	return cmd
}

// configCmd has a flag --json of its own, which is about the value.
func (c *cli) configCmd() *cobra.Command {
	cmd := single(c, "config <key> [<value>]", "Show a config value, or set it", rpc.Node.Config)
	cmd.AddCommand(single(c, "show", "Show the whole config, but not the private key", rpc.Node.ConfigShow))
	for _, kubos := range []string{"replace", "edit", "profile"} {
		cmd.AddCommand(&cobra.Command{
			Use: kubos, Hidden: true, DisableFlagParsing: true,
			RunE: func(*cobra.Command, []string) error {
				return fmt.Errorf("'config %s' is not supported: set keys one by one with 'ipns config KEY VALUE', or stop the daemon and change the file config in its repo", kubos)
			},
		})
	}
	return cmd
}

func (c *cli) repoCmd() *cobra.Command {
	cmd := &cobra.Command{Use: "repo", Short: "Look after what is stored", RunE: group(noArgs)}
	cmd.AddCommand(stream(c, "verify", "Find what is damaged of names, and mend it", rpc.Node.RepoVerify))
	return cmd
}

func (c *cli) swarmCmd() *cobra.Command {
	cmd := &cobra.Command{Use: "swarm", Short: "Connect to peers and list them", RunE: group(noArgs)}
	addrs := single(c, "addrs", "List the addresses of all known peers", rpc.Node.SwarmAddrs)
	addrs.AddCommand(
		single(c, "local", "List the addresses that this node announces", rpc.Node.SwarmAddrsLocal),
		single(c, "listen", "List the addresses that this node listens on", rpc.Node.SwarmAddrsListen),
	)
	cmd.AddCommand(
		single(c, "connect <address>...", "Connect to peers", rpc.Node.SwarmConnect),
		single(c, "peers", "List the connected peers", rpc.Node.SwarmPeers),
		addrs,
	)
	return cmd
}

func (c *cli) bootstrapCmd() *cobra.Command {
	cmd := single(c, "bootstrap", "List and change the peers by which this node joins the networks", rpc.Node.BootstrapList)
	add := single(c, "add [<peer>]...", "Add bootstrap peers", rpc.Node.BootstrapAdd)
	add.AddCommand(single(c, "default", "Add those of the public network", func(n rpc.Node, ctx context.Context, req rpc.BootstrapAddRequest) (rpc.BootstrapPeers, error) {
		req.Default = true
		return n.BootstrapAdd(ctx, req)
	}))
	remove := single(c, "rm [<peer>]...", "Remove bootstrap peers", rpc.Node.BootstrapRemove)
	remove.AddCommand(single(c, "all", "Remove all of them", func(n rpc.Node, ctx context.Context, req rpc.BootstrapRemoveRequest) (rpc.BootstrapPeers, error) {
		req.All = true
		return n.BootstrapRemove(ctx, req)
	}))
	cmd.AddCommand(single(c, "list", "List the bootstrap peers", rpc.Node.BootstrapList), add, remove)
	return cmd
}

func (c *cli) routingCmd() *cobra.Command {
	cmd := &cobra.Command{Use: "routing", Short: "Get and put raw values, announce content", RunE: group(noArgs)}
	cmd.AddCommand(
		single(c, "get <key>", "Find the value of a key such as /ipns/k51…", rpc.Node.RoutingGet),
		single(c, "put <key> <file>", "Put a value under a key", rpc.Node.RoutingPut),
		single(c, "provide <cid>...", "Tell the network that this node has the content", rpc.Node.Provide),
	)
	return cmd
}
