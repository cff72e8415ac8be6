package transport

import (
	"net/netip"
	"slices"
	"time"

	"github.com/libp2p/go-libp2p/core/peer"
	rcmgr "github.com/libp2p/go-libp2p/p2p/host/resource-manager"
	"github.com/libp2p/go-libp2p/x/rate"
	manet "github.com/multiformats/go-multiaddr/net"
)

// What one relay of the config may bring: 'ipns relay' connects 60 peers with a node.
const (
	perRelay       = 80 // connections, and how many of them at once
	perRelaySecond = 8  // after that
)

// What others may open, as in libp2p, whose limits have no names.
const (
	perAddressSecond  = 0.2
	perAddressAtOnce  = 16
	perSubnet48Second = 0.5
	perSubnet48AtOnce = 80
	rateForgotten     = time.Minute
)

// roomForRelays lets each relay of the config bring perRelay peers. All connections over it count
// for its address, of which libp2p allows eight, and one new one in five seconds. Where a relay
// has a domain for an address, that stays.
func roomForRelays(relays []peer.AddrInfo) []rcmgr.Option {
	var prefixes []netip.Prefix
	for _, r := range relays {
		for _, a := range r.Addrs {
			ip, err := manet.ToIP(a)
			if err != nil || ip.IsLoopback() {
				continue // loopback has no limit
			}
			at, _ := netip.AddrFromSlice(ip) // 4 or 16 bytes
			at = at.Unmap()
			if p := netip.PrefixFrom(at, at.BitLen()); !slices.Contains(prefixes, p) {
				prefixes = append(prefixes, p)
			}
		}
	}
	if len(prefixes) == 0 {
		return nil
	}
	v4, v6 := slices.Clone(rcmgr.DefaultNetworkPrefixLimitV4), slices.Clone(rcmgr.DefaultNetworkPrefixLimitV6)
	rates := []rate.PrefixLimit{{Prefix: netip.MustParsePrefix("127.0.0.0/8")}, {Prefix: netip.MustParsePrefix("::1/128")}} // none
	for _, p := range prefixes {
		limit := rcmgr.NetworkPrefixLimit{Network: p, ConnCount: perRelay}
		if p.Addr().Is6() {
			v6 = append(v6, limit)
		} else {
			v4 = append(v4, limit)
		}
		rates = append(rates, rate.PrefixLimit{Prefix: p, Limit: rate.Limit{RPS: perRelaySecond, Burst: perRelay}})
	}
	address := rate.Limit{RPS: perAddressSecond, Burst: perAddressAtOnce}
	return []rcmgr.Option{
		rcmgr.WithNetworkPrefixLimit(v4, v6),
		rcmgr.WithConnRateLimiters(&rate.Limiter{NetworkPrefixLimits: rates, SubnetRateLimiter: rate.SubnetLimiter{
			IPv4SubnetLimits: []rate.SubnetLimit{{PrefixLength: 32, Limit: address}},
			IPv6SubnetLimits: []rate.SubnetLimit{
				{PrefixLength: 56, Limit: address}, {PrefixLength: 48, Limit: rate.Limit{RPS: perSubnet48Second, Burst: perSubnet48AtOnce}},
			},
			GracePeriod: rateForgotten,
		}}),
	}
}
