package verbs

import (
	"cmp"
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"iter"
	"runtime"
	"runtime/debug"
	"slices"
	"strconv"

	"github.com/libp2p/go-libp2p/core/crypto"
	"github.com/libp2p/go-libp2p/core/host"
	"github.com/libp2p/go-libp2p/core/peer"

	"github.com/goipns/ipns"
	"github.com/goipns/ipns/api"
	"github.com/goipns/ipns/internal/repo"
	"github.com/goipns/ipns/node"
	"github.com/goipns/ipns/rpc"
)

func (n *verbs) handleNode(m *rpc.Mux) {
	rpc.Handle(m, api.Version, rpc.One(n.version))
	rpc.Handle(m, api.VersionDeps, n.versionDeps)
	rpc.Handle(m, api.ID, rpc.One(n.id))
	rpc.Handle(m, api.Commands, rpc.One(n.commands))
	rpc.Handle(m, api.Shutdown, rpc.One(n.shutdown))
}

// versionDeps implements the command. The first is this module itself.
func (n *verbs) versionDeps(context.Context, api.VersionDepsRequest) iter.Seq2[api.Dependency, error] {
	return func(yield func(api.Dependency, error) bool) {
		info, ok := debug.ReadBuildInfo()
		if !ok {
			yield(api.Dependency{}, errors.New("no embedded dependency information"))
			return
		}
		for _, m := range append([]*debug.Module{&info.Main}, info.Deps...) {
			d := api.Dependency{Path: m.Path, Version: m.Version, Sum: m.Sum}
			if r := m.Replace; r != nil {
				d.ReplacedBy = r.Path + "@" + r.Version
			}
			if !yield(d, nil) {
				return
			}
		}
	}
}

// version implements the command.
func (n *verbs) version(context.Context, api.VersionRequest) (api.NodeVersion, error) {
	return api.NodeVersion{
		Version: node.Release,
		Repo:    strconv.Itoa(repo.Version),
		System:  runtime.GOARCH + "/" + runtime.GOOS,
		Golang:  runtime.Version(),
	}, nil
}

// shutdown implements the command.
func (n *verbs) shutdown(context.Context, api.ShutdownRequest) (rpc.Nothing, error) {
	n.Stop()
	return rpc.Nothing{}, nil
}

// id implements the command.
func (n *verbs) id(ctx context.Context, req api.IDRequest) (api.Identity, error) {
	encode, err := nameEncoder(cmp.Or(req.Base, "b58mh"))
	if err != nil {
		return api.Identity{}, err
	}
	if req.Peer != "" {
		p, err := peer.Decode(req.Peer)
		if err != nil {
			return api.Identity{}, errors.New("invalid peer id")
		}
		if p != n.Name.PeerID() && (n.Host == nil || p != n.Host.ID()) {
			return n.otherID(ctx, p, encode)
		}
	}
	pub, err := ipns.MarshalPublicKey(n.HostKey.GetPublic())
	if err != nil {
		return api.Identity{}, err
	}
	self, err := ipns.NameOf(n.HostKey.GetPublic())
	if err != nil {
		return api.Identity{}, err
	}
	id := api.Identity{
		ID:           encode(self),
		KeysLocked:   n.Identity.Locked(),
		PublicKey:    base64.StdEncoding.EncodeToString(pub),
		AgentVersion: n.Agent,
	}
	if n.Host != nil {
		for _, a := range n.Host.Addrs() {
			id.Addresses = append(id.Addresses, fmt.Sprintf("%s/p2p/%s", a, n.Host.ID()))
		}
		slices.Sort(id.Addresses)
		for _, p := range n.Host.Mux().Protocols() {
			id.Protocols = append(id.Protocols, string(p))
		}
		slices.Sort(id.Protocols)
		id.Reachability = n.Network.Reachability().Words
	}
	return id, nil
}

// otherID connects to another peer and returns what it says about itself; offline, what is
// known of it.
func (n *verbs) otherID(ctx context.Context, p peer.ID, encode func(ipns.Name) string) (api.Identity, error) {
	if !rpc.IsOffline(ctx) {
		if err := n.dial(ctx, p); err != nil {
			return api.Identity{}, err
		}
	}
	name, err := ipns.NameFromPeerID(p)
	if err != nil {
		return api.Identity{}, err
	}
	id := api.Identity{ID: encode(name)}
	if n.Host != nil {
		fillFromPeerstore(&id, n.Host, p)
	}
	return id, nil
}

// dial finds a peer and connects to it.
func (n *verbs) dial(ctx context.Context, p peer.ID) error {
	if n.Host == nil {
		return api.ErrOffline
	}
	if known := n.Host.Peerstore().PeerInfo(p); len(known.Addrs) > 0 && n.Host.Connect(ctx, known) == nil {
		return nil // where it was last
	}
	info, err := n.Finder.FindPeer(ctx, p)
	if err != nil {
		return err
	}
	return n.Host.Connect(ctx, info)
}

// identity is what a connected peer has said of itself.
func identity(h host.Host, p peer.ID) api.Identity {
	id := api.Identity{ID: p.String()}
	fillFromPeerstore(&id, h, p)
	return id
}

func fillFromPeerstore(id *api.Identity, h host.Host, p peer.ID) {
	ps := h.Peerstore()
	if key := ps.PubKey(p); key != nil {
		if b, err := crypto.MarshalPublicKey(key); err == nil {
			id.PublicKey = base64.StdEncoding.EncodeToString(b)
		}
	}
	for _, a := range ps.Addrs(p) {
		id.Addresses = append(id.Addresses, fmt.Sprintf("%s/p2p/%s", a, p))
	}
	slices.Sort(id.Addresses)
	if protocols, err := ps.GetProtocols(p); err == nil {
		for _, s := range protocols {
			id.Protocols = append(id.Protocols, string(s))
		}
		slices.Sort(id.Protocols)
	}
	if v, err := ps.Get(p, "AgentVersion"); err == nil {
		id.AgentVersion, _ = v.(string)
	}
}
