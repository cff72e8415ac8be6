package verbs

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"iter"
	"strconv"
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
}

// add implements the command.
func (n *verbs) add(ctx context.Context, req api.AddRequest) iter.Seq2[api.Added, error] {
	return func(yield func(api.Added, error) bool) {
		o, err := addOptions(req)
		if err != nil {
			yield(api.Added{}, err)
			return
		}
		more := true
		if req.Progress {
			o.Progress = func(name string, bytes int64) {
				more = more && yield(api.Added{Name: name, Bytes: bytes}, nil)
			}
		}
		any := false
		for a, err := range n.Content.Add(ctx, entries(req.Files), o) {
			if err != nil {
				yield(api.Added{}, err)
				return
			}
			any = true
			event := api.Added{Name: a.Name, Hash: a.CID.String(), Size: strconv.FormatUint(a.Size, 10)}
			if !more || !yield(event, nil) {
				return
			}
		}
		if !any {
			yield(api.Added{}, errors.New("expected a file argument"))
		}
	}
}

func addOptions(req api.AddRequest) (content.AddOptions, error) {
	o := content.AddOptions{Pin: req.Pin, PinName: req.PinName, OnlyHash: req.OnlyHash, Wrap: req.Wrap, Chunker: req.Chunker}
	if req.PinName != "" && !req.Pin {
		return o, errors.New("pin-name option requires pin to be set")
	}
	if req.CIDVersion != nil {
		if o.CIDVersion = *req.CIDVersion; o.CIDVersion != 0 && o.CIDVersion != 1 {
			return o, fmt.Errorf("unknown CID version: %d", o.CIDVersion)
		}
	}
	switch {
	case req.RawLeaves == nil:
	case *req.RawLeaves:
		o.Leaves = content.LeavesRaw
	default:
		o.Leaves = content.LeavesWrapped
	}
	return o, nil
}

// maxTarget bounds the target of a symbolic link, in bytes.
const maxTarget = 4096

// entries yields the files of a request and refuses those that hold secrets.
func entries(files iter.Seq2[api.File, error]) iter.Seq2[content.Entry, error] {
	return func(yield func(content.Entry, error) bool) {
		var guard secretGuard
		for f, err := range files {
			e := content.Entry{Path: f.Path, Content: f.Body}
			switch f.Kind {
			case api.Folder:
				e.Mode = fs.ModeDir
			case api.Symlink:
				e.Mode = fs.ModeSymlink
				if err == nil {
					var target []byte
					target, err = io.ReadAll(io.LimitReader(f.Body, maxTarget+1))
					e.Target = string(target)
				}
			default:
				if err == nil && f.Body != nil {
					e.Content, err = guard.check(f.Path, f.Body)
				}
			}
			if !yield(e, err) {
				return
			}
		}
	}
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
		_, reason, ok := strings.Cut(err.Error(), ": ")
		if ok && errors.Is(err, ipns.ErrValue) {
			return "", errors.New(reason)
		}
		return "", err
	}
	return p, nil
}

// root resolves a path argument to a CID.
func (n *verbs) root(ctx context.Context, text string) (cid.Cid, error) {
	p, err := n.immutable(ctx, text)
	if err != nil {
		return cid.Undef, err
	}
	return n.Content.Resolve(ctx, p)
}

// cat implements the command.
func (n *verbs) cat(ctx context.Context, req api.CatRequest) (rpc.Stream, error) {
	if req.Offset < 0 {
		return rpc.Stream{}, errors.New("cannot specify negative offset")
	}
	if req.Length != nil && *req.Length < 0 {
		return rpc.Stream{}, errors.New("cannot specify negative length")
	}
	p, err := n.immutable(ctx, req.Path)
	if err != nil {
		return rpc.Stream{}, err
	}
	f, err := n.Content.Cat(ctx, p)
	if err != nil {
		if ctx.Err() == nil {
			err = innermost(err) // the user has just typed the path
		}
		return rpc.Stream{}, err
	}
	size, err := f.Seek(0, io.SeekEnd)
	if err == nil {
		_, err = f.Seek(min(req.Offset, size), io.SeekStart)
	}
	if err != nil {
		return rpc.Stream{}, errors.Join(err, f.Close())
	}
	left := size - min(req.Offset, size)
	body := io.ReadCloser(f)
	if req.Length != nil && *req.Length < left {
		left = *req.Length
		body = limited{io.LimitReader(f, left), f}
	}
	return rpc.Stream{ReadCloser: body, Type: "text/plain", Size: left}, nil
}

// innermost returns the cause of an error, which is the part that helps a user.
func innermost(err error) error {
	for {
		inner := errors.Unwrap(err)
		if inner == nil {
			return err
		}
		err = inner
	}
}

// limited is the start of a file.
type limited struct {
	io.Reader
	io.Closer
}
