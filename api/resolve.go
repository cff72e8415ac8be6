package api

import (
	"fmt"
	"strings"
	"time"

	"github.com/goipns/ipns/internal/display"
	"github.com/goipns/ipns/routing"
)

// ResolveRequest resolves a name.
type ResolveRequest struct {
	Name        string        `arg:"name,optional,stdin"`
	Recursive   bool          `opt:"recursive,r" default:"true" help:"follow names that lead to names"`
	NoCache     bool          `opt:"nocache,n" help:"do not use cached answers"`
	RecordCount uint          `opt:"dht-record-count,dhtrc" default:"3" help:"with --nocache: how many servers must have the newest record; 0: ask all that should have it"`
	Timeout     time.Duration `opt:"dht-timeout,dhtt" default:"1m" help:"how long to search for each name; 0 is without limit"`
	MinSequence uint64        `opt:"min-sequence" help:"wait until a record of the name with at least this sequence is known, such as one that was just published by another daemon; 0: any"`
	Stream      bool          `opt:"stream,s" chunked:"true" help:"print each newer answer as it arrives"`
	Verbose     bool          `opt:"verbose,v" help:"for each step, print where the answer came from, how many servers agree and how long it stays valid"`
}

// Resolved is what a name leads to.
type Resolved struct {
	Path string
	// Silent is for how many nanoseconds the database that daemons share has not answered:
	// what others have published since is not known here.
	Silent time.Duration `json:",omitempty"`
	// Hops are the steps that lead there, if requested.
	Hops []ResolvedHop `json:",omitempty"`
}

// ResolvedHop is one step from a name or domain to a path.
type ResolvedHop struct {
	Root, Value string
	TTL         time.Duration // nanoseconds for which it may still be cached
	Source      string        // a peer id or URL; "book": this node vouches for it; "dnslink", "static"
	Network     string        `json:",omitempty"`
	Cached      bool          `json:",omitempty"` // from the cache
	Stale       bool          `json:",omitempty"` // the TTL has run out and the record was not confirmed since
	// Set for names only: Agree of the Answered sources have this record. Without a DHT,
	// these are HTTP routers.
	Sequence        *uint64    `json:",omitempty"`
	EOL             *time.Time `json:",omitempty"`
	Agree, Answered int
	// Roads has the same figures for each road with an answer.
	Roads []ResolvedRoad `json:",omitempty"`
}

// ResolvedRoad counts the sources on one road.
type ResolvedRoad struct {
	Road            routing.Road `json:",omitempty"` // "": a DHT; "http" or "pubsub"
	Agree, Answered int
}

// Check returns an error if the path cannot be printed unchanged for scripts. JSON can hold
// any path.
func (ResolveRequest) Check(r Resolved) error {
	if display.IsPlain(r.Path) {
		return nil
	}
	return fmt.Errorf("the value %q contains unprintable characters; --json prints it escaped", r.Path)
}

// Notes says how old the answer may be.
func (r Resolved) Notes() []string {
	if r.Silent == 0 {
		return nil
	}
	return []string{display.Sprintf("the database of the names has not answered for %s: what other daemons have published since is not known here", r.Silent.Round(time.Second))}
}

// Text is the path, and one line per step if requested.
func (ResolveRequest) Text(r Resolved) string {
	var b strings.Builder
	display.Fprintln(&b, r.Path)
	for _, h := range r.Hops {
		display.Fprintf(&b, "  %s leads to %s: ", h.Root, h.Value)
		if h.Sequence != nil {
			display.Fprintf(&b, "sequence %d until %s, ", *h.Sequence, h.EOL.Format(time.RFC3339))
		}
		display.Fprintf(&b, "for another %s, by %s", h.TTL.Round(time.Second), h.Source)
		if len(h.Roads) > 0 {
			var agree []string
			for _, r := range h.Roads {
				agree = append(agree, display.Sprintf("%d of %d %s", r.Agree, r.Answered, r.Road.Targets(0)))
			}
			display.Fprintf(&b, ", %s who answered agree", strings.Join(agree, ", "))
		}
		if h.Stale {
			b.WriteString(", not confirmed since its TTL was over")
		}
		b.WriteString("\n")
	}
	return b.String()
}
