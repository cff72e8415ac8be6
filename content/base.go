package content

import (
	"context"
	"errors"
	"fmt"
	"strings"

	uio "github.com/ipfs/boxo/ipld/unixfs/io"
	"github.com/ipfs/go-cid"
	ipld "github.com/ipfs/go-ipld-format"
)

// ErrNoBase means that an unchanged file is not in the earlier version of a tree, or that version is not pinned here:
// the file has to be given as a whole.
var ErrNoBase = errors.New("the earlier version is not here")

// base finds files in an earlier version of a tree. It holds the links of the folder of the last file and of those
// above it.
type base struct {
	store *Store
	root  cid.Cid // undefined until it is known to be pinned
	open  []baseDir
}

type baseDir struct {
	path  string
	links map[string]*ipld.Link
}

// unchanged returns a file of the earlier version.
func (a *importer) unchanged(e Entry) (ipld.Node, error) {
	b := &a.base
	if !b.root.Defined() {
		if err := b.begin(a.ctx, a.store, a.opts.Base); err != nil {
			return nil, err
		}
	}
	l, err := b.find(a.ctx, e.Path)
	if err != nil {
		return nil, err
	}
	return linkedNode{cid: l.Cid, size: l.Size}, nil
}

func (b *base) begin(ctx context.Context, s *Store, root cid.Cid) error {
	if !root.Defined() || s.local == nil {
		return fmt.Errorf("%w: none was given", ErrNoBase)
	}
	if _, err := s.PinOf(ctx, root, Recursive); err != nil {
		return fmt.Errorf("%w: %w", ErrNoBase, err)
	}
	b.store, b.root = s, root
	return nil
}

// find returns the link of a file, whose block is here.
func (b *base) find(ctx context.Context, path string) (*ipld.Link, error) {
	dir, name := "", path
	if i := strings.LastIndexByte(path, '/'); i >= 0 {
		dir, name = path[:i], path[i+1:]
	} else {
		return nil, fmt.Errorf("%w: %s is in no folder", ErrNoBase, path)
	}
	links, err := b.dir(ctx, dir)
	if err != nil {
		return nil, err
	}
	l := links[name]
	if l == nil {
		return nil, fmt.Errorf("%w: %s is not in it", ErrNoBase, path)
	}
	has, err := b.store.here.Blockstore().Has(ctx, l.Cid)
	if err != nil {
		return nil, fmt.Errorf("%w: %s: %w", ErrNoBase, path, err)
	}
	if !has {
		return nil, fmt.Errorf("%w: %s is not stored", ErrNoBase, path)
	}
	return l, nil
}

// dir returns the links of a folder. Entries come folder by folder, so those that it is not in are closed.
func (b *base) dir(ctx context.Context, path string) (map[string]*ipld.Link, error) {
	for len(b.open) > 0 && !inside(path, b.open[len(b.open)-1].path) {
		b.open = b.open[:len(b.open)-1]
	}
	if n := len(b.open); n > 0 && b.open[n-1].path == path {
		return b.open[n-1].links, nil
	}
	at := b.root
	if i := strings.LastIndexByte(path, '/'); i >= 0 {
		above, err := b.dir(ctx, path[:i])
		if err != nil {
			return nil, err
		}
		l := above[path[i+1:]]
		if l == nil {
			return nil, fmt.Errorf("%w: %s is not in it", ErrNoBase, path)
		}
		at = l.Cid
	}
	links, err := b.store.linksOf(ctx, at)
	if err != nil {
		return nil, fmt.Errorf("%w: %s: %w", ErrNoBase, path, err)
	}
	b.open = append(b.open, baseDir{path, links})
	return links, nil
}

// linksOf returns the links of a directory that is here, by name.
func (s *Store) linksOf(ctx context.Context, c cid.Cid) (map[string]*ipld.Link, error) {
	node, err := s.local.Get(ctx, c)
	if err != nil {
		return nil, err
	}
	dir, err := uio.NewDirectoryFromNode(s.local, node)
	if err != nil {
		return nil, err
	}
	links := make(map[string]*ipld.Link)
	return links, dir.ForEachLink(ctx, func(l *ipld.Link) error {
		links[l.Name] = l
		return nil
	})
}
