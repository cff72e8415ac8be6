package main

import (
	"fmt"

	"github.com/spf13/cobra"
)

// kubosConfigCmds are the subcommands of config that only Kubo has. Without them, their
// words would be taken as keys.
func kubosConfigCmds() []*cobra.Command {
	var list []*cobra.Command
	for _, word := range []string{"replace", "edit", "profile"} {
		list = append(list, &cobra.Command{
			Use: word, Hidden: true, DisableFlagParsing: true,
			RunE: func(*cobra.Command, []string) error {
				return fmt.Errorf("'config %s' is not supported: set keys one by one with 'ipns config KEY VALUE', or stop the daemon and change the file config in its repo", word)
			},
		})
	}
	return list
}
