package main

import (
	"testing"
	"time"

	"github.com/goipns/ipns/routing/dht"
)

// A flood keeps to the budget, and makes this node lose nothing of its own. How long
// publishes take is for the benchmark.
func TestFloodKeepsToTheBudget(t *testing.T) {
	values, providers := 3000, 2000
	if testing.Short() {
		values, providers = 1200, 1000
	}
	for _, peers := range []int{1, 20} {
		r, err := measure(t.Context(), config{
			peers: peers, values: values, providers: providers, idle: time.Millisecond, attack: flood,
			limitOfValues:   dht.Limit{Count: 400, Bytes: 1 << 20},
			limitOfProvided: dht.Limit{Count: 400, Bytes: 1 << 20},
		}, t.TempDir())
		if err != nil {
			t.Fatal(err)
		}
		t.Log(r)
		if r.held < ownNames+200 || r.held > ownNames+400 || r.provided == 0 || r.provided > 400 {
			t.Errorf("%d values with %d own, %d provider records", r.held, ownNames, r.provided)
		}
		if r.heldBytes > 2*r.limitOfValues.Bytes || r.providedBytes > r.limitOfProvided.Bytes {
			t.Errorf("%d bytes of values, %d of provider records", r.heldBytes, r.providedBytes)
		}
		if r.lost > 0 {
			t.Errorf("%d own names are lost", r.lost)
		}
		if all := r.taken.Values + r.taken.Refused; all != r.values || r.taken.Values < 200 {
			t.Errorf("%d of %d values were taken, %d refused", r.taken.Values, r.values, r.taken.Refused)
		}
	}
}
