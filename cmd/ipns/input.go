package main

import (
	"context"
	"fmt"
	"io"
	"io/fs"
	"net/http"
	"net/url"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"

	"github.com/goipns/ipns/internal/display"
)

// input is one argument of add.
type input struct {
	name string // under which it is added
	// path and dir are a file or folder, and the folder that it is in. "": it is no path.
	path, dir string
	// open opens what is no file of a file system: standard input, a named pipe or a URL. nil: path.
	open func() (io.ReadCloser, error)
}

// inputs reads the arguments of add and sorts them by name, as Kubo does. None stands for standard input.
func (c *cli) inputs(ctx context.Context, args []string, o addOptions) ([]input, error) {
	if len(args) == 0 {
		args = []string{"-"}
	}
	var list []input
	for _, a := range args {
		in, err := c.input(ctx, a, o)
		if err != nil {
			return nil, err
		}
		list = append(list, in)
	}
	return checkNames(list)
}

func (c *cli) input(ctx context.Context, arg string, o addOptions) (input, error) {
	if arg == "-" {
		return input{name: o.stdinName, open: func() (io.ReadCloser, error) { return io.NopCloser(c.in), nil }}, nil
	}
	if u, err := url.Parse(arg); err == nil && u.Host != "" && (u.Scheme == "http" || u.Scheme == "https") {
		return webInput(ctx, u), nil
	}
	at, info, err := lstat(arg, o.follow || o.followArgs)
	if err != nil {
		return input{}, err
	}
	if info.IsDir() && !o.recursive {
		display.Fprintf(c.errOut, "note: %s is a folder: adding all that it contains, as with -r\n", at)
	}
	abs, err := filepath.Abs(at)
	if err != nil {
		return input{}, err
	}
	in := input{name: filepath.Base(abs), path: at, dir: filepath.Dir(abs)}
	if info.Mode().Type() == fs.ModeNamedPipe {
		in.open = func() (io.ReadCloser, error) { return os.Open(at) }
	}
	return in, nil
}

// webInput is a file that is fetched by HTTP when its turn comes.
func webInput(ctx context.Context, u *url.URL) input {
	name := u.Host
	if u.Path != "" {
		name = path.Base(u.Path)
	}
	return input{name: name, open: func() (io.ReadCloser, error) {
		req, err := http.NewRequestWithContext(ctx, http.MethodGet, u.String(), nil)
		if err != nil {
			return nil, err
		}
		resp, err := http.DefaultClient.Do(req)
		if err != nil {
			return nil, err
		}
		if resp.StatusCode < 200 || resp.StatusCode > 299 {
			resp.Body.Close()
			return nil, fmt.Errorf("got non-2XX status code %d: %s", resp.StatusCode, u)
		}
		return resp.Body, nil
	}}
}

// lstat is [os.Lstat], of the target of a link if it is to be followed.
func lstat(path string, follow bool) (string, fs.FileInfo, error) {
	info, err := os.Lstat(path)
	if err == nil && follow && info.Mode().Type() == fs.ModeSymlink {
		if path, err = filepath.EvalSymlinks(path); err == nil {
			info, err = os.Lstat(path)
		}
	}
	if err != nil {
		return path, nil, missing(path, err)
	}
	return path, info, nil
}

// checkNames returns an error if two inputs from different folders have one name. Inputs given twice are dropped.
func checkNames(inputs []input) ([]input, error) {
	dirs := make(map[string]string) // the folder of each name
	var list []input
	for _, in := range inputs {
		if before, ok := dirs[in.name]; ok && in.path != "" {
			if before != in.dir {
				return nil, fmt.Errorf("file name %s repeated under different import directories: %s and %s; add them one by one, or rename one", in.name, before, in.dir)
			}
			continue
		}
		if in.path != "" {
			dirs[in.name] = in.dir
		}
		list = append(list, in)
	}
	slices.SortStableFunc(list, func(a, b input) int { return strings.Compare(a.name, b.name) })
	return list, nil
}
