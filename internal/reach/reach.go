// Package reach finds out who can fetch content from this node, and says it in words that
// are true: what others found when they tried to connect, what the router does with ports,
// and over which relays the node is reached.
//
// Contract: the words never promise more than is known. Public relays connect nodes and
// carry a few messages, but no content: nodes send none over a limited connection.
package reach

import (
	"slices"

	"github.com/libp2p/go-libp2p/core/network"
	ma "github.com/multiformats/go-multiaddr"
	manet "github.com/multiformats/go-multiaddr/net"
)

// Fetch is who can fetch content from this node.
type Fetch string

// The values of a [Fetch].
const (
	Nobody   Fetch = "nobody"
	Public   Fetch = "public"    // those that others can connect to
	Punched  Fetch = "punched"   // those, and the ones behind routers that keep one port for all destinations
	OverIPv6 Fetch = "ipv6"      // those that have IPv6
	OverOwn  Fetch = "relay"     // anyone, over a relay of one's own
	Anyone   Fetch = "anyone"    //
	NotYet   Fetch = "not-known" // nobody has tried to connect yet
)

// Facts are what is known of how others reach this node.
type Facts struct {
	State network.Reachability // as libp2p sees it as a whole
	// Addresses at which others could connect, and at which they could not.
	Reachable, Unreachable []ma.Multiaddr
	Addrs                  []ma.Multiaddr // that are announced
	UDP, TCP               NAT
	NoPunching             bool // hole punching is off
	// OwnRelay says that one of the config's relays is there; Limited, that those that are
	// there limit connections; Configured, that the config has some.
	OwnRelay, Limited, Configured bool
}

// Verdict is who can fetch from this node, and why.
type Verdict struct {
	Fetch    Fetch
	Words    string // for people
	UDP, TCP NAT
	// State is Public, Private or Unknown, as Kubo says it.
	State network.Reachability
}

// Known reports whether others have tried to connect.
func (v Verdict) Known() bool { return v.Fetch != NotYet }

// waysOut is what can help a node that others cannot connect to.
const waysOut = "forward the port of Addresses.Swarm (UDP and TCP) in your router, use IPv6, " +
	"run 'ipns relay' on a host with a public address and set it in Swarm.RelayClient.StaticRelays, or pin the content on such a host"

// Judge says who can fetch from a node.
func Judge(f Facts) Verdict {
	v := Verdict{UDP: f.UDP, TCP: f.TCP, State: f.State}
	v.Fetch, v.Words = f.direct()
	if v.Fetch == "" {
		v.Fetch, v.Words = f.private()
	}
	return v
}

// direct is for a node to which others connect, or of which that is not known; Fetch is ""
// for others.
func (f Facts) direct() (Fetch, string) {
	tried := f.Reachable
	if f.State == network.ReachabilityPublic && len(tried) == 0 {
		tried = f.Addrs // some of them, and no others
	}
	public := slices.DeleteFunc(slices.Clone(tried), func(a ma.Multiaddr) bool { return !manet.IsPublicAddr(a) || relayed(a) })
	over6 := len(public) > 0 && !slices.ContainsFunc(public, func(a ma.Multiaddr) bool { return !isIPv6(a) })
	switch {
	case over6:
		fetch, words := f.private()
		if fetch == OverOwn {
			return OverOwn, "public over IPv6, and reached over your own relay: others can fetch from here"
		}
		return OverIPv6, "public over IPv6 alone: others that have IPv6 can fetch from here. For those that have not: " + words
	case len(public) > 0, f.State == network.ReachabilityPublic:
		const words = "public: others can connect to this node, and fetch from it"
		if len(f.Reachable) > 0 && !slices.ContainsFunc(f.Reachable, overTCP) {
			return Anyone, words + "; those whose network lets no UDP out perhaps not: at a TCP address nobody could so far"
		}
		return Anyone, words
	case f.State == network.ReachabilityPrivate, len(f.Unreachable) > 0:
		return "", ""
	case f.OwnRelay && !f.Limited:
		return "", ""
	case slices.ContainsFunc(f.Addrs, relayed):
		return NotYet, "not known yet: relays know this node, nobody has tried to connect to it directly so far"
	case slices.ContainsFunc(f.Addrs, func(a ma.Multiaddr) bool { return manet.IsPublicAddr(a) }):
		return NotYet, "not known yet: this node has a public address, nobody has tried to connect so far"
	}
	return NotYet, "not known yet: only local addresses are known, nobody has tried to connect so far"
}

// private is for a node to which others cannot connect.
func (f Facts) private() (Fetch, string) {
	const private = "private: names work; "
	known := slices.ContainsFunc(f.Addrs, relayed)
	switch {
	case f.OwnRelay && !f.Limited:
		return OverOwn, "private, reached over your own relay: others can fetch from here over it"
	case f.OwnRelay:
		return f.punched(private + "the relay in Swarm.RelayClient.StaticRelays limits connections, and carries no content; ")
	case f.Configured:
		return Nobody, private + "the relay in Swarm.RelayClient.StaticRelays is not reached, or does not take this node ('ipns doctor' says which): " +
			"until then nobody can fetch from here. Other ways: " + waysOut
	case !known:
		return Nobody, private + "no relay knows this node (yet), so nobody can fetch from here: " + waysOut
	}
	return f.punched(private)
}

// punched is for a node that is known to relays, which help to make direct connections.
func (f Facts) punched(private string) (Fetch, string) {
	const others = ". Public relays carry no content. For all others: " + waysOut
	const onlyPublic = "only nodes that others can connect to can fetch from here, "
	switch {
	case f.NoPunching:
		return Nobody, private + "Swarm.EnableHolePunching is false, so nobody can fetch from here" + others
	case f.UDP == Each:
		return Public, private + "your router gives each connection a port of its own (symmetric NAT), so holes cannot be punched: " +
			onlyPublic + "nobody behind a router or firewall of its own can" + others
	case f.UDP == Same:
		return Punched, private + "holes can be punched through your router, so others can fetch from here, but for those " +
			"behind a router that gives each connection a port of its own (symmetric NAT, as in many mobile networks)" + others
	case f.UDP == Blocked:
		return Public, private + "UDP does not get out of your network, so holes can hardly be punched: " +
			onlyPublic + "hardly anybody behind a router or firewall of its own can" + others
	}
	return Public, private + "whether holes can be punched is not known yet: for now " + onlyPublic +
		"those behind a router or firewall of their own perhaps" + others
}

func relayed(a ma.Multiaddr) bool {
	_, err := a.ValueForProtocol(ma.P_CIRCUIT)
	return err == nil
}

func overTCP(a ma.Multiaddr) bool {
	_, err := a.ValueForProtocol(ma.P_TCP)
	return err == nil && manet.IsPublicAddr(a)
}

func isIPv6(a ma.Multiaddr) bool {
	return len(a) > 0 && (a[0].Code() == ma.P_IP6 || a[0].Code() == ma.P_DNS6)
}
