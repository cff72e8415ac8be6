package host

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"slices"
	"strings"
	"sync"
	"time"

	kaddht "github.com/libp2p/go-libp2p-kad-dht"
	"github.com/libp2p/go-libp2p/core/host"
	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/peer"
	ma "github.com/multiformats/go-multiaddr"
	manet "github.com/multiformats/go-multiaddr/net"

	"github.com/goipns/ipns/internal/durable"
	"github.com/goipns/ipns/internal/repo"
	"github.com/goipns/ipns/routing/dht"
)

// noteEvery is how much older than the last WAN answer the stored time may be. It is
// short compared with the 30 days for which an answer counts.
const noteEvery = time.Hour

// bootstrap holds the bootstrap peers and what the node knows about their networks.
type bootstrap struct {
	changed chan struct{} // has an element when peers were added

	mu       sync.Mutex // guards all below, and changes of the config's Bootstrap
	peers    []peer.AddrInfo
	since    time.Time // when the peers were last changed
	wan, lan bool      // a bootstrap peer that serves the network was reached
	answered time.Time // stored time of the last answer from a WAN server
}

func (b *bootstrap) list() []peer.AddrInfo {
	b.mu.Lock()
	defer b.mu.Unlock()
	return slices.Clone(b.peers)
}

// fresh reports whether the peers are so new that none may have been reached yet.
func (b *bootstrap) fresh() bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	return time.Since(b.since) <= joinTimeout
}

// cut reports whether there are bootstrap peers but none is connected.
func (b *bootstrap) cut(h host.Host) bool {
	peers := b.list()
	return len(peers) > 0 && !slices.ContainsFunc(peers, func(p peer.AddrInfo) bool {
		return h.Network().Connectedness(p.ID) == network.Connected
	})
}

// signs returns the facts that decide which network should be there.
func (b *bootstrap) signs() dht.Signs {
	b.mu.Lock()
	defer b.mu.Unlock()
	return dht.Signs{Bootstrap: len(b.peers) > 0, ReachedWAN: b.wan, ReachedLAN: b.lan, AnsweredWAN: b.answered}
}

// look records which networks the connected bootstrap peers serve: the WAN if connected
// over a public address, else the LAN. A peer that serves neither does not count as
// reached.
func (b *bootstrap) look(n *Network) {
	for _, p := range b.list() {
		public, private := false, false
		for _, c := range n.Host.Network().ConnsToPeer(p.ID) {
			if manet.IsPublicAddr(c.RemoteMultiaddr()) {
				public = true
			} else {
				private = true
			}
		}
		serves, err := n.Host.Peerstore().SupportsProtocols(p.ID, dht.ProtocolWAN, dht.ProtocolLAN)
		if err != nil || !public && !private {
			continue
		}
		b.mu.Lock()
		if slices.ContainsFunc(b.peers, func(q peer.AddrInfo) bool { return q.ID == p.ID }) { // still a bootstrap peer
			b.wan = b.wan || public && slices.Contains(serves, dht.ProtocolWAN)
			b.lan = b.lan || private && slices.Contains(serves, dht.ProtocolLAN)
		}
		b.mu.Unlock()
	}
}

// recallAnswered reads when the WAN last answered. A repo without that file may know it
// from its servers.
func (n *Network) recallAnswered() {
	at := n.DHT.WAN.Map().Answered()
	b, err := os.ReadFile(n.repo.Answered())
	if err == nil {
		var noted time.Time
		if noted, err = time.Parse(time.RFC3339, strings.TrimSpace(string(b))); noted.After(at) {
			at = noted
		}
	}
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		n.log.Warn("cannot read when the public network last answered", "err", err)
	}
	n.boot.mu.Lock()
	defer n.boot.mu.Unlock()
	n.boot.answered = at
}

// noteAnswered stores when the WAN last answered, if the stored time is old.
func (n *Network) noteAnswered(at time.Time) {
	n.boot.mu.Lock()
	defer n.boot.mu.Unlock()
	if at.IsZero() || at.Sub(n.boot.answered).Abs() < noteEvery {
		return
	}
	n.boot.answered = at
	if err := durable.Replace(n.repo.Answered(), []byte(at.UTC().Format(time.RFC3339)+"\n"), 0o600); err != nil {
		n.log.Warn("cannot store when the public network last answered", "err", err)
	}
}

// forgetNetworks clears everything that made a network expected. Later answers count
// again. Call with boot.mu held.
func (n *Network) forgetNetworks() error {
	n.boot.answered = time.Time{}
	if n.DHT != nil {
		n.DHT.WAN.Forget()
		n.DHT.LAN.Forget()
	}
	if err := os.Remove(n.repo.Answered()); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return nil
}

// ErrNotBootstrap means that a peer to remove is not a bootstrap peer.
var ErrNotBootstrap = errors.New("is not a bootstrap peer")

// Bootstrap returns the bootstrap peers of the config. With expand, "auto" is replaced by
// those of the public network.
func (n *Network) Bootstrap(expand bool) ([]string, error) {
	c, err := n.repo.Config()
	if err != nil {
		return nil, err
	}
	if expand {
		return ExpandBootstrap(c.Bootstrap), nil
	}
	return append([]string{}, c.Bootstrap...), nil
}

// ExpandBootstrap replaces "auto" by the bootstrap peers of the public network.
func ExpandBootstrap(peers []string) []string {
	list := []string{}
	for _, p := range peers {
		if p != repo.Auto {
			list = append(list, p)
			continue
		}
		for _, a := range kaddht.DefaultBootstrapPeers {
			list = append(list, a.String())
		}
	}
	return list
}

// AddBootstrap adds bootstrap peers to the config and returns the new ones. A network
// that is not joined is tried at once.
func (n *Network) AddBootstrap(add []string) (added []string, err error) {
	added = []string{}
	err = n.changeBootstrap(func(list []string) ([]string, error) {
		for _, p := range add {
			if !slices.Contains(list, p) {
				list, added = append(list, p), append(added, p)
			}
		}
		return list, nil
	})
	return added, err
}

// RemoveBootstrap removes bootstrap peers, or all, and returns them. If none is left, the
// node is no longer expected to be on a network, unless servers still answer.
func (n *Network) RemoveBootstrap(peers []string, all bool) (removed []string, err error) {
	removed = []string{}
	err = n.changeBootstrap(func(list []string) ([]string, error) {
		n.boot.wan, n.boot.lan = false, false // by those that are left
		for _, p := range peers {
			if !slices.ContainsFunc(list, func(have string) bool { return removes(p, have) }) {
				return nil, fmt.Errorf("%s %w", p, ErrNotBootstrap)
			}
		}
		return slices.DeleteFunc(list, func(have string) bool {
			gone := all || slices.ContainsFunc(peers, func(p string) bool { return removes(p, have) })
			if gone {
				removed = append(removed, have)
			}
			return gone
		}), nil
	})
	return removed, err
}

// removes reports whether to remove have when asked to remove p: they are equal, or p is
// the peer of have, without an address.
func removes(p, have string) bool {
	return p == have || strings.HasPrefix(p, "/p2p/") && strings.HasSuffix(have, p)
}

// changeBootstrap changes the config's Bootstrap, and uses it at once. When none is left
// in the config, peers given when the daemon was started are dropped too.
func (n *Network) changeBootstrap(change func([]string) ([]string, error)) error {
	if n.Host != nil {
		defer n.boot.look(n)
	}
	n.boot.mu.Lock()
	defer n.boot.mu.Unlock()
	c, err := n.repo.Config()
	if err != nil {
		return err
	}
	list, err := change(slices.Clone(c.Bootstrap))
	if err != nil {
		return err
	}
	// Warnings are about keys that this program does not use; it uses this one.
	if _, err := n.repo.Set("Bootstrap", append([]string{}, list...)); err != nil {
		return err
	}
	if len(list) == 0 {
		n.besides = nil
	}
	if n.boot.peers, err = ParseBootstrap(list, n.besides); err != nil {
		return err
	}
	if len(list) == 0 {
		return n.forgetNetworks()
	}
	n.boot.since = time.Now()
	select {
	case n.boot.changed <- struct{}{}:
	default:
	}
	return nil
}

// ParseBootstrap parses the config's Bootstrap and additional peers.
func ParseBootstrap(lists ...[]string) ([]peer.AddrInfo, error) {
	var addrs []ma.Multiaddr
	for _, text := range slices.Concat(lists...) {
		if text == repo.Auto {
			addrs = append(addrs, kaddht.DefaultBootstrapPeers...)
			continue
		}
		m, err := ma.NewMultiaddr(text)
		if err != nil {
			return nil, fmt.Errorf("bootstrap peer %q: %w", text, err)
		}
		addrs = append(addrs, m)
	}
	peers, err := peer.AddrInfosFromP2pAddrs(addrs...)
	if err != nil {
		return nil, fmt.Errorf("bootstrap peers: %w; an address ends with /p2p/ and a peer id", err)
	}
	return peers, nil
}
