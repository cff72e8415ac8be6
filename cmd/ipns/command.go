package main

import (
	"bufio"
	"context"
	"encoding/json"
	"io"
	"iter"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/mattn/go-isatty"
	"github.com/spf13/cobra"

	"github.com/goipns/ipns/api"
	"github.com/goipns/ipns/internal/display"
	"github.com/goipns/ipns/internal/request"
	"github.com/goipns/ipns/rpc"
)

// printResult prints one response.
func (c *cli) printResult(res rpc.Result) error {
	if c.asJSON() {
		return c.print(res.Value, "")
	}
	text, err := res.Text()
	if err != nil {
		return err
	}
	if res.Exact {
		_, err := io.WriteString(c.raw, text)
		return err
	}
	return c.print(res.Value, text)
}

// printNotes prints the warnings of a response.
func (c *cli) printNotes(v any) {
	if n, ok := v.(interface{ Notes() []string }); ok {
		for _, note := range n.Notes() {
			display.Fprintf(c.errOut, "warning: %s\n", note)
		}
	}
}

// bind adds a flag for each option of a request.
func bind(cmd *cobra.Command, req any) {
	request.SetDefaults(req)
	for _, o := range request.Options(req) {
		if o.Arg {
			continue
		}
		short, others := "", []string{}
		for _, a := range o.Aliases {
			if len(a) == 1 {
				short = a
			} else {
				others = append(others, a)
			}
		}
		if len(o.Name) == 1 {
			short = o.Name
		}
		for _, name := range append([]string{o.Name}, others...) {
			f := cmd.Flags().VarPF(o, name, short, o.Help)
			if o.IsBool() {
				f.NoOptDefVal = "true"
			}
			f.Hidden = name != o.Name
			short = ""
		}
	}
	for _, a := range request.AbsentOptions(req) {
		if a.Name == "offline" {
			continue // the program has this flag
		}
		f := cmd.Flags().VarPF(absent{a}, a.Name, "", "")
		f.Hidden = true
		if a.IsBool() {
			f.NoOptDefVal = "true"
		}
	}
}

// longOptions writes options of more than one letter with two dashes: -cid-base=base32 is --cid-base=base32, as it is in
// Kubo.
func longOptions(root *cobra.Command, args []string) []string {
	cmd, _, err := root.Find(args)
	if err != nil {
		return args
	}
	out := slices.Clone(args)
	for i, a := range args {
		name, _, ok := strings.Cut(strings.TrimPrefix(a, "-"), "=")
		if a == "--" {
			break
		}
		if ok && len(name) > 1 && a[0] == '-' && (cmd.Flags().Lookup(name) != nil || cmd.InheritedFlags().Lookup(name) != nil) {
			out[i] = "-" + a
		}
	}
	return out
}

// absent is the flag of a Kubo option that a command does not have.
type absent struct{ request.Absent }

func (a absent) Set(value string) error { return a.Check(value) }
func (a absent) String() string         { return "" }
func (a absent) Type() string           { return "string" }

// context returns the context of the command, with the time limit of --timeout.
func (c *cli) context(cmd *cobra.Command) (context.Context, context.CancelFunc) {
	ctx := cmd.Context()
	if c.offline {
		ctx = rpc.Offline(ctx)
	}
	if c.timeout > 0 {
		return context.WithTimeout(ctx, c.timeout)
	}
	return context.WithCancel(ctx)
}

// arguments fills in the arguments of a request from the command line or, where allowed,
// from standard input. done closes the file it opened, if any.
func (c *cli) arguments(cmd *cobra.Command, args []string, req any) (done func(), err error) {
	given := len(args)
	wanted := 0
	done = func() {}
	for _, o := range request.Options(req) {
		if !o.Arg {
			continue
		}
		wanted++
		if len(args) == 0 && o.Stdin && (!o.Optional || isPiped(c.in) && !optionSet(req)) {
			if args, err = c.readArguments(o.Many); err != nil {
				return done, err
			}
		}
		switch {
		case len(args) == 0 && o.Optional:
			continue
		case len(args) == 0:
			return done, usage(cmd, "argument %q is required", o.Name)
		case o.Many:
			for _, a := range args {
				if err := o.Set(a); err != nil {
					return done, err
				}
			}
			args = nil
		default:
			if err := o.Set(args[0]); err != nil {
				return done, err
			}
			args = args[1:]
		}
	}
	if u, ok := req.(uploader); ok {
		if len(args) == 0 {
			c.noteStdin()
		}
		u.Give(c.filesAlone(args))
		return done, nil
	}
	if u := request.UploadOf(req); u != nil {
		wanted++
		switch {
		case len(args) > 0 && args[0] == "-":
			c.noteStdin()
			u.Set(c.in)
			args = args[1:]
		case len(args) > 0:
			f, err := os.Open(args[0])
			if err != nil {
				return done, err
			}
			done = func() { f.Close() }
			u.Set(f)
			args = args[1:]
		case u.Stdin:
			c.noteStdin()
			u.Set(c.in)
		default:
			return done, usage(cmd, "file argument '%s' is required", u.Name)
		}
	}
	if len(args) > 0 {
		e := usage(cmd, "expected %d argument(s), got %d", wanted, given)
		if wanted == 0 {
			e.meant = nearestCommand(cmd, args[0])
		}
		return done, e
	}
	return done, nil
}

// optionSet reports whether an option of a request is set: it then says what an optional
// argument would.
func optionSet(req any) bool {
	return slices.ContainsFunc(request.Options(req), func(o *request.Option) bool {
		return !o.Arg && o.String() != o.Default && o.String() != "false"
	})
}

// isPiped reports whether the input is that of a pipe or a file, not a terminal or nothing.
func isPiped(stream any) bool {
	f, ok := stream.(*os.File)
	if !ok {
		return true
	}
	info, err := f.Stat()
	return err == nil && info.Mode()&os.ModeCharDevice == 0
}

// uploader is a request that takes files of any size.
type uploader interface {
	Give(files iter.Seq2[api.File, error])
}

// filesAlone yields files, each opened in its turn, or standard input if there are none.
func (c *cli) filesAlone(paths []string) iter.Seq2[api.File, error] {
	return func(yield func(api.File, error) bool) {
		if len(paths) == 0 {
			yield(api.File{Body: c.in}, nil)
			return
		}
		for _, p := range paths {
			f, err := os.Open(p)
			if err != nil {
				yield(api.File{}, err)
				return
			}
			more := yield(api.File{Path: filepath.Base(p), Body: f}, nil)
			f.Close()
			if !more {
				return
			}
		}
	}
}

// readArguments reads arguments from the input, one per line.
func (c *cli) readArguments(many bool) ([]string, error) {
	c.noteStdin()
	var args []string
	for s := bufio.NewScanner(c.in); s.Scan(); {
		if line := strings.TrimSpace(s.Text()); line != "" {
			args = append(args, line)
		}
		if !many && len(args) == 1 {
			break
		}
	}
	return args, nil
}

// noteStdin tells a user at a terminal that the command waits for input.
func (c *cli) noteStdin() {
	if isTerminal(c.in) {
		display.Fprintln(c.errOut, "ipns: Reading from /dev/stdin; send Ctrl-d to stop.")
	}
}

func isTerminal(stream any) bool {
	f, ok := stream.(*os.File)
	return ok && isatty.IsTerminal(f.Fd())
}

// asJSON reports whether results are to be printed as JSON.
func (c *cli) asJSON() bool { return c.json || c.enc == "json" }

// print prints one result.
func (c *cli) print(v any, text string) error {
	if c.asJSON() {
		return json.NewEncoder(c.out).Encode(v)
	}
	_, err := io.WriteString(c.out, text)
	return err
}
