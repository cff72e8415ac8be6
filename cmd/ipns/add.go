package main

import (
	"context"
	"iter"
	"slices"

	"github.com/spf13/cobra"

	"github.com/goipns/ipns/api"
	"github.com/goipns/ipns/internal/folder"
	"github.com/goipns/ipns/rpc"
)

func (c *cli) addCmd() *cobra.Command {
	req := rpc.New[api.AddRequest]()
	var o addOptions
	cmd := describe(api.Add)
	bind(cmd, &req)
	f := cmd.Flags()
	f.BoolVarP(&o.recursive, "recursive", "r", false, "add folders and everything in them")
	f.BoolVarP(&o.hidden, "hidden", "H", false, "also add files whose names begin with a dot")
	f.BoolVar(&o.follow, "dereference-symlinks", false, "follow symbolic links and add their targets")
	f.BoolVar(&o.followArgs, "dereference-args", false, "follow only links that are given as arguments")
	f.StringVar(&o.stdinName, "stdin-name", "", "name of what is read from standard input")
	f.StringArrayVar(&o.ignore, "ignore", nil, "leave out what matches this rule, as in a .gitignore; may be repeated")
	f.StringVar(&o.ignoreFile, "ignore-rules-path", "", "leave out what matches a rule of this file")
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		if len(args) == 0 || slices.Contains(args, "-") {
			c.noteStdin()
		}
		ctx, cancel := c.context(cmd)
		defer cancel()
		inputs, err := c.inputs(ctx, args, o)
		if err != nil {
			return err
		}
		walk, err := c.walkOptions(o)
		if err != nil {
			return err
		}
		return c.withNode(ctx, func(n rpc.Caller) error {
			var s source
			req.Files = s.watch(files(inputs, walk))
			return s.cause(c.add(ctx, n, req))
		})
	}
	return cmd
}

// addOptions say what is added from the given paths.
type addOptions struct {
	recursive, hidden, follow, followArgs bool
	stdinName                             string
	ignore                                []string
	ignoreFile                            string
}

// walkOptions say what is included from a folder.
func (c *cli) walkOptions(o addOptions) (folder.Options, error) {
	walk := folder.Options{Hidden: o.hidden}
	if r, err := c.repository(); err == nil { // without a repo there are no private paths
		walk.Check = notPrivate(r)
	}
	if o.follow {
		walk.Links = folder.FollowLinks
	}
	var err error
	if o.ignoreFile != "" || len(o.ignore) > 0 {
		walk.Ignore, err = folder.Rules(o.ignoreFile, o.ignore)
	}
	return walk, err
}

// add runs an add and prints its results.
func (c *cli) add(ctx context.Context, n rpc.Caller, req api.AddRequest) error {
	bar := c.adding()
	defer bar.end()
	req.Progress = req.Progress || bar.visible()
	if c.enc == "json" && !c.json {
		c.enc = "" // Kubo prints text here, and scripts rely on it
	}
	last := api.Added{}
	for a, err := range rpc.Call(ctx, n, api.Add, req) {
		if err != nil {
			return err
		}
		if a.Hash == "" {
			bar.file(a.Name, a.Bytes)
			continue
		}
		last = a
		if req.Quieter {
			continue
		}
		bar.clear()
		if err := c.print(a, req.Text(a)); err != nil {
			return err
		}
	}
	if req.Quieter {
		return c.print(last, req.Text(last))
	}
	return nil
}

// files yields what the inputs lead to.
func files(inputs []input, walk folder.Options) iter.Seq2[api.File, error] {
	return func(yield func(api.File, error) bool) {
		for _, in := range inputs {
			all := tree(in.path, walk)
			if in.open != nil {
				all = in.alone
			}
			for f, err := range all {
				if !yield(f, err) || err != nil {
					return
				}
			}
		}
	}
}

// alone yields an input that is no path.
func (in input) alone(yield func(api.File, error) bool) {
	body, err := in.open()
	if err != nil {
		yield(api.File{}, err)
		return
	}
	defer body.Close()
	yield(api.File{Path: in.name, Body: body}, nil)
}
