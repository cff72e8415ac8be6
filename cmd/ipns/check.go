package main

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/goipns/ipns"
	"github.com/goipns/ipns/api"
	"github.com/goipns/ipns/check"
	"github.com/goipns/ipns/internal/display"
	"github.com/goipns/ipns/internal/host"
	"github.com/goipns/ipns/node"
	"github.com/goipns/ipns/rpc"
)

// nameCheckCmd checks a name from outside. Its exit code is meant for CI.
func (c *cli) nameCheckCmd() *cobra.Command {
	req := check.Request{UserAgent: node.Agent}
	var bootstrap []string
	cmd := &cobra.Command{
		Use: "check <name or key>", Short: "Ask the network, not this node, which records of a name it has", Args: cobra.ExactArgs(1),
		Example: examples("ipns name check blog", "ipns name check --bootstrap=$PEER $NAME"),
	}
	cmd.Flags().StringArrayVar(&bootstrap, "bootstrap", nil, "peer to join the DHT through (default those of the config, or else the daemon's peers)")
	cmd.Flags().StringArrayVar(&req.Routers, "router", nil, "URL of a delegated router to ask as well (default those of the config)")
	cmd.Flags().StringArrayVar(&req.Gateways, "gateway", nil, "URL of a gateway to ask as well")
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		ctx, cancel := c.context(cmd)
		defer cancel()
		err := c.completeCheck(ctx, args[0], &req, &bootstrap)
		if err != nil {
			return err
		}
		if req.Peers, err = host.ParseBootstrap(bootstrap); err != nil {
			return fmt.Errorf("check %s: %w", req.Name, err)
		}
		sources, err := check.Ask(ctx, req)
		if errors.Is(err, check.ErrNobody) {
			err = fmt.Errorf("%w: give servers with --bootstrap, or routers or gateways", err)
		}
		if err != nil {
			return fmt.Errorf("check %s: %w", req.Name, err)
		}
		report := check.Judge(req.Name, sources)
		if err := c.print(report, reportText(report)); err != nil {
			return err
		}
		if !report.OK {
			return errors.New("the newest record is not where it should be; publish the name again, or wait for the daemon to announce it")
		}
		return nil
	}
	return cmd
}

// reportText is a line for each source and the verdict.
func reportText(r check.Report) string {
	var b strings.Builder
	for _, s := range r.Sources {
		what := "none"
		switch {
		case s.Error != "":
			what = s.Error
		case s.Record != nil:
			what = fmt.Sprintf("sequence %d until %s", s.Record.Sequence, s.Record.EOL.Format(time.RFC3339))
		}
		display.Fprintf(&b, "%-7s %-52s %8s  %s\n", s.Network, s.Source, s.Took.Round(time.Millisecond), what)
	}
	display.Fprintf(&b, "%s\n", r.Verdict)
	return b.String()
}

// completeCheck fills in the name, which may be given as the label of a key, and the
// peers to join through. With a name and --bootstrap, a check needs no repo.
func (c *cli) completeCheck(ctx context.Context, arg string, req *check.Request, bootstrap *[]string) error {
	var notName error
	req.Name, notName = ipns.ParseName(arg)
	if notName == nil && (len(*bootstrap) > 0 || len(req.Routers)+len(req.Gateways) > 0) {
		return nil
	}
	r, err := c.repository()
	if err != nil {
		return err
	}
	if err := r.Check(); err != nil {
		return err
	}
	config, err := r.Config()
	if err != nil {
		return err
	}
	if len(*bootstrap) == 0 {
		*bootstrap = config.Bootstrap
	}
	if len(req.Routers) == 0 {
		routers, publishers := config.HTTPRouters()
		for _, u := range slices.Concat(routers, publishers) {
			if !slices.Contains(req.Routers, u) {
				req.Routers = append(req.Routers, u)
			}
		}
	}
	if notName == nil && len(*bootstrap) > 0 {
		return nil
	}
	return c.withNode(ctx, func(n rpc.Caller) error {
		if notName != nil {
			if req.Name, err = nameFromKey(ctx, n, arg); err != nil {
				return err
			}
		}
		if len(*bootstrap) > 0 {
			return nil
		}
		peers, err := rpc.Do(ctx, n, api.SwarmPeers, api.SwarmPeersRequest{})
		for _, p := range peers.Peers {
			*bootstrap = append(*bootstrap, p.Addr+"/p2p/"+p.Peer)
		}
		return err
	})
}

func nameFromKey(ctx context.Context, n rpc.Caller, key string) (ipns.Name, error) {
	keys, err := rpc.Do(ctx, n, api.KeyLs, api.KeyListRequest{})
	if err != nil {
		return ipns.Name{}, err
	}
	for _, k := range keys.Keys {
		if k.Name == key {
			return ipns.ParseName(k.Id)
		}
	}
	return ipns.Name{}, rpc.Because(api.ReasonNoKey, fmt.Errorf("%q is neither a name nor the name of a key", key))
}
