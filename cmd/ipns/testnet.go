package main

import (
	"errors"

	"github.com/spf13/cobra"

	"github.com/goipns/ipns/internal/display"
	"github.com/goipns/ipns/internal/testnet"
)

// testnetSize is how many servers a test network has: more than the 20 that
// should hold each record.
const testnetSize = 25

func (c *cli) testnetCmd() *cobra.Command {
	var size int
	cmd := &cobra.Command{
		Use:     "testnet",
		Short:   "Run a private network of DHT servers on this machine until interrupted",
		Example: examples("ipns testnet", "ipns testnet --servers=5"),
		Args:    cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) (err error) {
			nw, err := testnet.Start(cmd.Context(), size)
			if err != nil {
				return err
			}
			defer func() { err = errors.Join(err, nw.Close()) }()
			addr := nw.Server(0).Addr()
			display.Fprintf(c.out, "%d DHT servers are running on this machine. To join them:\n\n", nw.Len())
			display.Fprintf(c.out, "  ipns init --profile test && ipns daemon --bootstrap %s\n", addr)
			display.Fprintf(c.out, "  ipfs swarm connect %s\n\n", addr)
			display.Fprintln(c.out, "Testnet is ready")
			<-cmd.Context().Done()
			return nil
		},
	}
	cmd.Flags().IntVarP(&size, "servers", "n", testnetSize, "how many servers")
	return cmd
}
