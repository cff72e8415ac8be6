package repo

import (
	"fmt"
	"slices"
)

// NewConfig returns the config of a new node, with the ports that Kubo uses.
func NewConfig(id Identity) Config {
	return Config{
		Identity: id,
		Addresses: Addresses{
			Swarm: []string{
				"/ip4/0.0.0.0/tcp/4001",
				"/ip6/::/tcp/4001",
				"/ip4/0.0.0.0/udp/4001/quic-v1",
				"/ip6/::/udp/4001/quic-v1",
			},
			Announce:       []string{},
			AppendAnnounce: []string{},
			NoAnnounce:     []string{},
			API:            "/ip4/127.0.0.1/tcp/5001",
			Gateway:        "/ip4/127.0.0.1/tcp/8080",
		},
		Bootstrap: []string{"auto"},
		Routing:   Routing{Type: "auto"},
	}
}

// Apply applies a named profile to the config.
//
//	server     a machine in a data centre: keeps off private networks
//	test       several nodes on one machine: loopback, free ports, no bootstrap
func (c *Config) Apply(profile string) error {
	switch profile {
	case "server":
		c.Addresses.NoAnnounce = union(c.Addresses.NoAnnounce, unroutable)
		c.Swarm.AddrFilters = union(c.Swarm.AddrFilters, unroutable)
		c.Discovery.MDNS.Enabled = false
		c.Swarm.DisableNatPortMap = true
	case "test":
		c.Addresses.API = "/ip4/127.0.0.1/tcp/0"
		c.Addresses.Gateway = "/ip4/127.0.0.1/tcp/0"
		c.Addresses.Swarm = []string{"/ip4/127.0.0.1/tcp/0"}
		c.Bootstrap = []string{}
		c.Discovery.MDNS.Enabled = false
		c.Swarm.DisableNatPortMap = true
		c.Routing.LoopbackAddressesOnLanDHT = true
	default:
		return fmt.Errorf("invalid configuration profile: %s", profile)
	}
	return nil
}

// unroutable are the ranges that are never reachable on the public internet.
var unroutable = []string{
	"/ip4/10.0.0.0/ipcidr/8",
	"/ip4/100.64.0.0/ipcidr/10",
	"/ip4/127.0.0.0/ipcidr/8",
	"/ip4/169.254.0.0/ipcidr/16",
	"/ip4/172.16.0.0/ipcidr/12",
	"/ip4/192.0.0.0/ipcidr/24",
	"/ip4/192.0.2.0/ipcidr/24",
	"/ip4/192.168.0.0/ipcidr/16",
	"/ip4/198.18.0.0/ipcidr/15",
	"/ip4/198.51.100.0/ipcidr/24",
	"/ip4/203.0.113.0/ipcidr/24",
	"/ip4/240.0.0.0/ipcidr/4",
	"/ip6/::/ipcidr/3",
	"/ip6/::1/ipcidr/128",
	"/ip6/100::/ipcidr/64",
	"/ip6/2001:2::/ipcidr/48",
	"/ip6/2001:db8::/ipcidr/32",
	"/ip6/fc00::/ipcidr/7",
	"/ip6/fe80::/ipcidr/10",
}

func union(have, more []string) []string {
	for _, m := range more {
		if !slices.Contains(have, m) {
			have = append(have, m)
		}
	}
	return have
}
