package nat

import (
	"fmt"
	"slices"
	"strings"
	"testing"
)

// A kind is how a home is connected to the public network.
type kind struct {
	name string
	says string // in the table

	ipv6   bool   // only IPv6, else only IPv4
	any    bool   // whoever knows the address of a machine can connect to it
	random bool   // each connection gets a port of its own
	noUDP  bool   // UDP is dropped, except DNS
	fetch  string // who can fetch from its nodes, as `ipns swarm addrs autonat` says it
	relay  bool   // its nodes have a relay of their owner
	opens  bool   // the router opens ports when it is asked to
}

var (
	cone      = kind{name: "cone", says: "full cone", fetch: "anyone", any: true}
	port      = kind{name: "port", says: "port-restricted", fetch: "punched"}
	symmetric = kind{name: "sym", says: "symmetric", fetch: "public", random: true}
	noUDP     = kind{name: "noudp", says: "no UDP", fetch: "public", noUDP: true}
	ipv6      = kind{name: "ip6", says: "IPv6 only", fetch: "ipv6", ipv6: true, any: true}
	portRelay = kind{name: "port-relay", says: "port-restricted, own relay", fetch: "relay", relay: true}
	symRelay  = kind{name: "sym-relay", says: "symmetric, own relay", fetch: "relay", random: true, relay: true}
	openPorts = kind{name: "upnp", says: "UPnP, NAT-PMP, PCP", fetch: "anyone", opens: true, any: true}
	firewall6 = kind{name: "fw6", says: "IPv6 only, firewall", fetch: "punched", ipv6: true}
)

var allKinds = []kind{cone, port, symmetric, noUDP, ipv6, firewall6, portRelay, symRelay, openPorts}

// A home is a router on the public network, and a machine behind it.
type home struct {
	kind
	net     *internet
	name    string
	number  int
	router  namespace
	machine namespace
	opener  *portOpener // nil: its router opens no ports by itself
}

// What the daemons in a home listen on.
const (
	oursPort = 4001
	kuboPort = 4002
)

// newHome makes a home, which ends with the test.
func (n *internet) newHome(t *testing.T, k kind, name string) *home {
	t.Helper()
	n.homes++
	h := &home{kind: k, net: n, name: name, number: n.homes}
	full := n.name + "-" + name
	h.router, h.machine = newNamespace(t, full+"-r"), newNamespace(t, full)
	for _, ns := range []namespace{h.router, h.machine} {
		ns.run(t, "sysctl", "-qw", "net.ipv6.conf.all.accept_dad=0", "net.ipv6.conf.default.accept_dad=0")
	}
	h.router.run(t, "sysctl", "-qw", "net.ipv4.ip_forward=1", "net.ipv6.conf.all.forwarding=1")
	must(t, "ip", "link", "add", "wan", "netns", string(h.router), "type", "veth", "peer", "name", fmt.Sprintf("home%d", h.number), "netns", string(n.bridge))
	must(t, "ip", "link", "add", "lan", "netns", string(h.router), "type", "veth", "peer", "name", "eth0", "netns", string(h.machine))
	n.bridge.ip(t, fmt.Sprintf("link set home%d master br0 up", h.number))
	h.router.ip(t, "link set wan up", "link set lan up")
	h.machine.ip(t, "link set eth0 up")
	if k.ipv6 {
		h.connect6(t)
	} else {
		h.connect4(t)
	}
	h.router.nft(t, h.rules())
	h.router.run(t, "tc", "qdisc", "add", "dev", "wan", "root", "tbf", "rate", "20mbit", "burst", "64kb", "latency", "400ms")
	if k.opens {
		h.opener = newPortOpener(t, h)
	}
	return h
}

// version is that of the Internet protocol.
func (h *home) version() int {
	if h.ipv6 {
		return 6
	}
	return 4
}

func (h *home) connect4(t *testing.T) {
	h.router.ip(t, "addr add "+address4(h.net.first+h.number)+link4+" dev wan", fmt.Sprintf("addr add %s/24 dev lan", h.lan(1)))
	h.machine.ip(t, fmt.Sprintf("addr add %s/24 dev eth0", h.lan(2)), "route add default via "+h.lan(1))
	h.machine.resolvesBy(t, address4(0))
}

// lan is the private address of a machine.
func (h *home) lan(host int) string { return fmt.Sprintf("192.168.%d.%d", h.number, host) }

func (h *home) connect6(t *testing.T) {
	wan, net := address6(h.net.first+h.number), prefix6(h.net.first+h.number, 1)
	gate := net.Addr().Next()
	// Only the first server is on the router's link: the nets of homes are within link6.
	h.router.ip(t, "addr add "+wan+"/128 dev wan nodad", "addr add "+gate.String()+"/64 dev lan nodad",
		"route add "+address6(0)+"/128 dev wan", "route add ::/0 via "+address6(0))
	h.machine.ip(t, "addr add "+gate.Next().String()+"/64 dev eth0 nodad", "route add ::/0 via "+gate.String())
	h.net.bridge.ip(t, "route add "+net.String()+" via "+wan)
	h.machine.resolvesBy(t, address6(0))
}

// rules are the router's. What nobody asked for is dropped, never rejected: a rejection would
// end the entry that a hole is.
func (h *home) rules() string {
	var to, udp, in, masquerade string
	if h.any && h.ipv6 {
		in = "iifname wan accept"
	} else if h.any && !h.opens {
		to = fmt.Sprintf("iifname wan meta l4proto { tcp, udp } th dport { %d, %d } dnat to %s", oursPort, kuboPort, h.lan(2))
	}
	if h.noUDP {
		// In one comparison: nft 1.0.6 takes two of ports for one of both together.
		udp = "meta l4proto udp ct original proto-dst != 53 drop"
	}
	if masquerade = "oifname wan masquerade"; h.random {
		masquerade += " fully-random"
	}
	return strings.NewReplacer("TO", to, "UDP", udp, "INCOMING", in, "MASQUERADE", masquerade).Replace(`
table ip nat {
	chain to { type nat hook prerouting priority dstnat; TO
	}
	chain from { type nat hook postrouting priority srcnat; MASQUERADE
	}
}
table inet fw {
	chain forward {
		type filter hook forward priority filter; policy drop
		numgen random mod 100 < 2 drop
		UDP
		iifname lan accept
		ct state established,related accept
		ct status dnat accept
		INCOMING
	}
	chain router {
		type filter hook input priority filter; policy accept
		meta l4proto ipv6-icmp accept
		iifname wan ct state new drop
	}
}
`)
}

// newHost makes a machine on the public network itself.
func (n *internet) newHost(t *testing.T, name string) *home {
	t.Helper()
	n.homes++
	h := &home{kind: kind{name: "host", any: true}, net: n, name: name, number: n.homes}
	h.machine = newNamespace(t, n.name+"-"+name)
	must(t, "ip", "link", "add", "eth0", "netns", string(h.machine), "type", "veth", "peer", "name", fmt.Sprintf("home%d", h.number), "netns", string(n.bridge))
	n.bridge.ip(t, fmt.Sprintf("link set home%d master br0 up", h.number))
	at := n.first + h.number
	h.machine.ip(t, "link set eth0 up", "addr add "+address4(at)+link4+" dev eth0", "addr add "+address6(at)+"/128 dev eth0 nodad",
		"route add "+address6(0)+"/128 dev eth0", "route add ::/0 via "+address6(0))
	h.machine.resolvesBy(t, address4(0))
	return h
}

// kindsOf are the kinds with the names.
func kindsOf(names string) (kinds []kind, err error) {
	for name := range strings.SplitSeq(names, ",") {
		i := slices.IndexFunc(allKinds, func(k kind) bool { return k.name == name })
		if i < 0 {
			return nil, fmt.Errorf("%q is no kind of home", name)
		}
		kinds = append(kinds, allKinds[i])
	}
	return kinds, nil
}
