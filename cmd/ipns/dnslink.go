package main

import (
	"errors"
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	"github.com/goipns/ipns"
	"github.com/goipns/ipns/internal/display"
	"github.com/goipns/ipns/internal/dnslink"
)

// publicDoH is asked for a second opinion, unless told otherwise.
const publicDoH = "https://cloudflare-dns.com/dns-query"

func (c *cli) dnslinkCmd() *cobra.Command {
	cmd := &cobra.Command{Use: "dnslink", Short: "Check that a domain points to a name", RunE: group}
	var name, doh, server string
	check := &cobra.Command{
		Use: "check <domain>", Short: "Show what the DNSLink of a domain says here and elsewhere, and what to set", Args: cobra.ExactArgs(1),
		Example: examples("ipns dnslink check --server=$DNS --doh='' --name=$NAME example.com"),
		RunE: func(cmd *cobra.Command, args []string) error {
			ctx, cancel := c.context(cmd)
			defer cancel()
			var want ipns.Name
			if name != "" {
				var err error
				if want, err = ipns.ParseName(name); err != nil {
					return err
				}
			}
			sources, err := dnsSources(server, doh)
			if err != nil {
				return err
			}
			report, err := dnslink.Check(ctx, args[0], want, sources)
			if err != nil {
				return err
			}
			if err := c.print(report, dnslinkText(report)); err != nil {
				return err
			}
			if len(report.Findings) > 0 {
				return errors.New("the DNSLink is not as it should be; what is above says why")
			}
			return nil
		},
	}
	check.Flags().StringVar(&name, "name", "", "name that the domain should point to")
	check.Flags().StringVar(&doh, "doh", publicDoH, "URL of a DNS-over-HTTPS server to compare with; empty: none")
	check.Flags().StringVar(&server, "server", "", "host:port of a DNS server to ask instead of the system's")
	cmd.AddCommand(check)
	return cmd
}

// dnsSources are the system's DNS, or a server in its place, and one over HTTPS.
func dnsSources(server, doh string) ([]dnslink.Source, error) {
	first := dnslink.System()
	if server != "" {
		var err error
		if first, err = dnslink.Server(server); err != nil {
			return nil, fmt.Errorf("--server: %w", err)
		}
	}
	if doh == "" {
		return []dnslink.Source{first}, nil
	}
	second, err := dnslink.OverHTTPS(doh)
	if err != nil {
		return nil, fmt.Errorf("--doh: %w", err)
	}
	return []dnslink.Source{first, second}, nil
}

// dnslinkText is a line for each source, the findings and the record to set.
func dnslinkText(r dnslink.Report) string {
	var b strings.Builder
	for _, a := range r.Answers {
		what := a.Value
		if a.Error != "" {
			what = a.Error
		} else if a.TTL > 0 {
			what += fmt.Sprintf(" (TTL %v)", a.TTL)
		}
		display.Fprintf(&b, "%-24s %s\n", a.Source, what)
	}
	for _, f := range r.Findings {
		display.Fprintf(&b, "problem: %s\n", f)
	}
	if r.Record != "" {
		display.Fprintf(&b, "record: %s\n", r.Record)
	}
	return b.String()
}
