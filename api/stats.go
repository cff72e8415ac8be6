package api

import (
	"strings"
	"text/tabwriter"
	"time"

	"github.com/dustin/go-humanize"

	"github.com/goipns/ipns/internal/display"
	"github.com/goipns/ipns/rpc"
)

// statsCommands are the commands of this file.
var statsCommands = []rpc.Spec{StatsBandwidth, StatsDHT}

var (
	// StatsBandwidth: show how much is sent and received.
	StatsBandwidth = rpc.Command[BandwidthRequest, Bandwidth]{
		Info: rpc.Info{
			Path:     "stats/bw",
			Short:    "Show how much is sent to other nodes and received",
			Examples: []string{`ipns stats bw`},
			Chunked:  true,
		},
		Text: BandwidthRequest.Text,
	}
	// StatsDHT: show the routing tables.
	StatsDHT = rpc.Command[DHTStatRequest, DHTStat]{
		Info: rpc.Info{
			Path: "stats/dht", Args: "[<dht>...]",
			Short:    "Show the peers that the DHTs know",
			Examples: []string{`ipns stats dht`, `ipns stats dht lan`},
			Chunked:  true,
		},
		Text: DHTStatRequest.Text,
	}
)

// BandwidthRequest asks how much is sent and received.
type BandwidthRequest struct {
	Peer     string        `opt:"peer,p" help:"only to and from this peer"`
	Protocol string        `opt:"proto,t" help:"only by this protocol"`
	Poll     bool          `opt:"poll" help:"print it again and again"`
	Interval time.Duration `opt:"interval,i" default:"1s" help:"how long to wait in between"`
}

// Bandwidth are bytes since the start, and bytes per second.
type Bandwidth struct {
	TotalIn, TotalOut int64
	RateIn, RateOut   float64
}

// Text is one value a line, or with Poll all in one.
func (req BandwidthRequest) Text(b Bandwidth) string {
	bytes := func(n float64) string { return humanize.Bytes(uint64(max(n, 0))) }
	if req.Poll {
		return display.Sprintf("%8s    %8s    %8s/s  %8s/s\n", bytes(float64(b.TotalOut)), bytes(float64(b.TotalIn)), bytes(b.RateOut), bytes(b.RateIn))
	}
	return display.Sprintf("Bandwidth\nTotalIn: %s\nTotalOut: %s\nRateIn: %s/s\nRateOut: %s/s\n", bytes(float64(b.TotalIn)), bytes(float64(b.TotalOut)), bytes(b.RateIn), bytes(b.RateOut))
}

// DHTStatRequest asks for routing tables: wan, lan, wanserver or lanserver.
type DHTStatRequest struct {
	DHTs []string `arg:"dht,optional"`
}

// DHTStat is the routing table of one DHT.
type DHTStat struct {
	Name    string
	Buckets []DHTBucket
}

// DHTBucket are the peers at one distance.
type DHTBucket struct {
	LastRefresh string
	Peers       []DHTPeer
}

// DHTPeer is a peer in a routing table. Times are empty for never.
type DHTPeer struct {
	ID            string
	Connected     bool
	AgentVersion  string
	LastUsefulAt  string
	LastQueriedAt string
}

// Text is a table of each bucket.
func (DHTStatRequest) Text(s DHTStat) string {
	now := time.Now()
	since := func(text string) string {
		t, err := time.Parse(time.RFC3339, text)
		if err != nil {
			return "never"
		}
		return now.Sub(t).Round(time.Second).String() + " ago"
	}
	count := 0
	for _, bucket := range s.Buckets {
		count += len(bucket.Peers)
	}
	var b strings.Builder
	tw := tabwriter.NewWriter(&b, 4, 4, 2, ' ', 0)
	display.Fprintf(tw, "DHT %s (%d peers):\t\t\t\n", s.Name, count)
	for i, bucket := range s.Buckets {
		display.Fprintf(tw, "  Bucket %2d (%d peers) - refreshed %s:\t\t\t\n", i, len(bucket.Peers), since(bucket.LastRefresh))
		display.Fprintf(tw, "    Peer\tlast useful\tlast queried\tAgent Version\n")
		for _, p := range bucket.Peers {
			state := " "
			if p.Connected {
				state = "@"
			}
			display.Fprintf(tw, "  %s %s\t%s\t%s\t%s\n", state, p.ID, since(p.LastUsefulAt), since(p.LastQueriedAt), p.AgentVersion)
		}
		display.Fprintf(tw, "\t\t\t\n")
	}
	tw.Flush()
	return b.String()
}
