package main

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/spf13/cobra"
	"golang.org/x/term"

	"github.com/goipns/ipns/internal/display"
	"github.com/goipns/ipns/internal/identity"
	"github.com/goipns/ipns/internal/repo"
)

// Where the passphrase of the keys is, besides --passphrase-file, in this order.
const (
	passphraseFileEnv = "IPNS_PASSPHRASE_FILE" // a file
	passphraseEnv     = "IPNS_PASSPHRASE"
	credentialsEnv    = "CREDENTIALS_DIRECTORY" // of a systemd unit
	credential        = "ipns-passphrase"       // the file there
)

// maxPassphrase bounds a passphrase, in bytes.
const maxPassphrase = 1 << 10

// passphrase returns the passphrase of the keys, or nothing if no source is given. It asks on
// the terminal if --ask-passphrase says so.
func (c *cli) passphrase() ([]byte, error) {
	if text := os.Getenv(passphraseEnv); text != "" {
		c.passphraseText = text
		_ = os.Unsetenv(passphraseEnv) // so that no program started from here gets it
	}
	if c.keysStayLocked {
		return nil, nil
	}
	switch file := os.Getenv(passphraseFileEnv); {
	case c.passphraseFile != "":
		return readPassphrase(c.passphraseFile)
	case file != "":
		return readPassphrase(file)
	}
	if text := c.passphraseText; text != "" {
		return checkPassphrase([]byte(text), "$"+passphraseEnv)
	}
	if dir := os.Getenv(credentialsEnv); dir != "" {
		b, err := readPassphrase(filepath.Join(dir, credential))
		if !errors.Is(err, fs.ErrNotExist) {
			return b, err
		}
	}
	if c.askPassphrase {
		return c.prompt("Passphrase of the keys: ")
	}
	return nil, nil
}

// readPassphrase reads a passphrase from a file, without the line end.
func readPassphrase(path string) ([]byte, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, fmt.Errorf("read the passphrase: %w", err)
	}
	defer f.Close()
	b, err := io.ReadAll(io.LimitReader(f, maxPassphrase+2))
	if err != nil {
		return nil, fmt.Errorf("read the passphrase: %w", err)
	}
	b = bytes.TrimSuffix(bytes.TrimSuffix(b, []byte("\n")), []byte("\r"))
	return checkPassphrase(b, path)
}

func checkPassphrase(b []byte, from string) ([]byte, error) {
	switch {
	case len(b) == 0:
		return nil, fmt.Errorf("the passphrase in %s is empty", from)
	case len(b) > maxPassphrase:
		return nil, fmt.Errorf("the passphrase in %s has more than %d bytes", from, maxPassphrase)
	}
	return b, nil
}

// prompt asks for a passphrase on the terminal.
func (c *cli) prompt(text string) ([]byte, error) {
	in, ok := c.in.(*os.File)
	if !ok || !term.IsTerminal(int(in.Fd())) {
		return nil, errors.New("there is no terminal to ask for the passphrase on: use --passphrase-file")
	}
	display.Fprintf(c.errOut, "%s", text)
	b, err := term.ReadPassword(int(in.Fd()))
	display.Fprintln(c.errOut)
	if err != nil {
		return nil, fmt.Errorf("read the passphrase from the terminal: %w", err)
	}
	return checkPassphrase(b, "the answer")
}

// daemonPassphrase is passphrase for what runs on, and whether it encrypts keys that are in
// clear: not by an answer on the terminal, which is given once.
func (c *cli) daemonPassphrase() (b []byte, encrypt bool, err error) {
	if b, err = c.givenPassphrase(); b != nil || err != nil {
		return b, true, err
	}
	b, err = c.passphrase()
	return b, false, err
}

// givenPassphrase is passphrase without asking on the terminal, where a slip of the finger
// must not encrypt anything.
func (c *cli) givenPassphrase() ([]byte, error) {
	ask := c.askPassphrase
	defer func() { c.askPassphrase = ask }()
	c.askPassphrase = false
	return c.passphrase()
}

// encryptKeys asks for the passphrase of keys that are to be encrypted.
const encryptKeys = "Passphrase to encrypt the keys with: "

// newPassphrase is passphrase for what is to be encrypted: it asks twice, if no other
// source is given and ask is set.
func (c *cli) newPassphrase(ask bool, question string) ([]byte, error) {
	b, err := c.givenPassphrase()
	if b != nil || err != nil || !ask {
		return b, err
	}
	if b, err = c.prompt(question); err != nil {
		return nil, err
	}
	again, err := c.prompt("The same once more: ")
	if err == nil && !bytes.Equal(b, again) {
		err = errors.New("the two are not the same; nothing was changed")
	}
	return b, err
}

// withKeys calls f with the keys of the repo, while no daemon runs on it.
func (c *cli) withKeys(passphrase []byte, f func(*identity.Keys) error) error {
	r, err := c.repository()
	if err != nil {
		return err
	}
	if err := r.Check(); err != nil {
		return err
	}
	lock, err := c.lock(r)
	if errors.Is(err, repo.ErrLocked) {
		return fmt.Errorf("%s daemon is running. please stop it to run this command", c.name)
	}
	if err != nil {
		return err
	}
	defer lock.Unlock()
	config, err := r.Config()
	if err != nil {
		return err
	}
	keys, err := identity.Open(r, config.Identity, passphrase)
	if err != nil {
		return err
	}
	return f(keys)
}

// keyEncryptCmd encrypts the keys in the repo.
func (c *cli) keyEncryptCmd() *cobra.Command {
	var file string
	cmd := &cobra.Command{
		Use: "encrypt", Short: "Encrypt all keys with a passphrase",
		Long: `Encrypt all keys with a passphrase.

The passphrase comes from --passphrase-file, from $IPNS_PASSPHRASE_FILE (a file)
or $IPNS_PASSPHRASE, from the systemd credential ipns-passphrase, or from the
terminal. A daemon needs it at each start; without it the daemon resolves,
serves and announces what is signed, with a peer id for that run, and signs
nothing. Nobody can recover the keys if it is lost: keep a backup of both. What
was on the disk before may still be found in blocks that are free now. No daemon
may run on the repo.

Other daemons that share the keys can have a line each in
keystore/recipients.txt (age1…); keys that are encrypted already are then
encrypted again, for all of them.

With --new-passphrase-file, keys that are encrypted get another passphrase.`,
		Example: examples("ipns key encrypt --passphrase-file=secret"),
		Args:    cobra.NoArgs,
	}
	cmd.Flags().StringVar(&file, "new-passphrase-file", "", "change the passphrase to the one in this file")
	cmd.RunE = func(*cobra.Command, []string) error {
		if file != "" {
			return c.changePassphrase(file)
		}
		b, err := c.newPassphrase(true, encryptKeys)
		if err != nil {
			return err
		}
		return c.withKeys(b, func(k *identity.Keys) error {
			n, err := k.Encrypt(b)
			display.Fprintf(c.out, "encrypted %d keys\n", n)
			return errors.Join(err, k.Reseal(), k.Damaged)
		})
	}
	return cmd
}

func (c *cli) changePassphrase(file string) error {
	old, err := c.passphrase()
	if err != nil {
		return err
	}
	if old == nil {
		if old, err = c.prompt("Passphrase of the keys: "); err != nil {
			return err
		}
	}
	b, err := readPassphrase(file)
	if err != nil {
		return err
	}
	return c.withKeys(old, func(k *identity.Keys) error {
		if err := k.SetPassphrase(b); err != nil {
			return err
		}
		display.Fprintln(c.out, "the passphrase is changed")
		return nil
	})
}

// keyDecryptCmd takes back what key encrypt did.
func (c *cli) keyDecryptCmd() *cobra.Command {
	return &cobra.Command{
		Use: "decrypt", Short: "Write all keys in clear, as Kubo has them",
		Long: `Write all keys in clear, as Kubo has them.

From then on a daemon must not be given a passphrase by a file or the
environment, or it encrypts the keys again. No daemon may run on the repo.`,
		Example: examples("ipns key decrypt --passphrase-file=secret"),
		Args:    cobra.NoArgs,
		RunE: func(*cobra.Command, []string) error {
			b, err := c.passphrase()
			if err == nil && b == nil {
				b, err = c.prompt("Passphrase of the keys: ")
			}
			if err != nil {
				return err
			}
			return c.decryptKeys(b)
		},
	}
}

func (c *cli) decryptKeys(passphrase []byte) error {
	return c.withKeys(passphrase, func(k *identity.Keys) error {
		n, err := k.Decrypt()
		display.Fprintf(c.out, "decrypted %d keys\n", n)
		return err
	})
}
