package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	"github.com/goipns/ipns"
	"github.com/goipns/ipns/contenthash"
	"github.com/goipns/ipns/internal/display"
	"github.com/goipns/ipns/internal/ens"
	"github.com/goipns/ipns/keystore"
	"github.com/goipns/ipns/rpc"
)

func (c *cli) ensCmd() *cobra.Command {
	cmd := &cobra.Command{Use: "ens", Short: "Check an ENS name, or prepare what points it to a name", RunE: group}
	var rpcURL, want string
	check := &cobra.Command{
		Use: "check <name.eth>", Short: "Show what an ENS name points to", Args: cobra.ExactArgs(1),
		Example: examples("ipns ens check --rpc=$ETH example.eth"),
		RunE: func(cmd *cobra.Command, args []string) error {
			ctx, cancel := c.context(cmd)
			defer cancel()
			var wanted []byte
			if want != "" {
				var err error
				if wanted, err = contenthash.EncodeText(want); err != nil {
					return err
				}
			}
			if rpcURL == "" {
				return usage(cmd, "--rpc is missing: the URL of an Ethereum node or of a service, such as http://127.0.0.1:8545")
			}
			e, err := (&ens.Client{URL: rpcURL}).Lookup(ctx, args[0])
			if errors.Is(err, ens.ErrNoResolver) {
				err = fmt.Errorf("%w; its owner sets one in the ENS manager", err)
			}
			if err != nil {
				return err
			}
			out := ensOutput{Entry: e, Contenthash: contenthash.Hex(e.Contenthash)}
			out.judge(wanted)
			if err := c.print(out, out.text()); err != nil {
				return err
			}
			if len(out.Findings) > 0 {
				return errors.New("the ENS name does not point to a name as it should; what is above says why")
			}
			return nil
		},
	}
	check.Flags().StringVar(&rpcURL, "rpc", "", "URL of the JSON-RPC API of an Ethereum node (required)")
	check.Flags().StringVar(&want, "name", "", "name or CID that it should point to")

	calldata := &cobra.Command{
		Use: "calldata <name.eth> [<name, key or cid>]", Short: "Print the data of the transaction that points an ENS name to a name", Args: cobra.RangeArgs(1, 2),
		Long: `Print the data of the transaction that points an ENS name to a name: that of the
key self, unless another key, a name or a CID is given.`,
		Example: examples("ipns ens calldata example.eth", "ipns ens calldata example.eth $NAME"),
		RunE: func(cmd *cobra.Command, args []string) error {
			ctx, cancel := c.context(cmd)
			defer cancel()
			hash, err := c.hashFor(ctx, args[1:])
			if err != nil {
				return err
			}
			data, err := ens.Calldata(args[0], hash)
			if err != nil {
				return err
			}
			display.Fprintln(c.errOut, "note: send it from the account that manages the ENS name, to its resolver, which 'ipns ens check' shows")
			return c.print(calldataOutput{contenthash.Hex(data)}, contenthash.Hex(data)+"\n")
		},
	}
	cmd.AddCommand(check, calldata)
	return cmd
}

// hashFor returns the contenthash of a name, a CID or a key of the node; of none, that of
// the key self.
func (c *cli) hashFor(ctx context.Context, args []string) ([]byte, error) {
	key := keystore.Self
	var bad error
	if len(args) > 0 {
		key = args[0]
		var hash []byte
		if hash, bad = contenthash.EncodeText(key); bad == nil || strings.ContainsAny(key, ".:/") {
			return hash, bad
		}
	}
	var name ipns.Name
	err := c.withNode(ctx, func(n rpc.Caller) (err error) {
		name, err = nameFromKey(ctx, n, key)
		return err
	})
	switch {
	case err != nil && bad != nil:
		return nil, fmt.Errorf("%q is no name, CID or key of this node: %w", key, bad)
	case err != nil:
		return nil, err
	}
	return contenthash.Encode(name), nil
}

// calldataOutput is what 'ens calldata' prints as JSON.
type calldataOutput struct{ Data string }

// ensOutput is what 'ens check' prints as JSON.
type ensOutput struct {
	ens.Entry
	Contenthash string // hex, in place of Entry's bytes
	URI         string `json:",omitempty"`
	// Findings say what is wrong, and what mends it. None: all is well.
	Findings []string
}

func (o *ensOutput) find(format string, args ...any) {
	o.Findings = append(o.Findings, fmt.Sprintf(format, args...))
}

// judge fills in where the contenthash points to, and what is wrong with that.
func (o *ensOutput) judge(wanted []byte) {
	if o.Chain != ens.Mainnet {
		o.find("the node is on chain %d, and ENS names are looked up on chain %d", o.Chain, ens.Mainnet)
	}
	switch {
	case len(o.Offchain) > 0:
		o.find("its resolver answers outside the chain (CCIP-Read), which is not followed: ask %s", strings.Join(o.Offchain, ", "))
		return
	case len(o.Entry.Contenthash) == 0:
		o.find("no contenthash is set: 'ipns ens calldata %s NAME' prints what sets it", o.Name)
		return
	}
	d, err := contenthash.Decode(o.Entry.Contenthash)
	switch {
	case err != nil:
		o.find("%v", err)
	case d.Domain != "":
		o.URI = d.URI()
		o.find("it is the old encoding of a domain: point it to a name")
	default:
		o.URI = d.URI()
	}
	if wanted != nil && !bytes.Equal(wanted, o.Entry.Contenthash) {
		o.find("its contenthash is not %s: 'ipns ens calldata %s NAME' prints what sets it", contenthash.Hex(wanted), o.Name)
	}
}

func (o *ensOutput) text() string {
	var b strings.Builder
	display.Fprintf(&b, "name         %s\nnamehash     %s\nchain        %d\nresolver     %s\n", o.Name, o.Node, o.Chain, o.Resolver)
	if o.Parent != "" {
		display.Fprintf(&b, "wildcard     of %s\n", o.Parent)
	}
	display.Fprintf(&b, "contenthash  %s\n", o.Contenthash)
	if o.URI != "" {
		display.Fprintf(&b, "points to    %s\n", o.URI)
	}
	for _, f := range o.Findings {
		display.Fprintf(&b, "problem: %s\n", f)
	}
	return b.String()
}
