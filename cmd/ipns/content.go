package main

import (
	"context"
	"fmt"
	"io/fs"
	"iter"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/goipns/ipns/api"
	"github.com/goipns/ipns/internal/display"
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
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		if len(args) == 0 {
			c.noteStdin()
		}
		paths, err := c.addPaths(args, o)
		if err != nil {
			return err
		}
		ctx, cancel := c.context(cmd)
		defer cancel()
		return c.withNode(ctx, func(n rpc.Caller) error {
			var s source
			req.Files = s.watch(c.files(paths, o))
			return s.cause(c.add(ctx, n, req))
		})
	}
	return cmd
}

// addOptions say what is added from the given paths.
type addOptions struct{ recursive, hidden, follow, followArgs bool }

// addPaths checks the paths to add and sorts them by name, as Kubo does.
func (c *cli) addPaths(args []string, o addOptions) ([]string, error) {
	var paths []string
	dirs := make(map[string]string) // the folder of each name
	for _, a := range args {
		info, err := os.Lstat(a)
		if err == nil && info.Mode().Type() == fs.ModeSymlink && (o.follow || o.followArgs) {
			if a, err = filepath.EvalSymlinks(a); err == nil {
				info, err = os.Lstat(a)
			}
		}
		if err != nil {
			return nil, missing(a, err)
		}
		if info.IsDir() && !o.recursive {
			display.Fprintf(c.errOut, "note: %s is a folder: adding all that it contains, as with -r\n", a)
		}
		abs, err := filepath.Abs(a)
		if err != nil {
			return nil, err
		}
		name, dir := filepath.Base(abs), filepath.Dir(abs)
		if before, ok := dirs[name]; ok && before != dir {
			return nil, fmt.Errorf("file name %s repeated under different import directories: %s and %s; add them one by one, or rename one", name, before, dir)
		} else if ok {
			continue
		}
		dirs[name] = dir
		paths = append(paths, a)
	}
	slices.SortFunc(paths, func(a, b string) int {
		return strings.Compare(baseName(a), baseName(b))
	})
	return paths, nil
}

// baseName returns the last element of a path; for ".", that of the current folder.
func baseName(path string) string {
	if abs, err := filepath.Abs(path); err == nil {
		path = abs
	}
	return filepath.Base(path)
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

// files yields the files at the given paths, or standard input if there are none.
func (c *cli) files(paths []string, o addOptions) iter.Seq2[api.File, error] {
	return func(yield func(api.File, error) bool) {
		if len(paths) == 0 {
			yield(api.File{Body: c.in}, nil)
			return
		}
		walk := folder.Options{Hidden: o.hidden}
		if r, err := c.repository(); err == nil { // without a repo there are no private paths
			walk.Check = notPrivate(r)
		}
		if o.follow {
			walk.Links = folder.FollowLinks
		}
		for _, p := range paths {
			for f, err := range tree(p, walk) {
				if !yield(f, err) || err != nil {
					return
				}
			}
		}
	}
}
