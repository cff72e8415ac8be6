// Package recordstore is the seam where records rest: what this node knows of
// names, kept so that a crash, a full disk or a restart never loses a record
// that was acknowledged and never brings an older one back.
//
// A [Store] keeps two kinds of knowledge apart. An [Entry] is the truth about a
// name and changes only by compare-and-swap, durable when the call returns.
// [Upkeep] is bookkeeping about it (when was it put, who holds it): written in
// batches, the last write wins, and a crash may lose some of it. Bookkeeping
// never makes a publisher's swap fail and never costs an fsync.
//
// Invariants:
//   - A Mark never goes back, also when its record has expired or is deleted.
//   - What Swap acknowledged is there after a crash of the process or machine.
//   - Scan and Due walk names in the order of their Kademlia ids, so that a
//     sweep of the key space is a range scan.
package recordstore
