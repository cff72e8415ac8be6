package main

import (
	"errors"
	"fmt"
	"time"

	"github.com/dustin/go-humanize"
	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/goipns/ipns/content"
	"github.com/goipns/ipns/internal/display"
	"github.com/goipns/ipns/internal/kubo"
	"github.com/goipns/ipns/internal/move"
	"github.com/goipns/ipns/internal/repo"
)

// fromKubo is the option of init that takes a Kubo repo.
const fromKubo = "from-kubo"

// kuboOptions are the options of init that say what to take of a Kubo repo.
type kuboOptions struct {
	path string
	pins bool
}

// unnamed is the value of --from-kubo without a path.
const unnamed = "the default"

func (o *kuboOptions) flags(f *pflag.FlagSet) {
	f.StringVar(&o.path, fromKubo, "", "take keys, records and config of the Kubo repo in this folder (default $IPFS_PATH, else ~/.ipfs)")
	f.Lookup(fromKubo).NoOptDefVal = unnamed
	f.BoolVar(&o.pins, "pins", false, "with --from-kubo: copy its pins and their blocks, too")
}

// folder returns the folder of the Kubo repo, which may be an argument: --from-kubo PATH.
func (o *kuboOptions) folder(cmd *cobra.Command, args []string) (string, error) {
	switch {
	case len(args) > 1 || len(args) == 1 && o.path != unnamed:
		return "", usage(cmd, "expected one Kubo repo, got %q", args)
	case len(args) == 1:
		return args[0], nil
	case o.path == unnamed:
		return kubo.DefaultPath()
	}
	return o.path, nil
}

// initFromKubo makes a repo of what is in a Kubo repo, or completes one that it made.
func (c *cli) initFromKubo(cmd *cobra.Command, r repo.Repo, o kuboOptions, args []string) (err error) {
	for _, other := range []string{"profile", "algorithm", "bits", "store"} {
		if cmd.Flags().Changed(other) && other == "store" {
			return usage(cmd, "--store is not for --%s: once the names are here, 'ipns store move --to URL' moves them", fromKubo)
		}
		if cmd.Flags().Changed(other) {
			return usage(cmd, "--%s is not for --%s: key and config are those of the Kubo repo", other, fromKubo)
		}
	}
	path, err := o.folder(cmd, args)
	if err != nil {
		return err
	}
	from, err := kubo.Open(path)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, from.Close()) }()
	passphrase, err := c.newPassphrase(c.askPassphrase, encryptKeys)
	if err != nil {
		return err
	}
	report, err := move.In(cmd.Context(), from, r, passphrase)
	if errors.Is(err, move.ErrOther) {
		return fmt.Errorf("%w; set IPNS_PATH to a folder that is not there yet", err)
	}
	if err != nil {
		return err
	}
	display.Fprintf(c.out, "took %d keys of %s to %s\n", len(report.Names), from.Path, string(r))
	c.printMoved(report)
	if o.pins {
		bar := c.progress("copying")
		err = move.Pins(cmd.Context(), from, r, passphrase, report, bar.copied)
		bar.end()
		if err != nil {
			return fmt.Errorf("copy pins: %w; the same command goes on from here", err)
		}
		display.Fprintf(c.out, "copied %d pins with %d blocks, %s\n", report.Copied.Pins, report.Copied.Blocks, humanize.Bytes(report.Copied.Bytes))
	} else {
		report.Left = append(report.Left, "pins and blocks: the same command with --pins copies them")
	}
	display.Fprintf(c.errOut, "note: %s is unchanged; do not start Kubo on it again, for two nodes would publish with one key\n", from.Path)
	return c.printLeft(report, from.Path)
}

// printMoved prints the names that moved.
func (c *cli) printMoved(report *move.Report) {
	for _, n := range report.Names {
		state := "nothing published"
		if rec := n.Record; rec != nil {
			state = fmt.Sprintf("sequence %d, until %s", rec.Sequence(), rec.EOL().UTC().Format(time.RFC3339))
		}
		display.Fprintf(c.out, "%s %s: %s\n", n.Name, n.Label, state)
	}
}

// printLeft prints what did not move. What should have is an error.
func (c *cli) printLeft(report *move.Report, from string) error {
	for _, line := range report.Left {
		display.Fprintf(c.out, "left out: %s\n", line)
	}
	for _, line := range report.Failed {
		display.Fprintf(c.errOut, "could not take %s\n", line)
	}
	if n := len(report.Failed); n > 0 {
		return fmt.Errorf("%d of the things in %s could not be taken; they are named above", n, from)
	}
	return nil
}

// exportCmd gives the names of the repo to a Kubo.
func (c *cli) exportCmd() *cobra.Command {
	var to string
	cmd := &cobra.Command{
		Use: "export --to-kubo <path>", Short: "Write all keys and records into a Kubo repo, which goes on with them", Args: cobra.NoArgs,
		Example: examples("ipns export --to-kubo=kubo"),
	}
	cmd.Flags().StringVar(&to, "to-kubo", "", "folder of a Kubo repo; best one that 'ipfs init' has just made")
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		if to == "" {
			return usage(cmd, "--to-kubo is required: it says to which Kubo repo")
		}
		r, err := c.repository()
		if err != nil {
			return err
		}
		if err := r.Check(); err != nil {
			return err
		}
		passphrase, err := c.passphrase()
		if err != nil {
			return err
		}
		report, err := move.Out(cmd.Context(), r, passphrase, to)
		if err != nil {
			return err
		}
		display.Fprintf(c.out, "gave %d keys of %s to %s\n", len(report.Names), string(r), to)
		c.printMoved(report)
		display.Fprintln(c.errOut, "note: do not start 'ipns daemon' on this repo again, for two nodes would publish with one key")
		return c.printLeft(report, string(r))
	}
	return cmd
}

// copied reports how much has been copied.
func (p *progress) copied(n content.Copied) {
	if p.bar == nil {
		return
	}
	p.bar.Describe(fmt.Sprintf("%d pins, %d blocks, %s", n.Pins, n.Blocks, humanize.Bytes(n.Bytes)))
	_ = p.bar.Set(n.Pins) // it only draws
}
