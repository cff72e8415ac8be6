package content

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/ipfs/boxo/fetcher"
	bsfetcher "github.com/ipfs/boxo/fetcher/impl/blockservice"
	"github.com/ipfs/boxo/ipld/merkledag"
	uio "github.com/ipfs/boxo/ipld/unixfs/io"
	"github.com/ipfs/boxo/path"
	"github.com/ipfs/boxo/path/resolver"
	"github.com/ipfs/go-cid"
	"github.com/ipfs/go-unixfsnode"
	dagpb "github.com/ipld/go-codec-dagpb"
	"github.com/ipld/go-ipld-prime/datamodel"
)

// immutablePath reads an immutable path: /ipfs/<cid>, with or without more elements, or the same without /ipfs/.
func immutablePath(s string) (path.ImmutablePath, error) {
	p, err := path.NewPath(s)
	if err != nil {
		var bare error
		if p, bare = path.NewPath("/ipfs/" + s); bare != nil || strings.HasPrefix(s, "/") {
			return path.ImmutablePath{}, err
		}
	}
	im, err := path.NewImmutablePath(p)
	if err != nil {
		return path.ImmutablePath{}, fmt.Errorf("path %q can change: resolve the name first", s)
	}
	return im, nil
}

// Resolve follows an immutable path (/ipfs/<cid>[/more], or without /ipfs/) to the CID of its end. A CID without a path
// is not looked up.
func (s *Store) Resolve(ctx context.Context, p string) (cid.Cid, error) {
	c, rest, err := s.ResolveInto(ctx, p)
	if err != nil {
		return cid.Undef, err
	}
	if len(rest) > 0 {
		return cid.Undef, fmt.Errorf("resolve %s: %q is inside block %s", p, strings.Join(rest, "/"), c)
	}
	return c, nil
}

// ResolveInto is Resolve for paths that may end inside of a block: rest is what leads on from the root of that block.
// Below /ipld/ the elements of a path are those of the data itself, and not names in a directory.
func (s *Store) ResolveInto(ctx context.Context, p string) (c cid.Cid, rest []string, err error) {
	im, err := immutablePath(p)
	if err != nil {
		return cid.Undef, nil, err
	}
	if err := s.Denied(im.String()); err != nil {
		return cid.Undef, nil, err
	}
	if len(im.Segments()) == 2 {
		return im.RootCid(), nil, nil
	}
	cfg := bsfetcher.NewFetcherConfig(s.blocks)
	cfg.PrototypeChooser = dagpb.AddSupportToChooser(bsfetcher.DefaultPrototypeChooser)
	var fetch fetcher.Factory = cfg
	if im.Namespace() == path.IPFSNamespace {
		fetch = cfg.WithReifier(unixfsnode.Reify)
	}
	c, rest, err = resolver.NewBasicResolver(fetch).ResolveToLastNode(ctx, im)
	if errors.As(err, new(datamodel.ErrWrongKind)) {
		return cid.Undef, nil, fmt.Errorf("resolve %s: the path continues after a file", im)
	}
	if err != nil {
		return cid.Undef, nil, fmt.Errorf("resolve %s: %w", im, err)
	}
	return c, rest, nil
}

// Cat opens the file at an immutable path (/ipfs/<cid>[/more], or without /ipfs/). Missing blocks are fetched as they
// are read, until ctx ends. A directory is an error.
func (s *Store) Cat(ctx context.Context, p string) (io.ReadSeekCloser, error) {
	c, err := s.Resolve(ctx, p)
	if err != nil {
		return nil, err
	}
	session := merkledag.NewSession(ctx, s.dag)
	node, err := session.Get(ctx, c)
	if err != nil {
		return nil, fmt.Errorf("read %s: %w", p, err)
	}
	r, err := uio.NewDagReader(ctx, node, session)
	if err != nil {
		return nil, fmt.Errorf("read %s: %w", p, err)
	}
	return r, nil
}
