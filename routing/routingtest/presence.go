package routingtest

import (
	"errors"
	"fmt"
	"slices"
	"testing"

	"github.com/goipns/ipns"
	"github.com/goipns/ipns/routing"
)

// Presence says which servers a network has.
type Presence int

const (
	// Away networks should have servers, and none can be reached.
	Away Presence = iota
	// NeverMeant networks have no servers and are not expected to have any.
	NeverMeant
	// Empty networks have servers that hold no record yet and take any.
	Empty
	// RefusingAll networks have servers that answer but take no record.
	RefusingAll
)

func (p Presence) String() string {
	return [...]string{"Away", "NeverMeant", "Empty", "RefusingAll"}[p]
}

// TestPresence checks that a Router distinguishes three cases: no server answered, there
// are no servers, and the servers have no record. open returns a Router for a network
// with the given name.
func TestPresence(t *testing.T, open func(t *testing.T, network string, p Presence) routing.Router) {
	for _, p := range []Presence{Away, NeverMeant, Empty, RefusingAll} {
		t.Run(p.String(), func(t *testing.T) {
			expectPresence(t, open(t, "net", p), []Presence{p})
		})
	}
	for _, ps := range [][]Presence{
		{Away, Empty},
		{NeverMeant, Empty},
		{Away, NeverMeant},
		{Away, RefusingAll},
		{Away, NeverMeant, Empty, RefusingAll},
	} {
		t.Run(fmt.Sprint(ps), func(t *testing.T) {
			var all []routing.Router
			for _, p := range ps {
				all = append(all, open(t, "net "+p.String(), p))
			}
			expectPresence(t, routing.Parallel(all), ps)
		})
	}
}

// expectPresence puts and searches on networks with the given presence.
func expectPresence(t *testing.T, r routing.Router, ps []Presence) {
	away, empty := slices.Contains(ps, Away), slices.Contains(ps, Empty)
	answering := empty || slices.Contains(ps, RefusingAll)
	key := NewKey(t)
	rec := Sign(t, key, ipns.Fields{Value: "/ipfs/bafkqaaa", Sequence: 1})

	_, err := searched(t, r, rec.Name())
	var part *routing.IncompleteError
	if errors.Is(err, routing.ErrAway) != away {
		t.Errorf("a search of %v ends with %v", ps, err)
	}
	if wantPart := away && answering; errors.As(err, &part) != wantPart {
		t.Errorf("a search of %v ends with %v; is it incomplete? want %v", ps, err, wantPart)
	}
	if errors.Is(err, routing.ErrNoTargets) != (!away && !answering) {
		t.Errorf("a search of %v ends with %v", ps, err)
	}
	if !away && answering && err != nil {
		t.Errorf("a search of %v ends with %v although all servers answered", ps, err)
	}

	receipt, err := routing.Collect(r.Put(t.Context(), rec, routing.Look{}))
	if errors.Is(err, routing.ErrAway) != away {
		t.Errorf("a put to %v ends with %v", ps, err)
	}
	if errors.Is(err, routing.ErrNoTargets) != (!away && !answering) {
		t.Errorf("a put to %v ends with %v", ps, err)
	}
	if took := receipt.Took(""); (took > 0) != empty {
		t.Errorf("%d of %v took the record", took, ps)
	}
	if k, of := receipt.Announced(); away && k > 0 || !away && empty && k == 0 || k > of {
		t.Errorf("put to %v: the headline is %d of %d", ps, k, of)
	}
	for _, n := range receipt.Networks {
		if want := n.Network == "net" && away || n.Network == "net "+Away.String(); n.Away != want {
			t.Errorf("put to %v: is %s away? the receipt says %v", ps, n.Network, n.Away)
		}
	}
	if found, _ := searched(t, r, rec.Name()); (found != nil) != empty {
		t.Errorf("after a put to %v: is the record found? %v", ps, found != nil)
	}
}

// searched returns the newest record that a search found, and the error with which it
// ended.
func searched(t *testing.T, r routing.Router, name ipns.Name) (best *ipns.Record, err error) {
	for a, err := range r.Search(t.Context(), name) {
		if err != nil {
			return best, err
		}
		if a.Record != nil && !a.Own && (best == nil || ipns.Compare(a.Record, best) > 0) {
			best = a.Record
		}
	}
	return best, nil
}
