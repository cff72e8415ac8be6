// Package api declares the commands of a node as values: the types of their requests and
// responses, which are Kubo's JSON, and their help. Package internal/verbs implements
// them; package rpc transports them.
//
// Only this package declares a command: its value, its types, and its place in the list
// of its file. The command line, docs/cli.md and the tests are generated from [All].
package api

import (
	"errors"
	"slices"

	"github.com/goipns/ipns/rpc"
)

// All lists all commands, in the order of the help.
var All = slices.Concat(
	nameCommands, ladderCommands, webhookCommands, followCommands, pubsubCommands, republishCommands, clusterCommands, keyCommands, hostCommands,
	contentCommands, filesCommands, refsCommands, pinCommands, pinRemoteCommands, blockCommands, dagCommands, cidCommands, multibaseCommands, routingCommands,
	nodeCommands, depsCommands, commandsCommands, configCommands, repoCommands, storeCommands, diagCommands, swarmCommands, bootstrapCommands,
	peeringCommands, pingCommands, provideCommands, bitswapCommands, statsCommands,
)

// Groups are the first words of commands that have more than one.
var Groups = map[string]string{
	"name":         "Publish and resolve names",
	"name/webhook": "Send what changes of names to addresses",
	"name/pubsub":  "Show which names are subscribed to over pubsub",
	"republish":    "Show how names are kept online",
	"cluster":      "Show how daemons share a store",
	"key":          "Make and manage the keys of names",
	"host":         "Keep the names of others alive",
	"follow":       "Keep names of others alive, and their content",
	"host/token":   "Make, list, replace and end the tokens of tenants",
	"host/tenant":  "Say what tenants may have, export and remove them",
	"host/deny":    "Refuse names and tenants",
	"files":        "Describe files and folders",
	"pin":          "Pin content, so that it stays",
	"pin/remote":   "Have content pinned by services",

	"pin/remote/service": "Add, list and remove pinning services",

	"block":     "Read and store single blocks",
	"dag":       "Read and store data in blocks, and CAR files",
	"cid":       "Convert CIDs and take them apart",
	"multibase": "Encode and decode bytes as text",
	"log":       "Show or set how much is logged",
	"diag":      "Look into the daemon and the machine",
	"repo":      "Measure, clean, check and repair what is stored",
	"store":     "Show where the names are kept, and move them",
	"routing":   "Get and put raw values, find peers and content, announce content",
	"swarm":     "Connect to peers and list them",

	"config/profile": "Change many values of the config at once",

	"dht":           "Ask the DHT itself",
	"provide":       "Show and control how content is announced",
	"bitswap":       "Show how blocks are exchanged with other nodes",
	"stats":         "Show statistics of this node",
	"swarm/peering": "Keep connections to chosen peers",
}

// Reasons why a command failed, for programs that can do something about it. cmd/ipns
// turns them into advice.
const (
	ReasonOffline      = "offline"          // it needs the network of a running daemon
	ReasonAway         = "away"             // the network should have servers, and none could be reached
	ReasonUnannounced  = "unannounced"      // the record is stored, but too few servers took it
	ReasonFull         = "full"             // there is no space on disk
	ReasonStoreAway    = "store-away"       // the database of the names cannot be reached
	ReasonReadOnly     = "read-only"        // the database of the names takes no writes
	ReasonConflict     = "conflict"         // the last sequence is not the expected one
	ReasonRival        = "rival"            // another holder of the key has published
	ReasonClock        = "clock"            // the clock differs from those of others
	ReasonNotKnown     = "sequence-unknown" // a newer record may exist
	ReasonTooLarge     = "sequence-large"   // other implementations refuse the sequence
	ReasonLocked       = "locked"           // keys are encrypted, and the passphrase is not known
	ReasonNoKey        = "no-key"           // no key has that label or name
	ReasonNotFound     = "not-found"        // enough servers were asked, and none has a record of the name
	ReasonExpired      = "expired"          // the newest record of the name has expired
	ReasonNotPublished = "not-published"    // nothing was published under the name here
	ReasonNoContent    = "no-content"       // the path to publish leads nowhere
	ReasonNoBase       = "no-base"          // the earlier version that an add builds on is not here
	ReasonNeverHad     = "never-had"        // the name never had that value or sequence
	ReasonDamaged      = "damaged"          // what was stored is damaged
	ReasonNotBootstrap = "not-bootstrap"    // the peer is not a bootstrap peer
)

// ErrOffline is the error of commands that need the network of a running daemon.
// Its text is Kubo's.
var ErrOffline = rpc.Because(ReasonOffline, errors.New("this action must be run in online mode, try running 'ipns daemon' first"))

// ErrNotOnline is that error of commands that are about the network itself, in Kubo's
// words too.
var ErrNotOnline = rpc.Because(ReasonOffline, errors.New("this command must be run in online mode. Try running 'ipns daemon' first"))
