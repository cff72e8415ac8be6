package gateway

import (
	"context"
	"fmt"
	"html"
	"net/http"
	"net/url"
	"strings"
	"sync/atomic"

	boxo "github.com/ipfs/boxo/gateway"
	"github.com/ipfs/boxo/ipld/merkledag"
	"github.com/ipfs/boxo/ipld/unixfs"
	uio "github.com/ipfs/boxo/ipld/unixfs/io"
	"github.com/ipfs/boxo/path"
	"github.com/ipfs/go-cid"
)

// maxEntries is the number of entries on one page of a listing: a folder can have any
// number.
const maxEntries = 1000

// afterKey is the query parameter for where a page of a listing starts: after the entry
// with this name.
const afterKey = "after"

// listing is one page of a folder.
type listing struct {
	after string
	next  atomic.Pointer[string] // where the next page starts; nil: there is none
}

// listingKey is the key of a request's *listing in its context.
type listingKey struct{}

// pages adds a link to the next page to the listing of a large folder.
func pages(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		asked, _, _ := strings.Cut(r.RequestURI, "?")
		query := r.URL.Query()
		if !strings.HasSuffix(asked, "/") && query.Get("go-get") != "1" {
			next.ServeHTTP(w, r) // folders are redirected
			return
		}
		l := &listing{after: query.Get(afterKey)}
		next.ServeHTTP(w, r.WithContext(context.WithValue(r.Context(), listingKey{}, l)))
		if after := l.next.Load(); after != nil && r.Method == http.MethodGet {
			to := url.Values{afterKey: {*after}}.Encode()
			fmt.Fprintf(w, "\n<p>This page shows %d entries, in the order of their names. <a href=\"?%s\">Next page</a></p>\n",
				maxEntries, html.EscapeString(to))
		}
	})
}

// Get replaces boxo's listing of a folder, which holds the whole folder in memory, by
// one page.
func (b *backend) Get(ctx context.Context, p path.ImmutablePath, ranges ...boxo.ByteRange) (boxo.ContentPathMetadata, *boxo.GetResponse, error) {
	if err := b.denied(p.String()); err != nil {
		return boxo.ContentPathMetadata{}, nil, err
	}
	whole, stop := context.WithCancel(ctx)
	context.AfterFunc(ctx, stop) // a file is read until then
	md, resp, err := b.BlocksBackend.Get(whole, p, ranges...)
	if v := visitOf(ctx); v != nil && err == nil {
		v.open(md.LastSegment.RootCid(), md.ModTime)
	}
	if err != nil {
		return md, resp, storage(err)
	}
	c := md.LastSegment.RootCid()
	if own, ok := b.large(whole, c, ranges); ok {
		_ = resp.Close() // nothing was read
		return md, own, nil
	}
	l, ok := ctx.Value(listingKey{}).(*listing)
	if !ok {
		return md, resp, nil
	}
	dir, size := b.folder(ctx, c)
	if dir == nil || b.hasIndex(ctx, p) {
		return md, resp, nil
	}
	stop()
	_ = resp.Close() // nothing was read
	return md, boxo.NewGetResponseFromDirectoryListing(size, b.page(ctx, c, dir, l), nil), nil
}

// hasIndex reports whether a folder has an index file, which is shown instead of a
// listing.
func (b *backend) hasIndex(ctx context.Context, dir path.ImmutablePath) bool {
	p, err := path.Join(dir, "index.html")
	if err != nil {
		return false
	}
	index, err := path.NewImmutablePath(p)
	if err != nil {
		return false
	}
	_, err = b.ResolvePath(ctx, index)
	return err == nil
}

// folder returns the folder with a CID and its total size, or nil if the CID is not a
// folder.
func (b *backend) folder(ctx context.Context, c cid.Cid) (uio.Directory, uint64) {
	if c.Prefix().Codec != cid.DagProtobuf {
		return nil, 0
	}
	nd, err := b.dag.Get(ctx, c)
	if err != nil {
		return nil, 0
	}
	pb, ok := nd.(*merkledag.ProtoNode)
	if !ok {
		return nil, 0
	}
	fs, err := unixfs.FSNodeFromBytes(pb.Data())
	if err != nil || fs.Type() != unixfs.TDirectory && fs.Type() != unixfs.THAMTShard {
		return nil, 0
	}
	dir, err := uio.NewDirectoryFromNode(b.dag, nd)
	if err != nil {
		return nil, 0
	}
	size, err := nd.Size()
	if err != nil {
		return nil, 0
	}
	return dir, size
}

// page yields the entries of one page in order of their names. It ends with ctx.
func (b *backend) page(ctx context.Context, c cid.Cid, dir uio.Directory, l *listing) <-chan unixfs.LinkResult {
	out := make(chan unixfs.LinkResult)
	send := func(r unixfs.LinkResult) bool {
		select {
		case out <- r:
			return true
		case <-ctx.Done():
			return false
		}
	}
	go func() {
		defer close(out)
		links, more, err := b.folders.page(ctx, c, dir, l.after)
		if err != nil {
			send(unixfs.LinkResult{Err: storage(err)})
			return
		}
		if more {
			l.next.Store(&links[len(links)-1].Name)
		}
		for _, link := range links {
			if !send(unixfs.LinkResult{Link: link}) {
				return
			}
		}
	}()
	return out
}
