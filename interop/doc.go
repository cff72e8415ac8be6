// Package interop runs the ipns binary beside real Kubo daemons and checks that
// each understands the other. It holds tests only.
//
// Both programs run as processes on loopback, each with a repository of its own
// in a temporary directory. Kubo is a tool dependency of this module, pinned in
// go.mod; it needs other versions of the libp2p modules than ipns does, so this
// module never requires the main one and there is no go.work. The first run
// compiles Kubo, which takes some minutes; later ones find it in Go's build cache.
//
// The command lines of the two programs are the same, so one harness (program,
// node, network) drives both, and a test tells only which node does what.
package interop
