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
	"time"

	"github.com/ipfs/go-cid"
	"github.com/ipfs/go-cidutil/cidenc"

	"github.com/goipns/ipns/api"
	"github.com/goipns/ipns/content"
	"github.com/goipns/ipns/internal/repo"
	"github.com/goipns/ipns/rpc"
)

// add implements the command.
func (n *verbs) add(ctx context.Context, req api.AddRequest) iter.Seq2[api.Added, error] {
	return func(yield func(api.Added, error) bool) {
		config, err := n.Repo.Config()
		if err != nil {
			yield(api.Added{}, err)
			return
		}
		o, err := addOptions(req, config.Import)
		enc, err2 := req.Encoder()
		if err := errors.Join(err, err2); err != nil {
			yield(api.Added{}, err)
			return
		}
		how := announcing(req.FastProvide, config.Import)
		how.root, how.all = how.root && !req.OnlyHash, how.all && !req.OnlyHash
		more := true
		if req.Progress {
			o.Progress = func(name string, bytes int64) {
				more = more && yield(api.Added{Name: name, Bytes: bytes}, nil)
			}
		}
		var root cid.Cid
		for a, err := range n.Content.Add(ctx, entries(req.Files), o) {
			if errors.Is(err, content.ErrNoBase) {
				err = rpc.Because(api.ReasonNoBase, err)
			}
			if err != nil {
				yield(api.Added{}, err)
				return
			}
			if a.Root {
				root = a.CID
			}
			if !more || !yield(addedLine(a, enc), nil) {
				return
			}
		}
		if !root.Defined() {
			err = errors.New("expected a file argument")
		} else {
			err = n.announce(ctx, how, o.Pin, root)
		}
		if err != nil {
			yield(api.Added{}, err)
		}
	}
}

// OnlyHash computes the CIDs of an add that has only-hash set, with the settings of a config. It needs no node.
func OnlyHash(ctx context.Context, req api.AddRequest, c repo.Import) iter.Seq2[api.Added, error] {
	return func(yield func(api.Added, error) bool) {
		o, err := addOptions(req, c)
		enc, err2 := req.Encoder()
		if err := errors.Join(err, err2); err != nil {
			yield(api.Added{}, err)
			return
		}
		o.OnlyHash = true
		var nowhere content.Store
		for a, err := range nowhere.Add(ctx, entries(req.Files), o) {
			if err != nil {
				yield(api.Added{}, err)
				return
			}
			if !yield(addedLine(a, enc), nil) {
				return
			}
		}
	}
}

// addedLine is an entry as the API returns it.
func addedLine(a content.Added, enc cidenc.Encoder) api.Added {
	line := api.Added{Name: a.Name, Hash: enc.Encode(a.CID), Size: strconv.FormatUint(a.Size, 10)}
	if a.Mode != 0 {
		line.Mode = "0" + strconv.FormatUint(uint64(a.Mode), 8)
	}
	if !a.ModTime.IsZero() {
		line.Mtime, line.MtimeNsecs = a.ModTime.Unix(), a.ModTime.Nanosecond()
	}
	return line
}

// addOptions are those of a request, and of the config where it says nothing.
func addOptions(req api.AddRequest, c repo.Import) (content.AddOptions, error) {
	hash := req.Hash
	if hash == "" {
		hash = or(nil, c.HashFunction, "sha2-256")
	}
	version := req.CIDVersion
	if version == nil {
		version = c.CidVersion
	}
	raw := req.RawLeaves
	if raw == nil {
		raw = c.UnixFSRawLeaves
	}
	stat := req.KeepMode || req.KeepMtime || req.Mode != 0 || req.Mtime != 0
	switch {
	case stat && raw != nil && *raw:
		return content.AddOptions{}, errors.New("raw-leaves can't be used with UnixFS metadata like mode or modification time")
	case req.ToFiles != nil:
		return content.AddOptions{}, errors.New("to-files: this node has no MFS: pin what you add, or publish it under a name")
	case req.PinName != "" && (!req.Pin || req.OnlyHash):
		return content.AddOptions{}, errors.New("pin-name option requires pin to be set")
	case req.Mtime == 0 && req.MtimeNsecs != 0:
		return content.AddOptions{}, errors.New(`option "mtime-nsecs" requires "mtime" to be provided as well`)
	case version != nil && *version == 0 && !strings.EqualFold(hash, "sha2-256"):
		return content.AddOptions{}, errors.New("CIDv0 only supports sha2-256")
	}
	o := content.AddOptions{
		Hash: hash, Chunker: req.Chunker, Trickle: or(req.Trickle, nil, or(nil, c.UnixFSDAGLayout, "") == "trickle"),
		FileLinks: or(req.FileLinks, c.UnixFSFileMaxLinks, 0), DirLinks: or(req.DirLinks, c.UnixFSDirectoryMaxLinks, 0),
		Fanout: or(req.Fanout, c.UnixFSHAMTDirectoryMaxFanout, 0), Inline: req.Inline, InlineLimit: req.InlineLimit,
		BatchBlocks: or(nil, c.BatchMaxNodes, 0), BatchBytes: or(nil, c.BatchMaxSize, 0),
		KeepMode: req.KeepMode, KeepModTime: req.KeepMtime, Mode: fs.FileMode(req.Mode),
		Pin: req.Pin, PinName: req.PinName, OnlyHash: req.OnlyHash, Wrap: req.Wrap, DropEmpty: !req.Empty,
	}
	if req.Base != "" {
		base, err := cid.Decode(req.Base)
		if err != nil {
			return content.AddOptions{}, fmt.Errorf("base: %w", err)
		}
		o.Base = base
	}
	if o.Chunker == "" {
		o.Chunker = or(nil, c.UnixFSChunker, "")
	}
	if req.Mtime != 0 {
		o.ModTime = time.Unix(req.Mtime, int64(req.MtimeNsecs))
	}
	if version != nil {
		o.CIDVersion = *version
	}
	switch {
	case stat:
		o.Leaves = content.LeavesWrapped
	case raw == nil:
	case *raw:
		o.Leaves = content.LeavesRaw
	default:
		o.Leaves = content.LeavesWrapped
	}
	switch or(nil, c.UnixFSHAMTDirectorySizeEstimation, "") {
	case "block":
		o.ShardBy = content.ShardByBlock
	case "disabled":
		o.ShardBy = content.ShardNever
	}
	if t := c.UnixFSHAMTDirectorySizeThreshold; t != nil {
		if o.ShardSize = t.N(); o.ShardSize == 0 {
			o.ShardBy, o.DirLinks = content.ShardNever, 0
		}
	}
	return o, o.Check()
}

// or returns the first value that is there.
func or[T any](option, config *T, def T) T {
	switch {
	case option != nil:
		return *option
	case config != nil:
		return *config
	}
	return def
}

// maxTarget bounds the target of a symbolic link, in bytes.
const maxTarget = 4096

// entries yields the files of a request and refuses those that hold secrets.
func entries(files iter.Seq2[api.File, error]) iter.Seq2[content.Entry, error] {
	return func(yield func(content.Entry, error) bool) {
		var guard secretGuard
		for f, err := range files {
			e := content.Entry{Path: f.Path, Mode: f.Mode &^ fs.ModeType, ModTime: f.ModTime, Content: f.Body}
			switch f.Kind {
			case api.Folder:
				e.Mode |= fs.ModeDir
			case api.Symlink:
				e.Mode |= fs.ModeSymlink
				if err == nil {
					var target []byte
					target, err = io.ReadAll(io.LimitReader(f.Body, maxTarget+1))
					e.Target = string(target)
				}
			case api.Unchanged:
				e.Unchanged, e.Content = true, nil
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
