package verbs

import (
	"cmp"
	"context"
	"errors"
	"io/fs"
	"iter"
	"path"
	"slices"
	"strings"

	"github.com/ipfs/go-cidutil/cidenc"

	"github.com/goipns/ipns/api"
	"github.com/goipns/ipns/content"
	"github.com/goipns/ipns/rpc"
)

func (n *verbs) handleLists(m *rpc.Mux) {
	rpc.Handle(m, api.Ls, n.list)
	rpc.Handle(m, api.FilesStat, rpc.One(n.filesStat))
	rpc.Handle(m, api.FilesLs, rpc.One(n.filesList))
}

// list implements the command.
func (n *verbs) list(ctx context.Context, req api.ListRequest) iter.Seq2[api.Listing, error] {
	return func(yield func(api.Listing, error) bool) {
		enc, err := req.Encoder()
		if err != nil {
			yield(api.Listing{}, err)
			return
		}
		var all api.Listing
		for _, text := range req.Paths {
			folder := api.ListedFolder{Hash: text, Links: []api.ListedLink{}}
			for l, err := range n.links(ctx, text, req.ResolveType || req.Size) {
				if err != nil {
					yield(api.Listing{}, err)
					return
				}
				link := listed(l, enc)
				if !req.Stream {
					folder.Links = append(folder.Links, link)
				} else if !yield(api.Listing{Objects: []api.ListedFolder{{Hash: text, Links: []api.ListedLink{link}}}}, nil) {
					return
				}
			}
			slices.SortFunc(folder.Links, func(a, b api.ListedLink) int { return cmp.Compare(a.Name, b.Name) })
			all.Objects = append(all.Objects, folder)
		}
		if !req.Stream {
			yield(all, nil)
		}
	}
}

// links yields the entries of the folder at a path.
func (n *verbs) links(ctx context.Context, text string, read bool) iter.Seq2[content.Link, error] {
	return func(yield func(content.Link, error) bool) {
		p, err := n.immutable(ctx, text)
		if err != nil {
			yield(content.Link{}, err)
			return
		}
		for l, err := range n.content(ctx).List(ctx, p, read) {
			if !yield(l, cause(ctx, err)) {
				return
			}
		}
	}
}

func listed(l content.Link, enc cidenc.Encoder) api.ListedLink {
	return api.ListedLink{
		Name: l.Name, Hash: enc.Encode(l.CID), Size: l.Size, Type: unixfsType(l.Type),
		Target: l.Target, Mode: l.Mode, ModTime: l.ModTime,
	}
}

func unixfsType(t fs.FileMode) int {
	switch t {
	case fs.ModeDir:
		return api.TypeFolder
	case fs.ModeSymlink:
		return api.TypeSymlink
	case 0:
		return api.TypeFile
	}
	return api.TypeUnread
}

// errNoMFS is the error of paths that are not of content.
var errNoMFS = errors.New("there is no mutable file system (MFS) here: give a path that begins with /ipfs/ or /ipns/")

// contentPath resolves a path that must begin with its namespace.
func (n *verbs) contentPath(ctx context.Context, text string) (string, error) {
	p, err := parseContentPath(text)
	if err != nil || strings.HasPrefix(text, "/") && !strings.HasPrefix(p, "/ip") {
		return "", errNoMFS
	}
	return n.immutable(ctx, p)
}

// filesStat implements the command.
func (n *verbs) filesStat(ctx context.Context, req api.FilesStatRequest) (api.FileStat, error) {
	enc, err := req.Encoder()
	if err := errors.Join(req.Check(), err); err != nil {
		return api.FileStat{}, err
	}
	p, err := n.contentPath(ctx, req.Path)
	if err != nil {
		return api.FileStat{}, err
	}
	st, err := n.content(ctx).Stat(ctx, p)
	if err != nil {
		return api.FileStat{}, cause(ctx, err)
	}
	out := api.FileStat{
		Hash: enc.Encode(st.CID), Size: st.Size, CumulativeSize: st.Total, Blocks: st.Blocks, Type: "file", Mode: api.FileMode(st.Mode),
	}
	if st.Type.IsDir() {
		out.Type = "directory"
	}
	if !st.ModTime.IsZero() {
		out.Mtime, out.MtimeNsecs = st.ModTime.Unix(), st.ModTime.Nanosecond()
	}
	if req.WithLocal {
		out.WithLocality = true
		out.SizeLocal, out.Local, err = n.Content.Local(ctx, st.CID)
	}
	return out, err
}

// filesList implements the command.
func (n *verbs) filesList(ctx context.Context, req api.FilesListRequest) (api.FilesListing, error) {
	enc, err := req.Encoder()
	if err != nil {
		return api.FilesListing{}, err
	}
	p, err := n.contentPath(ctx, cmp.Or(req.Path, "/"))
	if err != nil {
		return api.FilesListing{}, err
	}
	st, err := n.content(ctx).Stat(ctx, p)
	if err != nil {
		return api.FilesListing{}, cause(ctx, err)
	}
	if !st.Type.IsDir() {
		name := path.Base(p)
		e := api.FilesEntry{Name: name}
		if req.Long {
			e.Size, e.Hash = int64(st.Size), enc.Encode(st.CID)
		}
		return api.FilesListing{Entries: []api.FilesEntry{e}}, nil
	}
	var out api.FilesListing
	for l, err := range n.content(ctx).List(ctx, p, req.Long) {
		if err != nil {
			return api.FilesListing{}, cause(ctx, err)
		}
		e := api.FilesEntry{Name: l.Name}
		if req.Long {
			e.Size, e.Hash = int64(l.Size), enc.Encode(l.CID)
			if l.Type.IsDir() {
				e.Type, e.Size = 1, 0
			}
		}
		out.Entries = append(out.Entries, e)
	}
	return out, nil
}
