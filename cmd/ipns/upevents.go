package main

import (
	"strings"
	"time"

	"github.com/goipns/ipns/api"
)

// The events of 'ipns up --json', one object a line, which docs/up.md describes.
type (
	// upPublished is the first event, and comes again for each change.
	upPublished struct {
		api.Published
		Event   string // published
		Time    time.Time
		Content string // the CID
		// How many files and folders were added, changed and removed since the one before.
		Added, Changed, Removed int
	}
	watchingEvent struct {
		Event  string // watching
		Time   time.Time
		Folder string
		Polls  string `json:",omitempty"` // why the folder is looked at every few seconds
	}
	outsideEvent struct {
		Event    string // outside
		Time     time.Time
		Name     string
		Value    string // of the newest record that was found
		Sequence uint64
		Have     int // servers, routers and gateways that have it
		Asked    int // that were asked
		OK       bool
		Verdict  string
	}
	reachabilityEvent struct {
		Event        string // reachability
		Time         time.Time
		Fetch        string // as of 'ipns swarm addrs autonat'
		Reachability string
	}
	errorEvent struct {
		Event string // error
		Time  time.Time
		Error string
	}
	dryRunEvent struct {
		Event   string // dry-run
		Content string // the CID that would be published
		Same    bool   // it is what was published last
		// Paths below the folder that differ from what was published last, if that is known.
		Known                   bool
		Added, Changed, Removed []string
	}
)

func publishedEvent(p api.Published, added int) upPublished {
	return upPublished{Published: p, Event: "published", Time: time.Now().UTC(), Content: contentOf(p), Added: added}
}

// contentOf is the CID of what was published.
func contentOf(p api.Published) string { return strings.TrimPrefix(p.Value, "/ipfs/") }
