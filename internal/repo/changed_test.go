package repo

import (
	"slices"
	"testing"
)

func TestChangedKeysAreThoseThatDifferAndMeanSomething(t *testing.T) {
	for _, c := range []struct {
		before, after string
		want          []string
	}{
		{`{}`, `{}`, nil},
		{`{"Ipns": {"RepublishPeriod": "4h"}}`, `{"Ipns": {"RepublishPeriod": "2h"}}`, []string{"Ipns.RepublishPeriod"}},
		{`{"ipns": {"republishperiod": "4h"}}`, `{"Ipns": {"RepublishPeriod": "4h"}}`, nil},
		{`{"Gateway": {"NoFetch": true, "NoDNSLink": false}}`, `{"Gateway": {"NoDNSLink": false}}`, []string{"Gateway.NoFetch"}},
		{`{}`, `{"Gateway": {"NoFetch": true}, "HTTP": null}`, []string{"Gateway.NoFetch"}},
		// Keys of Kubo's that change nothing here.
		{`{}`, `{"Mounts": {"IPFS": "/x"}}`, nil},
		// A map is one key: what is in it may be anything, such as a secret or a domain.
		{`{}`, `{"API": {"Authorizations": {"ann": {"AuthSecret": "bearer:x"}}}}`, []string{"API.Authorizations"}},
		{`{"Gateway": {"PublicGateways": {"a.example": {"Paths": ["/ipns"]}}}}`, `{"Gateway": {"PublicGateways": {"b.example": null}}}`, []string{"Gateway.PublicGateways"}},
		{`{"Bootstrap": ["auto"]}`, `{"Bootstrap": [], "Addresses": {"API": ""}}`, []string{"Addresses.API", "Bootstrap"}},
	} {
		var configs [2]Config
		for i, text := range []string{c.before, c.after} {
			tree, err := decodeTree([]byte(text))
			if err != nil {
				t.Fatal(err)
			}
			configs[i].read = tree
		}
		if got := Changed(&configs[0], &configs[1]); !slices.Equal(got, c.want) {
			t.Errorf("%s, then %s: %q, want %q", c.before, c.after, got, c.want)
		}
	}
}
