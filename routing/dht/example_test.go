package dht_test

import (
	"fmt"
	"time"

	"github.com/goipns/ipns/routing/dht"
)

// A node with bootstrap peers, of which none was reached yet, is expected to be on the
// public network; one without need not be on any.
func ExampleSigns_Expected() {
	now := time.Now()
	fmt.Printf("%q\n", dht.Signs{Bootstrap: true}.Expected(now))
	fmt.Printf("%q\n", dht.Signs{}.Expected(now))
	// Output:
	// "wan"
	// ""
}
