// Package nat shows, on a network like the public one, what a node behind a router can
// do and what it is told about that. It holds tests only.
//
// The network is made of network namespaces, so it needs root, iproute2 and nftables, and
// is skipped where these are missing. A bridge without an uplink is the internet. On it are
// 30 DHT servers in one process, of which some relay, two are the bootstrap nodes, and one
// answers DNS. Each home has a router, which is a namespace with rules of nftables, and a
// machine behind it, on which real daemons run: ours with its default config, in which only
// Bootstrap is changed, and Kubo. Packets are lost and delayed on the way, and the uplink of a
// home is slow.
//
// The names of all namespaces begin with the id of the test's process: two runs do not meet,
// and a run deletes what is left of one that was killed.
package nat
