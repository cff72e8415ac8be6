package main

import (
	"context"
	"fmt"

	"github.com/spf13/cobra"

	"github.com/goipns/ipns/rpc"
)

func (c *cli) republishCmd() *cobra.Command {
	cmd := &cobra.Command{Use: "republish", Short: "Show how names are kept alive", RunE: group(noArgs)}
	cmd.AddCommand(c.republishStatusCmd())
	return cmd
}

// republishStatusCmd prints the last status. While it is watched, a terminal shows
// how far it is, and JSON has every one.
func (c *cli) republishStatusCmd() *cobra.Command {
	var req rpc.RepublishStatusRequest
	cmd := &cobra.Command{Use: "status", Short: "Show which names are due, late and at risk"}
	bind(cmd, &req)
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		return c.request(cmd, args, &req, func(ctx context.Context, n rpc.Node) error {
			bar := c.progress("republishing")
			defer bar.end()
			var last rpc.Republishing
			for s, err := range n.RepublishStatus(ctx, req) {
				if err != nil {
					return err
				}
				bar.regions(s)
				last = s
				if c.asJSON() {
					if err := c.print(s, ""); err != nil {
						return err
					}
				}
			}
			bar.clear()
			if c.asJSON() {
				return nil
			}
			return c.print(last, req.Text(last))
		})
	}
	return cmd
}

// regions tells how far a turn of republishing is.
func (p *progress) regions(s rpc.Republishing) {
	if p.bar == nil {
		return
	}
	p.bar.ChangeMax(s.Regions)
	p.bar.Describe(fmt.Sprintf("%d of %d regions, %d names due, %.1f names/s", s.RegionsDone, s.Regions, s.Due, s.NamesPerSecond))
	_ = p.bar.Set(s.RegionsDone) // it only draws
}
