package interop

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/ipfs/boxo/files"
	"github.com/ipfs/boxo/path"
	"github.com/ipfs/go-cid"
	"github.com/ipfs/kubo/client/rpc"
	iface "github.com/ipfs/kubo/core/coreiface"
	"github.com/ipfs/kubo/core/coreiface/options"
	"github.com/libp2p/go-libp2p/core/peer"
	ma "github.com/multiformats/go-multiaddr"
)

// goSteps are calls of kubo/client/rpc, the Go client that Kubo's makers keep.
func goSteps(*testing.T) []clientStep {
	at := func(text string) path.Path {
		p, err := path.NewPath(text)
		if err != nil {
			panic(err)
		}
		return p
	}
	hello, folder, node := at("/ipfs/"+helloCID), at("/ipfs/"+dCID), at("/ipld/"+nodeCID)
	step := func(name string, call func(context.Context, *called, *rpc.HttpApi) (any, error)) clientStep {
		return clientStep{name: name, call: func(ctx context.Context, d *called) (any, error) {
			addr, err := ma.NewMultiaddr(d.node.rpcAddr())
			if err != nil {
				return nil, err
			}
			api, err := rpc.NewApi(addr)
			if err != nil {
				return nil, err
			}
			return call(ctx, d, api)
		}}
	}
	own := func(s clientStep) clientStep { s.shape = true; return s }
	return []clientStep{
		// Content.
		step("Unixfs.Add(hello)", func(ctx context.Context, _ *called, api *rpc.HttpApi) (any, error) {
			return text(api.Unixfs().Add(ctx, files.NewBytesFile([]byte(helloText)), options.Unixfs.CidVersion(1), options.Unixfs.RawLeaves(true)))
		}),
		step("Unixfs.Add(folder)", func(ctx context.Context, _ *called, api *rpc.HttpApi) (any, error) {
			return text(api.Unixfs().Add(ctx, files.NewMapDirectory(map[string]files.Node{
				"one": files.NewBytesFile([]byte("one")), "two": files.NewBytesFile([]byte("two")),
			}), options.Unixfs.CidVersion(1), options.Unixfs.Pin(true, "folder")))
		}),
		step("Unixfs.Add(only hash)", func(ctx context.Context, _ *called, api *rpc.HttpApi) (any, error) {
			return text(api.Unixfs().Add(ctx, files.NewBytesFile(bytes.Repeat([]byte("x"), 1<<20)), options.Unixfs.HashOnly(true), options.Unixfs.Chunker("size-1000"), options.Unixfs.Layout(options.TrickleLayout)))
		}),
		step("Unixfs.Get", func(ctx context.Context, _ *called, api *rpc.HttpApi) (any, error) {
			n, err := api.Unixfs().Get(ctx, at("/ipfs/"+dCID+"/two"))
			if err != nil {
				return nil, err
			}
			b, err := io.ReadAll(files.ToFile(n))
			return string(b), err
		}),
		step("Unixfs.Get(folder)", func(ctx context.Context, _ *called, api *rpc.HttpApi) (any, error) {
			n, err := api.Unixfs().Get(ctx, folder)
			if err != nil {
				return nil, err
			}
			var names []string
			for it := files.ToDir(n).Entries(); it.Next(); {
				names = append(names, it.Name())
			}
			size, err := n.Size()
			return fmt.Sprint(names, size), err
		}),
		step("Unixfs.Get(none)", func(ctx context.Context, _ *called, api *rpc.HttpApi) (any, error) {
			return api.Unixfs().Get(ctx, at("/ipfs/"+dCID+"/none"))
		}),
		step("Unixfs.Ls", func(ctx context.Context, _ *called, api *rpc.HttpApi) (any, error) {
			return drained(func(out chan<- iface.DirEntry) error { return api.Unixfs().Ls(ctx, folder, out) })
		}),
		step("ResolvePath", func(ctx context.Context, _ *called, api *rpc.HttpApi) (any, error) {
			p, rest, err := api.ResolvePath(ctx, at("/ipfs/"+dCID+"/one"))
			return fmt.Sprint(p, rest), err
		}),
		step("Block.Put(node)", func(ctx context.Context, _ *called, api *rpc.HttpApi) (any, error) {
			s, err := api.Block().Put(ctx, bytes.NewReader(nodeBytes), options.Block.CidCodec("dag-cbor"))
			if err != nil {
				return nil, err
			}
			return s.Path().String(), nil
		}),
		step("ResolvePath(rest)", func(ctx context.Context, _ *called, api *rpc.HttpApi) (any, error) {
			p, rest, err := api.ResolvePath(ctx, at("/ipld/"+nodeCID+"/a/b"))
			return fmt.Sprint(p, rest), err
		}),
		step("ResolveNode", func(ctx context.Context, _ *called, api *rpc.HttpApi) (any, error) {
			n, err := api.ResolveNode(ctx, folder)
			if err != nil {
				return nil, err
			}
			return n.RawData(), nil
		}),

		// Blocks and nodes.
		step("Block.Put", func(ctx context.Context, _ *called, api *rpc.HttpApi) (any, error) {
			s, err := api.Block().Put(ctx, strings.NewReader(otherText), options.Block.Pin(true))
			if err != nil {
				return nil, err
			}
			return fmt.Sprint(s.Path(), s.Size()), nil
		}),
		step("Block.Stat", func(ctx context.Context, _ *called, api *rpc.HttpApi) (any, error) {
			s, err := api.Block().Stat(ctx, hello)
			if err != nil {
				return nil, err
			}
			return fmt.Sprint(s.Path(), s.Size()), nil
		}),
		step("Block.Get", func(ctx context.Context, _ *called, api *rpc.HttpApi) (any, error) {
			r, err := api.Block().Get(ctx, hello)
			if err != nil {
				return nil, err
			}
			return io.ReadAll(r)
		}),
		step("Block.Rm(pinned)", func(ctx context.Context, _ *called, api *rpc.HttpApi) (any, error) {
			return nil, api.Block().Rm(ctx, at("/ipfs/"+otherCID))
		}),
		step("Block.Rm(node)", func(ctx context.Context, _ *called, api *rpc.HttpApi) (any, error) {
			return nil, api.Block().Rm(ctx, node)
		}),
		step("Block.Rm(none)", func(ctx context.Context, _ *called, api *rpc.HttpApi) (any, error) {
			return nil, api.Block().Rm(ctx, node)
		}),
		step("Block.Rm(none, force)", func(ctx context.Context, _ *called, api *rpc.HttpApi) (any, error) {
			return nil, api.Block().Rm(ctx, node, options.Block.Force(true))
		}),
		step("Dag.Get", func(ctx context.Context, _ *called, api *rpc.HttpApi) (any, error) {
			n, err := api.Dag().Get(ctx, cid.MustParse(dCID))
			if err != nil {
				return nil, err
			}
			return n.Links(), nil
		}),

		// Pins.
		step("Pin.Add", func(ctx context.Context, _ *called, api *rpc.HttpApi) (any, error) {
			return nil, api.Pin().Add(ctx, hello, options.Pin.Name("greeting"))
		}),
		step("Pin.Ls", func(ctx context.Context, _ *called, api *rpc.HttpApi) (any, error) {
			return pinned(ctx, api, options.Pin.Ls.Recursive(), options.Pin.Ls.Detailed(true))
		}),
		step("Pin.Ls(name)", func(ctx context.Context, _ *called, api *rpc.HttpApi) (any, error) {
			return pinned(ctx, api, options.Pin.Ls.All(), options.Pin.Ls.Name("greeting"))
		}),
		step("Pin.IsPinned", func(ctx context.Context, _ *called, api *rpc.HttpApi) (any, error) {
			why, is, err := api.Pin().IsPinned(ctx, hello)
			return fmt.Sprint(why, is), err
		}),
		step("Pin.IsPinned(none)", func(ctx context.Context, _ *called, api *rpc.HttpApi) (any, error) {
			why, is, err := api.Pin().IsPinned(ctx, node)
			return fmt.Sprint(why, is), err
		}),
		step("Pin.Verify", func(ctx context.Context, _ *called, api *rpc.HttpApi) (any, error) {
			all, err := api.Pin().Verify(ctx)
			if err != nil {
				return nil, err
			}
			var list []string
			for s := range all {
				list = append(list, fmt.Sprint(s.Ok(), s.BadNodes(), s.Err()))
			}
			slices.Sort(list)
			return slices.Compact(list), nil
		}),
		step("Pin.Update", func(ctx context.Context, _ *called, api *rpc.HttpApi) (any, error) {
			return nil, api.Pin().Update(ctx, hello, at("/ipfs/"+otherCID))
		}),
		step("Pin.Rm", func(ctx context.Context, _ *called, api *rpc.HttpApi) (any, error) {
			return nil, api.Pin().Rm(ctx, folder)
		}),
		step("Pin.Rm(again)", func(ctx context.Context, _ *called, api *rpc.HttpApi) (any, error) {
			return nil, api.Pin().Rm(ctx, folder)
		}),

		// Keys and names.
		own(step("Key.Generate", func(ctx context.Context, _ *called, api *rpc.HttpApi) (any, error) {
			k, err := api.Key().Generate(ctx, "site", options.Key.Type(options.Ed25519Key))
			return keyShape(k), err
		})),
		step("Key.Generate(again)", func(ctx context.Context, _ *called, api *rpc.HttpApi) (any, error) {
			k, err := api.Key().Generate(ctx, "site")
			return keyShape(k), err
		}),
		step("Key.List", func(ctx context.Context, _ *called, api *rpc.HttpApi) (any, error) {
			keys, err := api.Key().List(ctx)
			var names []string
			for _, k := range keys {
				names = append(names, k.Name())
			}
			return names, err
		}),
		step("Key.Self", func(ctx context.Context, _ *called, api *rpc.HttpApi) (any, error) {
			k, err := api.Key().Self(ctx)
			if err != nil {
				return nil, err
			}
			return k.ID().String(), nil
		}),
		step("Key.Sign and Verify", func(ctx context.Context, _ *called, api *rpc.HttpApi) (any, error) {
			_, sig, err := api.Key().Sign(ctx, "self", []byte("data"))
			if err != nil {
				return nil, err
			}
			_, good, err := api.Key().Verify(ctx, "self", sig, []byte("data"))
			if err != nil {
				return nil, err
			}
			_, bad, err := api.Key().Verify(ctx, "self", sig, []byte("other"))
			return []bool{good, bad}, err
		}),
		step("Key.Rename", func(ctx context.Context, _ *called, api *rpc.HttpApi) (any, error) {
			k, over, err := api.Key().Rename(ctx, "site", "blog")
			return fmt.Sprint(keyShape(k), over), err
		}),
		step("Name.Publish", func(ctx context.Context, d *called, api *rpc.HttpApi) (any, error) {
			return text(api.Name().Publish(ctx, hello, options.Name.ValidTime(time.Hour), options.Name.TTL(10*time.Second)))
		}),
		step("Name.Resolve", func(ctx context.Context, d *called, api *rpc.HttpApi) (any, error) {
			p, err := api.Name().Resolve(ctx, d.given("{self}"))
			if err != nil {
				return nil, err
			}
			return p.String(), nil
		}),
		step("Name.Search", func(ctx context.Context, d *called, api *rpc.HttpApi) (any, error) {
			results, err := api.Name().Search(ctx, d.given("/ipns/{peer}"))
			if err != nil {
				return nil, err
			}
			last := ""
			for r := range results {
				last = fmt.Sprint(r.Path, r.Err)
			}
			return last, nil
		}),
		step("Name.Resolve(no name)", func(ctx context.Context, d *called, api *rpc.HttpApi) (any, error) {
			return text(api.Name().Resolve(ctx, "nope"))
		}),
		step("Key.Remove", func(ctx context.Context, _ *called, api *rpc.HttpApi) (any, error) {
			k, err := api.Key().Remove(ctx, "blog")
			return keyShape(k), err
		}),
		step("Key.Remove(none)", func(ctx context.Context, _ *called, api *rpc.HttpApi) (any, error) {
			k, err := api.Key().Remove(ctx, "none")
			return keyShape(k), err
		}),

		// Routing and the network.
		step("Routing.Get", func(ctx context.Context, d *called, api *rpc.HttpApi) (any, error) {
			b, err := api.Routing().Get(ctx, d.given("/ipns/{peer}"))
			return len(b) > 200, err
		}),
		step("Routing.Provide", func(ctx context.Context, _ *called, api *rpc.HttpApi) (any, error) {
			return nil, api.Routing().Provide(ctx, hello)
		}),
		step("Routing.FindPeer", func(ctx context.Context, d *called, api *rpc.HttpApi) (any, error) {
			id, err := peer.Decode(d.neighbour.peerID())
			if err != nil {
				return nil, err
			}
			p, err := api.Routing().FindPeer(ctx, id)
			return p.ID == id && len(p.Addrs) > 0, err
		}),
		step("Routing.FindProviders", func(ctx context.Context, d *called, api *rpc.HttpApi) (any, error) {
			found, err := api.Routing().FindProviders(ctx, hello, options.Routing.NumProviders(1))
			if err != nil {
				return nil, err
			}
			n := 0
			for range found {
				n++
			}
			return n, nil
		}),
		step("Swarm.Peers", func(ctx context.Context, d *called, api *rpc.HttpApi) (any, error) {
			peers, err := api.Swarm().Peers(ctx)
			if err != nil {
				return nil, err
			}
			return slices.ContainsFunc(peers, func(p iface.ConnectionInfo) bool { return p.ID().String() == d.neighbour.peerID() }), nil
		}),
		step("Swarm.ListenAddrs", func(ctx context.Context, d *called, api *rpc.HttpApi) (any, error) {
			addrs, err := api.Swarm().ListenAddrs(ctx)
			return len(addrs) > 0, err
		}),
		step("Swarm.KnownAddrs", func(ctx context.Context, d *called, api *rpc.HttpApi) (any, error) {
			known, err := api.Swarm().KnownAddrs(ctx)
			return len(known) > 0, err
		}),
	}
}

// text is a result that prints itself.
func text(v fmt.Stringer, err error) (any, error) {
	if err != nil {
		return nil, err
	}
	return v.String(), nil
}

// nodeBytes is the node of nodeCID as DAG-CBOR.
var nodeBytes = []byte{0xa1, 0x61, 'a', 0xa1, 0x61, 'b', 0x82, 0x01, 0x63, 't', 'w', 'o'}

// keyShape is what can be compared of a new key.
func keyShape(k iface.Key) any {
	if k == nil {
		return nil
	}
	return map[string]int{k.Name(): len(k.ID().String()), "path": len(k.Path().String())}
}

func pinned(ctx context.Context, api *rpc.HttpApi, opts ...options.PinLsOption) ([]string, error) {
	pins, err := drained(func(out chan<- iface.Pin) error { return api.Pin().Ls(ctx, out, opts...) })
	var list []string
	for _, p := range pins {
		if p.Path().RootCid().String() != emptyFolder {
			list = append(list, fmt.Sprint(p.Path(), p.Type(), p.Name()))
		}
	}
	slices.Sort(list)
	return list, err
}

// emptyFolder is pinned by Kubo's init, and not by ours.
const emptyFolder = "QmUNLLsPACCz1vLxQVkXqqLX5R1X345qqfHbsf67hvA3Nn"

// drained collects what a call sends until it ends.
func drained[T any](call func(chan<- T) error) ([]T, error) {
	out := make(chan T)
	failed := make(chan error, 1)
	go func() { failed <- call(out) }()
	var list []T
	for v := range out {
		list = append(list, v)
	}
	return list, <-failed
}
