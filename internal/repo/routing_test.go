package repo

import (
	"slices"
	"strings"
	"testing"
)

// "auto" is a list in the program: nothing for a node that has the DHTs itself, a
// public router for one that has not.
func TestAutoStandsForWhatANodeNeeds(t *testing.T) {
	const public, mine = "https://delegated-ipfs.dev/routing/v1/ipns", "https://example.com"
	for _, c := range []struct {
		kind       string
		list, want []string
	}{
		{"auto", nil, nil},
		{"", []string{"auto"}, nil},
		{"auto", []string{"auto", mine}, []string{mine}},
		{"dhtclient", []string{"auto"}, nil},
		{"none", []string{"auto"}, nil},
		{"delegated", nil, []string{public}},
		{"delegated", []string{}, nil},
		{"delegated", []string{mine, "auto", "auto"}, []string{mine, public}},
		{"delegated", []string{mine, mine}, []string{mine}},
		{"custom", []string{"auto"}, []string{public}},
		// These do not route names.
		{"auto", []string{"https://cid.contact", mine + "/routing/v1/providers/", mine + "/routing/v1/peers", mine + "/routing/v1"}, []string{mine + "/routing/v1"}},
	} {
		config := Config{Routing: Routing{Type: c.kind, DelegatedRouters: c.list}, Ipns: Ipns{DelegatedPublishers: c.list}}
		routers, publishers := config.HTTPRouters()
		if !slices.Equal(routers, c.want) || !slices.Equal(publishers, c.want) {
			t.Errorf("%s %q: routers %q, publishers %q, want %q", c.kind, c.list, routers, publishers, c.want)
		}
	}
}

func TestACustomRoutingIsChecked(t *testing.T) {
	all := func(router string) map[string]Method {
		m := map[string]Method{}
		for _, name := range methodNames {
			m[name] = Method{router}
		}
		return m
	}
	steps := func(names ...string) RouterParameters {
		var p RouterParameters
		for _, name := range names {
			p.Routers = append(p.Routers, RouterStep{RouterName: name})
		}
		return p
	}
	for _, c := range []struct {
		routers map[string]CustomRouter
		methods map[string]Method
		err     string
	}{
		{map[string]CustomRouter{"d": {Type: "dht"}}, all("d"), ""},
		{map[string]CustomRouter{"d": {Type: "dht"}, "p": {"parallel", steps("d", "d")}, "s": {"sequential", steps("p", "d")}}, all("s"), ""},
		{nil, nil, `method name "provide" is missing`},
		{nil, all("x"), `router with name "x" not found`},
		{map[string]CustomRouter{"h": {Type: "http"}}, all("h"), "no Endpoint"},
		{map[string]CustomRouter{"r": {Type: "reframe"}}, all("r"), `unknown router type "reframe"`},
		{map[string]CustomRouter{"d": {"dht", RouterParameters{Mode: "servant"}}}, all("d"), `Mode "servant"`},
		{map[string]CustomRouter{"a": {"parallel", steps("b")}, "b": {"sequential", steps("a")}}, all("a"), "dependency loop"},
	} {
		r := Routing{Type: "custom", Routers: c.routers, Methods: c.methods}
		err := r.CheckCustom()
		if (err != nil) != (c.err != "") || err != nil && !strings.Contains(err.Error(), c.err) {
			t.Errorf("%v: %v, want %q", c.routers, err, c.err)
		}
	}
	more := Routing{Type: "custom", Methods: all("d"), Routers: map[string]CustomRouter{"d": {Type: "dht"}}}
	more.Methods["fly"] = Method{"d"}
	if err := more.CheckCustom(); err == nil {
		t.Error("a method that nobody knows is taken")
	}
}
