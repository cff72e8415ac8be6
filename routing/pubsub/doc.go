// Package pubsub carries records by IPNS over PubSub: each name has a gossipsub topic,
// whoever listens to it gets a new record at once, and who comes late fetches it from
// those who have it. On the wire it is what Kubo and Helia speak: the specification is
// IPNS PubSub Router.
//
// A [Router] is subscribed to the topics of its hot names: those that were published,
// resolved or watched here within [HotFor], the [MaxSubscriptions] used last. Peers are
// told of them, records come by them, and latecomers fetch them from here. Other names
// are cold and cost nothing: a record of one is published to the peers that listen to its
// topic when it is put, and again when another one begins to listen.
//
// Contract:
//   - A record from others is verified, compared with what this node has and given to
//     Config.Take before it is passed on. A better one that is fetched is published.
//   - A message that is not a record of its topic's name counts against the peer that
//     sent it; after [maxStrikes] of them its messages are dropped for [banTime]. One
//     that ended less than [lateGrace] ago is ignored.
//   - Fetches are answered with records of hot names and those that Config.Held has,
//     nothing else.
//   - An Ack stands for a peer that listens to the topic and to which the message was
//     sent. Whether it kept the record is unknown. What peers do not have proves
//     nothing: a search that none of them answers ends with routing.ErrNoTargets.
//   - Sequence numbers of messages grow, also over restarts and when the clock is set
//     back: Kubo drops messages below the highest it has seen of a peer.
//
// What strangers cause is bounded by the constants in limits.go, and gone when they are.
package pubsub
