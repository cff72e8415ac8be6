package main

import (
	"strings"

	"github.com/spf13/cobra"

	"github.com/goipns/ipns/contenthash"
	"github.com/goipns/ipns/internal/display"
)

// contenthashOutput is what both directions print as JSON.
type contenthashOutput struct {
	Contenthash string
	URI         string
}

func (c *cli) contenthashCmd() *cobra.Command {
	cmd := &cobra.Command{Use: "contenthash", Short: "Translate between names and ENS contenthashes", RunE: group}
	encode := &cobra.Command{
		Use: "encode <name or cid>", Short: "Print the contenthash for a name or CID", Args: cobra.ExactArgs(1),
		Example: examples("ipns contenthash encode $NAME", "ipns contenthash encode ipfs://$CID"),
		RunE: func(_ *cobra.Command, args []string) error {
			b, err := contenthash.EncodeText(args[0])
			if err != nil {
				return err
			}
			if strings.HasPrefix(args[0], "Qm") {
				display.Fprintf(c.errOut, "note: this is taken as the name of an RSA key; if it is the CID of content, write ipfs://%s\n", args[0])
			}
			d, err := contenthash.Decode(b)
			if err != nil {
				return err
			}
			return c.print(contenthashOutput{contenthash.Hex(b), d.URI()}, contenthash.Hex(b)+"\n")
		},
	}
	decode := &cobra.Command{
		Use: "decode <hex>", Short: "Print what a contenthash points to", Args: cobra.ExactArgs(1),
		Example: examples("ipns contenthash decode 0xe301015500046e616d65"),
		RunE: func(_ *cobra.Command, args []string) error {
			b, err := contenthash.ParseHex(args[0])
			if err != nil {
				return err
			}
			d, err := contenthash.Decode(b)
			if err != nil {
				return err
			}
			if d.Domain != "" {
				display.Fprintln(c.errOut, "note: this is the old encoding of a domain; do not write it any more")
			}
			return c.print(contenthashOutput{contenthash.Hex(b), d.URI()}, d.URI()+"\n")
		},
	}
	cmd.AddCommand(encode, decode)
	return cmd
}
