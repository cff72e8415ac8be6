// Package dht puts IPNS records on a Kademlia DHT and finds them there.
//
// A [Router] is one network: the public DHT ("wan") and the DHT of the local
// network ("lan") are two Routers over the same host. Put offers a record to the
// servers closest to its name and reports each of them; Search asks them and
// reports each answer.
//
// What others put on this node's own DHT server is checked by [Validator] and
// rests in the server's value store, beside what this node puts itself, so that
// it answers for its own names too.
package dht
