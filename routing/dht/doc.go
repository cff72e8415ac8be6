// Package dht puts IPNS records on a Kademlia DHT and finds them there.
//
// A [Router] is one network: the public DHT ("wan") and the DHT of the local
// network ("lan") are two Routers over the same host. Put offers a record to the
// servers closest to its name and reports each of them; Search asks them and
// reports each answer; Sweep gives many records to the servers of a region with
// one visit to each.
//
// Kad-dht runs this node's own server, the routing table and the bootstrapping.
// The client is made of four parts:
//
//   - a [Map] of the key space: the servers that were ever heard of, where they are
//     and whether they live. Where it is good nobody needs to be looked for.
//   - a sender with one stream to each server, on which any number of requests
//     travel at once: a server answers them in order. It knows what a reset means.
//   - a walk, which decides whom to ask next. It is pure.
//   - put, search, exploration and sweep, which do what the walk and the map say.
//
// A record is on its way to those that should hold it before the last server has
// been heard of: nothing waits for slow or dead servers but the end of the
// iteration.
//
// What others put on this node's own DHT server is checked by [Validator] and
// rests in the server's value store, beside what this node puts itself, so that
// it answers for its own names too.
//
// Bounds: a Map has 25,000 servers and takes less than 32 MiB; a walk looks at
// 2,000 servers and has 24 questions under way, a search 10; a server has one
// stream with 64 requests under way, and 512 idle streams are kept; an
// exploration works on 64 cells, a sweep on 64 servers at once if not told
// otherwise, and a sweep holds 131,072 records. No goroutine outlives a call, but
// for the streams that have requests under way: a second after the last caller has
// gone, or with Close.
package dht
