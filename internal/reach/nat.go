package reach

import (
	"net/netip"
	"slices"

	ma "github.com/multiformats/go-multiaddr"
	manet "github.com/multiformats/go-multiaddr/net"
)

// NAT is what a router does with the ports of connections from inside. Whether it can be
// punched depends on it.
type NAT string

// The kinds of a [NAT].
const (
	// Unknown: too few others have said what they see.
	Unknown NAT = ""
	// Same: one port outside for all destinations, so that others can be told of it: full
	// cone, restricted cone and port-restricted routers, and none at all.
	Same NAT = "endpoint-independent"
	// Each: another port for each destination (symmetric).
	Each NAT = "endpoint-dependent"
	// Blocked: nothing gets out, though by TCP it does.
	Blocked NAT = "blocked"
)

// Limits of what is remembered of one way.
const (
	enoughSeen = 3  // others that must have said what they see
	mostSeen   = 12 // of whom the last ones count, since the address may change
)

// seen is what others see of connections that this node has opened in one way, the last
// one at the end.
//
// libp2p has an event for the kind of the NAT, too. It comes once a minute, needs nine
// others, and in v0.51 says of TCP what is true of UDP.
type seen []sighting

type sighting struct {
	by      netip.Addr     // who says so
	inside  netip.AddrPort // where the connection begins
	outside netip.AddrPort // where they see it begin
}

// add notes what another one sees.
func (s seen) add(n sighting) seen {
	s = append(slices.DeleteFunc(s, func(o sighting) bool { return o.by == n.by }), n)
	if len(s) > mostSeen {
		s = slices.Delete(s, 0, 1)
	}
	return s
}

// kind is what most see of connections that begin at one place, the last one of which enough
// have said something: this machine may have several addresses, and get others.
func (s seen) kind() NAT {
	for _, last := range slices.Backward(s) {
		same, all, most := map[netip.AddrPort]int{}, 0, 0
		for _, n := range s {
			if n.inside == last.inside {
				all++
				same[n.outside]++
				most = max(most, same[n.outside])
			}
		}
		switch {
		case all < enoughSeen:
		case 2*most > all:
			return Same
		default:
			return Each
		}
	}
	return Unknown
}

// way is what routers treat alike.
type way struct{ udp, ipv6 bool }

// endpoint is the address and port at the beginning of a multiaddr that is of no relay.
func endpoint(a ma.Multiaddr) (at netip.AddrPort, by way, ok bool) {
	if len(a) < 2 || relayed(a) {
		return at, by, false
	}
	switch a[0].Code() {
	case ma.P_IP4:
	case ma.P_IP6:
		by.ipv6 = true
	default:
		return at, by, false
	}
	switch a[1].Code() {
	case ma.P_TCP:
	case ma.P_UDP:
		by.udp = true
	default:
		return at, by, false
	}
	n, err := manet.ToNetAddr(a[:2])
	if err != nil {
		return at, by, false
	}
	at, err = netip.ParseAddrPort(n.String())
	return at, by, err == nil
}
