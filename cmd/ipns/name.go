package main

import (
	"context"
	"iter"

	"github.com/spf13/cobra"

	"github.com/goipns/ipns/internal/daemon"
	"github.com/goipns/ipns/internal/display"
	"github.com/goipns/ipns/rpc"
)

func (c *cli) nameCmd() *cobra.Command {
	cmd := &cobra.Command{Use: "name", Short: "Publish and resolve names", RunE: group(noArgs)}
	cmd.AddCommand(
		c.namePublishCmd(),
		stream(c, "resolve [<name>]", "Find where a name leads", rpc.Node.NameResolve),
		c.nameStatusCmd(),
		c.nameCheckCmd(),
		single(c, "log [<name>]", "List what a name has meant so far", rpc.Node.NameLog),
		c.nameRollbackCmd(),
		c.nameGetCmd(),
		c.namePutCmd(),
		c.nameInspectCmd(),
		c.namePubsubCmd(),
	)
	return cmd
}

func (c *cli) namePubsubCmd() *cobra.Command {
	cmd := &cobra.Command{Use: "pubsub", Short: "Show which names are listened for by pubsub", RunE: group(noArgs)}
	cmd.AddCommand(
		single(c, "state", "Show whether names travel by pubsub", rpc.Node.PubsubState),
		single(c, "subs", "List the names that are listened for", rpc.Node.PubsubSubs),
		single(c, "cancel <name>", "Stop listening for a name", rpc.Node.PubsubCancel),
	)
	return cmd
}

func (c *cli) namePublishCmd() *cobra.Command {
	var req rpc.PublishRequest
	cmd := &cobra.Command{Use: "publish <path>", Short: "Point a name to content"}
	bind(cmd, &req)
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		return c.request(cmd, args, &req, func(ctx context.Context, n rpc.Node) error {
			p, err := c.publish(func(progress bool) iter.Seq2[rpc.Published, error] {
				req.Progress = progress
				return n.NamePublish(ctx, req)
			})
			if err != nil {
				return err
			}
			return c.printPublished(p, req.Text(p))
		})
	}
	return cmd
}

func (c *cli) namePutCmd() *cobra.Command {
	return single(c, "put <name> <file>", "Put a record that was signed elsewhere on the network", func(n rpc.Node, ctx context.Context, req rpc.NamePutRequest) (rpc.Put, error) {
		p, err := n.NamePut(ctx, req)
		for _, w := range p.Warnings {
			display.Fprintf(c.errOut, "warning: %s\n", w)
		}
		return p, err
	})
}

func (c *cli) nameRollbackCmd() *cobra.Command {
	var req rpc.RollbackRequest
	cmd := &cobra.Command{Use: "rollback <name> <sequence or cid>", Short: "Publish an old value of a name again"}
	bind(cmd, &req)
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		return c.request(cmd, args, &req, func(ctx context.Context, n rpc.Node) error {
			p, err := c.publish(func(progress bool) iter.Seq2[rpc.Published, error] {
				req.Progress = progress
				return n.NameRollback(ctx, req)
			})
			if err != nil {
				return err
			}
			return c.printPublished(p, req.Text(p))
		})
	}
	return cmd
}

// publish runs a publish to its end and shows how far it is.
func (c *cli) publish(run func(progress bool) iter.Seq2[rpc.Published, error]) (rpc.Published, error) {
	bar := c.progress("announcing")
	defer bar.end()
	var last rpc.Published
	for p, err := range run(bar.visible()) {
		if err != nil {
			return p, err
		}
		bar.servers(p.Announced, p.Of)
		last = p
	}
	return last, nil
}

// printPublished prints Kubo's line, and on standard error who has the record.
func (c *cli) printPublished(p rpc.Published, line string) error {
	for _, w := range p.Warnings {
		display.Fprintf(c.errOut, "warning: %s\n", w)
	}
	if err := c.print(p, line); err != nil {
		return err
	}
	if !c.asJSON() {
		display.Fprintln(c.errOut, p.Receipt())
	}
	return nil
}

// nameStatusCmd shows all names of the node if none is given.
func (c *cli) nameStatusCmd() *cobra.Command {
	return single(c, "status [<name>]", "Show how a name is doing, or all names of this node", rpc.Node.NameStatus)
}

func (c *cli) nameGetCmd() *cobra.Command {
	var req rpc.NameGetRequest
	cmd := &cobra.Command{Use: "get <name>", Short: "Print the record of a name, byte for byte"}
	bind(cmd, &req)
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		return c.request(cmd, args, &req, func(ctx context.Context, n rpc.Node) error {
			return c.printStream(n.NameGet(ctx, req))
		})
	}
	return cmd
}

// nameInspectCmd needs no node and no repo.
func (c *cli) nameInspectCmd() *cobra.Command {
	var req rpc.InspectRequest
	cmd := &cobra.Command{Use: "inspect [<file>]", Short: "Show what a record says"}
	bind(cmd, &req)
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		done, err := c.arguments(cmd, args, &req)
		if err != nil {
			return err
		}
		defer done()
		in, err := daemon.Inspect(req)
		if err != nil {
			return err
		}
		return c.print(in, req.Text(in))
	}
	return cmd
}
