package content

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"

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
	im, err := immutablePath(p)
	if err != nil {
		return cid.Undef, err
	}
	if len(im.Segments()) == 2 {
		return im.RootCid(), nil
	}
	cfg := bsfetcher.NewFetcherConfig(s.blocks)
	cfg.PrototypeChooser = dagpb.AddSupportToChooser(bsfetcher.DefaultPrototypeChooser)
	c, rest, err := resolver.NewBasicResolver(cfg.WithReifier(unixfsnode.Reify)).ResolveToLastNode(ctx, im)
	if errors.As(err, new(datamodel.ErrWrongKind)) {
		return cid.Undef, fmt.Errorf("resolve %s: the path continues after a file", im)
	}
	if err != nil {
		return cid.Undef, fmt.Errorf("resolve %s: %w", im, err)
	}
	if len(rest) > 0 {
		return cid.Undef, fmt.Errorf("resolve %s: %q is inside block %s", im, strings.Join(rest, "/"), c)
	}
	return c, nil
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
