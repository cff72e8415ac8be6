package main

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"filippo.io/age"
	"github.com/dustin/go-humanize"
	"github.com/spf13/cobra"

	"github.com/goipns/ipns/api"
	"github.com/goipns/ipns/internal/backup"
	"github.com/goipns/ipns/internal/display"
	"github.com/goipns/ipns/internal/identity"
	"github.com/goipns/ipns/internal/repo"
	"github.com/goipns/ipns/internal/verbs"
	"github.com/goipns/ipns/node"
	"github.com/goipns/ipns/rpc"
)

// backupCmd writes a backup. The keys are read from the repo itself, and never go through
// the API.
func (c *cli) backupCmd() *cobra.Command {
	var recipients []string
	var partial bool
	cmd := &cobra.Command{
		Use: "backup <file or folder>", Short: "Write keys, names and config into an encrypted file",
		Long: `Write keys, names and config into an encrypted file.

It has all keys, records with their history, marks, rows, the config, which
folders are published and the list of pins; content is not in it. Keys that are
encrypted stay so inside. A daemon may run on the repo. Everything that was
acknowledged before is in the file, which is read back before it takes the place
of an older one. In a folder, each backup is a new file, and whole: 'ipns
restore' takes the newest.

The file is in the age format, with a tar inside: 'age -d FILE | tar x' opens
it. It is encrypted with the passphrase that --passphrase-file,
$IPNS_PASSPHRASE_FILE or $IPNS_PASSPHRASE give, as for keys, or that the
terminal is asked for, or to --recipient. Keep that elsewhere, too: without it
nobody can read the backup.`,
		Example: examples("ipns backup --passphrase-file=secret names.age", "mkdir backups && ipns backup --passphrase-file=secret backups"),
		Args:    cobra.ExactArgs(1),
	}
	cmd.Flags().StringArrayVar(&recipients, "recipient", nil, "encrypt to this age recipient, such as age1…, instead of with a passphrase; may be given more than once")
	cmd.Flags().BoolVar(&partial, "partial", false, "leave out what cannot be read, and name it, instead of failing")
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		secret, err := c.backupSecret(recipients)
		if err != nil {
			return err
		}
		return c.backup(cmd, args[0], secret, partial)
	}
	return cmd
}

// backupSecret returns what to encrypt a backup with.
func (c *cli) backupSecret(recipients []string) (s backup.Secret, err error) {
	for _, text := range recipients {
		r, err := age.ParseX25519Recipient(text)
		if err != nil {
			return s, fmt.Errorf("--recipient: %w", err)
		}
		s.Recipients = append(s.Recipients, r)
	}
	if len(recipients) > 0 {
		return s, nil
	}
	s.Passphrase, err = c.newPassphrase(true, "Passphrase to encrypt the backup with: ")
	return s, err
}

func (c *cli) backup(cmd *cobra.Command, path string, secret backup.Secret, partial bool) error {
	r, err := c.repository()
	if err != nil {
		return err
	}
	if err := r.Check(); err != nil {
		return err
	}
	ctx, cancel := c.context(cmd)
	defer cancel()
	c.keysStayLocked = true
	return c.withNode(ctx, func(n rpc.Caller) error {
		names, err := rpc.Do(ctx, n, api.RepoDump, api.RepoDumpRequest{})
		if err != nil {
			return err
		}
		defer names.Close()
		damaged, err := damagedKeys(r)
		if err != nil {
			return err
		}
		saved, err := backup.Save(ctx, path, backup.Source{Repo: r, Names: names, Node: node.Release, Damaged: damaged, Partial: partial}, secret)
		if err != nil {
			return err
		}
		m := saved.Manifest
		for _, what := range m.Missing {
			display.Fprintf(c.errOut, "warning: not in the backup: %s\n", what)
		}
		display.Fprintf(c.out, "%s: %s, %s\n", saved.Path, contents(m), humanize.Bytes(uint64(saved.Size)))
		return nil
	})
}

// damagedKeys names the files of keys that hold none.
func damagedKeys(r repo.Repo) (list []string, err error) {
	keys, err := identity.Store(r, nil)
	if err != nil {
		return nil, err
	}
	labels, err := keys.List()
	for _, label := range labels {
		if _, err := keys.NameOf(label); err != nil {
			list = append(list, err.Error())
		}
	}
	return list, err
}

// contents says in a line what is in a backup.
func contents(m backup.Manifest) string {
	keys := m.Counts.Keys + 1 // that in the config
	if m.SelfInKeystore() {
		keys--
	}
	return fmt.Sprintf("%d keys, %d names with %d versions, %d marks of other names, %d rows, %d pins without their content",
		keys, m.Counts.Names, m.Counts.Past, m.Counts.Seen, m.Counts.Rows, m.Counts.Pins)
}

// restoreCmd makes a repo of a backup.
func (c *cli) restoreCmd() *cobra.Command {
	var identities []string
	var o backup.Restoration
	cmd := &cobra.Command{
		Use: "restore <file or folder>", Short: "Make a repo of a backup",
		Long: `Make a repo of a backup.

The repo, in the folder that --repo-dir or $IPNS_PATH names, has all of the
backup afterwards, or is as it was. One that has keys or names of its own is
refused without --replace, which puts it aside, into a folder before-restore-1
inside. Of a folder of backups the newest one is taken. If that is damaged, or
encrypted with something else, it is an error; --older takes the newest that can
be read, with which names may go back.

What was restored may be old. So nothing of it is announced, renewed or signed
again before the network was asked for something newer. If there is no network,
publishing is refused, unless it is forced. Do not start the node that the
backup is of again: two nodes would publish with one key. Content is not in a
backup: 'ipns pin add' fetches what is listed in restored-pins.txt.`,
		Example: examples("ipns restore --dry-run --passphrase-file=secret names.age"),
		Args:    cobra.ExactArgs(1),
	}
	cmd.Flags().StringArrayVar(&identities, "identity", nil, "file with an age identity that can read the backup, instead of a passphrase; may be given more than once")
	cmd.Flags().BoolVar(&o.DryRun, "dry-run", false, "read and check everything, and say what would be done")
	cmd.Flags().BoolVar(&o.Replace, "replace", false, "put aside the repo that is there, with its keys and names")
	cmd.Flags().BoolVar(&o.Older, "older", false, "of a folder, take an older backup if the newest cannot be read")
	cmd.RunE = func(cmd *cobra.Command, args []string) (err error) {
		o.Path, o.Open = args[0], verbs.OpenNames
		if o.Into, err = c.repository(); err != nil {
			return err
		}
		if o.Secret, err = c.restoreSecret(identities); err != nil {
			return err
		}
		ctx, cancel := c.context(cmd)
		defer cancel()
		res, err := backup.Restore(ctx, o)
		if errors.Is(err, repo.ErrLocked) {
			return fmt.Errorf("%s daemon is running. please stop it to run this command", c.name)
		}
		for _, what := range res.Skipped {
			display.Fprintf(c.errOut, "warning: not used: %s\n", what)
		}
		if err != nil {
			return err
		}
		c.printRestored(o, res)
		return nil
	}
	return cmd
}

// restoreSecret returns what to read a backup with.
func (c *cli) restoreSecret(identities []string) (s backup.Secret, err error) {
	for _, path := range identities {
		f, err := os.Open(path)
		if err != nil {
			return s, fmt.Errorf("--identity: %w", err)
		}
		list, err := age.ParseIdentities(f)
		f.Close()
		if err != nil {
			return s, fmt.Errorf("--identity: %s: %w", path, err)
		}
		s.Identities = append(s.Identities, list...)
	}
	if len(identities) > 0 {
		return s, nil
	}
	s.Passphrase, err = c.passphrase()
	if err == nil && s.Passphrase == nil {
		s.Passphrase, err = c.prompt("Passphrase of the backup: ")
	}
	return s, err
}

func (c *cli) printRestored(o backup.Restoration, res backup.Restored) {
	m := res.Manifest
	did, put := "restored", "is now in "+res.Before
	if o.DryRun {
		did, put = "would restore", "would be put aside"
		if !o.Replace {
			put = "is in the way: --replace would put it aside"
		}
	}
	display.Fprintf(c.out, "%s %s of %s into %s: %s\n", did, filepath.Base(res.Path), m.Created.Format("2006-01-02 15:04:05 MST"), string(o.Into), contents(m))
	display.Fprintf(c.out, "peer identity: %s\n", m.PeerID)
	for _, what := range m.Missing {
		display.Fprintf(c.errOut, "warning: the backup was made without %s\n", what)
	}
	for _, what := range res.Had {
		display.Fprintf(c.errOut, "note: it had %s, which %s\n", what, put)
	}
	if res.Running {
		display.Fprintln(c.errOut, "note: a daemon runs on it, which must be stopped before")
	}
	if o.DryRun {
		return
	}
	display.Fprintln(c.errOut, "note: nothing is announced, renewed or signed before the network was asked for something newer; do not start the node again that the backup is of")
	if m.Counts.Pins > 0 {
		display.Fprintf(c.errOut, "note: the content of %d pins is not here: see restored-pins.txt in the repo\n", m.Counts.Pins)
	}
}
