package host

import (
	"fmt"
	"net"
	"strings"

	"github.com/libp2p/go-libp2p/core/control"
	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/peer"
	ma "github.com/multiformats/go-multiaddr"
	manet "github.com/multiformats/go-multiaddr/net"

	"github.com/goipns/ipns/internal/repo"
)

// ranges are address ranges that are neither dialled nor accepted.
type ranges struct{ nets []*net.IPNet }

// parseRanges parses ranges written as multiaddrs: /ip4/10.0.0.0/ipcidr/8.
func parseRanges(texts []string) (*ranges, error) {
	r := &ranges{}
	for _, t := range texts {
		n, err := parseRange(t)
		if err != nil {
			return nil, err
		}
		r.nets = append(r.nets, n)
	}
	return r, nil
}

func parseRange(text string) (*net.IPNet, error) {
	parts := strings.Split(text, "/")
	if len(parts) != 5 || parts[0] != "" || parts[3] != "ipcidr" {
		return nil, fmt.Errorf("%q is not an address range such as /ip4/10.0.0.0/ipcidr/8", text)
	}
	_, n, err := net.ParseCIDR(parts[2] + "/" + parts[4])
	return n, err
}

func (r *ranges) has(a ma.Multiaddr) bool {
	ip, err := manet.ToIP(a)
	if err != nil {
		return false
	}
	for _, n := range r.nets {
		if n.Contains(ip) {
			return true
		}
	}
	return false
}

// The methods of a connection gater.

func (r *ranges) InterceptPeerDial(peer.ID) bool                   { return true }
func (r *ranges) InterceptAddrDial(_ peer.ID, a ma.Multiaddr) bool { return !r.has(a) }
func (r *ranges) InterceptAccept(c network.ConnMultiaddrs) bool    { return !r.has(c.RemoteMultiaddr()) }

func (r *ranges) InterceptSecured(d network.Direction, _ peer.ID, c network.ConnMultiaddrs) bool {
	return d == network.DirOutbound || !r.has(c.RemoteMultiaddr())
}

func (r *ranges) InterceptUpgraded(network.Conn) (bool, control.DisconnectReason) { return true, 0 }

// announcer decides which addresses are announced.
type announcer struct {
	instead, also []ma.Multiaddr
	never         map[string]bool
	neverIn       ranges
}

func newAnnouncer(a repo.Addresses) (*announcer, error) {
	n := &announcer{never: map[string]bool{}}
	for _, list := range []struct {
		key   string
		texts []string
		to    *[]ma.Multiaddr
	}{
		{"Announce", a.Announce, &n.instead},
		{"AppendAnnounce", a.AppendAnnounce, &n.also},
	} {
		for _, t := range list.texts {
			m, err := ma.NewMultiaddr(t)
			if err != nil {
				return nil, fmt.Errorf("config Addresses.%s: %w", list.key, err)
			}
			*list.to = append(*list.to, m)
		}
	}
	for _, t := range a.NoAnnounce {
		if r, err := parseRange(t); err == nil {
			n.neverIn.nets = append(n.neverIn.nets, r)
			continue
		}
		m, err := ma.NewMultiaddr(t)
		if err != nil {
			return nil, fmt.Errorf("config Addresses.NoAnnounce: %w", err)
		}
		n.never[string(m.Bytes())] = true
	}
	return n, nil
}

func (n *announcer) addrs(found []ma.Multiaddr) []ma.Multiaddr {
	if len(n.instead) > 0 {
		found = n.instead
	}
	var out []ma.Multiaddr
	for _, m := range append(found[:len(found):len(found)], n.also...) {
		if !n.never[string(m.Bytes())] && !n.neverIn.has(m) {
			out = append(out, m)
		}
	}
	return out
}
