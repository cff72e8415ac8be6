package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"iter"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/goipns/ipns/rpc"
)

func (c *cli) addCmd() *cobra.Command {
	var req rpc.AddRequest
	var recursive, hidden bool
	cmd := &cobra.Command{Use: "add <path>...", Short: "Add files and folders, and pin them"}
	bind(cmd, &req)
	cmd.Flags().BoolVarP(&recursive, "recursive", "r", false, "add folders with all that they contain")
	cmd.Flags().BoolVarP(&hidden, "hidden", "H", false, "also add files whose names begin with a dot")
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		if len(args) == 0 {
			c.noteStdin()
		}
		for _, a := range args {
			info, err := os.Lstat(a)
			if err != nil {
				return missing(a, err)
			}
			if info.IsDir() && !recursive {
				fmt.Fprintf(c.errOut, "note: %s is a folder: adding all that it contains, as with -r\n", a)
			}
		}
		ctx, cancel := c.context(cmd)
		defer cancel()
		return c.withNode(ctx, func(n rpc.Node) error {
			var source error
			req.Files = remember(&source, c.files(args, hidden))
			err := c.add(ctx, n, req)
			// What could not be read here is the cause of what failed there.
			if source != nil {
				return source
			}
			return err
		})
	}
	return cmd
}

// add runs an add and prints its results.
func (c *cli) add(ctx context.Context, n rpc.Node, req rpc.AddRequest) error {
	bar := c.adding()
	defer bar.end()
	req.Progress = req.Progress || bar.visible()
	if c.enc == "json" && !c.json {
		c.enc = "" // Kubo prints text here, and scripts rely on it
	}
	last := rpc.Added{}
	for a, err := range n.Add(ctx, req) {
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

// files yields what stands at the given paths; the input if there are none.
func (c *cli) files(paths []string, hidden bool) iter.Seq2[rpc.File, error] {
	return func(yield func(rpc.File, error) bool) {
		if len(paths) == 0 {
			yield(rpc.File{Body: c.in}, nil)
			return
		}
		// In the order of their names, as Kubo adds them.
		paths = slices.SortedFunc(slices.Values(paths), func(a, b string) int {
			return strings.Compare(filepath.Base(a), filepath.Base(b))
		})
		for _, p := range paths {
			for f, err := range tree(p, hidden) {
				if !yield(f, err) || err != nil {
					return
				}
			}
		}
	}
}

// remember yields what files yields, and keeps the error that it ends with.
func remember(err *error, files iter.Seq2[rpc.File, error]) iter.Seq2[rpc.File, error] {
	return func(yield func(rpc.File, error) bool) {
		for f, e := range files {
			*err = e
			if !yield(f, e) {
				return
			}
		}
	}
}

// tree yields the file or folder at root, named by its last element, and what is
// below it. Names that begin with a dot are left out unless hidden is set.
func tree(root string, hidden bool) iter.Seq2[rpc.File, error] {
	return func(yield func(rpc.File, error) bool) {
		abs, err := filepath.Abs(root)
		if err != nil {
			yield(rpc.File{}, err)
			return
		}
		err = filepath.WalkDir(root, func(at string, d fs.DirEntry, err error) error {
			if err != nil {
				return err
			}
			if at != root && !hidden && strings.HasPrefix(d.Name(), ".") {
				if d.IsDir() {
					return fs.SkipDir
				}
				return nil
			}
			rel, err := filepath.Rel(root, at)
			if err != nil {
				return err
			}
			return yieldFile(at, path.Join(filepath.Base(abs), filepath.ToSlash(rel)), d.Type(), yield)
		})
		if err != nil {
			yield(rpc.File{}, err)
		}
	}
}

// yieldFile yields one file, folder or link. It returns [fs.SkipAll] if nobody
// wants more.
func yieldFile(at, name string, kind fs.FileMode, yield func(rpc.File, error) bool) error {
	f := rpc.File{Path: name}
	switch kind {
	case fs.ModeDir:
		f.Kind = rpc.Folder
	case fs.ModeSymlink:
		target, err := os.Readlink(at)
		if err != nil {
			return err
		}
		f.Kind, f.Body = rpc.Symlink, strings.NewReader(target)
	case 0:
		file, err := os.Open(at)
		if err != nil {
			return err
		}
		defer file.Close()
		f.Body = file
	default:
		return fmt.Errorf("%s is neither a file nor a folder nor a symbolic link", at)
	}
	if !yield(f, nil) {
		return fs.SkipAll
	}
	return nil
}

func (c *cli) catCmd() *cobra.Command {
	var req rpc.CatRequest
	cmd := &cobra.Command{Use: "cat <path>", Short: "Print a file"}
	bind(cmd, &req)
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		return c.request(cmd, args, &req, func(ctx context.Context, n rpc.Node) error {
			return c.printStream(n.Cat(ctx, req))
		})
	}
	return cmd
}

func (c *cli) pinCmd() *cobra.Command {
	cmd := &cobra.Command{Use: "pin", Short: "Keep content", RunE: group(noArgs)}
	cmd.AddCommand(
		single(c, "add <path>...", "Keep content, fetching what is missing", rpc.Node.PinAdd),
		stream(c, "ls [<path>...]", "List what is kept", rpc.Node.PinList),
		single(c, "rm <path>...", "Stop keeping content", rpc.Node.PinRemove),
	)
	return cmd
}

// printStream copies a response of bytes.
func (c *cli) printStream(s rpc.Stream, err error) error {
	if err != nil {
		return err
	}
	_, err = io.Copy(c.out, s)
	return errors.Join(err, s.Close())
}
