package verbs

import (
	"context"
	"errors"
	"fmt"
	"io"
	"iter"
	"strings"

	"github.com/ipfs/go-cid"

	"github.com/goipns/ipns/api"
	"github.com/goipns/ipns/content"
	"github.com/goipns/ipns/rpc"
)

func (n *verbs) handleDAG(m *rpc.Mux) {
	rpc.Handle(m, api.DagGet, rpc.One(n.dagGet))
	rpc.Handle(m, api.DagPut, n.dagPut)
	rpc.Handle(m, api.DagResolve, rpc.One(n.dagResolve))
	rpc.Handle(m, api.DagStat, n.dagStat)
	rpc.Handle(m, api.DagImport, n.dagImport)
	rpc.Handle(m, api.DagExport, rpc.One(n.dagExport))
}

// dagGet implements the command.
func (n *verbs) dagGet(ctx context.Context, req api.DagGetRequest) (rpc.Stream, error) {
	codec, err := codecOf(req.Codec)
	if err != nil {
		return rpc.Stream{}, err
	}
	p, err := n.immutable(ctx, req.Path)
	if err != nil {
		return rpc.Stream{}, err
	}
	b, err := n.content(ctx).Node(ctx, p, codec)
	if err != nil {
		return rpc.Stream{}, cause(ctx, err)
	}
	return streamOf(b, "text/plain"), nil
}

// maxData bounds data that is to be stored in another codec, in bytes.
const maxData = 64 << 20

// dagPut implements the command.
func (n *verbs) dagPut(ctx context.Context, req api.DagPutRequest) iter.Seq2[api.DagNode, error] {
	return func(yield func(api.DagNode, error) bool) {
		from, err1 := codecOf(req.InputCodec)
		to, err2 := codecOf(req.StoreCodec)
		hash, err3 := codecOf(req.Hash)
		_, err4 := req.Encoder()
		if err := errors.Join(err1, err2, err3, err4); err != nil {
			yield(api.DagNode{}, err)
			return
		}
		prefix := cid.Prefix{Version: 1, Codec: to, MhType: hash, MhLength: -1}
		ctx, release, err := n.Content.Hold(ctx)
		if err != nil {
			yield(api.DagNode{}, err)
			return
		}
		defer release()
		for r, err := range req.Each() {
			var node api.DagNode
			if err == nil {
				node.Cid, err = n.putNode(ctx, r, from, prefix, req.AllowBig)
			}
			if err == nil && req.Pin {
				err = n.Content.Pin(ctx, node.Cid, content.Recursive, "")
			}
			if !yield(node, err) || err != nil {
				return
			}
		}
	}
}

func (n *verbs) putNode(ctx context.Context, r io.Reader, from uint64, prefix cid.Prefix, big bool) (cid.Cid, error) {
	limited := &io.LimitedReader{R: r, N: maxData + 1}
	data, err := content.Encode(limited, from, prefix.Codec)
	if limited.N == 0 {
		err = rpc.Refuse(fmt.Errorf("the data is larger than %d bytes", maxData))
	}
	if err == nil {
		err = checkBlock(len(data), big)
	}
	if err != nil {
		return cid.Undef, err
	}
	return n.Content.PutBlock(ctx, data, prefix)
}

// remaining is the rest of a path, with a slash in front if there is any.
func remaining(segments []string) string {
	if len(segments) == 0 {
		return ""
	}
	return "/" + strings.Join(segments, "/")
}

// dagResolve implements the command.
func (n *verbs) dagResolve(ctx context.Context, req api.DagResolveRequest) (api.DagPath, error) {
	if _, err := req.Encoder(); err != nil {
		return api.DagPath{}, err
	}
	p, err := n.immutable(ctx, req.Path)
	if err != nil {
		return api.DagPath{}, err
	}
	c, rest, err := n.content(ctx).ResolveInto(ctx, p)
	if err != nil {
		return api.DagPath{}, cause(ctx, err)
	}
	return api.DagPath{Cid: c, RemPath: remaining(rest)}, nil
}

// dagStat implements the command.
func (n *verbs) dagStat(ctx context.Context, req api.DagStatRequest) iter.Seq2[api.DagStats, error] {
	return func(yield func(api.DagStats, error) bool) {
		enc, err := req.Encoder()
		if err != nil {
			yield(api.DagStats{}, err)
			return
		}
		var sum api.DagStats
		var all uint64 // of all trees, shared blocks counted for each
		var seen *cid.Set
		if len(req.Paths) > 1 {
			seen = cid.NewSet() // a walk knows its own blocks
		}
		errStopped := errors.New("stopped")
		for _, text := range req.Paths {
			root, err := n.root(ctx, text)
			if err == nil {
				sum.DagStats = append(sum.DagStats, api.DagTree{Cid: enc.Encode(root)})
				tree := &sum.DagStats[len(sum.DagStats)-1]
				err = n.content(ctx).Walk(ctx, root, func(c cid.Cid, size int) error {
					tree.Size += uint64(size)
					tree.NumBlocks++
					all += uint64(size)
					if seen == nil || seen.Visit(c) {
						sum.TotalSize += uint64(size)
						sum.UniqueBlocks++
					}
					if req.Progress && !yield(progressOf(sum), nil) {
						return errStopped
					}
					return nil
				})
			}
			if errors.Is(err, errStopped) {
				return
			}
			if err != nil {
				yield(api.DagStats{}, err)
				return
			}
		}
		sum.SharedSize = all - sum.TotalSize
		sum.Ratio = 1 // of trees without a byte; JSON has no word for 0/0
		if sum.TotalSize > 0 {
			sum.Ratio = float32(all) / float32(sum.TotalSize)
		}
		yield(sum, nil)
	}
}

// progressOf is how far a count is: what is known only at its end is left out.
func progressOf(sum api.DagStats) api.DagStats {
	sum.UniqueBlocks = 0
	return sum
}

// dagImport implements the command.
func (n *verbs) dagImport(ctx context.Context, req api.DagImportRequest) iter.Seq2[api.DagImported, error] {
	return func(yield func(api.DagImported, error) bool) {
		pin := !req.LocalOnly
		if req.PinRoots != nil {
			if *req.PinRoots && req.LocalOnly {
				yield(api.DagImported{}, errors.New("--local-only implies --pin-roots=false and cannot be combined with --pin-roots=true; please drop one of them"))
				return
			}
			pin = *req.PinRoots
		}
		ctx, release, err := n.Content.Hold(ctx)
		if err != nil {
			yield(api.DagImported{}, err)
			return
		}
		defer release()
		_, err = req.Encoder()
		var in content.Imported
		if err == nil {
			err = n.importFiles(ctx, req, &in)
		}
		if err != nil {
			yield(api.DagImported{}, err)
			return
		}
		for _, c := range in.Roots {
			if !pin {
				break
			}
			root := &api.DagRoot{Cid: c}
			if err := n.Content.PinImported(ctx, c); err != nil {
				root.PinErrorMsg = err.Error()
			}
			if !yield(api.DagImported{Root: root}, nil) {
				return
			}
		}
		if req.Stats {
			stats := &api.DagImportStats{BlockCount: in.Blocks, BlockBytesCount: in.Bytes}
			if !yield(api.DagImported{Stats: stats}, nil) {
				return
			}
		}
		if err := n.announceAdded(ctx, req.FastProvide, pin, in.Roots...); err != nil {
			yield(api.DagImported{}, err)
		}
	}
}

// importFiles stores the blocks of the files, durably.
func (n *verbs) importFiles(ctx context.Context, req api.DagImportRequest, in *content.Imported) error {
	for r, err := range req.Each() {
		if err != nil {
			return err
		}
		if err := n.Content.Import(ctx, r, maxBlock(req.AllowBig), in); err != nil {
			return err
		}
	}
	return n.Content.Sync(ctx)
}

// dagExport implements the command.
func (n *verbs) dagExport(ctx context.Context, req api.DagExportRequest) (rpc.Stream, error) {
	if req.LocalOnly && req.Offline != nil && !*req.Offline {
		return rpc.Stream{}, errors.New("--local-only implies --offline and cannot be combined with --offline=false; please drop one of them")
	}
	p, err := n.immutable(ctx, req.Path)
	if err != nil {
		return rpc.Stream{}, err
	}
	r, err := n.content(ctx).Export(ctx, p, req.LocalOnly)
	if err != nil {
		return rpc.Stream{}, cause(ctx, err)
	}
	return rpc.Stream{ReadCloser: r, Type: "application/vnd.ipld.car", Size: -1}, nil
}
