package main

import (
	"errors"
	"fmt"

	"github.com/spf13/cobra"

	"github.com/goipns/ipns/internal/display"
	"github.com/goipns/ipns/internal/records"
	"github.com/goipns/ipns/internal/repo"
	"github.com/goipns/ipns/internal/storemove"
)

// inRepo is where 'ipns store move' moves names back to.
const inRepo = "pebble"

// storeMoveCmd moves the names of the repo. It works on the repo itself, while no daemon runs.
func (c *cli) storeMoveCmd() *cobra.Command {
	var to string
	cmd := &cobra.Command{
		Use: "move", Short: "Move the names into a database that daemons share, or back",
		Long: `Move the names into a database of PostgreSQL that daemons share, or back.

All goes: names with their history, marks, when each was announced, and rows.
Then it is read in both places and compared, by number and digest, and the
config names the new place. What was there before stays, and is not used any
more. Keys and content stay in the repo.

No daemon may run on the repo. If the move ends before it is complete, the same
command goes on. Until all names are copied the old place may be used meanwhile;
from then on, none is until the move is complete.

--to postgres://… joins the names that the database has already. One that both
have is a conflict, unless the database knows as much of it or more: then that
stays. --to pebble brings back all names of the database, also those of other
daemons. It is refused while others use it. From then on the database takes no
write of any daemon, so that no name is signed in two places.`,
		Example: examples("ipns store move --to=postgres://ipns@db.example/names", "ipns store move --to=pebble"),
		Args:    cobra.NoArgs,
	}
	cmd.Flags().StringVar(&to, "to", "", "postgres://…, as libpq has it, or pebble: the database of the repo")
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		switch to {
		case "":
			return usage(cmd, "--to is required: it says where to")
		case inRepo:
			to = ""
		default:
			if err := repo.CheckStore(to); err != nil {
				return usage(cmd, "--to: %v; or use %s", err, inRepo)
			}
		}
		return c.moveStore(cmd, to)
	}
	return cmd
}

func (c *cli) moveStore(cmd *cobra.Command, to string) (err error) {
	r, err := c.repository()
	if err != nil {
		return err
	}
	if err := r.Check(); err != nil {
		return err
	}
	ctx, cancel := c.context(cmd)
	defer cancel()
	lock, _, err := c.lockOrAPI(ctx, r)
	if err != nil {
		return err
	}
	if lock == nil {
		return fmt.Errorf("%s daemon is running. please stop it to run this command", c.name)
	}
	defer func() { err = errors.Join(err, lock.Unlock()) }()
	bar := c.progress("moving names")
	m, err := records.Move(ctx, r, to, records.MoveOptions{Tell: bar.moving})
	bar.end()
	if err != nil {
		return err
	}
	if m.Daemons {
		display.Fprintln(c.errOut, "note: other daemons use that database, and may announce and renew these names from now on")
	}
	if m.Kept > 0 {
		display.Fprintf(c.errOut, "note: of %d things the database knew as much or more: they stay as they are there\n", m.Kept)
	}
	text := display.Sprintf("moved %d names with %d versions, %d marks and %d rows from %s to %s\n", m.Names, m.Versions, m.Marks, m.Rows, m.From, m.To) +
		display.Sprintf("compared in both places, the same: sha256 %s\n", m.Digest)
	return c.print(m, text)
}

// moving reports how far a move is.
func (p *progress) moving(n storemove.Progress) {
	if p.bar == nil {
		return
	}
	p.bar.Describe(n.Doing)
	_ = p.bar.Set(n.Done) // it only draws
}
