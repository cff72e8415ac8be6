package api

import (
	"fmt"
	"io"
	"maps"
	"slices"
	"strconv"
	"strings"
	"text/tabwriter"

	"github.com/goipns/ipns/internal/display"
	"github.com/goipns/ipns/rpc"
)

var (
	// SwarmAddrsAutoNAT: show whether others can reach this node.
	SwarmAddrsAutoNAT = rpc.Command[SwarmAutoNATRequest, AutoNAT]{
		Info: rpc.Info{
			Path:     "swarm/addrs/autonat",
			Short:    "Show at which addresses others can reach this node",
			Examples: []string{`ipns swarm addrs autonat`},
			Instant:  true,
		},
		Text: SwarmAutoNATRequest.Text,
	}
	// SwarmFilters: list the address ranges that are never dialled nor accepted.
	SwarmFilters = rpc.Command[SwarmFiltersRequest, Strings]{
		Info: rpc.Info{
			Path:     "swarm/filters",
			Short:    "List and change the address ranges that are never dialled nor accepted",
			Examples: []string{`ipns swarm filters`},
			Instant:  true,
		},
		Text: SwarmFiltersRequest.Text,
	}
	// SwarmFiltersAdd: add address ranges.
	SwarmFiltersAdd = rpc.Command[SwarmFiltersChange, Strings]{
		Info: rpc.Info{
			Path: "swarm/filters/add", Args: "<range>...",
			Short:    "Never dial nor accept addresses in a range, from now on",
			Examples: []string{`ipns swarm filters add /ip4/192.0.2.0/ipcidr/24`},
		},
		Text: SwarmFiltersChange.Text,
	}
	// SwarmFiltersRm: remove address ranges.
	SwarmFiltersRm = rpc.Command[SwarmFiltersChange, Strings]{
		Info: rpc.Info{
			Path: "swarm/filters/rm", Args: "<range>...",
			Short:    "Remove an address range, or all",
			Examples: []string{`ipns swarm filters rm /ip4/192.0.2.0/ipcidr/24`, `ipns swarm filters rm all`},
		},
		Text: SwarmFiltersChange.Text,
	}
	// SwarmResources: show the limits of libp2p's resources, and how much is used.
	SwarmResources = rpc.Command[SwarmResourcesRequest, Resources]{
		Info: rpc.Info{
			Path:     "swarm/resources",
			Short:    "Show the limits of the resources for connections, and how much is used",
			Examples: []string{`ipns swarm resources`},
			Instant:  true,
		},
		Text: SwarmResourcesRequest.Text,
	}
)

// SwarmAutoNATRequest asks how reachable the node is.
type SwarmAutoNATRequest struct{}

// AutoNAT says whether others can reach this node, and at which addresses, as others
// have tried.
type AutoNAT struct {
	Reachability string   `json:"reachability"` // Public, Private or Unknown
	Reachable    []string `json:"reachable,omitempty"`
	Unreachable  []string `json:"unreachable,omitempty"`
	Unknown      []string `json:"unknown,omitempty"`
	// Fetch is who can fetch from this node: anyone; relay, anyone over a relay of one's own;
	// ipv6, those that have IPv6; punched, those that others can connect to, and those behind
	// routers that keep one port for all destinations; public, the former alone; nobody; or
	// not-known, nobody has tried so far.
	Fetch string `json:"fetch,omitempty"`
	// UDP and TCP are what the router does with ports: endpoint-independent, so that holes can
	// be punched, endpoint-dependent (symmetric), blocked, or "": not known.
	UDP     string `json:"udp,omitempty"`
	TCP     string `json:"tcp,omitempty"`
	Meaning string `json:"meaning,omitempty"` // for people
}

// Text is a list of each kind.
func (SwarmAutoNATRequest) Text(a AutoNAT) string {
	var b strings.Builder
	display.Fprintf(&b, "AutoNAT V2 Status:\n  Reachability: %s\n\nPer-Address Reachability:\n", a.Reachability)
	for _, kind := range []struct {
		name  string
		addrs []string
	}{{"Reachable", a.Reachable}, {"Unreachable", a.Unreachable}, {"Unknown", a.Unknown}} {
		if len(kind.addrs) > 0 {
			display.Fprintf(&b, "  %s:\n", kind.name)
			b.WriteString(lines("    ", kind.addrs, ""))
		}
	}
	if len(a.Reachable)+len(a.Unreachable)+len(a.Unknown) == 0 {
		b.WriteString("  (no address reachability data available)\n")
	}
	if a.Meaning != "" {
		display.Fprintf(&b, "\n%s\n", a.Meaning)
	}
	return b.String()
}

// SwarmFiltersRequest lists address ranges.
type SwarmFiltersRequest struct{}

// Text is one range a line.
func (SwarmFiltersRequest) Text(s Strings) string { return lines("", s.Strings, "") }

// SwarmFiltersChange adds or removes address ranges.
type SwarmFiltersChange struct {
	Ranges []string `arg:"address,stdin"`
}

// Text is one range a line.
func (SwarmFiltersChange) Text(s Strings) string { return lines("", s.Strings, "") }

// SwarmResourcesRequest asks for the resources.
type SwarmResourcesRequest struct{}

// Resources are the limits and the use of each scope of libp2p's resource manager.
type Resources struct {
	System    ResourceScope
	Transient ResourceScope
	Services  map[string]ResourceScope `json:",omitempty"`
	Protocols map[string]ResourceScope `json:",omitempty"`
	Peers     map[string]ResourceScope `json:",omitempty"`
}

// ResourceScope has the limits of one scope, each a number, "unlimited" or "blockAll",
// and what of them is used.
type ResourceScope struct {
	Memory               any
	MemoryUsage          int64
	FD                   any
	FDUsage              int
	Conns                any
	ConnsUsage           int
	ConnsInbound         any
	ConnsInboundUsage    int
	ConnsOutbound        any
	ConnsOutboundUsage   int
	Streams              any
	StreamsUsage         int
	StreamsInbound       any
	StreamsInboundUsage  int
	StreamsOutbound      any
	StreamsOutboundUsage int
}

// Text is a table of the limits that are set.
func (SwarmResourcesRequest) Text(r Resources) string {
	var b strings.Builder
	tw := tabwriter.NewWriter(&b, 20, 8, 0, '\t', 0)
	display.Fprintf(tw, "Scope\tLimit Name\tLimit Value\tLimit Usage Amount\tLimit Usage Percent\t\n")
	r.System.rows(tw, "system")
	r.Transient.rows(tw, "transient")
	for _, kind := range []struct {
		prefix string
		scopes map[string]ResourceScope
	}{{"svc:", r.Services}, {"proto:", r.Protocols}, {"peer:", r.Peers}} {
		for _, name := range slices.Sorted(maps.Keys(kind.scopes)) {
			kind.scopes[name].rows(tw, kind.prefix+name)
		}
	}
	tw.Flush()
	return b.String()
}

func (s ResourceScope) rows(w io.Writer, scope string) {
	for _, l := range []struct {
		name  string
		limit any
		used  int64
	}{
		{"Memory", s.Memory, s.MemoryUsage},
		{"FD", s.FD, int64(s.FDUsage)},
		{"Conns", s.Conns, int64(s.ConnsUsage)},
		{"ConnsInbound", s.ConnsInbound, int64(s.ConnsInboundUsage)},
		{"ConnsOutbound", s.ConnsOutbound, int64(s.ConnsOutboundUsage)},
		{"Streams", s.Streams, int64(s.StreamsUsage)},
		{"StreamsInbound", s.StreamsInbound, int64(s.StreamsInboundUsage)},
		{"StreamsOutbound", s.StreamsOutbound, int64(s.StreamsOutboundUsage)},
	} {
		percent := "0%"
		limit := fmt.Sprint(l.limit)
		if f, ok := l.limit.(float64); ok { // a number, as JSON has it
			limit = strconv.FormatFloat(f, 'f', 0, 64)
		}
		n, err := strconv.ParseInt(limit, 10, 64)
		switch {
		case limit == "blockAll":
			percent = "n/a"
		case err != nil:
			continue // no limit
		case l.used != 0:
			percent = strconv.FormatFloat(float64(l.used)/float64(n)*100, 'f', 1, 64) + "%"
		}
		display.Fprintf(w, "%s\t%s\t%s\t%d\t%s\t\n", scope, l.name, limit, l.used, percent)
	}
}
