package daemon

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"iter"
	"slices"
	"strconv"
	"strings"

	"github.com/ipfs/go-cid"

	"github.com/goipns/ipns"
	"github.com/goipns/ipns/content"
	"github.com/goipns/ipns/rpc"
)

// Add implements [rpc.Content].
func (n *Node) Add(ctx context.Context, req rpc.AddRequest) iter.Seq2[rpc.Added, error] {
	return func(yield func(rpc.Added, error) bool) {
		o, err := addOptions(req)
		if err != nil {
			yield(rpc.Added{}, err)
			return
		}
		more := true
		if req.Progress {
			o.Progress = func(name string, bytes int64) {
				more = more && yield(rpc.Added{Name: name, Bytes: bytes}, nil)
			}
		}
		any := false
		for a, err := range n.content.Add(ctx, entries(req.Files), o) {
			if err != nil {
				yield(rpc.Added{}, err)
				return
			}
			any = true
			event := rpc.Added{Name: a.Name, Hash: a.CID.String(), Size: strconv.FormatUint(a.Size, 10)}
			if !more || !yield(event, nil) {
				return
			}
		}
		if !any {
			yield(rpc.Added{}, errors.New("expected a file argument"))
		}
	}
}

func addOptions(req rpc.AddRequest) (content.AddOptions, error) {
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

// entries gives the files of a request to the store, all but secrets.
func entries(files iter.Seq2[rpc.File, error]) iter.Seq2[content.Entry, error] {
	return func(yield func(content.Entry, error) bool) {
		var guard secretGuard
		for f, err := range files {
			e := content.Entry{Path: f.Path, Content: f.Body}
			switch f.Kind {
			case rpc.Folder:
				e.Mode = fs.ModeDir
			case rpc.Symlink:
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

// immutable follows a path argument as far as names go: the result begins with
// /ipfs/.
func (n *Node) immutable(ctx context.Context, text string) (string, error) {
	p, err := parsePath(text)
	if err != nil {
		return "", err
	}
	if strings.HasPrefix(p, "/ipns/") {
		return n.resolve(ctx, p)
	}
	return p, nil
}

// parsePath reads what users give as a path: a path, an ipfs: or ipns: URI, or
// a bare CID. The result is canonical.
func parsePath(text string) (string, error) {
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
func (n *Node) root(ctx context.Context, text string) (cid.Cid, error) {
	p, err := n.immutable(ctx, text)
	if err != nil {
		return cid.Undef, err
	}
	return n.content.Resolve(ctx, p)
}

// Cat implements [rpc.Content].
func (n *Node) Cat(ctx context.Context, req rpc.CatRequest) (rpc.Stream, error) {
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
	f, err := n.content.Cat(ctx, p)
	if err != nil {
		if ctx.Err() == nil {
			err = reason(err) // the path is what the user has just typed
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

// limited is the beginning of a file.
type limited struct {
	io.Reader
	io.Closer
}

// PinAdd implements [rpc.Content].
func (n *Node) PinAdd(ctx context.Context, req rpc.PinAddRequest) (rpc.Pins, error) {
	kind := content.Recursive
	if !req.Recursive {
		kind = content.Direct
	}
	var pins rpc.Pins
	if err := content.CheckPinName(req.Name); err != nil {
		return pins, err // before anything is fetched
	}
	for _, text := range req.Paths {
		c, err := n.root(ctx, text)
		if err != nil {
			return pins, err
		}
		if err := n.content.Pin(ctx, c, kind, req.Name); err != nil {
			return pins, err
		}
		pins.Pins = append(pins.Pins, c.String())
	}
	return pins, nil
}

// PinRemove implements [rpc.Content].
func (n *Node) PinRemove(ctx context.Context, req rpc.PinRemoveRequest) (rpc.Pins, error) {
	kind := content.Recursive
	if !req.Recursive {
		kind = content.Direct
	}
	var pins rpc.Pins
	for _, text := range req.Paths {
		c, err := n.root(ctx, text)
		if err != nil {
			return pins, err
		}
		err = n.content.Unpin(ctx, c, kind)
		if errors.Is(err, content.ErrNotPinned) {
			return pins, content.ErrNotPinned
		}
		if err != nil {
			return pins, err
		}
		pins.Pins = append(pins.Pins, c.String())
	}
	return pins, nil
}

// PinList implements [rpc.Content].
func (n *Node) PinList(ctx context.Context, req rpc.PinListRequest) iter.Seq2[rpc.PinList, error] {
	return func(yield func(rpc.PinList, error) bool) {
		kinds := []string{"direct", "indirect", "recursive", "all"}
		if !slices.Contains(kinds, req.Type) {
			yield(rpc.PinList{}, fmt.Errorf("invalid type '%s', must be one of {direct, indirect, recursive, all}", req.Type))
			return
		}
		if err := content.CheckPinName(req.Name); err != nil {
			yield(rpc.PinList{}, err)
			return
		}
		all := rpc.PinList{Keys: map[string]rpc.PinType{}}
		for p, err := range n.pins(ctx, req) {
			if err != nil {
				yield(rpc.PinList{}, err)
				return
			}
			if !strings.Contains(p.Name, req.Name) {
				continue
			}
			if !req.Names && req.Name == "" {
				p.Name = ""
			}
			if !req.Stream {
				all.Keys[p.Cid] = rpc.PinType{Type: p.Type, Name: p.Name}
			} else if !yield(p, nil) {
				return
			}
		}
		if !req.Stream {
			yield(all, nil)
		}
	}
}

// pins yields the pins that were asked for, or those of the given paths.
func (n *Node) pins(ctx context.Context, req rpc.PinListRequest) iter.Seq2[rpc.PinList, error] {
	return func(yield func(rpc.PinList, error) bool) {
		kind := content.PinType(req.Type)
		if len(req.Paths) == 0 {
			for p, err := range n.content.Pins(ctx, kind) {
				if !yield(pinLine(p), err) || err != nil {
					return
				}
			}
			return
		}
		for _, text := range req.Paths {
			c, err := n.root(ctx, text)
			var p content.Pin
			if err == nil {
				p, err = n.content.PinOf(ctx, c, kind)
			}
			if errors.Is(err, content.ErrNotPinned) {
				err = fmt.Errorf("path '%s' is not pinned", text)
			}
			line := pinLine(p)
			if p.Type == content.Indirect && p.Via.Defined() {
				line.Type = "indirect through " + p.Via.String()
			}
			if !yield(line, err) || err != nil {
				return
			}
		}
	}
}

func pinLine(p content.Pin) rpc.PinList {
	if !p.CID.Defined() {
		return rpc.PinList{}
	}
	return rpc.PinList{Cid: p.CID.String(), Type: string(p.Type), Name: p.Name}
}

// Provide implements [rpc.Content].
func (n *Node) Provide(ctx context.Context, req rpc.ProvideRequest) (rpc.Provided, error) {
	var out rpc.Provided
	for _, text := range req.CIDs {
		c, err := n.root(ctx, text)
		if err != nil {
			return out, err
		}
		if _, err := n.content.Provide(ctx, c); errors.Is(err, content.ErrOffline) {
			return out, rpc.ErrOffline
		} else if err != nil {
			return out, err
		}
		out.Provided++
	}
	return out, nil
}
