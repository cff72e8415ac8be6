package daemon

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"slices"

	"github.com/libp2p/go-libp2p/core/crypto"
	"github.com/libp2p/go-libp2p/core/host"
	"github.com/libp2p/go-libp2p/core/peer"

	"github.com/goipns/ipns"
	"github.com/goipns/ipns/rpc"
)

// Version implements [rpc.Control].
func (n *Node) Version(context.Context, rpc.VersionRequest) (rpc.Version, error) {
	return Version(), nil
}

// Shutdown implements [rpc.Control].
func (n *Node) Shutdown(context.Context, rpc.ShutdownRequest) (rpc.Nothing, error) {
	n.stopOnce.Do(func() { close(n.stopping) })
	return rpc.Nothing{}, nil
}

// Config implements [rpc.Control]. A change takes effect at the next start.
func (n *Node) Config(_ context.Context, req rpc.ConfigRequest) (rpc.ConfigValue, error) {
	if req.Value == nil {
		v, err := n.repo.Get(req.Key)
		return rpc.ConfigValue{Key: req.Key, Value: v}, err
	}
	var v any = *req.Value
	switch {
	case req.JSON:
		if err := json.Unmarshal([]byte(*req.Value), &v); err != nil {
			return rpc.ConfigValue{}, fmt.Errorf("failed to unmarshal json. %w", err)
		}
	case req.Bool:
		v = *req.Value == "true"
	}
	warnings, err := n.repo.Set(req.Key, v)
	return rpc.ConfigValue{Key: req.Key, Value: v, Warnings: warnings}, err
}

// ConfigShow implements [rpc.Control].
func (n *Node) ConfigShow(context.Context, rpc.ConfigShowRequest) (rpc.ConfigTree, error) {
	return n.repo.Show()
}

// ID implements [rpc.Control].
func (n *Node) ID(ctx context.Context, req rpc.IDRequest) (rpc.ID, error) {
	encode, err := nameEncoder(or(req.Base, "b58mh"))
	if err != nil {
		return rpc.ID{}, err
	}
	if req.Peer != "" {
		p, err := peer.Decode(req.Peer)
		if err != nil {
			return rpc.ID{}, errors.New("invalid peer id")
		}
		if p != n.name.PeerID() {
			return n.otherID(ctx, p, encode)
		}
	}
	pub, err := ipns.MarshalPublicKey(n.priv.GetPublic())
	if err != nil {
		return rpc.ID{}, err
	}
	id := rpc.ID{
		ID:           encode(n.name),
		PublicKey:    base64.StdEncoding.EncodeToString(pub),
		AgentVersion: agent,
	}
	if n.host != nil {
		for _, a := range n.host.Addrs() {
			id.Addresses = append(id.Addresses, fmt.Sprintf("%s/p2p/%s", a, n.host.ID()))
		}
		slices.Sort(id.Addresses)
		for _, p := range n.host.Mux().Protocols() {
			id.Protocols = append(id.Protocols, string(p))
		}
		slices.Sort(id.Protocols)
		id.Reachability = n.Reachability()
	}
	return id, nil
}

// Reachability says in words whether others can fetch from this node, which is
// not offline.
func (n *Node) Reachability() string { return n.reach.words(n.host) }

// otherID is what is known of another peer, after connecting to it.
func (n *Node) otherID(ctx context.Context, p peer.ID, encode func(ipns.Name) string) (rpc.ID, error) {
	if n.host == nil {
		return rpc.ID{}, rpc.ErrOffline
	}
	info, err := n.dht.Dual.FindPeer(ctx, p)
	if err != nil {
		return rpc.ID{}, err
	}
	if err := n.host.Connect(ctx, info); err != nil {
		return rpc.ID{}, err
	}
	name, err := ipns.NameFromPeerID(p)
	if err != nil {
		return rpc.ID{}, err
	}
	id := rpc.ID{ID: encode(name)}
	fillFromPeerstore(&id, n.host, p)
	return id, nil
}

func fillFromPeerstore(id *rpc.ID, h host.Host, p peer.ID) {
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
