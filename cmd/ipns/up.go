package main

import "github.com/spf13/cobra"

func (c *cli) upCmd() *cobra.Command { return &cobra.Command{Use: "up"} }
