package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"

	"github.com/spf13/cobra"

	"github.com/goipns/ipns/internal/display"
	"github.com/goipns/ipns/internal/repo"
	"github.com/goipns/ipns/internal/testnet"
	"github.com/goipns/ipns/internal/verbs"
	"github.com/goipns/ipns/node"
	"github.com/goipns/ipns/rpc"
)

// upOptions say which folder to publish, and how.
type upOptions struct {
	dir       string // absolute, no element is a symbolic link
	key       string
	hidden    bool
	replace   bool
	once      bool
	watch     bool
	dryRun    bool
	all       bool   // read all files
	qr        string // the gateway of the link; "": none
	keep      *int   // values; nil: as many as last time
	onRival   string
	testnet   bool
	throwAway bool // the repo is deleted when the command ends
	isDaemon  bool // the node is a separate daemon
	elsewhere bool // which --api has named: this repo is not its own
}

func (c *cli) upCmd() *cobra.Command {
	var o upOptions
	var keep int
	cmd := &cobra.Command{
		Use:   "up <folder>",
		Short: "Put a folder on IPFS under a name that never changes, and keep it there",
		Long: `Put a folder on IPFS under a name that never changes, and keep it there.

Makes a repo if there is none, adds and pins the folder, publishes its name and
announces both. It uses the running daemon if there is one, or that of --api;
otherwise this process becomes the node and keeps running.

Then it watches the folder, and publishes it again when something changes: once
nothing has for a moment, and only if the CID differs. On a terminal, a line
shows what goes on; else there is one line for each change, or one JSON object
for each event. With a daemon it watches only on a terminal or with --watch,
since scripts wait for its end. Only files whose size, times or inode have
changed are read again.

Files whose names begin with a dot are skipped and listed, except .well-known,
unless --hidden is set. Symbolic links are followed within the folder. A link
that leads out of the folder is an error; a broken link is skipped and listed.
Temporary files of editors (*~, .*.swp, 4913, .#*, #*#, *.tmp and the like) are
skipped, and so is what .ipnsignore at the top of the folder says: rules as in a
.gitignore, where !rule takes something in again. It cannot take in hidden
files, for which --hidden is needed, and is never published itself.

The last values of the name stay pinned (--keep), and those before them for as
long as others may still be given their records. 'ipns name rollback' goes back
to one.

A key belongs to one folder. If the folder has moved, its key moves with it. If
the old folder still exists, --replace makes the key publish the new one from
now on.`,
		Example: examples("ipns up site", "ipns up --testnet site", "ipns up --once --key=blog site"),
		RunE: func(cmd *cobra.Command, args []string) error {
			if len(args) != 1 {
				return usage(cmd, `argument "folder" is required`)
			}
			var err error
			if o.dir, err = siteFolder(args[0]); err != nil {
				return err
			}
			if cmd.Flags().Changed("keep") {
				if keep < 1 || keep > repo.MaxKeepValues {
					return usage(cmd, "--keep is between 1 and %d", repo.MaxKeepValues)
				}
				o.keep = &keep
			}
			if o.once && o.watch {
				return usage(cmd, "--once and --watch exclude each other")
			}
			return c.up(cmd, o)
		},
	}
	f := cmd.Flags()
	f.StringVarP(&o.key, "key", "k", "self", "key to publish under; made if it does not exist")
	f.BoolVarP(&o.hidden, "hidden", "H", false, "also add files whose names begin with a dot")
	f.BoolVar(&o.replace, "replace", false, "publish this folder even if the key publishes another one so far")
	f.BoolVar(&o.once, "once", false, "publish and exit")
	f.BoolVar(&o.watch, "watch", false, "publish what changes, also with a daemon and without a terminal")
	f.BoolVarP(&o.dryRun, "dry-run", "n", false, "say what would be published, and what has changed; nothing is written or announced")
	f.BoolVar(&o.all, "check-all", false, "read all files, also those that seem to be unchanged")
	f.IntVar(&keep, "keep", 0, "how many values of the name stay pinned (default Ipns.KeepValues, or 3; then as last time)")
	f.StringVar(&o.qr, "qr", "", "print the link as a QR code, through this public gateway")
	f.Lookup("qr").NoOptDefVal = publicGateway
	f.StringVar(&o.onRival, "on-rival", "", "what to do if someone else publishes with this key: raise (publish a higher sequence) or stop (check first, and fail) (default raise)")
	f.BoolVar(&o.testnet, "testnet", false, "try it on a private network in this process, with a temporary repo unless IPNS_PATH is set")
	return cmd
}

// siteFolder returns the absolute path of a folder that exists.
func siteFolder(path string) (string, error) {
	info, err := os.Stat(path)
	if err != nil {
		return "", missing(path, err)
	}
	if !info.IsDir() {
		return "", fmt.Errorf("%s is not a folder; 'ipns add %s' adds a single file", path, path)
	}
	abs, err := filepath.Abs(path)
	if err != nil {
		return "", err
	}
	return filepath.EvalSymlinks(abs)
}

// missing adds the absolute path to a "not found" error.
func missing(path string, err error) error {
	if abs, e := filepath.Abs(path); e == nil && errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("%w; nothing is at %s: correct the path", err, abs)
	}
	return err
}

func (c *cli) up(cmd *cobra.Command, o upOptions) (err error) {
	ctx, cancel := c.context(cmd)
	defer cancel()
	r, err := c.repository()
	if err != nil {
		return err
	}
	if o.dryRun {
		return c.dryRun(ctx, r, o)
	}
	if c.api != "" {
		if o.testnet {
			return usage(cmd, "--api and --testnet exclude each other")
		}
		o.isDaemon, o.elsewhere = true, true
		return c.withClient(c.api, func(n rpc.Caller) error { return c.upWithDaemon(ctx, n, r, o) })
	}
	d := node.Config{Offline: c.offline, Brief: o.once}
	if o.testnet {
		if os.Getenv("IPNS_PATH") == "" && c.repoDir == "" {
			dir, err := os.MkdirTemp("", "ipns-testnet-")
			if err != nil {
				return err
			}
			defer os.RemoveAll(dir)
			r = repo.Repo(filepath.Join(dir, "repo"))
			o.throwAway = true
		}
		nw, err := testnet.Start(ctx, testnetSize)
		if err != nil {
			return err
		}
		defer func() { err = errors.Join(err, nw.Close()) }()
		display.Fprintf(c.errOut, "a private network of %d servers runs in this process\n", nw.Len())
		d.Bootstrap = nw.Addrs()[:1]
	}
	if err := apart(r, o); err != nil {
		return err
	}
	if !r.Exists() {
		if err := c.initSiteRepo(cmd, r, o); err != nil {
			return err
		}
	}
	if err := r.Check(); err != nil {
		return err
	}
	lock, api, err := c.lockOrAPI(ctx, r)
	if err != nil {
		return err
	}
	if api != "" {
		if o.testnet {
			return fmt.Errorf("a daemon runs on %s, and is not on a private network: stop it, or unset IPNS_PATH", string(r))
		}
		o.isDaemon = true
		return c.withClient(api, func(n rpc.Caller) error { return c.upWithDaemon(ctx, n, r, o) })
	}
	return c.upInProcess(ctx, r, lock, d, o)
}

// upInProcess makes this process the node.
func (c *cli) upInProcess(ctx context.Context, r repo.Repo, lock *repo.Lock, o node.Config, up upOptions) (err error) {
	d, err := c.startDaemon(ctx, r, lock, o, io.Discard)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, d.close()) }()
	u := c.newSite(verbs.Mux(d.node), r, up)
	defer u.view.end()
	if err := u.first(ctx); err != nil || up.once {
		// A node that does not stay has no other time for it.
		return errors.Join(err, d.node.Garbage.Release(ctx))
	}
	following, stop := context.WithCancel(ctx)
	followed := make(chan struct{})
	go func() {
		defer close(followed)
		u.follow(following)
	}()
	serves := true
	if !up.testnet && !o.Offline {
		d.reached = u.view.reachability
		serves = d.waitForReachability(ctx)
	}
	if serves {
		u.view.note("Serving it and keeping the name alive. Stop with ctrl-c.")
	}
	d.wait(ctx, c.errOut)
	stop()
	<-followed
	return nil
}

// upWithDaemon publishes the folder on another process's node.
func (c *cli) upWithDaemon(ctx context.Context, n rpc.Caller, r repo.Repo, o upOptions) error {
	u := c.newSite(n, r, o)
	defer u.view.end()
	if err := u.first(ctx); err != nil {
		return err
	}
	if !o.once || !c.asJSON() { // of which scripts expect one object
		c.sayReachability(ctx, n, u.view)
	}
	if o.once {
		return nil
	}
	if !o.watch && !isTerminal(c.raw) {
		display.Fprintln(c.errOut, "Published, and not watched: --watch publishes what changes.")
		return nil
	}
	u.view.note("Watching it. Stop with ctrl-c; the daemon goes on serving it.")
	u.follow(ctx)
	return nil
}

// initSiteRepo makes a repo whose ports are free.
func (c *cli) initSiteRepo(cmd *cobra.Command, r repo.Repo, o upOptions) error {
	config := repo.NewConfig(repo.Identity{})
	if o.testnet {
		if err := config.Apply("test"); err != nil {
			return err
		}
	}
	moved, err := config.AvoidTakenPorts()
	if err != nil {
		return err
	}
	for _, m := range moved {
		display.Fprintf(c.errOut, "%s is taken: Addresses.%s is %s in the config\n", m.From, m.What, m.To)
	}
	return c.makeRepo(cmd.Context(), r, config, initOptions{}, c.errOut)
}

// mayTake reports whether the key may publish the folder, although it publishes other so far: other may be empty, the
// same folder, or one that no longer exists.
func (o upOptions) mayTake(other string) bool {
	if other == "" || other == o.dir || o.replace {
		return true
	}
	real, err := filepath.EvalSymlinks(other) // a link to the new place may be left at the old one
	return err == nil && real == o.dir || errors.Is(err, fs.ErrNotExist) || errors.Is(err, syscall.ENOTDIR)
}

func (o upOptions) keyTaken(other string) error {
	return fmt.Errorf("the key %q publishes %s; give %s its own name with --key NAME, or use --replace to publish it instead", o.key, other, o.dir)
}

// apart refuses a folder that contains the repo, whether or not the repo exists yet.
func apart(r repo.Repo, o upOptions) error {
	inside, err := filepath.Rel(o.dir, r.Real())
	if err != nil || inside == ".." || strings.HasPrefix(inside, ".."+string(filepath.Separator)) {
		return nil // which can't be relative is not inside
	}
	if !o.hidden && inside != "." && strings.Contains("/"+filepath.ToSlash(inside), "/.") {
		return nil // it is left out
	}
	return fmt.Errorf("the repo %s is inside %s, and its private keys would be published with it: move it out, and set IPNS_PATH", r.Real(), o.dir)
}
