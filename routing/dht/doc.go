// Package dht puts IPNS records on a Kademlia DHT and finds them there.
//
// A [Router] is the client of one network. The public DHT ("wan") and the DHT of
// the local network ("lan") are two Routers on the same host. Put offers a record
// to the servers closest to its name and yields an Ack for each; Search queries
// those servers and yields each answer; Sweep puts many records on the servers of a
// region with one visit to each server.
//
// kad-dht provides this node's own DHT server, the routing table and bootstrapping.
// The client has four parts:
//
//   - The [Map] remembers every known server: its address, its place in the key
//     space, and whether it is alive. Where the map is complete, no walk is needed.
//   - The sender keeps one stream per server and pipelines requests on it, because
//     a server answers them in order. It works out which request caused a reset.
//   - The walk decides which server to query next. It does no I/O.
//   - Put, search, exploration and sweep do the work that the walk and map call for.
//
// A put sends its record to the right servers before the slowest server has
// answered. Only the end of the iteration waits for slow or dead servers.
//
// [Validator] checks what other peers put on this node's own DHT server. The
// server's value store also keeps what this node puts, so the server answers for
// this node's own names too.
//
// Limits: a Map holds 25,000 servers in less than 32 MiB. A walk tracks 2,000
// servers and has 24 queries in flight, a search 10. Each server has one stream with
// up to 64 requests in flight, and 512 idle streams are kept open. By default an
// exploration works on 64 cells at once and a sweep on 64 servers; a sweep holds
// 131,072 records. No goroutine outlives its call, except those of streams with
// requests in flight: they end a second after the last caller has left, or on Close.
package dht
