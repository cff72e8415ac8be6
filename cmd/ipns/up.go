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

	"github.com/goipns/ipns"
	"github.com/goipns/ipns/api"
	"github.com/goipns/ipns/contenthash"
	"github.com/goipns/ipns/internal/display"
	"github.com/goipns/ipns/internal/folder"
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
	onRival   string
	testnet   bool
	throwAway bool // the repo is deleted when the command ends
	isDaemon  bool // the node is a separate daemon
	onlyHash  bool // the folder is not stored, and its CID is all that is wanted
}

func (c *cli) upCmd() *cobra.Command {
	var o upOptions
	cmd := &cobra.Command{
		Use:   "up <folder>",
		Short: "Put a folder on IPFS under a name that never changes, and keep it there",
		Long: `Put a folder on IPFS under a name that never changes, and keep it there.

Makes a repo if there is none, adds and pins the folder, publishes its name and
announces both. It uses the running daemon if there is one; otherwise this process
becomes the node and keeps running.

Files whose names begin with a dot are skipped and listed, except .well-known,
unless --hidden is set. Symbolic links are followed within the folder. A link that
leads out of the folder is an error; a broken link is skipped and listed.

A key belongs to one folder. If the folder has moved, its key moves with it. If the
old folder still exists, --replace makes the key publish the new one from now on.`,
		Example: examples("ipns up site", "ipns up --testnet site", "ipns up --once --key=blog site"),
		RunE: func(cmd *cobra.Command, args []string) error {
			if len(args) != 1 {
				return usage(cmd, `argument "folder" is required`)
			}
			var err error
			if o.dir, err = siteFolder(args[0]); err != nil {
				return err
			}
			return c.up(cmd, o)
		},
	}
	f := cmd.Flags()
	f.StringVarP(&o.key, "key", "k", "self", "key to publish under; made if it does not exist")
	f.BoolVarP(&o.hidden, "hidden", "H", false, "also add files whose names begin with a dot")
	f.BoolVar(&o.replace, "replace", false, "publish this folder even if the key publishes another one so far")
	f.BoolVar(&o.once, "once", false, "publish and exit")
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
	d := node.Config{Offline: c.offline}
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
	lock, api, err := r.LockOrAPI(ctx)
	if err != nil {
		return err
	}
	if api != "" {
		if o.testnet {
			return fmt.Errorf("a daemon runs on %s, and is not on a private network: stop it, or unset IPNS_PATH", string(r))
		}
		o.isDaemon = true
		return c.withClient(api, func(n rpc.Caller) error { return c.publishSite(ctx, n, r, o) })
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
	if err := c.publishSite(ctx, verbs.Mux(d.node), r, up); err != nil || up.once {
		return err
	}
	if !up.testnet && !o.Offline {
		display.Fprintf(c.errOut, "Reachability: %s\n", d.node.Network.Reachability())
	}
	display.Fprintln(c.errOut, "Serving it and keeping the name alive. Stop with ctrl-c.")
	d.wait(ctx, c.errOut)
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

// publishSite publishes the folder on a node.
func (c *cli) publishSite(ctx context.Context, n rpc.Caller, r repo.Repo, o upOptions) error {
	sites, err := r.Sites()
	if err != nil {
		return err
	}
	if other := sites[o.key]; !o.mayTake(other) {
		return keyTaken(o.key, other)
	}
	if err := c.needKey(ctx, n, o.key); err != nil {
		return err
	}
	root, err := c.addFolder(ctx, n, r, o)
	if err != nil {
		return err
	}
	// Another one may have taken the key meanwhile.
	before, ok, err := r.SetSite(o.key, o.dir, o.mayTake)
	switch {
	case err != nil:
		return err
	case !ok:
		return keyTaken(o.key, before)
	case before != "" && before != o.dir:
		display.Fprintf(c.errOut, "the key %q published %s so far\n", o.key, before)
	}
	provided := make(chan error, 1)
	go func() { // ends with ctx; waited for below
		_, err := rpc.Do(ctx, n, api.RoutingProvide, api.ProvideRequest{CIDs: []string{root}})
		provided <- err
	}()
	p, err := c.publishFolder(ctx, n, r, o, root)
	if perr := <-provided; perr != nil && err == nil {
		display.Fprintf(c.errOut, "note: the content was not announced (%v); the node tries again later\n", perr)
	}
	if err != nil {
		return err
	}
	return c.printOutcome(r, o, p)
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

func keyTaken(key, dir string) error {
	return fmt.Errorf("the key %q publishes %s; give this folder its own name with --key NAME, or use --replace to publish it instead", key, dir)
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

// needKey makes the key unless it exists.
func (c *cli) needKey(ctx context.Context, n rpc.Caller, key string) error {
	list, err := rpc.Do(ctx, n, api.KeyLs, api.KeyListRequest{})
	if err != nil {
		return err
	}
	for _, k := range list.Keys {
		if k.Name == key {
			return nil
		}
	}
	_, err = rpc.Do(ctx, n, api.KeyGen, api.KeyGenRequest{Name: key, Type: "ed25519", Size: -1})
	if err == nil {
		display.Fprintf(c.errOut, "made the key %s\n", key)
	}
	return err
}

// addFolder adds and pins the folder, lists what it skipped, and returns the CID of the root.
func (c *cli) addFolder(ctx context.Context, n rpc.Caller, r repo.Repo, o upOptions) (root string, err error) {
	bar := c.adding()
	defer bar.end()
	var left leftOut
	files := tree(o.dir, folder.Options{
		Hidden: o.hidden, WellKnown: true, Links: folder.FollowWithin, LeftOut: left.note, Check: notPrivate(r),
	})
	var s source
	version := 1
	req := api.AddRequest{Pin: !o.onlyHash, OnlyHash: o.onlyHash, CIDVersion: &version, Progress: bar.visible(), Files: s.watch(files)}
	for a, err := range rpc.Call(ctx, n, api.Add, req) {
		if err := s.cause(err); err != nil {
			return "", err
		}
		bar.file(a.Name, a.Bytes)
		root = a.Hash
	}
	bar.clear()
	left.print(c.errOut)
	return root, s.cause(nil)
}

// publishFolder publishes the root. It prints the name as soon as the record is
// stored, and shows how many servers have it until the announcement ends.
func (c *cli) publishFolder(ctx context.Context, n rpc.Caller, r repo.Repo, o upOptions, root string) (api.Published, error) {
	bar := c.progress("announcing")
	defer bar.end()
	// Whether it is enough that the record is stored is decided at the end.
	req := api.PublishRequest{Path: "/ipfs/" + root, Key: o.key, AllowOffline: true, Wait: "all", OnRival: o.onRival, Progress: true}
	var last api.Published
	for p, err := range rpc.Call(ctx, n, api.NamePublish, req) {
		if err != nil {
			return p, err
		}
		if last.Name == "" && !c.asJSON() {
			bar.clear()
			if err := c.printName(r, o, p); err != nil {
				return p, err
			}
		}
		bar.servers(p.Announced, p.Of)
		last = p
	}
	return last, nil
}

// printName prints the name in each form that users need.
func (c *cli) printName(r repo.Repo, o upOptions, p api.Published) error {
	name, err := ipns.ParseName(p.Name)
	if err != nil {
		return err
	}
	display.Fprintf(c.out, "name         %s\n", p.Name)
	display.Fprintf(c.out, "URI          ipns://%s\n", p.Name)
	display.Fprintf(c.out, "contenthash  %s\n", contenthash.Hex(contenthash.Encode(name)))
	display.Fprintf(c.out, "content      %s\n", strings.TrimPrefix(p.Value, "/ipfs/"))
	if gw, err := r.Gateway(); err == nil && o.stays() {
		display.Fprintf(c.out, "gateway      %s/ipns/%s/\n", gw, p.Name)
	}
	return nil
}

// printOutcome prints who has the record and what the user should do next. It
// returns an error if nobody has the record, somebody should, and this process will not retry.
func (c *cli) printOutcome(r repo.Repo, o upOptions, p api.Published) error {
	if c.asJSON() {
		if err := c.print(p, ""); err != nil {
			return err
		}
	} else {
		for _, w := range p.Warnings {
			display.Fprintf(c.errOut, "warning: %s\n", w)
		}
		display.Fprintln(c.out, p.Receipt())
	}
	if o.throwAway {
		display.Fprintln(c.errOut, "This was a trial: repo, key and network are gone when it ends. Without --testnet they stay.")
	} else {
		display.Fprintf(c.errOut, "Back up the key: without it the name can never change again. %s\n", backupHint(r, o.key))
	}
	switch {
	case p.Alone && !o.stays(): // so storing it was all that was asked, as by --offline
		display.Fprintln(c.errOut, "Nobody else can see it: this node is on no network. 'ipns daemon' announces it as soon as there is one.")
	case p.Announced == 0 && o.isDaemon && !p.Alone:
		return errors.New("nothing was announced; the daemon keeps trying")
	case p.Announced == 0 && o.once:
		return errors.New("nothing was announced; run 'ipns daemon', which does it as soon as there is a network")
	case p.Announced == 0:
		display.Fprintln(c.errOut, "Nobody else can see it yet: it is announced as soon as there is a network.")
	case !o.stays() && !o.throwAway:
		display.Fprintln(c.errOut, "Nobody serves the content now, and the record ends in 48 hours: run 'ipns daemon' to keep both alive.")
	}
	return nil
}

// stays reports whether a node keeps running after the folder is published.
func (o upOptions) stays() bool { return o.isDaemon || !o.once }

func backupHint(r repo.Repo, key string) string {
	if key == "self" {
		return fmt.Sprintf("It is in %s.", filepath.Join(string(r), "config"))
	}
	return fmt.Sprintf("Run 'ipns key export %s'.", key)
}
