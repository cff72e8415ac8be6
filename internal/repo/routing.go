package repo

import (
	"errors"
	"fmt"
	"maps"
	"net/url"
	"slices"
	"strings"
)

// Routing configures by which roads names travel, and the node's part in the DHTs.
type Routing struct {
	// Type is one of [RoutingTypes]; "": "auto".
	//
	//	auto        the DHTs, as a server once others can reach this node, and DelegatedRouters
	//	autoclient  the same, never as a server
	//	dht, dhtclient, dhtserver
	//	            the DHTs alone
	//	delegated   DelegatedRouters and Ipns.DelegatedPublishers alone
	//	custom      what Routers and Methods say
	//	none        nothing: peers are connected by hand, names stay here
	Type string
	// DelegatedRouters are the URLs of HTTP routers that are asked for names. "auto", as
	// which an absent list counts, stands for those of the public network that a node of
	// this Type needs: none for one that has the DHTs.
	DelegatedRouters []string `json:",omitempty"`
	// Routers and Methods are those of the Type "custom": routers by names that Methods
	// gives to "get-ipns", "put-ipns", "provide", "find-providers" and "find-peers".
	Routers map[string]CustomRouter `json:",omitempty"`
	Methods map[string]Method       `json:",omitempty"`
	// IgnoreProviders are peers that are never taken for providers of content.
	IgnoreProviders []string `json:",omitempty"`
	// LoopbackAddressesOnLanDHT keeps loopback addresses on the LAN DHT, for
	// several nodes on one machine.
	LoopbackAddressesOnLanDHT bool

	// How much others may store on this node's DHT server: values (records of names,
	// public keys) and providers of content, each in number and in bytes on disk; 0:
	// 40,000 values, 65,536 providers, 32 MiB each. This node's own values have as much
	// space again. Not keys of Kubo's.
	MaxValues        int   `json:",omitempty"`
	MaxValueBytes    int64 `json:",omitempty"`
	MaxProviders     int   `json:",omitempty"`
	MaxProviderBytes int64 `json:",omitempty"`
}

// RoutingTypes are the values of Routing.Type.
var RoutingTypes = []string{"auto", "autoclient", "dht", "dhtclient", "dhtserver", "none", "delegated", "custom"}

// CustomRouter is a router of the Type "custom": "http", "dht", "parallel" or
// "sequential".
type CustomRouter struct {
	Type       string
	Parameters RouterParameters
}

// RouterParameters are those of a [CustomRouter]; each type has some of them.
type RouterParameters struct {
	Endpoint string `json:",omitempty"` // http: its URL
	// Mode of a dht is "auto", "client" or "server".
	Mode            string `json:",omitempty"`
	PublicIPNetwork bool   `json:",omitempty"` // dht: the WAN; false: the LAN
	// Routers of a parallel router are asked at once, those of a sequential one each if
	// those before it have no record.
	Routers []RouterStep `json:",omitempty"`
	Timeout Duration     `json:",omitempty"` // parallel, sequential: for all; 0: none

	// Taken and not used.
	AcceleratedDHTClient  bool `json:",omitempty"`
	MaxProvideBatchSize   int  `json:",omitempty"`
	MaxProvideConcurrency int  `json:",omitempty"`
}

// RouterStep is one router within another.
type RouterStep struct {
	RouterName   string
	Timeout      Duration // 0: none
	ExecuteAfter Duration `json:",omitempty"` // parallel: how long the others have before it
	IgnoreErrors bool     // if it fails, that is as if it had nobody to ask
}

// Method says which router does something.
type Method struct{ RouterName string }

// methodNames are those that a custom routing must have.
var methodNames = []string{"provide", "find-peers", "find-providers", "get-ipns", "put-ipns"}

// Auto stands for what fits the public network, in Bootstrap, DNS.Resolvers,
// Routing.DelegatedRouters and Ipns.DelegatedPublishers.
const Auto = "auto"

// publicRouters are what Auto stands for in lists of HTTP routers, on a node that has
// no DHT: such a router reaches the public one. It is part of the program, never
// fetched.
var publicRouters = []string{"https://delegated-ipfs.dev/routing/v1/ipns"}

// HTTPRouters returns the URLs of the HTTP routers that are asked for names, and of
// those to which they are put, with what "auto" stands for.
func (c *Config) HTTPRouters() (routers, publishers []string) {
	auto := publicRouters
	if c.HasDHT() && c.Routing.Type != "custom" || c.Routing.Type == "none" {
		auto = nil
	}
	return expand(c.Routing.DelegatedRouters, auto), expand(c.Ipns.DelegatedPublishers, auto)
}

// A HTTPFinder is an HTTP router for content and peers.
type HTTPFinder struct {
	URL              string // without the path of the API
	Providers, Peers bool   // what it is asked for
}

// Finders returns the HTTP routers that are asked for content and peers: those of
// Routing.DelegatedRouters. On a node without a DHT "auto" stands for one that has the
// public one.
func (c *Config) Finders() (list []HTTPFinder) {
	routers := c.Routing.DelegatedRouters
	if routers == nil {
		routers = []string{Auto}
	}
	for _, text := range routers {
		if text == Auto {
			if c.HasDHT() || c.Routing.Type == "none" {
				continue
			}
			text = publicFinder
		}
		base := strings.TrimRight(text, "/")
		base, of := cutLast(base, "/routing/v1")
		f := HTTPFinder{URL: base, Providers: of == "" || of == "/providers", Peers: of == "" || of == "/peers"}
		if base == "https://cid.contact" {
			f.Peers = false // it has none
		}
		if f.Providers || f.Peers {
			list = append(list, f)
		}
	}
	return list
}

// publicFinder is what "auto" stands for in Finders. It is part of the program.
const publicFinder = "https://delegated-ipfs.dev"

// cutLast cuts a text before the last sep, and returns what follows that.
func cutLast(text, sep string) (before, after string) {
	i := strings.LastIndex(text, sep)
	if i < 0 {
		return text, ""
	}
	return text[:i], text[i+len(sep):]
}

// HasDHT reports whether the node is on the DHTs.
func (c *Config) HasDHT() bool {
	switch c.Routing.Type {
	case "none", "delegated":
		return false
	case "custom":
		_, has := c.Routing.CustomMode()
		return has
	}
	return true
}

// CustomMode returns the Mode of the DHTs of a custom routing, that of the WAN before
// that of the LAN, and whether there is any.
func (r *Routing) CustomMode() (mode string, has bool) {
	for _, name := range slices.Sorted(maps.Keys(r.Routers)) {
		if p := r.Routers[name]; p.Type == "dht" && (!has || p.Parameters.PublicIPNetwork) {
			mode, has = p.Parameters.Mode, true
		}
	}
	return mode, has
}

// expand puts what auto stands for in its first place, and leaves out what is no router
// for names.
func expand(list, auto []string) []string {
	if list == nil {
		list = []string{Auto}
	}
	var out []string
	for _, text := range list {
		urls := []string{text}
		if text == Auto {
			urls, auto = auto, nil
		}
		for _, u := range urls {
			if routesNames(u) && !slices.Contains(out, u) {
				out = append(out, u)
			}
		}
	}
	return out
}

// routesNames reports whether a URL is that of a router for names: not one of the other
// paths of the API, nor the one server that is known to have only these.
func routesNames(text string) bool {
	u, err := url.Parse(text)
	if err != nil {
		return true // whoever uses it says what is wrong
	}
	path := strings.TrimRight(u.Path, "/")
	return u.Host != "cid.contact" && !strings.HasSuffix(path, "/routing/v1/providers") && !strings.HasSuffix(path, "/routing/v1/peers")
}

func (r *Routing) check() error {
	if r.MaxValues < 0 || r.MaxValueBytes < 0 || r.MaxProviders < 0 || r.MaxProviderBytes < 0 {
		return errors.New("config settings Routing.MaxValues, MaxValueBytes, MaxProviders and MaxProviderBytes cannot be negative: 0 stands for the default")
	}
	if r.Type != "" && !slices.Contains(RoutingTypes, r.Type) {
		return fmt.Errorf("config Routing.Type is %q: use %s", r.Type, strings.Join(RoutingTypes, ", "))
	}
	return nil
}

// CheckCustom checks Routers and Methods. A config in which they are not complete yet
// is one that can be written, key by key, and not one that a node can run by.
func (r *Routing) CheckCustom() error {
	for _, name := range methodNames {
		if _, ok := r.Methods[name]; !ok {
			return fmt.Errorf("method name %q is missing from Routing.Methods config param", name)
		}
	}
	for name := range r.Methods {
		if !slices.Contains(methodNames, name) {
			return fmt.Errorf("method name %q is not a supported method on Routing.Methods config param", name)
		}
	}
	for name, m := range r.Methods {
		if err := r.checkRouter(m.RouterName, nil); err != nil {
			return fmt.Errorf("config Routing.Methods.%s: %w", name, err)
		}
	}
	return nil
}

// checkRouter checks a custom router and those within it, which within are on the way to.
func (r *Routing) checkRouter(name string, within []string) error {
	c, ok := r.Routers[name]
	switch {
	case !ok:
		return fmt.Errorf("config for router with name %q not found", name)
	case slices.Contains(within, name):
		return fmt.Errorf("dependency loop creating router with name %q", name)
	}
	switch c.Type {
	case "http":
		if c.Parameters.Endpoint == "" {
			return fmt.Errorf("router %q has no Endpoint", name)
		}
	case "dht":
		if m := c.Parameters.Mode; !slices.Contains([]string{"", "auto", "client", "server"}, m) {
			return fmt.Errorf("router %q has the Mode %q: use auto, client or server", name, m)
		}
	case "parallel", "sequential":
		within = append(within[:len(within):len(within)], name)
		for _, step := range c.Parameters.Routers {
			if err := r.checkRouter(step.RouterName, within); err != nil {
				return err
			}
		}
	default:
		return fmt.Errorf("unknown router type %q", c.Type)
	}
	return nil
}
