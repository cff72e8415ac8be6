package api

import (
	"fmt"
	"strings"
	"time"

	"github.com/goipns/ipns/internal/display"
)

// ResolveRequest asks where a name leads.
type ResolveRequest struct {
	Name        string        `arg:"name,optional,stdin"`
	Recursive   bool          `opt:"recursive,r" default:"true" help:"follow names until something else than a name is found"`
	NoCache     bool          `opt:"nocache,n" help:"do not use cached answers"`
	RecordCount uint          `opt:"dht-record-count,dhtrc" default:"3" help:"with nocache: how many servers must hold the newest record before it counts; 0: all that should are asked"`
	Timeout     time.Duration `opt:"dht-timeout,dhtt" default:"1m" help:"how long to search for each name; 0 is for ever"`
	Stream      bool          `opt:"stream,s" chunked:"true" help:"print every better answer as it is found"`
	Verbose     bool          `opt:"verbose,v" help:"print of each step who said so, how many agree, and how long it holds"`
}

// Resolved is where a name leads.
type Resolved struct {
	Path string
	// Hops are the steps that lead there; only if they were asked for.
	Hops []ResolvedHop `json:",omitempty"`
}

// ResolvedHop is one step: from a name, or from a domain, to a path.
type ResolvedHop struct {
	Root, Value string
	TTL         time.Duration // nanoseconds for which it may still be kept
	Source      string        // a peer id or URL; "book": this node vouches for it; "dnslink", "static"
	Network     string        `json:",omitempty"`
	Cached      bool          `json:",omitempty"` // nobody was asked for it
	Stale       bool          `json:",omitempty"` // the TTL is over and nobody has confirmed it since
	// Of names only. Agree servers of the Answered that answered by then have this
	// record.
	Sequence        *uint64    `json:",omitempty"`
	EOL             *time.Time `json:",omitempty"`
	Agree, Answered int
}

// Check returns an error if the path cannot be printed as it is, for scripts that
// read it: JSON can.
func (ResolveRequest) Check(r Resolved) error {
	if display.IsPlain(r.Path) {
		return nil
	}
	return fmt.Errorf("the value %q has characters that cannot be printed; --json has it as it is", r.Path)
}

// Text is the path, and a line for each step if they were asked for.
func (ResolveRequest) Text(r Resolved) string {
	var b strings.Builder
	display.Fprintln(&b, r.Path)
	for _, h := range r.Hops {
		display.Fprintf(&b, "  %s leads to %s: ", h.Root, h.Value)
		if h.Sequence != nil {
			display.Fprintf(&b, "sequence %d until %s, ", *h.Sequence, h.EOL.Format(time.RFC3339))
		}
		display.Fprintf(&b, "for another %s, by %s", h.TTL.Round(time.Second), h.Source)
		if h.Answered > 0 {
			display.Fprintf(&b, ", %d of %d who answered agree", h.Agree, h.Answered)
		}
		if h.Stale {
			b.WriteString(", not confirmed since its TTL was over")
		}
		b.WriteString("\n")
	}
	return b.String()
}
