package pubsub

import (
	"time"

	"github.com/goipns/ipns"
)

// Limits of this node's own part.
const (
	// MaxSubscriptions is how many names are hot. All their topics go to a new peer in
	// one packet of some 84 bytes each, and peers close a stream on which one is over
	// 512 KiB: go-libp2p-pubsub does not split it.
	MaxSubscriptions = 6000
	// HotFor is how long a name stays hot after it was published, resolved or watched.
	HotFor = 24 * time.Hour

	rebroadcastEvery = time.Minute // of a hot name's record, as Kubo does
	rebroadcastRate  = 100         // records at most at each tick
	tick             = 500 * time.Millisecond
	saveEvery        = 30 * time.Second

	// publishGap is the least time between two messages. Kubo checks messages of one
	// peer at once, and drops one that it comes to after a later one.
	publishGap  = time.Millisecond
	sentTimeout = time.Second // until a message was sent to each peer of its topic
	// settleTime is how long a put or a search waits, after it has subscribed, for
	// peers that answer with the same.
	settleTime = 500 * time.Millisecond

	outboundQueue = 1024 // messages that wait for one peer
)

// Limits of what other peers cause.
const (
	// MaxTopics is how many topics are known of all peers together. From half of it on,
	// a peer gets no more than fewTopics.
	MaxTopics = 65_536
	// MaxTopicsPerPeer is how many topics one peer may listen to, as far as it counts
	// here.
	MaxTopicsPerPeer = 10_240
	// MaxPeersPerTopic is how many peers of one topic are known.
	MaxPeersPerTopic = 512

	fewTopics = 1024

	joinBurst = MaxTopicsPerPeer // topics that a peer may begin to listen to at once
	joinRate  = 10               // and a second after that
	joiners   = 8                // that are looked after at once
	coldPause = time.Second      // between two messages of a cold name to those who join
	coldTries = 5                // of one, while it does not reach a peer

	// maxMessage is the size of a message: the record, and signature, key, topic and
	// peer id around it.
	maxMessage      = ipns.MaxRecordSize + 4<<10
	validateQueue   = 1024 // messages that wait to be verified
	validateWorkers = 16   // that are verified at once
	takeTimeout     = 10 * time.Second

	maxStrikes = 16               // messages that are no records, of one connected peer
	banTime    = 10 * time.Minute // for which nothing more is taken from it
	maxBanned  = 4096
	lateGrace  = time.Hour // after its EOL a record may still be on its way
)

// Limits of fetching.
const (
	fetchTimeout    = 5 * time.Second
	maxFetchRequest = 16 << 10                 // bytes
	maxFetchAnswer  = ipns.MaxRecordSize + 256 // bytes
	maxServing      = 64                       // requests at once
	maxServingPeer  = 8                        // of one peer
	maxAsked        = 8                        // peers that one search asks
	askTimeout      = 2500 * time.Millisecond  // for all of them
)

// Limits of finding peers by the DHT.
const (
	wantedPeers    = 6 // of a topic: the degree of a gossipsub mesh
	findsAtOnce    = 4
	provideAtOnce  = 4
	findTimeout    = time.Minute
	provideTimeout = 2 * time.Minute
	connectTimeout = 10 * time.Second
	provideEvery   = 12 * time.Hour
	firstLook      = 10 * time.Second // between two looks for peers; doubled each time
	slowestLook    = 6 * time.Hour
)
