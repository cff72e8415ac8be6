package content

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"strings"

	"github.com/ipfs/boxo/ipld/merkledag"
	"github.com/ipfs/boxo/ipld/merkledag/traverse"
	"github.com/ipfs/go-cid"
	ipldlegacy "github.com/ipfs/go-ipld-legacy"
	_ "github.com/ipld/go-codec-dagpb" // the codecs that nodes may have
	"github.com/ipld/go-ipld-prime"
	_ "github.com/ipld/go-ipld-prime/codec/cbor"
	_ "github.com/ipld/go-ipld-prime/codec/dagcbor"
	_ "github.com/ipld/go-ipld-prime/codec/dagjson"
	_ "github.com/ipld/go-ipld-prime/codec/json"
	_ "github.com/ipld/go-ipld-prime/codec/raw"
	"github.com/ipld/go-ipld-prime/multicodec"
	basicnode "github.com/ipld/go-ipld-prime/node/basic"
	"github.com/ipld/go-ipld-prime/traversal"
)

// Encode reads data in one codec and returns it in another; codecs are multicodec codes.
func Encode(r io.Reader, from, to uint64) ([]byte, error) {
	decode, err := multicodec.LookupDecoder(from)
	if err != nil {
		return nil, err
	}
	encode, err := multicodec.LookupEncoder(to)
	if err != nil {
		return nil, err
	}
	node := basicnode.Prototype.Any.NewBuilder()
	if err := decode(node, r); err != nil {
		return nil, err
	}
	var b bytes.Buffer
	if err := encode(node.Build(), &b); err != nil {
		return nil, err
	}
	return b.Bytes(), nil
}

// Node returns the data at the end of an immutable path in a codec, and fetches the blocks on the way.
func (s *Store) Node(ctx context.Context, p string, codec uint64) ([]byte, error) {
	encode, err := multicodec.LookupEncoder(codec)
	if err != nil {
		return nil, err
	}
	c, rest, err := s.ResolveInto(ctx, p)
	if err != nil {
		return nil, err
	}
	obj, err := s.dag.Get(ctx, c)
	if err != nil {
		return nil, fmt.Errorf("read block %s: %w", c, err)
	}
	universal, ok := obj.(ipldlegacy.UniversalNode)
	if !ok {
		return nil, fmt.Errorf("block %s is no data in a known codec", c)
	}
	node := ipld.Node(universal)
	if len(rest) > 0 {
		if node, err = traversal.Get(node, ipld.ParsePath(strings.Join(rest, "/"))); err != nil {
			return nil, fmt.Errorf("read %s: %w", p, err)
		}
	}
	var b bytes.Buffer
	if err := encode(node, &b); err != nil {
		return nil, fmt.Errorf("encode %s: %w", p, err)
	}
	return b.Bytes(), nil
}

// Walk visits every block of a tree once, parents first, and fetches those that are not here. It ends with the first
// error of visit.
func (s *Store) Walk(ctx context.Context, root cid.Cid, visit func(c cid.Cid, size int) error) error {
	session := merkledag.NewSession(ctx, s.dag)
	node, err := session.Get(ctx, root)
	if err != nil {
		return fmt.Errorf("read block %s: %w", root, err)
	}
	err = traverse.Traverse(node, traverse.Options{
		DAG:   session,
		Order: traverse.DFSPre,
		Func: func(at traverse.State) error {
			if err := ctx.Err(); err != nil {
				return err
			}
			return visit(at.Node.Cid(), len(at.Node.RawData()))
		},
		SkipDuplicates: true,
	})
	if err != nil {
		return fmt.Errorf("error traversing DAG: %w", err)
	}
	return nil
}
