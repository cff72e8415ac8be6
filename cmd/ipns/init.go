package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"strings"

	"github.com/libp2p/go-libp2p/core/crypto"
	"github.com/spf13/cobra"

	"github.com/goipns/ipns"
	"github.com/goipns/ipns/internal/display"
	"github.com/goipns/ipns/internal/identity"
	"github.com/goipns/ipns/internal/repo"
	"github.com/goipns/ipns/internal/verbs"
	"github.com/goipns/ipns/node"
)

func (c *cli) initCmd() *cobra.Command {
	var o initOptions
	var from kuboOptions
	cmd := &cobra.Command{
		Use:   "init [<config file>]",
		Short: "Make a repo with a new key",
		Long: `Make a repo with a new key.

With a config file, - for standard input, the repo gets that config and the key
that stands in it.`,
		Example: examples("ipns init", "ipns init --profile=server", "ipns init --from-kubo=kubo --pins"),
		Args:    cobra.MaximumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			r, err := c.repository()
			if err != nil {
				return err
			}
			if cmd.Flags().Changed(fromKubo) {
				if c.repoDir == "" { // what IPFS_PATH names is the repo to take from
					if r, err = repo.Default(); err != nil {
						return err
					}
				}
				return c.initFromKubo(cmd, r, from, args)
			}
			if err := c.noDaemon(r); err != nil {
				return err
			}
			if len(args) > 0 {
				if o.config, err = c.readConfig(args[0]); err != nil {
					return err
				}
			}
			if !o.empty {
				display.Fprintln(c.errOut, "note: --empty-repo=false does nothing: a new repo has no files in it")
			}
			return c.initRepo(cmd.Context(), r, o, c.out)
		},
	}
	f := cmd.Flags()
	f.StringVarP(&o.profiles, "profile", "p", "", "start from the values of these profiles, with commas between them: server (a machine in a data center), test (several nodes on one machine) and others, see config profile apply")
	f.StringVarP(&o.algorithm, "algorithm", "a", "ed25519", "type of the key: ed25519, rsa or secp256k1")
	f.IntVarP(&o.bits, "bits", "b", 0, "bits of an RSA key")
	f.StringVar(&o.store, "store", "", storeUsage+"; it becomes Ipns.Store of the config")
	f.BoolVarP(&o.empty, "empty-repo", "e", true, "accepted for compatibility")
	from.flags(f)
	return cmd
}

type initOptions struct {
	empty     bool   // without Kubo's help files
	config    []byte // JSON; nil: the default
	profiles  string
	algorithm string
	bits      int
	store     string // of the names; "": as the config says
}

// storeUsage describes the option --store.
const storeUsage = "URL of the PostgreSQL database that has the names and that other daemons may share, postgres://USER@HOST/DATABASE; its password better comes from $PGPASSFILE (~/.pgpass)"

// maxConfig bounds a config that is read, in bytes.
const maxConfig = 4 << 20

// readConfig reads a file, or standard input if it is called "-".
func (c *cli) readConfig(path string) ([]byte, error) {
	in := c.in
	if path != "-" {
		f, err := os.Open(path)
		if err != nil {
			return nil, err
		}
		defer f.Close()
		in = f
	} else {
		c.noteStdin()
	}
	b, err := io.ReadAll(io.LimitReader(in, maxConfig+1))
	if err == nil && len(b) > maxConfig {
		err = fmt.Errorf("a config of more than %d bytes", maxConfig)
	}
	if err != nil {
		return nil, fmt.Errorf("read the config %s: %w", path, err)
	}
	return b, nil
}

// noDaemon refuses to go on where another process uses the repo. It does not touch one of
// Kubo's.
func (c *cli) noDaemon(r repo.Repo) error {
	if !r.Exists() {
		return nil
	}
	if err := r.Check(); errors.Is(err, repo.ErrKubo) || errors.Is(err, repo.ErrNewer) {
		return err
	}
	lock, err := c.lock(r)
	if errors.Is(err, repo.ErrLocked) {
		return fmt.Errorf("%s daemon is running. please stop it to run this command", c.name)
	}
	return errors.Join(err, lock.Unlock())
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
	if o.config != nil {
		var err error
		if config, err = repo.ParseConfig(o.config); err != nil {
			return err
		}
	}
	for _, p := range strings.FieldsFunc(o.profiles, func(r rune) bool { return r == ',' }) {
		if err := config.Apply(p); err != nil {
			return err
		}
		if known, _ := repo.FindProfile(p); known.Nothing {
			display.Fprintf(c.errOut, "note: profile %s changes nothing: this node has one kind of datastore\n", p)
		}
	}
	if o.store != "" {
		if err := repo.CheckStore(o.store); err != nil {
			return fmt.Errorf("--store: %w", err)
		}
		config.Ipns.Store = o.store
	}
	return c.makeRepo(ctx, r, config, o, out)
}

// makeRepo makes a repo with the given config, and a new key unless that has one.
func (c *cli) makeRepo(ctx context.Context, r repo.Repo, config repo.Config, o initOptions, out io.Writer) error {
	passphrase, err := c.newPassphrase(c.askPassphrase, encryptKeys)
	if err != nil {
		return err
	}
	fresh := config.Identity.PrivKey == ""
	left, err := identity.Left(r, passphrase)
	if err != nil {
		return err
	}
	switch {
	case left != nil && !fresh:
		return fmt.Errorf("%s has the key of a node already, which is encrypted: it must not get another one by its config", string(r))
	case left != nil: // others may have records of its name
		if config.Identity, err = node.Identity(left); err != nil {
			return err
		}
		fresh = false
		display.Fprintf(out, "peer identity: %s, whose key was here without a config\n", config.Identity.PeerID)
	case fresh:
		key, err := newIdentity(o.algorithm, o.bits, out)
		if err != nil {
			return err
		}
		if config.Identity, err = node.Identity(key); err != nil {
			return err
		}
		display.Fprintf(out, "peer identity: %s\n", config.Identity.PeerID)
	}
	display.Fprintf(out, "initializing IPFS node at %s\n", string(r))
	if fresh {
		err = node.Init(ctx, r, config, passphrase)
	} else { // others may have records of its name
		err = node.InitFrom(ctx, r, config, passphrase, nil)
	}
	if errors.Is(err, fs.ErrExist) {
		return c.repoExists(r)
	}
	if err == nil && passphrase == nil {
		display.Fprintln(c.errOut, "note: its key is in clear, as Kubo's are; 'ipns key encrypt' encrypts it")
	}
	return err
}

// newIdentity makes the key of a node. bits is 0 for the default size.
func newIdentity(algorithm string, bits int, out io.Writer) (crypto.PrivKey, error) {
	if bits == 0 {
		bits = -1
	}
	algorithm = cmp.Or(algorithm, "ed25519")
	kind, bits, err := verbs.KeyType(algorithm, bits)
	if err != nil {
		return nil, err
	}
	what := algorithm // in Kubo's spelling
	switch kind {
	case ipns.Ed25519:
		what = "ED25519"
	case ipns.RSA:
		if bits == 0 {
			bits = ipns.MinRSABits
		}
		what = fmt.Sprintf("%d-bit RSA", bits)
	}
	display.Fprintf(out, "generating %s keypair...", what)
	key, err := ipns.GenerateKey(kind, bits)
	if err != nil {
		return nil, err
	}
	display.Fprintln(out, "done")
	return key, nil
}
