package transport

import (
	"fmt"
	"net"
	"slices"
	"strings"
	"sync"

	"github.com/libp2p/go-libp2p/core/control"
	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/peer"
	ma "github.com/multiformats/go-multiaddr"
	manet "github.com/multiformats/go-multiaddr/net"

	"github.com/goipns/ipns/internal/repo"
)

// Ranges are address ranges that are neither dialled nor accepted.
type Ranges struct {
	mu   sync.RWMutex
	nets []*net.IPNet // guarded by mu
}

// ParseRanges parses ranges written as multiaddrs: /ip4/10.0.0.0/ipcidr/8.
func ParseRanges(texts []string) (*Ranges, error) {
	r := &Ranges{}
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
		return nil, fmt.Errorf("invalid multiaddr-filter format: %q is not an address range such as /ip4/10.0.0.0/ipcidr/8", text)
	}
	_, n, err := net.ParseCIDR(parts[2] + "/" + parts[4])
	return n, err
}

func (r *Ranges) has(a ma.Multiaddr) bool {
	ip, err := manet.ToIP(a)
	if err != nil {
		return false
	}
	r.mu.RLock()
	defer r.mu.RUnlock()
	return slices.ContainsFunc(r.nets, func(n *net.IPNet) bool { return n.Contains(ip) })
}

// Add adds ranges that are not there yet.
func (r *Ranges) Add(more *Ranges) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, n := range more.nets {
		if !slices.ContainsFunc(r.nets, same(n)) {
			r.nets = append(r.nets, n)
		}
	}
}

// Remove removes ranges.
func (r *Ranges) Remove(gone *Ranges) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, n := range gone.nets {
		r.nets = slices.DeleteFunc(r.nets, same(n))
	}
}

// Clear removes all ranges.
func (r *Ranges) Clear() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.nets = nil
}

func same(n *net.IPNet) func(*net.IPNet) bool {
	return func(m *net.IPNet) bool { return n.String() == m.String() }
}

// Texts writes the ranges as multiaddrs.
func (r *Ranges) Texts() (list []string) {
	r.mu.RLock()
	defer r.mu.RUnlock()
	for _, n := range r.nets {
		kind := "ip6"
		if n.IP.To4() != nil {
			kind = "ip4"
		}
		ones, _ := n.Mask.Size()
		list = append(list, fmt.Sprintf("/%s/%s/ipcidr/%d", kind, n.IP, ones))
	}
	return list
}

// The methods of a connection gater.

func (r *Ranges) InterceptPeerDial(peer.ID) bool                   { return true }
func (r *Ranges) InterceptAddrDial(_ peer.ID, a ma.Multiaddr) bool { return !r.has(a) }
func (r *Ranges) InterceptAccept(c network.ConnMultiaddrs) bool    { return !r.has(c.RemoteMultiaddr()) }

func (r *Ranges) InterceptSecured(d network.Direction, _ peer.ID, c network.ConnMultiaddrs) bool {
	return d == network.DirOutbound || !r.has(c.RemoteMultiaddr())
}

func (r *Ranges) InterceptUpgraded(network.Conn) (bool, control.DisconnectReason) { return true, 0 }

// announcer decides which addresses are announced.
type announcer struct {
	instead, also []ma.Multiaddr
	never         map[string]bool
	neverIn       Ranges
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
