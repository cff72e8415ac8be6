package main

import (
	"context"
	"errors"
	"fmt"

	"github.com/spf13/cobra"

	"github.com/goipns/ipns/internal/display"
	"github.com/goipns/ipns/internal/migrate"
	"github.com/goipns/ipns/internal/repo"
)

// lock locks the repo, and says what that changed in one of an older version.
func (c *cli) lock(r repo.Repo) (*repo.Lock, error) {
	l, err := r.Lock()
	c.tellUpgraded(l)
	return l, err
}

// lockOrAPI is the same for [repo.Repo.LockOrAPI].
func (c *cli) lockOrAPI(ctx context.Context, r repo.Repo) (*repo.Lock, string, error) {
	l, addr, err := r.LockOrAPI(ctx)
	c.tellUpgraded(l)
	return l, addr, err
}

func (c *cli) tellUpgraded(l *repo.Lock) {
	if note := l.Note(); note != "" {
		display.Fprintf(c.errOut, "note: %s; '%s repo migrate --to %d' goes back\n", note, c.name, repo.Version-1)
	}
}

// repoMigrateCmd makes the repo one of another version. It works on the repo itself, while
// no daemon runs.
func (c *cli) repoMigrateCmd() *cobra.Command {
	var to int
	cmd := &cobra.Command{
		Use: "migrate", Short: "Make the repo one of another version, or go back to an older one",
		Long: fmt.Sprintf(`Make the repo one of another version, or go back to an older one.

A repo of an older version becomes one of this version when a command or the
daemon opens it, which then says what changed. A program that knows only older
versions refuses it, and changes nothing.

--to %d goes back before such a program is used: all blocks are taken out of
packs. Nothing is lost. If it is interrupted, the repo is still of version %d,
and the same command goes on. It is refused while names are in a database
elsewhere, or keys are encrypted: 'store move --to=pebble' and 'key decrypt'
come before it. What the older program does not know stays in the database and
rests: ladders, webhooks, names that are followed, tenants. No daemon may run.`, repo.FirstVersion, repo.Version),
		Example: examples(fmt.Sprintf("ipns repo migrate --to=%d", repo.FirstVersion)),
		Args:    cobra.NoArgs,
	}
	cmd.Flags().IntVar(&to, "to", repo.Version, "version of the repo")
	cmd.Flags().Bool("allow-downgrade", false, "does nothing: going back loses nothing (for scripts that were written for Kubo)")
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		if to < repo.FirstVersion || to > repo.Version {
			return usage(cmd, "--to: there is no version %d; this program knows %d to %d", to, repo.FirstVersion, repo.Version)
		}
		ctx, cancel := c.context(cmd)
		defer cancel()
		return c.migrate(ctx, to)
	}
	return cmd
}

func (c *cli) migrate(ctx context.Context, to int) (err error) {
	r, err := c.repository()
	if err != nil {
		return err
	}
	if err := r.Check(); err != nil {
		return err
	}
	from, err := r.Number()
	if err != nil || from == to {
		return c.tellMigrated(from, to, err)
	}
	lock, err := c.lock(r) // which makes it the newest
	if errors.Is(err, repo.ErrLocked) {
		return fmt.Errorf("%s daemon is running. please stop it to run this command", c.name)
	}
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, lock.Unlock()) }()
	if to < repo.Version {
		bar := c.progress("moving blocks")
		err = migrate.Back(ctx, r, to, bar.part)
		bar.end()
	} else {
		err = r.SetVersion(to) // is done, but where nothing can be written
	}
	return c.tellMigrated(from, to, err)
}

// tellMigrated prints what became of the version.
func (c *cli) tellMigrated(from, to int, err error) error {
	switch {
	case err != nil:
		return err
	case from == to:
		display.Fprintf(c.out, "Repository is already at version %d.\n", to)
	default:
		display.Fprintf(c.out, "Repository successfully migrated from version %d to version %d.\n", from, to)
	}
	if to < repo.Version {
		display.Fprintf(c.errOut, "note: use the older program now; the next command of this one makes it version %d again\n", repo.Version)
	}
	return nil
}
