package routingtest

import (
	"errors"
	"maps"
	"slices"
	"testing"
	"time"

	"github.com/goipns/ipns"
	"github.com/goipns/ipns/routing"
)

// lies are answers to a search for the name of honest that no Router may believe.
func lies(t testing.TB, honest *ipns.Record, signer ipns.Signer) map[string][]byte {
	sign := func(s ipns.Signer, f ipns.Fields) *ipns.Record {
		f.Value = "/ipfs/bafkqaaa"
		rec, err := ipns.Sign(t.Context(), s, f, ipns.V1V2)
		if err != nil {
			t.Fatal(err)
		}
		return rec
	}
	tomorrow := time.Now().Add(24 * time.Hour)
	forged := slices.Clone(honest.Raw())
	forged[len(forged)-1] ^= 1
	return map[string][]byte{
		"a record of another name": sign(ipns.NewSigner(NewKey(t)), ipns.Fields{EOL: tomorrow}).Raw(),
		"an expired record":        sign(signer, ipns.Fields{EOL: time.Now().Add(-time.Hour)}).Raw(),
		"a changed record":         forged,
		"half a record":            honest.Raw()[:len(honest.Raw())/2],
		"junk":                     []byte("junk"),
		"nothing":                  {},
		"too much":                 append(slices.Clone(honest.Raw()), make([]byte, ipns.MaxRecordSize)...),
	}
}

// TestLies holds a Router to what it must do where all sources lie: believe none of them,
// and not say that they are away either. The function makes a Router of a network on which
// every search is answered with lie, as a record of the name.
func TestLies(t *testing.T, open func(t *testing.T, lie []byte) routing.Router) {
	key := NewKey(t)
	honest := Sign(t, key, ipns.Fields{Value: "/ipfs/bafkqaaa"})
	all := lies(t, honest, ipns.NewSigner(key))
	for _, what := range slices.Sorted(maps.Keys(all)) {
		t.Run(what, func(t *testing.T) {
			rec, err := searched(t, open(t, all[what]), honest.Name())
			if rec != nil {
				t.Errorf("the Router believed %x", rec.Raw())
			}
			if errors.Is(err, routing.ErrAway) {
				t.Errorf("the sources answered, and the search ended with %v", err)
			}
		})
	}
}
