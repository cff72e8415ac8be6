package watch

import (
	"net/netip"
	"testing"
)

func TestOnlyPublicAddressesArePublic(t *testing.T) {
	for text, want := range map[string]bool{
		"1.1.1.1": true, "8.8.8.8": true, "2606:4700:4700::1111": true, "172.32.0.1": true, "100.128.0.1": true,
		"0.0.0.0": false, "127.0.0.1": false, "10.1.2.3": false, "172.16.0.1": false, "192.168.1.1": false,
		"169.254.169.254": false, "100.64.0.1": false, "192.0.0.8": false, "198.18.0.1": false, "203.0.113.5": false,
		"224.0.0.1": false, "240.0.0.1": false, "255.255.255.255": false,
		"::": false, "::1": false, "::ffff:10.0.0.1": false, "::ffff:1.1.1.1": true, "::127.0.0.1": false, "fe80::1%eth0": false, "fc00::1": false,
		"fd12::1": false, "ff02::1": false, "64:ff9b::7f00:1": false, "64:ff9b:1::1": false, "2002:7f00:1::": false, "2001::1": false,
		"2001:db8::1": false, "fec0::1": false,
		// Where clouds tell machines about themselves, also by way of IPv6.
		"::ffff:169.254.169.254": false, "64:ff9b::a9fe:a9fe": false, "fd00:ec2::254": false, "fe80::a9fe:a9fe": false, "2002:a9fe:a9fe::": false,
		"100.100.100.200": false, "192.0.0.192": false, "168.63.129.16": false, "169.254.170.2": false,
		"0.1.2.3": false, "::ffff:0.0.0.0": false, "::ffff:100.64.0.1": false, "100.127.255.255": false, "::ffff:0:7f00:1": false, "::ffff:0:0:1": false,
		"4000::1": false, "5f00::1": false, "100::1": false, "2a00:1450:4001::1": true,
	} {
		if got := IsPublic(netip.MustParseAddr(text)); got != want {
			t.Errorf("%s is public: %v", text, got)
		}
	}
}
