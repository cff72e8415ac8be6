package main

import (
	"context"
	"iter"

	"github.com/goipns/ipns/api"
	"github.com/goipns/ipns/internal/display"
	"github.com/goipns/ipns/internal/folder"
	"github.com/goipns/ipns/internal/repo"
	"github.com/goipns/ipns/internal/site"
	"github.com/goipns/ipns/internal/verbs"
	"github.com/goipns/ipns/rpc"
)

// dryRun says what would be published. It reads all files, and writes nothing.
func (c *cli) dryRun(ctx context.Context, r repo.Repo, o upOptions) error {
	o.elsewhere = c.api != ""
	var known site.Index
	var config repo.Config
	if !o.elsewhere {
		if err := apart(r, o); err != nil {
			return err
		}
		if r.Exists() {
			if err := r.Check(); err != nil {
				return err
			}
			sites, err := r.Sites()
			if err != nil {
				return err
			}
			if other := sites[o.key]; !o.mayTake(other) {
				return o.keyTaken(other)
			}
			if config, err = r.Config(); err != nil {
				return err
			}
			known = site.LoadIndex(r.SiteIndex(o.key))
		}
	}
	rules, err := folder.ReadSiteRules(o.dir)
	if err != nil {
		return err
	}
	var left leftOut
	walk := o.walk(r, rules, &left)
	view := c.newView()
	defer view.end()
	root, version := "", 1 // the root comes last
	var s source
	reading := site.Read(o.dir, "")
	req := api.AddRequest{CIDVersion: &version, OnlyHash: true, Empty: true}
	req.Files = s.watch(noted(o.dir, walk, reading, &tally{view: view}))
	add := func(n rpc.Caller) error {
		for a, err := range c.onlyHash(ctx, n, req, config.Import) {
			if err := s.cause(err); err != nil {
				return err
			}
			if a.Hash != "" {
				root = a.Hash
			}
		}
		return s.cause(nil)
	}
	if o.elsewhere {
		err = c.withClient(c.api, add)
	} else {
		err = add(nil)
	}
	view.clear()
	if err != nil {
		return err
	}
	left.print(c.errOut)
	e := dryRunEvent{Event: "dry-run", Content: root, Same: root == known.Root, Known: known.Root != ""}
	if e.Known {
		changes, err := known.Changes(o.dir, o.walk(r, rules, nil), false)
		if err != nil {
			return err
		}
		e.Added, e.Changed, e.Removed = changes.Added, changes.Changed, changes.Removed
	}
	return c.print(e, e.text())
}

// onlyHash computes the CIDs of an add; nil: without a node.
func (c *cli) onlyHash(ctx context.Context, n rpc.Caller, req api.AddRequest, config repo.Import) iter.Seq2[api.Added, error] {
	if n == nil {
		return verbs.OnlyHash(ctx, req, config)
	}
	return rpc.Call(ctx, n, api.Add, req)
}

func (e dryRunEvent) text() string {
	text := display.Sprintf("content      %s\n", e.Content)
	for _, part := range []struct {
		what  string
		paths []string
	}{{"added", e.Added}, {"changed", e.Changed}, {"removed", e.Removed}} {
		for _, p := range part.paths {
			if p == "" {
				p = "."
			}
			text += display.Sprintf("%-12s %s\n", part.what, p)
		}
	}
	switch {
	case e.Same:
		text += "The name has it already. Nothing was written or announced.\n"
	case !e.Known:
		text += "It would be published for the first time. Nothing was written or announced.\n"
	default:
		text += "Nothing was written or announced.\n"
	}
	return text
}
