// Package contender holds the clients that bench/dht and bench/sweep compare:
// each is a way to publish, resolve and republish names over a libp2p host,
// driven through one small interface. A new one is one file and its line in [All].
package contender

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/goipns/ipns"
	"github.com/goipns/ipns/recordstore"
	"github.com/libp2p/go-libp2p/core/crypto"
	"github.com/libp2p/go-libp2p/core/host"
	"github.com/libp2p/go-libp2p/core/peer"
)

// A Name is one name of an experiment, with its key and two of its records.
type Name struct {
	Key  crypto.PrivKey
	Last *ipns.Record // what its publisher has published before
	Next *ipns.Record // what an update publishes: another value, the next sequence
}

// A Store is where a client finds and notes names.
type Store interface {
	recordstore.Store
	recordstore.Notes
}

// A Setup is what a client starts with.
type Setup struct {
	Host      host.Host
	Bootstrap []peer.AddrInfo
	Names     []*Name // those it will publish: their last records are known to it
	Store     Store   // where a client that Reads finds what it republishes; nil: nowhere
}

// A Contender is one of the compared clients.
type Contender struct {
	Name string // as the flag -client has it

	// Explores says that it can learn the whole network in advance: then its
	// clients are Explorers, and also measured with a map of it.
	Explores bool

	// PublishAcks and ResolveAcks are the moments that matter to its users: so
	// many servers have stored the record, so many agree on the answer. Empty:
	// its clients do not publish, or resolve, single names.
	PublishAcks, ResolveAcks []int

	// Sweeps says that its clients are Republishers; Resigns, that they make new
	// records instead of putting the old ones.
	Sweeps, Resigns bool

	// Reads says that its clients can republish what a record store has.
	Reads bool

	// Start runs the client until it has a routing table and, if it keeps one,
	// an estimate of the network's size.
	Start func(context.Context, Setup) (Client, error)
}

// A Client is a running contender. Calls come one at a time. What its methods
// call must not be called with a lock held: it waits for all that goes on in the
// same instant.
type Client interface{ Close() error }

// A Publisher is a Client that publishes single names.
type Publisher interface {
	// Publish makes Next the record of the name. It calls acked with the number
	// of servers known to have stored it when that has grown, from one goroutine
	// at a time, and returns when nothing works on the record any more.
	Publish(ctx context.Context, n *Name, acked func(servers int)) error
}

// A Resolver is a Client that resolves names.
type Resolver interface {
	// Resolve finds the newest record of the name. It calls agreed with the
	// value and the number of servers that agree on it when that has grown, from
	// one goroutine at a time, and returns when the search is over.
	Resolve(ctx context.Context, n ipns.Name, agreed func(servers int, value string)) error
}

// An Explorer is a Client that can learn the whole network.
type Explorer interface {
	Explore(ctx context.Context) error
}

// A Republisher is a Client that puts the last records of many names again, or
// those that its Setup's Store has. It returns when nothing works on them any more.
type Republisher interface {
	Republish(ctx context.Context, names []*Name) error
}

// All lists the contenders in the order of the tables.
func All() []Contender { return []Contender{ours, boxo, fullRT} }

// Select returns those contenders of a comma-separated list, or of all if it is
// empty, that fit.
func Select(list string, fit func(Contender) bool) ([]Contender, error) {
	fitting := slices.DeleteFunc(All(), func(c Contender) bool { return !fit(c) })
	if list == "" {
		return fitting, nil
	}
	var chosen []Contender
	for name := range strings.SplitSeq(list, ",") {
		i := slices.IndexFunc(fitting, func(c Contender) bool { return c.Name == name })
		if i < 0 {
			var names []string
			for _, c := range fitting {
				names = append(names, c.Name)
			}
			return nil, fmt.Errorf("no client %q here: %s", name, strings.Join(names, ", "))
		}
		chosen = append(chosen, fitting[i])
	}
	return chosen, nil
}
