package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/spf13/cobra"

	"github.com/goipns/ipns"
	"github.com/goipns/ipns/api"
	"github.com/goipns/ipns/internal/display"
	"github.com/goipns/ipns/internal/identity"
	"github.com/goipns/ipns/internal/verbs"
	"github.com/goipns/ipns/keystore"
	"github.com/goipns/ipns/node"
	"github.com/goipns/ipns/rpc"
)

// keyExportCmd reads the key from the repo itself: a private key never goes through the
// API.
func (c *cli) keyExportCmd() *cobra.Command {
	var output, format string
	cmd := &cobra.Command{Use: "export <name>", Short: "Write a private key to a file"}
	cmd.Example = examples("ipns key export blog", "ipns key export --format=pem-pkcs8-cleartext --output=blog.pem blog")
	cmd.Flags().StringVarP(&output, "output", "o", "", "the file (default <name>.key or <name>.pem)")
	cmd.Flags().StringVarP(&format, "format", "f", ipns.KeyFormatProtobuf, ipns.KeyFormatProtobuf+" or "+ipns.KeyFormatPEM)
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		if len(args) == 0 {
			return usage(cmd, `argument "name" is required`)
		}
		return c.exportKey(args[0], output, format)
	}
	return cmd
}

func (c *cli) exportKey(name, output, format string) error {
	if name == "self" {
		return errors.New("cannot export key with name 'self'")
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
	keys, err := identity.Store(r, passphrase)
	if err != nil {
		return err
	}
	key, err := keys.Get(name)
	if errors.Is(err, keystore.ErrNotFound) {
		return fmt.Errorf("key with name '%s' doesn't exist", name)
	}
	if err != nil {
		return err
	}
	b, err := ipns.ExportKey(key, format)
	if err != nil {
		return err
	}
	if output == "" {
		output = strings.ReplaceAll(name, string(filepath.Separator), "_") + ".key"
		if format == ipns.KeyFormatPEM {
			output = strings.TrimSuffix(output, ".key") + ".pem"
		}
	}
	if info, err := os.Stat(output); err == nil && !info.Mode().IsRegular() && !info.IsDir() {
		return os.WriteFile(output, b, 0o600) // nothing can be lost on a pipe or a terminal
	}
	if c.name == kubosName {
		if err := c.keepOld(output, b); err != nil {
			return err
		}
	}
	err = keystore.WriteNew(output, b)
	if errors.Is(err, fs.ErrExist) {
		return fmt.Errorf("%w; name another file with --output, or move that one away", err)
	}
	return err
}

// maxOld bounds how many old files keepOld tries to keep.
const maxOld = 100

// keepOld makes room for a file, as Kubo writes over what is there. That may be the only copy
// of another key, and is kept under another name.
func (c *cli) keepOld(path string, content []byte) error {
	info, err := os.Lstat(path)
	if errors.Is(err, fs.ErrNotExist) || err == nil && !info.Mode().IsRegular() {
		return nil // writing it says what is wrong
	}
	if err != nil {
		return err
	}
	if old, err := os.ReadFile(path); err == nil && bytes.Equal(old, content) {
		return os.Remove(path)
	}
	for i := 1; i <= maxOld; i++ {
		kept := fmt.Sprintf("%s.%d", path, i)
		err := os.Link(path, kept)
		if errors.Is(err, fs.ErrExist) {
			continue
		}
		if err != nil {
			return err
		}
		display.Fprintf(c.errOut, "note: what was in %s is now in %s\n", path, kept)
		return os.Remove(path)
	}
	return fmt.Errorf("%s and %d older versions of it are there: move them away", path, maxOld)
}

// keyRotateCmd gives the node another key. It works on the repo itself, while no daemon runs.
func (c *cli) keyRotateCmd() *cobra.Command {
	var old, algorithm string
	var bits int
	cmd := &cobra.Command{
		Use:   "rotate",
		Short: "Give the node a new key, and keep the old one under a name",
		Long: `Give the node a new key, and keep the old one under a name.

The node gets another peer id, and self another IPNS name. The old name lives on
as that of the key --oldkey. No daemon may run on the repo.

Keys that others share with the node are encrypted to the old key: they must be
shared again.`,
		Example: examples("ipns key rotate --oldkey=before"),
		Args:    cobra.NoArgs,
	}
	f := cmd.Flags()
	f.StringVarP(&old, "oldkey", "o", "", "name for the old key")
	f.StringVarP(&algorithm, "type", "t", "ed25519", "type of the new key: ed25519, rsa or secp256k1")
	f.IntVarP(&bits, "size", "s", 0, "bits of an RSA key")
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		r, err := c.repository()
		if err != nil {
			return err
		}
		if err := r.Check(); err != nil {
			return err
		}
		if err := c.noDaemon(r); err != nil {
			return err
		}
		switch old {
		case "":
			return errors.New("keystore name for backing up old key must be provided")
		case keystore.Self:
			return errors.New("keystore name for back up cannot be named 'self'")
		}
		passphrase, err := c.passphrase()
		if err != nil {
			return err
		}
		key, err := newIdentity(algorithm, bits, c.out)
		if err != nil {
			return err
		}
		n, err := node.Open(cmd.Context(), node.Config{Dir: string(r), Offline: true, Passphrase: passphrase})
		if err != nil {
			return err
		}
		id, lost, err := verbs.Rotate(cmd.Context(), n, old, key)
		if err = errors.Join(err, n.Close()); err != nil {
			return err
		}
		display.Fprintf(c.out, "peer identity: %s\n", id.PeerID)
		for _, s := range lost {
			display.Fprintf(c.errOut, "note: shared:%s, the key of %s, was shared with the old key: share it again, where it is, with the new peer id\n", s.Label, s.Name)
		}
		return nil
	}
	return cmd
}

// imported prints the name of an imported key, and which format its file had.
func (c *cli) imported(ctx context.Context, n rpc.Caller, spec rpc.Spec, req any) error {
	for res, err := range spec.Run(ctx, n, req) {
		if err != nil {
			return err
		}
		if err := c.printResult(res); err != nil {
			return err
		}
		if what := res.Value.(api.KeyImported).Recognized(); what != "" {
			display.Fprintln(c.errOut, what)
		}
	}
	return nil
}
