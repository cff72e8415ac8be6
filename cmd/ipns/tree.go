package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"path"
	"strings"

	"github.com/spf13/cobra"

	"github.com/goipns/ipns/api"
	"github.com/goipns/ipns/internal/display"
	"github.com/goipns/ipns/rpc"
)

// runner sends a request to a node and prints its responses.
type runner func(ctx context.Context, n rpc.Caller, spec rpc.Spec, req any) error

// tree adds a command to root for each of [api.All]. It prints each response as it
// arrives, unless runners has another way to print it, or byHand another command.
func (c *cli) tree(root *cobra.Command, runners map[string]runner, byHand map[string]*cobra.Command) {
	for _, spec := range api.All {
		where := spec.Describe().Path
		cmd := byHand[where]
		if cmd == nil {
			run := runners[where]
			if run == nil {
				run = c.each
			}
			cmd = c.command(spec, run)
			c.elsewhere(root, spec, run)
		}
		c.at(root, path.Dir(where)).AddCommand(cmd)
	}
}

// elsewhere adds a command under those of its names that are below other commands.
func (c *cli) elsewhere(root *cobra.Command, spec rpc.Spec, run runner) {
	info := spec.Describe()
	for _, alias := range info.Aliases {
		if path.Dir(alias) == path.Dir(info.Path) {
			continue
		}
		cmd := c.command(spec, run)
		cmd.Use = strings.TrimSpace(path.Base(alias) + " " + info.Args)
		cmd.Aliases, cmd.Hidden = nil, true
		c.at(root, path.Dir(alias)).AddCommand(cmd)
	}
}

// describe returns the command of a spec, without flags and action.
func describe(spec rpc.Spec) *cobra.Command {
	info := spec.Describe()
	cmd := &cobra.Command{
		Use:     strings.TrimSpace(path.Base(info.Path) + " " + info.Args),
		Short:   info.Short,
		Long:    info.Long,
		Example: examples(info.Examples...),
	}
	for _, alias := range info.Aliases {
		if path.Dir(alias) == path.Dir(info.Path) {
			cmd.Aliases = append(cmd.Aliases, path.Base(alias))
		}
	}
	return cmd
}

// examples formats one to three command lines, which a test runs.
func examples(lines ...string) string { return "  " + strings.Join(lines, "\n  ") }

// at returns the command at a path, and adds the groups above it.
func (c *cli) at(root *cobra.Command, where string) *cobra.Command {
	if where == "." {
		return root
	}
	parent, word := c.at(root, path.Dir(where)), path.Base(where)
	for _, sub := range parent.Commands() {
		if sub.Name() == word {
			return sub
		}
	}
	group := &cobra.Command{Use: word, Short: api.Groups[where], RunE: group}
	parent.AddCommand(group)
	return group
}

// command returns the command of a spec; run runs it.
func (c *cli) command(spec rpc.Spec, run runner) *cobra.Command {
	req := spec.New()
	cmd := describe(spec)
	bind(cmd, req)
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		done, err := c.arguments(cmd, args, req)
		if err != nil {
			return err
		}
		defer done()
		ctx, cancel := c.context(cmd)
		defer cancel()
		switch r := req.(type) {
		case *api.RepoVerifyRequest:
			c.salvage = r.Repair
		case *api.RepoGCRequest, *api.PinRemoveRequest:
			c.freeing = true
		}
		with := c.withNode
		switch info := spec.Describe(); {
		case info.Local:
			with = c.withoutNode
		case info.Daemon:
			with = c.withDaemon
		case info.Config:
			with = c.withConfig
		}
		return with(ctx, func(n rpc.Caller) error { return run(ctx, n, spec, req) })
	}
	return cmd
}

// each prints each response as it arrives.
func (c *cli) each(ctx context.Context, n rpc.Caller, spec rpc.Spec, req any) error {
	verdict := ""
	for res, err := range spec.Run(ctx, n, req) {
		if err != nil {
			return err
		}
		if s, ok := res.Value.(rpc.Stream); ok {
			_, err = io.Copy(c.raw, s)
			return errors.Join(err, s.Close())
		}
		if err := c.printResult(res); err != nil {
			return err
		}
		c.printNotes(res.Value)
		if p, ok := res.Value.(partial); ok {
			if why, all := p.Failed(); why != "" {
				display.Fprintln(c.errOut, why)
				verdict = all
			}
		}
	}
	if verdict != "" {
		return errors.New(verdict)
	}
	return nil
}

// partial is a response that may tell of a part of the command that failed: why it
// did, and what that makes of the whole.
type partial interface {
	Failed() (why, verdict string)
}

// publishing shows the progress of a publish on a terminal, and prints the result.
func (c *cli) publishing(ctx context.Context, n rpc.Caller, spec rpc.Spec, req any) error {
	bar := c.progress("announcing")
	defer bar.end()
	switch r := req.(type) {
	case *api.PublishRequest:
		r.Progress = bar.visible()
	case *api.RollbackRequest:
		r.Progress = bar.visible()
	}
	var last rpc.Result
	for res, err := range spec.Run(ctx, n, req) {
		if err != nil {
			return err
		}
		p := res.Value.(api.Published)
		bar.servers(p.Announced, p.Of)
		last = res
	}
	bar.end()
	c.printNotes(last.Value)
	if err := c.printResult(last); err != nil {
		return err
	}
	if !c.asJSON() {
		display.Fprintln(c.errOut, last.Value.(api.Published).Receipt())
	}
	return nil
}

// republishStatus prints the last status. With --watch, a terminal shows the progress,
// and JSON has every status.
func (c *cli) republishStatus(ctx context.Context, n rpc.Caller, spec rpc.Spec, req any) error {
	bar := c.progress("republishing")
	defer bar.end()
	var last rpc.Result
	for res, err := range spec.Run(ctx, n, req) {
		if err != nil {
			return err
		}
		bar.regions(res.Value.(api.Republishing))
		if last = res; c.asJSON() {
			if err := c.print(res.Value, ""); err != nil {
				return err
			}
		}
	}
	bar.clear()
	if c.asJSON() {
		return nil
	}
	return c.printResult(last)
}

// provideOnce prints how many CIDs were queued.
func (c *cli) provideOnce(ctx context.Context, n rpc.Caller, spec rpc.Spec, req any) error {
	if c.asJSON() {
		return c.each(ctx, n, spec, req)
	}
	queued := 0
	for _, err := range spec.Run(ctx, n, req) {
		if err != nil {
			return err
		}
		queued++
	}
	display.Fprintf(c.out, "queued %d CID(s) for immediate provide\n", queued)
	return nil
}

// shutdownCmd stops a running daemon. It never starts a node in this process.
func (c *cli) shutdownCmd() *cobra.Command {
	cmd := describe(api.Shutdown)
	cmd.Args = cobra.NoArgs
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		ctx, cancel := c.context(cmd)
		defer cancel()
		return c.withDaemon(ctx, func(n rpc.Caller) error {
			_, err := rpc.Do(ctx, n, api.Shutdown, api.ShutdownRequest{})
			return err
		})
	}
	return cmd
}

// withDaemon calls f with the running daemon.
func (c *cli) withDaemon(ctx context.Context, f func(rpc.Caller) error) error {
	addr, err := c.daemonAPI(ctx)
	if err != nil {
		return err
	}
	return c.withClient(addr, f)
}

// daemonAPI returns the address of the running daemon's API.
func (c *cli) daemonAPI(ctx context.Context) (string, error) {
	if c.api != "" {
		return c.api, nil
	}
	r, err := c.repository()
	if err != nil {
		return "", err
	}
	if err := r.Check(); err != nil {
		return "", err
	}
	lock, addr, err := c.lockOrAPI(ctx, r)
	if err != nil {
		return "", err
	}
	if addr == "" {
		return "", errors.Join(fmt.Errorf("no daemon runs on %s", string(r)), lock.Unlock())
	}
	return addr, nil
}
