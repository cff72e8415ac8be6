package verbs

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math"
	"strings"

	"github.com/ipfs/go-cid"

	"github.com/goipns/ipns"
	"github.com/goipns/ipns/api"
	"github.com/goipns/ipns/content"
	"github.com/goipns/ipns/rpc"
)

func (n *verbs) handleContent(m *rpc.Mux) {
	rpc.Handle(m, api.Add, n.add)
	rpc.Handle(m, api.Cat, rpc.One(n.cat))
	rpc.Handle(m, api.Get, rpc.One(n.get))
}

// content is the content that a request may see.
func (n *verbs) content(ctx context.Context) *content.Store {
	if rpc.IsOffline(ctx) {
		return n.Content.Offline()
	}
	return n.Content
}

// immutable resolves the names in a path argument: the result begins with /ipfs/.
func (n *verbs) immutable(ctx context.Context, text string) (string, error) {
	p, err := parseContentPath(text)
	if err != nil {
		return "", err
	}
	if strings.HasPrefix(p, "/ipns/") {
		return n.resolve(ctx, p)
	}
	return p, nil
}

// parseContentPath parses what users give as a path: a path, an ipfs: or ipns: URI, or a
// bare CID. The result is canonical.
func parseContentPath(text string) (string, error) {
	if scheme, rest, ok := strings.Cut(text, ":"); ok {
		switch s := strings.ToLower(scheme); s {
		case "ipfs", "ipns", "ipld":
			text = "/" + s + "/" + strings.TrimPrefix(rest, "//")
		}
	}
	if !strings.HasPrefix(text, "/") {
		root, rest, _ := strings.Cut(text, "/")
		c, err := cid.Decode(root)
		switch {
		case err != nil:
			return "", fmt.Errorf("invalid path %q: path does not have enough components", text)
		case c.Type() == cid.Libp2pKey && rest == "":
			text = "/ipns/" + text
		default:
			text = "/ipfs/" + text
		}
	}
	p, err := ipns.ParsePath(text)
	if err != nil {
		if err := wrongCodec(text); err != nil {
			return "", err
		}
		_, reason, ok := strings.Cut(err.Error(), ": ")
		if ok && errors.Is(err, ipns.ErrValue) {
			return "", errors.New(reason)
		}
		return "", err
	}
	return p, nil
}

// wrongCodec returns an error if the root of an /ipns/ path is a name but for the codec.
func wrongCodec(path string) error {
	root, _, _ := strings.Cut(strings.TrimPrefix(path, "/ipns/"), "/")
	c, err := cid.Decode(root)
	if err != nil {
		return nil
	}
	name, err := ipns.NameFromBinary(c.Hash())
	if err != nil {
		return nil
	}
	return fmt.Errorf("peer ID represented as CIDv1 require libp2p-key multicodec: retry with /ipns/%s", name.CID())
}

// root resolves a path argument to a CID.
func (n *verbs) root(ctx context.Context, text string) (cid.Cid, error) {
	p, err := n.immutable(ctx, text)
	if err != nil {
		return cid.Undef, err
	}
	return n.content(ctx).Resolve(ctx, p)
}

// cat implements the command.
func (n *verbs) cat(ctx context.Context, req api.CatRequest) (rpc.Stream, error) {
	if req.Offset < 0 {
		return rpc.Stream{}, errors.New("cannot specify negative offset")
	}
	if req.Length != nil && *req.Length < 0 {
		return rpc.Stream{}, errors.New("cannot specify negative length")
	}
	left := int64(math.MaxInt64)
	if req.Length != nil {
		left = *req.Length
	}
	all, skip := &readers{}, req.Offset
	for _, text := range req.Paths {
		if left == 0 {
			break
		}
		f, err := n.open(ctx, text)
		var size int64
		if err == nil {
			all.files = append(all.files, f)
			size, err = f.Seek(0, io.SeekEnd)
		}
		if err == nil {
			_, err = f.Seek(min(skip, size), io.SeekStart)
		}
		if err != nil {
			return rpc.Stream{}, errors.Join(err, all.Close())
		}
		take := min(size-min(skip, size), left)
		skip -= min(skip, size)
		left -= take
		all.size += take
		all.parts = append(all.parts, io.LimitReader(f, take))
	}
	all.Reader = io.MultiReader(all.parts...)
	return rpc.Stream{ReadCloser: all, Type: "text/plain", Size: all.size}, nil
}

// open opens the file at a path argument.
func (n *verbs) open(ctx context.Context, text string) (io.ReadSeekCloser, error) {
	p, err := n.immutable(ctx, text)
	if err != nil {
		return nil, err
	}
	f, err := n.content(ctx).Cat(ctx, p)
	return f, cause(ctx, err)
}

// readers are files read one after the other.
type readers struct {
	io.Reader
	parts []io.Reader
	files []io.Closer
	size  int64
}

func (r *readers) Close() error {
	var errs []error
	for _, f := range r.files {
		errs = append(errs, f.Close())
	}
	return errors.Join(errs...)
}

// get implements the command.
func (n *verbs) get(ctx context.Context, req api.GetRequest) (rpc.Stream, error) {
	level, err := req.GzipLevel()
	if err != nil {
		return rpc.Stream{}, err
	}
	p, err := parseContentPath(req.Path)
	if err != nil {
		return rpc.Stream{}, err
	}
	o := content.ArchiveOptions{Name: p, Exact: !req.Archive, Level: level, Plain: level != 0 && !req.Archive}
	if p, err = n.immutable(ctx, p); err != nil {
		return rpc.Stream{}, err
	}
	r, size, err := n.content(ctx).Archive(ctx, p, o)
	if err != nil {
		return rpc.Stream{}, cause(ctx, err)
	}
	kind := "application/x-tar"
	if level != 0 {
		kind = "application/gzip"
	}
	return rpc.Stream{ReadCloser: r, Type: kind, Size: size}, nil
}

// notHere is the error of a block that is not here when no other node is asked.
const notHere = "block was not found locally (offline)"

// innermost returns the cause of an error, which is the part that helps a user.
func innermost(err error) error {
	for {
		inner := errors.Unwrap(err)
		if inner == nil || strings.HasPrefix(err.Error(), notHere) {
			return err
		}
		err = inner
	}
}
