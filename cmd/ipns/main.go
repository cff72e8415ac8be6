// Command ipns gives content a name that never changes, and keeps content and
// name online.
//
// Its commands, flags and output are those of Kubo's ipfs, with a few of its own:
// docs/cli.md has them all. A command runs on the daemon of the repo if there is
// one, otherwise in this process, and prints the same either way. The scripts in
// testdata/script specify its behavior.
//
// Results go to standard output; notes, progress and errors to standard error.
// The exit code is 0 only if the command did what it was asked to.
package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"
	"syscall"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/goipns/ipns/internal/display"
	"github.com/goipns/ipns/internal/guard"
	"github.com/goipns/ipns/internal/repo"
	"github.com/goipns/ipns/internal/verbs"
	"github.com/goipns/ipns/node"
	"github.com/goipns/ipns/rpc"
)

func main() {
	restrictUmask()
	escapeLibraryLogs(os.Stderr)
	if code, ok := runAsService(os.Args[1:]); ok {
		os.Exit(code)
	}
	os.Exit(run(context.Background(), os.Args[1:], os.Stdin, os.Stdout, os.Stderr))
}

// run runs one command line and returns its exit code. What runs until it is interrupted also
// ends with the context.
func run(ctx context.Context, args []string, in io.Reader, out, errOut io.Writer) int {
	c := &cli{name: called(), in: in, out: display.Writer{W: out}, raw: out, terminal: errOut}
	c.errOut = notes{display.Writer{W: errOut}, c}
	root := c.root()
	root.SetArgs(longOptions(root, args))
	root.SetIn(in)
	root.SetOut(c.out)
	root.SetErr(c.errOut)
	ctx, stop := interrupted(ctx)
	defer stop()
	cmd, err := root.ExecuteContextC(ctx)
	if err == nil {
		return 0
	}
	code := 1
	if exit := new(exitError); errors.As(err, &exit) {
		if code = exit.code; exit.err == nil {
			return code
		}
	}
	_, _ = io.WriteString(c.errOut, "Error: "+display.Error(err)+nextStep(cmd, err)+"\n") // there is nowhere else to say it
	var use *usageError
	if errors.As(err, &use) {
		switch len(use.meant) {
		case 0:
		case 1:
			display.Fprintf(c.errOut, "\nDid you mean this?\n\n\t%s\n", use.meant[0])
		default:
			display.Fprintf(c.errOut, "\nDid you mean any of these?\n\n")
			for _, m := range use.meant {
				display.Fprintf(c.errOut, "\t%s\n", m)
			}
		}
		display.Fprintf(c.errOut, "\nUse 'ipns %s--help' for information about this command.\n", use.path)
	} else if rpc.IsRefused(err) {
		display.Fprintf(c.errOut, "Use 'ipns %s--help' for information about this command\n", commandPath(cmd))
	}
	return code
}

// cli is one run of the program: its input and output and the global flags.
type cli struct {
	name        string // what the program is called
	in          io.Reader
	out, errOut io.Writer // for people
	// For raw bytes, and for drawing on a terminal.
	raw, terminal io.Writer

	enc      string
	json     bool
	repoDir  string
	config   string // a config file elsewhere, to be shown or edited
	debug    bool
	api      string
	apiAuth  string
	timeout  time.Duration
	offline  bool
	streamCh bool
	// Flags of all commands, which those that write CIDs have of their own.
	cidBase   string
	upgradeV0 bool

	passphraseFile string
	passphraseText string // of the environment
	askPassphrase  bool
	keysStayLocked bool // the passphrase is for something else

	salvage bool // a damaged database is to be made anew
	freeing bool // space is to be freed
}

func (c *cli) root() *cobra.Command {
	c.name = cmp.Or(c.name, ownName)
	root := &cobra.Command{
		Use:               c.name,
		Short:             "Names that never change for content that does",
		Long:              rootHelp,
		Version:           node.Release,
		SilenceErrors:     true,
		SilenceUsage:      true,
		Args:              cobra.ArbitraryArgs, // otherwise cobra would handle unknown words itself
		RunE:              group,
		PersistentPreRunE: func(cmd *cobra.Command, _ []string) error { return c.checkGlobal(cmd) },
	}
	root.SetVersionTemplate(c.name + " version {{.Version}}\n")
	root.CompletionOptions.DisableDefaultCmd = true // there is commands completion
	root.SetUsageTemplate(usageTemplate)
	wrapHelp(root)
	f := root.PersistentFlags()
	f.StringVar(&c.enc, "enc", "", "print as text or json")
	f.StringVar(&c.enc, "encoding", "", "")
	f.BoolVar(&c.json, "json", false, "print as JSON")
	f.StringVar(&c.repoDir, "repo-dir", "", "folder of the repo (default $IPNS_PATH, else ~/.ipns; for a program called ipfs $IPFS_PATH)")
	f.StringVar(&c.api, "api", "", "use the daemon whose API is at this multiaddr")
	f.StringVar(&c.apiAuth, "api-auth", os.Getenv("IPFS_API_AUTH"), "secret for the daemon's API, as in API.Authorizations of its config (default $IPFS_API_AUTH)")
	f.Lookup("api-auth").DefValue = "" // or the help would show it
	f.DurationVar(&c.timeout, "timeout", 0, "give up after this long")
	f.BoolVar(&c.offline, "offline", false, "work without a network")
	f.BoolVarP(&c.offline, "local", "L", false, "")
	f.StringVar(&c.config, "config-file", "", "config file for config show and config edit, instead of that of the repo")
	f.StringVarP(&c.config, "config", "c", "", "")
	f.BoolVarP(&c.debug, "debug", "D", false, "log what this process does, libraries included")
	f.StringVar(&c.cidBase, "cid-base", "", "multibase in which CIDs are written, of commands that write some")
	f.StringVar(&c.passphraseFile, "passphrase-file", "", "file with the passphrase of the keys, see key encrypt (default $IPNS_PASSPHRASE_FILE, or the text in $IPNS_PASSPHRASE)")
	f.BoolVar(&c.askPassphrase, "ask-passphrase", false, "ask for the passphrase of the keys on the terminal")
	f.BoolVar(&c.upgradeV0, "upgrade-cidv0-in-output", false, "write CIDs of version 0 as version 1")
	f.BoolVar(&c.streamCh, "stream-channels", false, "")
	for _, hidden := range []string{"encoding", "stream-channels", "local", "config"} {
		_ = f.MarkHidden(hidden) // the flag exists
	}
	root.SetFlagErrorFunc(flagError)
	root.AddCommand(c.upCmd(), c.publishCmd(), c.initCmd(), c.daemonCmd(), c.testnetCmd(), c.relayCmd(), c.contenthashCmd(), c.ensCmd(), c.dnslinkCmd(), c.exportCmd(), c.backupCmd(), c.restoreCmd(), c.doctorCmd())
	c.tree(root, map[string]runner{
		"key/import":       c.imported,
		"name/publish":     c.publishing,
		"name/rollback":    c.publishing,
		"name/delegate":    c.publishing,
		"republish/status": c.republishStatus,
		"version":          c.version,
		"commands":         c.listCommands(root),
		"log/tail":         c.tail,
		"ls":               c.listing,
		"get":              c.saving,
		"diag/profile":     c.savingProfile,
		"pin/add":          c.pinning,
		"provide/once":     c.provideOnce,
	}, map[string]*cobra.Command{"add": c.addCmd(), "shutdown": c.shutdownCmd(), "config/show": c.configShowCmd(), "name/sign": c.nameSignCmd()})
	c.at(root, "commands").AddCommand(c.completionCmd())
	c.at(root, "name").AddCommand(c.nameCheckCmd())
	c.at(root, "key").AddCommand(c.keyExportCmd(), c.keyRotateCmd(), c.keyEncryptCmd(), c.keyDecryptCmd())
	c.at(root, "config").AddCommand(c.configEditCmd())
	c.at(root, "store").AddCommand(c.storeMoveCmd())
	c.at(root, "repo").AddCommand(c.repoMigrateCmd())
	arrange(root)
	c.rename(root)
	return root
}

// localCommands never use a daemon's API: they work on the repo of this machine,
// or need none.
var localCommands = []string{"init ", "daemon ", "testnet ", "relay ", "export ", "backup ", "restore ", "key export ", "key rotate ", "key encrypt ", "key decrypt ", "config edit ", "store move ", "repo migrate "}

// checkGlobal refuses global flags that the command would ignore.
func (c *cli) checkGlobal(cmd *cobra.Command) error {
	path := commandPath(cmd)
	if c.api != "" && slices.Contains(localCommands, path) {
		return usage(cmd, "--api is not for 'ipns %s': it works on the repo of this machine", strings.TrimSpace(path))
	}
	if c.timeout > 0 && slices.Contains([]string{"daemon ", "testnet ", "relay "}, path) {
		return usage(cmd, "--timeout is not for 'ipns %s': it runs until it is interrupted", strings.TrimSpace(path))
	}
	if c.enc != "" && c.enc != "text" && c.enc != "json" {
		return usage(cmd, "cannot print as %q: use text or json", c.enc)
	}
	if c.config != "" && !slices.Contains([]string{"config show ", "config edit "}, path) {
		display.Fprintln(c.errOut, "note: --config-file does nothing: it is for config show and config edit")
	}
	if c.debug {
		debugLibraries()
	}
	return nil
}

// group is the action of a command that only has subcommands: it prints its help, and
// refuses words that are not subcommands.
func group(cmd *cobra.Command, args []string) error {
	if len(args) == 0 {
		return cmd.Help()
	}
	return unknownCommand(cmd, args)
}

// unknownCommand refuses words that are not subcommands, with Kubo's text.
func unknownCommand(cmd *cobra.Command, args []string) error {
	text := fmt.Sprintf("expected 0 argument(s), got %d", len(args))
	if !cmd.HasParent() {
		text = fmt.Sprintf("Unknown Command %q", args[0])
	}
	e := usage(cmd, "%s", text)
	e.meant = nearestCommand(cmd, args[0])
	if use := insteadOf(cmd, args[0]); use != "" {
		e.text, e.meant = fmt.Sprintf("unknown command 'ipns %s%s': %s", commandPath(cmd), args[0], use), nil
	}
	return e
}

// usageError is an invalid command line. path is the command, with a space after it, or
// empty; meant are the words that may have been intended.
type usageError struct {
	text, path string
	meant      []string
}

func (e *usageError) Error() string { return e.text }

func usage(cmd *cobra.Command, format string, args ...any) *usageError {
	return &usageError{text: fmt.Sprintf(format, args...), path: commandPath(cmd)}
}

// commandPath returns the command's path without the program's name, with a space after
// it.
func commandPath(cmd *cobra.Command) string {
	_, p, _ := strings.Cut(cmd.CommandPath(), " ")
	if p != "" {
		p += " "
	}
	return p
}

func flagError(cmd *cobra.Command, err error) error {
	var unknown *pflag.NotExistError
	if errors.As(err, &unknown) {
		// In 'ipns nmae publish --key=blog' the word is wrong, not the option, which
		// belongs to another command.
		if args := cmd.Flags().Args(); cmd.HasSubCommands() && !strings.Contains(cmd.Use, " ") && len(args) > 0 {
			return unknownCommand(cmd, args)
		}
		name := unknown.GetSpecifiedName()
		e := usage(cmd, "unknown option %q", name)
		e.meant = nearestOption(cmd, name)
		return e
	}
	var empty *pflag.ValueRequiredError
	if errors.As(err, &empty) {
		return usage(cmd, "missing argument for option %q", empty.GetSpecifiedName())
	}
	var bad *pflag.InvalidValueError
	if errors.As(err, &bad) {
		if inner := errors.Unwrap(err); inner != nil {
			return inner
		}
	}
	return usage(cmd, "%s", err)
}

// withNode calls f with the running daemon or, if there is none, with an offline
// node in this process, which is closed when f returns.
func (c *cli) withNode(ctx context.Context, f func(rpc.Caller) error) error {
	return c.withRepo(ctx, f, func(r repo.Repo) error {
		passphrase, err := c.passphrase()
		if err != nil {
			return err
		}
		n, err := node.New(ctx, r, node.Config{Offline: true, ReadOnFull: !c.salvage, Salvage: c.salvage, Freeing: c.freeing, Passphrase: passphrase})
		if err != nil {
			return err
		}
		return errors.Join(f(verbs.Mux(n)), n.Close())
	})
}

// withConfig is withNode for commands of the config: they work also if the node cannot be
// opened because of what the config says.
func (c *cli) withConfig(ctx context.Context, f func(rpc.Caller) error) error {
	return c.withRepo(ctx, f, func(r repo.Repo) error { return f(verbs.Mux(&node.Node{Repo: r})) })
}

// withRepo calls f with the running daemon or, if there is none, locked with the repo.
func (c *cli) withRepo(ctx context.Context, f func(rpc.Caller) error, locked func(repo.Repo) error) error {
	if c.api != "" {
		return c.withClient(c.api, f)
	}
	r, err := c.repository()
	if err != nil {
		return err
	}
	if err := r.Check(); err != nil {
		return err
	}
	lock, api, err := c.lockOrAPI(ctx, r)
	if err != nil {
		return err
	}
	if api != "" {
		return c.withClient(api, f)
	}
	defer lock.Unlock()
	return locked(r)
}

// withoutNode calls f with the commands that need no node.
func (c *cli) withoutNode(_ context.Context, f func(rpc.Caller) error) error {
	return f(verbs.Mux(nil))
}

func (c *cli) withClient(addr string, f func(rpc.Caller) error) error {
	client, err := rpc.NewClient(addr)
	if err != nil {
		return err
	}
	defer client.Close()
	client.Offline = c.offline
	if c.apiAuth != "" {
		if client.Authorization, err = guard.Header(c.apiAuth); err != nil {
			return fmt.Errorf("--api-auth: %w", err)
		}
	}
	err = f(client)
	var gone *rpc.UnreachableError
	if c.name == kubosName && errors.As(err, &gone) { // scripts look for Kubo's words
		if errors.Is(err, syscall.ECONNREFUSED) {
			return errors.New("cannot connect to the api. Is the daemon running? To run as a standalone CLI command remove the api file in `$IPFS_PATH/api`")
		}
		return gone.Err
	}
	return err
}
