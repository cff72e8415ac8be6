package verbs

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"iter"

	"github.com/ipfs/go-cid"
	ipld "github.com/ipfs/go-ipld-format"
	"github.com/multiformats/go-multicodec"
	"github.com/multiformats/go-multihash"

	"github.com/goipns/ipns/api"
	"github.com/goipns/ipns/content"
	"github.com/goipns/ipns/rpc"
)

func (n *verbs) handleBlocks(m *rpc.Mux) {
	rpc.Handle(m, api.BlockGet, rpc.One(n.blockGet))
	rpc.Handle(m, api.BlockPut, n.blockPut)
	rpc.Handle(m, api.BlockStat, rpc.One(n.blockStat))
	rpc.Handle(m, api.BlockRm, n.blockRemove)
}

// maxBigBlock bounds a block of any size, in bytes: it is held in memory.
const maxBigBlock = 64 << 20

// blockGet implements the command.
func (n *verbs) blockGet(ctx context.Context, req api.BlockGetRequest) (rpc.Stream, error) {
	p, err := n.immutable(ctx, req.Path)
	if err != nil {
		return rpc.Stream{}, err
	}
	b, err := n.content(ctx).Block(ctx, p)
	if err != nil {
		return rpc.Stream{}, cause(ctx, err)
	}
	return streamOf(b.RawData(), "application/vnd.ipld.raw"), nil
}

// streamOf is a reply of bytes that are in memory.
func streamOf(b []byte, mediaType string) rpc.Stream {
	return rpc.Stream{ReadCloser: io.NopCloser(bytes.NewReader(b)), Type: mediaType, Size: int64(len(b))}
}

// cause returns the innermost cause of an error about a path that the user has just
// typed, unless the time was up.
func cause(ctx context.Context, err error) error {
	if ctx.Err() == nil {
		return innermost(err)
	}
	return err
}

// blockPut implements the command.
func (n *verbs) blockPut(ctx context.Context, req api.BlockPutRequest) iter.Seq2[api.Block, error] {
	return func(yield func(api.Block, error) bool) {
		enc, err := req.Encoder()
		var prefix cid.Prefix
		if err == nil {
			prefix, err = blockPrefix(req)
		}
		if err != nil {
			yield(api.Block{}, err)
			return
		}
		ctx, release, err := n.Content.Hold(ctx)
		if err != nil {
			yield(api.Block{}, err)
			return
		}
		defer release()
		for r, err := range req.Each() {
			var c cid.Cid
			var data []byte
			if err == nil {
				data, err = readBlock(r, req.AllowBig)
			}
			if err == nil {
				c, err = n.Content.PutBlock(ctx, data, prefix)
			}
			if err == nil && req.Pin {
				err = n.Content.Pin(ctx, c, content.Recursive, "")
			}
			if err != nil {
				yield(api.Block{}, err)
				return
			}
			if !yield(api.Block{Key: enc.Encode(c), Size: len(data)}, nil) {
				return
			}
		}
	}
}

// readBlock reads what is to be one block.
func readBlock(r io.Reader, big bool) ([]byte, error) {
	limit := maxBlock(big)
	b, err := io.ReadAll(io.LimitReader(r, int64(limit)+1))
	if err != nil {
		return nil, fmt.Errorf("read the block: %w", err)
	}
	return b, checkBlock(len(b), big)
}

func maxBlock(big bool) int {
	if big {
		return maxBigBlock
	}
	return content.MaxBlock
}

func checkBlock(size int, big bool) error {
	switch {
	case size <= maxBlock(big):
		return nil
	case big:
		return rpc.Refuse(fmt.Errorf("the block is larger than %d bytes", maxBigBlock))
	}
	return content.ErrBigBlock
}

// blockPrefix is how the CIDs of blocks are made.
func blockPrefix(req api.BlockPutRequest) (cid.Prefix, error) {
	p := cid.Prefix{Version: 1, MhLength: req.HashLen}
	hash, ok := multihash.Names[req.Hash]
	if !ok {
		return p, fmt.Errorf("unrecognized multihash function: %s", req.Hash)
	}
	p.MhType = hash
	name := req.Codec
	if req.Format != "" {
		if req.Codec != "raw" && req.Codec != "" {
			return p, errors.New(`unable to use "format" (deprecated) and a custom "cid-codec" at the same time`)
		}
		switch name = req.Format; name {
		case "v0":
			p.Version, name = 0, "dag-pb"
		case "protobuf":
			name = "dag-pb"
		case "cbor":
			name = "dag-cbor"
		}
	}
	codec, err := codecOf(name)
	if err != nil {
		return p, err
	}
	p.Codec = codec
	if p.Version == 0 && (p.MhType != multihash.SHA2_256 || p.MhLength != -1 && p.MhLength != 32) {
		return p, errors.New("only sha2-255-32 is allowed with CIDv0") // Kubo's text
	}
	return p, nil
}

// codecOf returns the code of a multicodec.
func codecOf(name string) (uint64, error) {
	var code multicodec.Code
	err := code.Set(name)
	return uint64(code), err
}

// blockStat implements the command.
func (n *verbs) blockStat(ctx context.Context, req api.BlockStatRequest) (api.Block, error) {
	enc, err := req.Encoder()
	if err != nil {
		return api.Block{}, err
	}
	p, err := n.immutable(ctx, req.Path)
	if err != nil {
		return api.Block{}, err
	}
	b, err := n.content(ctx).Block(ctx, p)
	if err != nil {
		return api.Block{}, cause(ctx, err)
	}
	return api.Block{Key: enc.Encode(b.Cid()), Size: len(b.RawData())}, nil
}

// blockRemove implements the command.
func (n *verbs) blockRemove(ctx context.Context, req api.BlockRmRequest) iter.Seq2[api.RemovedBlock, error] {
	return func(yield func(api.RemovedBlock, error) bool) {
		enc, err := req.Encoder()
		if err != nil {
			yield(api.RemovedBlock{}, err)
			return
		}
		for _, text := range req.Paths {
			c, err := n.root(ctx, text)
			if err != nil {
				yield(api.RemovedBlock{}, err)
				return
			}
			removed := api.RemovedBlock{Hash: enc.Encode(c)}
			err = n.Content.RemoveBlock(ctx, c)
			switch {
			case err != nil && !(req.Force && ipld.IsNotFound(err)):
				removed.Error = err.Error()
			case req.Quiet:
				continue
			}
			if !yield(removed, nil) {
				return
			}
		}
	}
}
