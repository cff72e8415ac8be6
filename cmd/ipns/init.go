package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"strings"

	"github.com/libp2p/go-libp2p/core/crypto"
	"github.com/spf13/cobra"

	"github.com/goipns/ipns"
	"github.com/goipns/ipns/internal/display"
	"github.com/goipns/ipns/internal/repo"
	"github.com/goipns/ipns/node"
)

func (c *cli) initCmd() *cobra.Command {
	var o initOptions
	var from kuboOptions
	cmd := &cobra.Command{
		Use:     "init",
		Short:   "Make a repo with a new key",
		Example: examples("ipns init", "ipns init --profile=server", "ipns init --from-kubo=kubo --pins"),
		RunE: func(cmd *cobra.Command, args []string) error {
			r, err := c.repository()
			if err != nil {
				return err
			}
			if cmd.Flags().Changed(fromKubo) {
				return c.initFromKubo(cmd, r, from, args)
			}
			if len(args) > 0 {
				return usage(cmd, "expected 0 argument(s), got %d", len(args))
			}
			if !o.empty {
				display.Fprintln(c.errOut, "note: --empty-repo=false does nothing: a new repo has no files in it")
			}
			return c.initRepo(cmd.Context(), r, o, c.out)
		},
	}
	f := cmd.Flags()
	f.StringVarP(&o.profiles, "profile", "p", "", "start from a config for: server (a machine in a data center) or test (several nodes on one machine)")
	f.StringVarP(&o.algorithm, "algorithm", "a", "ed25519", "type of the key: ed25519 or rsa")
	f.IntVarP(&o.bits, "bits", "b", 0, "bits of an RSA key")
	f.BoolVarP(&o.empty, "empty-repo", "e", true, "accepted for compatibility")
	from.flags(f)
	return cmd
}

type initOptions struct {
	empty     bool // without Kubo's help files
	profiles  string
	algorithm string
	bits      int
}

// repoExists is the error of making a repo where there is one.
func (c *cli) repoExists(r repo.Repo) error {
	if err := r.Check(); errors.Is(err, repo.ErrKubo) {
		return err
	}
	return errors.Join(
		fmt.Errorf("%s configuration file already exists!", c.name), //lint:ignore ST1005 Kubo's words
		errors.New("Reinitializing would overwrite your keys"),      //lint:ignore ST1005 Kubo's words
	)
}

// initRepo makes a repo and reports to out. It changes nothing if there is one already.
func (c *cli) initRepo(ctx context.Context, r repo.Repo, o initOptions, out io.Writer) error {
	if r.Exists() {
		return c.repoExists(r)
	}
	config := repo.NewConfig(repo.Identity{})
	for _, p := range strings.FieldsFunc(o.profiles, func(r rune) bool { return r == ',' }) {
		if err := config.Apply(p); err != nil {
			return err
		}
	}
	return c.makeRepo(ctx, r, config, o, out)
}

// makeRepo makes a repo with the given config and a new key.
func (c *cli) makeRepo(ctx context.Context, r repo.Repo, config repo.Config, o initOptions, out io.Writer) error {
	key, err := newIdentity(o, out)
	if err != nil {
		return err
	}
	if config.Identity, err = node.Identity(key); err != nil {
		return err
	}
	display.Fprintf(out, "peer identity: %s\ninitializing IPFS node at %s\n", config.Identity.PeerID, string(r))
	err = node.Init(ctx, r, config)
	if errors.Is(err, fs.ErrExist) {
		return c.repoExists(r)
	}
	return err
}

// newIdentity makes the key of a node.
func newIdentity(o initOptions, out io.Writer) (crypto.PrivKey, error) {
	switch o.algorithm {
	case "", "ed25519":
		if o.bits != 0 {
			return nil, errors.New("number of key bits cannot be set with ed25519")
		}
		display.Fprint(out, "generating ED25519 keypair...")
		defer display.Fprintln(out, "done")
		return ipns.GenerateKey(ipns.Ed25519, 0)
	case "rsa":
		if o.bits == 0 {
			o.bits = ipns.MinRSABits
		}
		display.Fprintf(out, "generating %d-bit RSA keypair...", o.bits)
		defer display.Fprintln(out, "done")
		return ipns.GenerateKey(ipns.RSA, o.bits)
	}
	return nil, fmt.Errorf("unrecognized key type: %s", o.algorithm)
}
