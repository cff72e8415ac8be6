package main

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strings"

	"github.com/spf13/cobra"

	"github.com/goipns/ipns/api"
	"github.com/goipns/ipns/internal/repo"
)

// configShowCmd also shows a config file elsewhere.
func (c *cli) configShowCmd() *cobra.Command {
	cmd := c.command(api.ConfigShow, c.each)
	show := cmd.RunE
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		if c.config == "" {
			return show(cmd, args)
		}
		tree, err := repo.ShowFile(c.config)
		if err != nil {
			return err
		}
		return c.print(tree, api.ConfigShowRequest{}.Text(tree))
	}
	return cmd
}

// configEditCmd opens the config in an editor. It works on the file itself.
func (c *cli) configEditCmd() *cobra.Command {
	return &cobra.Command{
		Use:   "edit",
		Short: "Edit the config with $EDITOR",
		Long: `Edit the config with $EDITOR.

What was written is checked: a config with which the daemon could not start is
kept in another file, and the old one stays.`,
		Example: examples("ipns config edit"),
		Args:    cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			editor := strings.Fields(os.Getenv("EDITOR"))
			if len(editor) == 0 {
				return errors.New("ENV variable $EDITOR not set")
			}
			r, err := c.repository()
			if err != nil {
				return err
			}
			file := c.config
			if file == "" {
				if err := r.Check(); err != nil {
					return err
				}
				if file, err = r.CopyConfig(); err != nil {
					return err
				}
			}
			edit := exec.CommandContext(cmd.Context(), editor[0], append(editor[1:], file)...)
			edit.Stdin, edit.Stdout, edit.Stderr = os.Stdin, c.raw, c.terminal
			err = edit.Run()
			if err == nil && c.config == "" {
				// Nobody may be converting keys. A daemon that runs does not.
				lock, lerr := c.lock(r)
				if lerr == nil || errors.Is(lerr, repo.ErrLocked) {
					err = errors.Join(r.TakeConfig(file), lock.Unlock())
				} else {
					err = lerr
				}
			}
			if err != nil {
				return fmt.Errorf("edit %s: %w", file, err)
			}
			return nil
		},
	}
}
