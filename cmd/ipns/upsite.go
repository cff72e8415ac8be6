package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"iter"
	"os"
	"sync/atomic"
	"time"

	"github.com/goipns/ipns/api"
	"github.com/goipns/ipns/content"
	"github.com/goipns/ipns/internal/display"
	"github.com/goipns/ipns/internal/folder"
	"github.com/goipns/ipns/internal/repo"
	"github.com/goipns/ipns/internal/site"
	"github.com/goipns/ipns/rpc"
)

const (
	// readAttempts is how often a folder is read that changes meanwhile.
	readAttempts = 6
	// readPause is the time before the second attempt; it doubles.
	readPause = 250 * time.Millisecond
	// retryFirst and retryMost bound the time after which a round is tried again that has failed.
	retryFirst = 2 * time.Second
	retryMost  = time.Minute
	// settled is how long after a read files are read again that may have changed without showing it.
	settled = 3 * time.Second
)

// siteUp publishes one folder, again and again.
type siteUp struct {
	c    *cli
	n    rpc.Caller
	r    repo.Repo
	o    upOptions
	view *upView

	name      string // of the key
	rules     atomic.Pointer[folder.SiteRules]
	index     site.Index
	published string // the root that the name has had last
	retry     time.Duration
	emptied   time.Time     // when all files were first found gone; zero: there are some
	recheck   time.Time     // when files are read again that may have changed without showing it; zero: there are none
	patience  time.Duration // before that; it doubles, since the times of files may be in the future
}

func (c *cli) newSite(n rpc.Caller, r repo.Repo, o upOptions) *siteUp {
	return &siteUp{c: c, n: n, r: r, o: o, view: c.newView(), patience: settled}
}

// first publishes the folder for the first time.
func (u *siteUp) first(ctx context.Context) error {
	if !u.o.elsewhere {
		sites, err := u.r.Sites()
		if err != nil {
			return err
		}
		if other := sites[u.o.key]; !u.o.mayTake(other) {
			return u.o.keyTaken(other)
		}
		if !u.o.all {
			u.index = site.LoadIndex(u.r.SiteIndex(u.o.key))
		}
	}
	if err := u.needKey(ctx); err != nil {
		return err
	}
	root, left, err := u.read(ctx, u.index)
	u.view.clear()
	if err != nil {
		return err
	}
	left.print(u.c.errOut)
	before, err := u.take()
	if err != nil {
		return err
	}
	if before != "" && before != u.o.dir {
		display.Fprintf(u.c.errOut, "the key %q published %s so far\n", u.o.key, before)
	}
	p, err := u.publish(ctx, root, u.printName)
	if err != nil {
		return err
	}
	return u.printOutcome(p)
}

// take makes the key publish this folder, unless another one has taken it.
func (u *siteUp) take() (before string, err error) {
	if u.o.elsewhere {
		return "", nil
	}
	before, ok, err := u.r.SetSite(u.o.key, u.o.dir, u.o.mayTake)
	if err == nil && !ok {
		err = u.o.keyTaken(before)
	}
	return before, err
}

// needKey makes the key unless it exists.
func (u *siteUp) needKey(ctx context.Context) error {
	list, err := rpc.Do(ctx, u.n, api.KeyLs, rpc.New[api.KeyListRequest]())
	if err != nil {
		return err
	}
	for _, k := range list.Keys {
		if k.Name == u.o.key {
			u.name = k.Id
			return nil
		}
	}
	k, err := rpc.Do(ctx, u.n, api.KeyGen, api.KeyGenRequest{Name: u.o.key, Type: "ed25519", Size: -1})
	if err == nil {
		u.name = k.Id
		display.Fprintf(u.c.errOut, "made the key %s\n", u.o.key)
	}
	return err
}

// read adds and pins the folder as it is at one moment. Files that known knows are not read. It returns the CID of the
// root, and keeps the index.
func (u *siteUp) read(ctx context.Context, known site.Index) (root string, left *leftOut, err error) {
	pause := readPause
	for attempt := 1; ; attempt++ {
		var x site.Index
		x, left, err = u.readOnce(ctx, known)
		var changed site.Changes
		if err == nil {
			var walk folder.Options
			if walk, err = u.walk(nil); err == nil {
				changed, err = x.Changes(u.o.dir, walk, false)
			}
		}
		if err == nil && changed.None() {
			u.keep(x)
			return x.Root, left, nil
		}
		switch {
		case err == nil:
			known = x
			err = fmt.Errorf("%s changed while it was read; try again when nobody writes to it", u.o.dir)
		case rpc.HasReason(err, api.ReasonNoBase):
			known = site.Index{}
			continue
		case errors.Is(err, folder.ErrChanged), errors.Is(err, fs.ErrNotExist) && exists(u.o.dir):
		default:
			return "", nil, err
		}
		if attempt == readAttempts {
			return "", nil, err
		}
		select {
		case <-ctx.Done():
			return "", nil, ctx.Err()
		case <-time.After(pause):
		}
		pause *= 2
	}
}

func exists(path string) bool {
	_, err := os.Stat(path)
	return err == nil
}

// keep makes an index the one to compare with, also after this process.
func (u *siteUp) keep(x site.Index) {
	u.index, u.recheck = x, time.Time{}
	if x.Racy() {
		u.recheck = time.Now().Add(x.Slack + u.patience)
	}
	if u.o.elsewhere {
		return
	}
	if err := x.Save(u.r.SiteIndex(u.o.key)); err != nil {
		u.view.failed(fmt.Errorf("all files will be read next time: %w", err))
	}
}

// walk says what of the folder is published.
func (u *siteUp) walk(left *leftOut) (folder.Options, error) {
	rules, err := folder.ReadSiteRules(u.o.dir)
	if err != nil {
		return folder.Options{}, err
	}
	u.rules.Store(rules)
	return u.o.walk(u.r, rules, left), nil
}

func (o upOptions) walk(r repo.Repo, rules *folder.SiteRules, left *leftOut) folder.Options {
	walk := folder.Options{
		Hidden: o.hidden, WellKnown: true, Links: folder.FollowWithin, Check: notPrivate(r), Ignore: rules.LeaveOut,
	}
	if left != nil {
		walk.LeftOut = func(path, why string) {
			if why != folder.Ignored { // which was asked for
				left.note(path, why)
			}
		}
	}
	return walk
}

// how is what decides about the CID of a file besides the file.
func (u *siteUp) how() (string, error) {
	if u.o.elsewhere {
		return u.c.api, nil
	}
	config, err := u.r.Config()
	if err != nil {
		return "", err
	}
	b, err := json.Marshal(config.Import)
	return string(b), err
}

// readOnce adds the folder, and returns its index.
func (u *siteUp) readOnce(ctx context.Context, known site.Index) (site.Index, *leftOut, error) {
	left := &leftOut{}
	walk, err := u.walk(left)
	if err != nil {
		return site.Index{}, nil, err
	}
	how, err := u.how()
	if err != nil {
		return site.Index{}, nil, err
	}
	if known.Root != "" && known.How == how {
		walk.Known = known.Knows
	} else {
		known.Root = ""
	}
	reading := site.Read(u.o.dir, how)
	count := &tally{view: u.view}
	version := 1
	var s source
	req := api.AddRequest{
		Pin: true, PinName: content.KeptFor(u.name), CIDVersion: &version, Base: known.Root, Progress: u.view.drawn(), Empty: true,
		Files: s.watch(noted(u.o.dir, walk, reading, count)),
	}
	root := ""
	for a, err := range rpc.Call(ctx, u.n, api.Add, req) {
		if err := s.cause(err); err != nil {
			return site.Index{}, nil, err
		}
		if a.Hash == "" {
			count.bytesOf(a.Name, a.Bytes)
			continue
		}
		root = a.Hash
	}
	return reading.Index(root), left, s.cause(nil)
}

// noted yields the files of a folder for an add, and notes them in a reading.
func noted(dir string, walk folder.Options, reading *site.Reading, count *tally) iter.Seq2[api.File, error] {
	return func(yield func(api.File, error) bool) {
		for e, err := range folder.Walk(dir, walk) {
			if err == nil {
				reading.Note(e)
				count.file(e)
			}
			if !yield(fileOf(e), err) || err != nil {
				return
			}
		}
	}
}

// publish announces the root and publishes it. stored is called when the record is stored.
func (u *siteUp) publish(ctx context.Context, root string, stored func(api.Published) error) (api.Published, error) {
	ctx, cancel := context.WithCancel(ctx)
	provided := make(chan error, 1)
	go func() { // ends with ctx; waited for below
		_, err := rpc.Do(ctx, u.n, api.RoutingProvide, api.ProvideRequest{CIDs: []string{root}})
		provided <- err
	}()
	p, err := u.publishRoot(ctx, root, stored)
	if err != nil {
		cancel()
	}
	if perr := <-provided; perr != nil && err == nil {
		u.view.note("note: the content was not announced (%v); the node tries again later", perr)
	}
	cancel()
	if err == nil {
		u.published = root
	}
	return p, err
}

func (u *siteUp) publishRoot(ctx context.Context, root string, stored func(api.Published) error) (api.Published, error) {
	keep := u.o.keep
	if keep == nil {
		keep = new(int)
	}
	// Whether it is enough that the record is stored is decided at the end.
	req := api.PublishRequest{
		Path: "/ipfs/" + root, Key: u.o.key, AllowOffline: true, Wait: "all", OnRival: u.o.onRival, Progress: true, Keep: keep,
	}
	var last api.Published
	for p, err := range rpc.Call(ctx, u.n, api.NamePublish, req) {
		if err != nil {
			return p, err
		}
		if last.Name == "" && stored != nil && !u.c.asJSON() {
			u.view.clear()
			if err := stored(p); err != nil {
				return p, err
			}
		}
		u.view.announced(p)
		last = p
	}
	return last, nil
}
