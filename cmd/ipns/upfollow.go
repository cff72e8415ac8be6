package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"strings"
	"time"

	"github.com/goipns/ipns"
	"github.com/goipns/ipns/api"
	"github.com/goipns/ipns/check"
	"github.com/goipns/ipns/internal/host"
	"github.com/goipns/ipns/internal/site"
	"github.com/goipns/ipns/node"
	"github.com/goipns/ipns/rpc"
)

const (
	// outsideTimeout bounds a check from outside.
	outsideTimeout = time.Minute
	// emptyWait is how long a folder must be empty before that is published: a build may have just removed what it will
	// write again, and the folder of a disk that is not mounted is empty, too.
	emptyWait = time.Minute
	// refresh is the time between two looks at the state of the name.
	refresh = 15 * time.Second
)

// follow publishes the folder whenever it has changed, until ctx ends or another folder has taken the key.
func (u *siteUp) follow(ctx context.Context) {
	ctx, stop := context.WithCancel(ctx)
	defer stop()
	w := site.Watch(ctx, u.o.dir, u.leaveOut)
	defer w.Close()
	u.view.costs(w.Took)
	u.view.watching(u.o.dir, w.Polls())
	looked := make(chan struct{})
	go func() { // ends with ctx
		defer close(looked)
		u.look(ctx)
	}()
	site.Follow(ctx, w.Changed(), u.next(nil), func(ctx context.Context) time.Duration {
		err := u.round(ctx)
		var taken *takenError
		switch {
		case ctx.Err() != nil:
			return 0
		case errors.As(err, &taken):
			u.view.failed(err)
			stop()
			return 0
		}
		u.view.failed(err)
		u.view.watching(u.o.dir, w.Polls())
		return u.next(err)
	})
	stop()
	<-looked
}

// next returns when a round is needed though nothing is said to have changed; 0: not.
func (u *siteUp) next(err error) time.Duration {
	if err != nil {
		u.retry = min(max(2*u.retry, retryFirst), retryMost)
		return u.retry
	}
	u.retry = 0
	if u.recheck.IsZero() {
		return 0
	}
	return max(time.Until(u.recheck), time.Millisecond)
}

// leaveOut reports whether what happens to a path does not matter.
func (u *siteUp) leaveOut(path string, isDir bool) bool {
	if !u.o.hidden {
		for name := range strings.SplitSeq(path, "/") {
			if strings.HasPrefix(name, ".") && name != ".well-known" {
				return true
			}
		}
	}
	rules := u.rules.Load()
	return rules != nil && rules.LeaveOut(path, isDir) != ""
}

// takenError means that another folder is published with the key.
type takenError struct{ error }

// round publishes the folder if it has changed.
func (u *siteUp) round(ctx context.Context) error {
	if !u.o.elsewhere {
		sites, err := u.r.Sites()
		if err != nil {
			return err
		}
		if now := sites[u.o.key]; now != u.o.dir {
			return &takenError{fmt.Errorf("%s is no longer watched: the key %q publishes %s now", u.o.dir, u.o.key, now)}
		}
	}
	walk, err := u.walk(nil)
	if err != nil {
		return err
	}
	again := !u.recheck.IsZero() && !time.Now().Before(u.recheck)
	begin := time.Now()
	changes, err := u.index.Changes(u.o.dir, walk, again)
	u.view.took(time.Since(begin))
	if errors.Is(err, fs.ErrNotExist) && !exists(u.o.dir) {
		return fmt.Errorf("%s is gone: what was published stays until it is back", u.o.dir)
	}
	if err != nil {
		return err
	}
	u.patience = settled
	if again {
		u.patience = min(2*u.patience, retryMost)
	}
	if !changes.Empties(u.index) {
		u.emptied = time.Time{}
	} else if u.emptied.IsZero() {
		u.emptied = time.Now()
	}
	if !u.emptied.IsZero() && time.Since(u.emptied) < emptyWait {
		return fmt.Errorf("all files of %s are gone: what was published stays, unless there are none for %v", u.o.dir, emptyWait)
	}
	if changes.None() && u.index.Root == u.published {
		if again {
			u.recheck = time.Time{}
		}
		return nil
	}
	root, _, err := u.read(ctx, u.index)
	u.view.clear()
	if err != nil || root == u.published {
		return err
	}
	p, err := u.publish(ctx, root, nil)
	if err != nil {
		return err
	}
	u.view.publishedAgain(p, changes)
	return nil
}

// look keeps the view up to date: what the node knows of the name, and what others have of it.
func (u *siteUp) look(ctx context.Context) {
	if !u.view.drawn() && !u.c.asJSON() {
		return
	}
	seen := ""
	tick := time.NewTicker(refresh)
	defer tick.Stop()
	for {
		s, err := rpc.Do(ctx, u.n, api.NameStatus, api.StatusRequest{Name: u.name, Local: true})
		if err == nil && s.One != nil {
			u.view.status(*s.One)
			version := fmt.Sprint(s.One.Sequence, s.One.Value)
			if version != seen && s.One.Announced > 0 && !u.c.offline {
				seen = version
				u.outside(ctx)
			}
		}
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		case <-u.view.news:
		}
	}
}

// outside checks what a node that has just come sees of the name.
func (u *siteUp) outside(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, outsideTimeout)
	defer cancel()
	name, err := ipns.ParseName(u.name)
	if err != nil {
		return
	}
	req := check.Request{Name: name, UserAgent: node.Agent}
	peers, err := rpc.Do(ctx, u.n, api.SwarmPeers, rpc.New[api.SwarmPeersRequest]())
	if err != nil || len(peers.Peers) == 0 {
		return
	}
	var addrs []string
	for _, p := range peers.Peers {
		addrs = append(addrs, p.Addr+"/p2p/"+p.Peer)
	}
	if req.Peers, err = host.ParseBootstrap(addrs); err != nil {
		return
	}
	sources, err := check.Ask(ctx, req)
	if err != nil {
		if ctx.Err() == nil {
			u.view.failed(fmt.Errorf("look at %s from outside: %w", name, err))
		}
		return
	}
	u.view.outside(check.Judge(name, sources))
}
