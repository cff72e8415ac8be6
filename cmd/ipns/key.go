package main

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/spf13/cobra"

	"github.com/goipns/ipns"
	"github.com/goipns/ipns/keystore"
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
	keys, err := keystore.Open(r.Keystore())
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
	err = keystore.WriteNew(output, b)
	if errors.Is(err, fs.ErrExist) {
		return fmt.Errorf("%w; name another file with --output, or move that one away", err)
	}
	return err
}
