package nat

import (
	"fmt"
	"net/netip"
	"sync"

	asnutil "github.com/libp2p/go-libp2p-asn-util"
)

// Everything on the public network is in these, which all have on their link. Nets for tests
// and documentation would not do: libp2p does not count them as public.
const (
	link4 = "/8"
	link6 = "/12"
)

const maxAddresses = 120 // of servers and homes; more than 255 would not fit into 80.N.0.1

// address4 is the public address with a number. Every one is in a /16 of its own: a routing
// table of the public network takes few peers of one.
func address4(i int) string { return fmt.Sprintf("80.%d.0.1", i+1) }

// address6 is the public IPv6 address with a number. Every one is of an operator of its own,
// as far as libp2p knows the operators: a routing table takes few peers of one.
func address6(i int) string { return prefix6(i, 0).Addr().Next().String() }

// prefix6 is the net of a number; the second one is for a home.
func prefix6(i int, net byte) netip.Prefix {
	a := operators()[i]
	a[7] = net
	return netip.PrefixFrom(netip.AddrFrom16(a), 64)
}

var operators = sync.OnceValue(func() (nets [][16]byte) {
	seen := map[uint32]bool{0: true}
	for i := 0; len(nets) < maxAddresses; i++ {
		a := [16]byte{0x2a, 0x02, byte(i >> 8), byte(i)}
		if n := asnutil.AsnForIPv6(a[:]); !seen[n] {
			seen[n] = true
			nets = append(nets, a)
		}
	}
	return nets
})
