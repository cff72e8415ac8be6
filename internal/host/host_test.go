package host

import (
	"strings"
	"testing"

	"github.com/libp2p/go-libp2p/core/network"
	ma "github.com/multiformats/go-multiaddr"
)

// Bitswap sends nothing over a relay with limits, so two nodes behind symmetric NATs
// cannot fetch from each other.
func TestReachabilityPromisesNoMoreThanIsSo(t *testing.T) {
	local := ma.StringCast("/ip4/192.168.1.2/udp/4001/quic-v1")
	public := ma.StringCast("/ip4/8.8.8.8/udp/4001/quic-v1")
	relayed := ma.StringCast("/ip4/8.8.4.4/udp/4001/quic-v1/p2p/12D3KooWG4NvqQVczTrWY1H2tvsJmbQf5bbA3xGYXC4FM3wWCfE4/p2p-circuit")
	ways := []string{"port", "IPv6", "StaticRelays", "pin the content on a host with a public address"}
	for _, tt := range []struct {
		state network.Reachability
		addrs []ma.Multiaddr
		want  []string
	}{
		{network.ReachabilityPublic, []ma.Multiaddr{public, relayed}, []string{"public: others can connect"}},
		{network.ReachabilityPrivate, []ma.Multiaddr{local, relayed}, append(ways, "private", "hole punching", "relays carry no content")},
		{network.ReachabilityUnknown, []ma.Multiaddr{local, relayed}, append(ways, "private", "hole punching", "relays carry no content")},
		{network.ReachabilityPrivate, []ma.Multiaddr{local}, append(ways, "private", "may not be able to fetch")},
		{network.ReachabilityUnknown, []ma.Multiaddr{local, public}, []string{"unknown yet", "public address"}},
		{network.ReachabilityUnknown, []ma.Multiaddr{local}, []string{"unknown yet", "only local"}},
	} {
		got := reachabilityWords(tt.state, tt.addrs)
		for _, w := range tt.want {
			if !strings.Contains(got, w) {
				t.Errorf("%v %v: %q does not say %q", tt.state, tt.addrs, got, w)
			}
		}
		if strings.Contains(got, "others can fetch") {
			t.Errorf("%v %v: %q promises too much", tt.state, tt.addrs, got)
		}
	}
}
