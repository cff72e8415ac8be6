package repo

import (
	"encoding/json"
	"fmt"
	"maps"
	"net"
	"slices"
	"strings"
	"time"

	"github.com/goipns/ipns/internal/durable"
)

// NewConfig returns the config of a new node, with the ports that Kubo uses.
func NewConfig(id Identity) Config {
	return Config{
		Identity: id,
		Addresses: Addresses{
			Swarm:          slices.Clone(swarmAddresses),
			Announce:       []string{},
			AppendAnnounce: []string{},
			NoAnnounce:     []string{},
			API:            "/ip4/127.0.0.1/tcp/5001",
			Gateway:        "/ip4/127.0.0.1/tcp/8080",
		},
		API:       API{HTTPHeaders: map[string][]string{}},
		Gateway:   Gateway{HTTPHeaders: map[string][]string{}},
		Bootstrap: []string{"auto"},
		Routing:   Routing{Type: "auto"},
	}
}

// swarmAddresses are where a new node listens to peers, browsers among them.
var swarmAddresses = []string{
	"/ip4/0.0.0.0/tcp/4001",
	"/ip6/::/tcp/4001",
	"/ip4/0.0.0.0/udp/4001/webrtc-direct",
	"/ip4/0.0.0.0/udp/4001/quic-v1",
	"/ip4/0.0.0.0/udp/4001/quic-v1/webtransport",
	"/ip6/::/udp/4001/webrtc-direct",
	"/ip6/::/udp/4001/quic-v1",
	"/ip6/::/udp/4001/quic-v1/webtransport",
}

// A Profile is a set of values for a config.
type Profile struct {
	Name string
	// Help says in a line what it is for.
	Help string
	// Nothing says that it changes nothing here: it chooses a datastore, of which this node has one.
	Nothing bool
	// values are what keys get; a key that gets nil is removed.
	values map[string]any
	// change makes what depends on the values that are there. nil: nothing.
	change func(tree map[string]any) error
}

// Profiles are Kubo's.
var Profiles = []Profile{
	{
		Name: "server", Help: "a machine in a data center: keeps off private networks",
		values: map[string]any{"Discovery.MDNS.Enabled": false, "Swarm.DisableNatPortMap": true},
		change: func(tree map[string]any) error { return filter(tree, true) },
	},
	{
		Name: "local-discovery", Help: "undoes server",
		values: map[string]any{"Discovery.MDNS.Enabled": true, "Swarm.DisableNatPortMap": false},
		change: func(tree map[string]any) error { return filter(tree, false) },
	},
	{
		Name: "test", Help: "several nodes on one machine: loopback, free ports, no bootstrap",
		values: map[string]any{
			"Addresses.API": "/ip4/127.0.0.1/tcp/0", "Addresses.Gateway": "/ip4/127.0.0.1/tcp/0",
			"Addresses.Swarm": []string{"/ip4/127.0.0.1/tcp/0"},
			"Bootstrap":       []string{}, "Discovery.MDNS.Enabled": false, "Swarm.DisableNatPortMap": true,
			"Routing.LoopbackAddressesOnLanDHT": true, "AutoTLS.Enabled": false, "AutoConf.Enabled": false,
			"DNS.Resolvers": map[string]string{}, "Routing.DelegatedRouters": []string{}, "Ipns.DelegatedPublishers": []string{},
		},
	},
	{
		Name: "default-networking", Help: "undoes test",
		values: map[string]any{
			"Addresses.API": "/ip4/127.0.0.1/tcp/5001", "Addresses.Gateway": "/ip4/127.0.0.1/tcp/8080",
			"Addresses.Swarm": swarmAddresses, "Addresses.Announce": []string{}, "Addresses.AppendAnnounce": []string{},
			"Addresses.NoAnnounce": []string{}, "Bootstrap": []string{"auto"}, "AutoConf.Enabled": nil, "AutoConf.URL": nil,
			"Swarm.DisableNatPortMap": false, "Discovery.MDNS.Enabled": true, "AutoTLS.Enabled": nil,
		},
	},
	{
		Name: "lowpower", Help: "few connections, nothing done for others",
		values: map[string]any{
			"Routing.Type": "autoclient", "AutoNAT.ServiceMode": "disabled", "Swarm.RelayService.Enabled": false,
			"Swarm.ConnMgr.Type": "basic", "Swarm.ConnMgr.LowWater": 20, "Swarm.ConnMgr.HighWater": 40,
			"Swarm.ConnMgr.GracePeriod": "1m0s",
		},
	},
	{Name: "announce-off", Help: "content is not announced", values: map[string]any{"Provide.Enabled": false, "Provide.DHT.Interval": "0s"}},
	{Name: "announce-on", Help: "undoes announce-off", values: map[string]any{"Provide.Enabled": true, "Provide.DHT.Interval": "22h0m0s"}},
	{Name: "randomports", Help: "a free port for peers", change: randomPorts},
	{Name: "unixfs-v0-2015", Help: "the CIDs of Kubo since 2015, which are the default", values: unixfs2015},
	{Name: "legacy-cid-v0", Help: "unixfs-v0-2015", values: unixfs2015},
	{
		Name: "unixfs-v1-2025", Help: "the CIDs that other programs make too, of version 1",
		values: unixfs(1, true, "size-1048576", 1024, "block"),
	},
	{
		Name: "autoconf-on", Help: "the servers of the public network",
		values: map[string]any{
			"Bootstrap": []string{"auto"}, "DNS.Resolvers": map[string]string{".": "auto"}, "AutoConf.Enabled": true,
			"Routing.DelegatedRouters": []string{"auto"}, "Ipns.DelegatedPublishers": []string{"auto"},
		},
	},
	{
		Name: "autoconf-off", Help: "no servers but those that the config names",
		values: map[string]any{
			"Bootstrap": []string{}, "DNS.Resolvers": map[string]string{}, "AutoConf.Enabled": false,
			"Routing.DelegatedRouters": []string{}, "Ipns.DelegatedPublishers": []string{},
		},
	},
	{Name: "default-datastore", Nothing: true},
	{Name: "flatfs", Nothing: true},
	{Name: "flatfs-measure", Nothing: true},
	{Name: "pebbleds", Nothing: true},
	{Name: "pebbleds-measure", Nothing: true},
	{Name: "badgerds", Nothing: true},
	{Name: "badgerds-measure", Nothing: true},
}

var unixfs2015 = unixfs(0, false, "size-262144", 174, "links")

// unixfs are the values on which CIDs depend.
func unixfs(version int, raw bool, chunker string, links int, estimation string) map[string]any {
	return map[string]any{
		"Import.CidVersion": version, "Import.UnixFSRawLeaves": raw, "Import.UnixFSChunker": chunker,
		"Import.HashFunction": "sha2-256", "Import.UnixFSFileMaxLinks": links, "Import.UnixFSDirectoryMaxLinks": 0,
		"Import.UnixFSHAMTDirectoryMaxFanout": 256, "Import.UnixFSHAMTDirectorySizeThreshold": "256KiB",
		"Import.UnixFSHAMTDirectorySizeEstimation": estimation, "Import.UnixFSDAGLayout": "balanced",
	}
}

// FindProfile returns the profile with a name.
func FindProfile(name string) (Profile, bool) {
	i := slices.IndexFunc(Profiles, func(p Profile) bool { return p.Name == name })
	if i < 0 {
		return Profile{}, false
	}
	return Profiles[i], true
}

// apply changes a config.
func (p Profile) apply(tree map[string]any) error {
	for _, key := range slices.Sorted(maps.Keys(p.values)) {
		parts := strings.Split(key, ".")
		if p.values[key] == nil {
			at, last := tree, len(parts)-1
			for _, part := range parts[:last] {
				at = section(at, part)
			}
			remove(at, parts[last])
			continue
		}
		v, err := plain(p.values[key])
		if err == nil {
			err = set(tree, parts, v)
		}
		if err != nil {
			return fmt.Errorf("apply profile %s: %w", p.Name, err)
		}
	}
	if p.change == nil {
		return nil
	}
	return p.change(tree)
}

// plain returns a value as it is in a tree.
func plain(v any) (any, error) {
	b, err := marshal(map[string]any{"": v})
	if err != nil {
		return nil, err
	}
	tree, err := decodeTree(b)
	return tree[""], err
}

// Apply applies a named profile to the config.
func (c *Config) Apply(name string) error {
	p, ok := FindProfile(name)
	if !ok {
		return fmt.Errorf("invalid configuration profile: %s", name)
	}
	b, err := marshal(c)
	if err != nil {
		return err
	}
	tree, err := decodeTree(b)
	if err == nil {
		err = p.apply(tree)
	}
	if err != nil {
		return err
	}
	if b, err = marshal(tree); err != nil {
		return err
	}
	*c = Config{}
	return json.Unmarshal(b, c)
}

// Change is a config before and after a change, without secrets.
type Change struct {
	Before, After map[string]any
	Warnings      []string // about new values that have no effect
}

// ApplyProfile applies a named profile to the config in the repo, unless dry is set. What was there stays as a file
// config-pre-NAME-…, without the private key.
func (r Repo) ApplyProfile(name string, dry bool) (Change, error) {
	p, ok := FindProfile(name)
	if !ok {
		return Change{}, fmt.Errorf("%s is not a profile", name)
	}
	old, err := r.readConfig()
	if err != nil {
		return Change{}, err
	}
	c, b, err := r.withProfile(p, old)
	if err != nil || dry {
		return c, err
	}
	kept := fmt.Sprintf("%s-pre-%s-%d", r.path(configFile), name, time.Now().UnixNano())
	if old, err = withoutKey(old); err == nil {
		err = durable.Create(kept, old, 0o600)
	}
	if err != nil {
		return Change{}, fmt.Errorf("keep the config as it was: %w", err)
	}
	return c, durable.Replace(r.path(configFile), b, 0o600)
}

// withProfile returns what a profile makes of a config, and the file that it then is.
func (r Repo) withProfile(p Profile, old []byte) (c Change, file []byte, err error) {
	if c.Before, err = decodeTree(old); err != nil {
		return c, nil, err
	}
	if c.After, err = decodeTree(old); err != nil {
		return c, nil, err
	}
	if err := p.apply(c.After); err != nil {
		return c, nil, err
	}
	before, _ := checkTree(c.Before) // its errors are reported below
	if c.Warnings, err = checkTree(c.After); err != nil {
		return c, nil, err
	}
	c.Warnings = slices.DeleteFunc(c.Warnings, func(w string) bool { return slices.Contains(before, w) })
	if file, err = marshal(c.After); err != nil {
		return c, nil, err
	}
	if _, err := r.parse(file); err != nil {
		return c, nil, err
	}
	conceal(c.Before)
	conceal(c.After)
	return c, file, nil
}

// filter adds the ranges that are never reachable on the public internet to those that are not announced nor dialled, or
// removes them.
func filter(tree map[string]any, add bool) error {
	for _, key := range []string{"Addresses.NoAnnounce", "Swarm.AddrFilters"} {
		first, last, _ := strings.Cut(key, ".")
		have, _ := lookup(section(tree, first), last)
		list, _ := have.([]any)
		list = slices.DeleteFunc(slices.Clone(list), func(v any) bool {
			text, _ := v.(string)
			return !add && slices.Contains(unroutable, text)
		})
		for _, u := range unroutable {
			if add && !slices.Contains(list, any(u)) {
				list = append(list, u)
			}
		}
		if list == nil {
			list = []any{}
		}
		if err := set(tree, []string{first, last}, list); err != nil {
			return err
		}
	}
	return nil
}

// randomPorts chooses a port for peers that nothing listens on.
func randomPorts(tree map[string]any) error {
	l, err := net.Listen("tcp", ":0")
	if err != nil {
		return fmt.Errorf("find a free port: %w", err)
	}
	port := l.Addr().(*net.TCPAddr).Port
	if err := l.Close(); err != nil {
		return err
	}
	list := []any{fmt.Sprintf("/ip4/0.0.0.0/tcp/%d", port), fmt.Sprintf("/ip6/::/tcp/%d", port)}
	return set(tree, []string{"Addresses", "Swarm"}, list)
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
