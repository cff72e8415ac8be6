package delegated

import (
	"context"
	"fmt"
	"net"
	"net/netip"
	"strings"
	"syscall"

	manet "github.com/multiformats/go-multiaddr/net"
)

// A dialer connects to servers. Unless private is set it refuses addresses that
// are not public, whatever name led to them: the address is looked at when the
// connection is made, so that a name can't lead there later either.
type dialer struct{ private bool }

func (d *dialer) dial(ctx context.Context, network, address string) (net.Conn, error) {
	nd := net.Dialer{Timeout: dialTimeout, ControlContext: d.control}
	return nd.DialContext(ctx, network, address)
}

func (d *dialer) control(_ context.Context, _, address string, _ syscall.RawConn) error {
	if d.private {
		return nil
	}
	ap, err := netip.ParseAddrPort(address)
	if err != nil {
		return err
	}
	if !isPublic(ap.Addr()) {
		return fmt.Errorf("%s is not a public address", ap.Addr())
	}
	return nil
}

// namesPrivate reports whether a host is written as an address that is not public,
// or as a name of this machine: whoever wrote it meant it.
func namesPrivate(host string) bool {
	if ip, err := netip.ParseAddr(host); err == nil {
		return !isPublic(ip)
	}
	host = strings.TrimSuffix(strings.ToLower(host), ".")
	return host == "localhost" || strings.HasSuffix(host, ".localhost")
}

// Prefixes of IPv6 under which an IPv4 address is reached.
var (
	nat64      = netip.MustParsePrefix("64:ff9b::/96")   // ends with it
	localNAT64 = netip.MustParsePrefix("64:ff9b:1::/48") // may lead to any
	sixToFour  = netip.MustParsePrefix("2002::/16")      // goes on with it
)

func isPublic(ip netip.Addr) bool {
	ip = ip.Unmap().WithZone("")
	b := ip.AsSlice()
	switch {
	case nat64.Contains(ip):
		b = b[12:]
	case sixToFour.Contains(ip):
		b = b[2:6]
	case localNAT64.Contains(ip):
		return false
	}
	m, err := manet.FromIP(b)
	return err == nil && manet.IsPublicAddr(m)
}
