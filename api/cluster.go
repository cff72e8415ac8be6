package api

import (
	"io"
	"strconv"
	"strings"
	"time"

	"github.com/goipns/ipns/internal/display"
	"github.com/goipns/ipns/rpc"
)

// clusterCommands are the commands of this file.
var clusterCommands = []rpc.Spec{ClusterStatus}

// ClusterStatus: show the daemons that share the store, and who looks after which names.
var ClusterStatus = rpc.Command[ClusterStatusRequest, Cluster]{
	Info: rpc.Info{
		Path:     "cluster/status",
		Short:    "Show which daemons share the store, and who looks after which names",
		Examples: []string{`ipns cluster status`},
	},
	Text: ClusterStatusRequest.Text,
}

// ClusterStatusRequest shows which daemons share the store.
type ClusterStatusRequest struct {
	Sectors bool `opt:"sectors" help:"list every sector with its holder and epoch"`
}

// Cluster says how the work on the names of one store is shared.
type Cluster struct {
	// Alone says that the names are in the repo of this daemon, or node, which shares them
	// with no other. Nothing else is set then.
	Alone bool
	// Self is the ID of this daemon among Daemons; "": it takes no part.
	Self string `json:",omitempty"`
	// Error is why this daemon cannot extend its leases; names are left to others.
	Error    string          `json:",omitempty"`
	Daemons  []ClusterDaemon `json:",omitempty"` // in the order in which they started
	Sectors  []ClusterSector `json:",omitempty"` // those that were ever leased
	Unheld   int             // sectors that nobody holds now, of 64
	LeaseTTL time.Duration   `json:",omitempty"` // nanoseconds that a lease lasts
}

// ClusterDaemon is a daemon. Its figures are those that it told last.
type ClusterDaemon struct {
	ID      string
	Peer    string // its peer id
	Version string
	Started time.Time
	Silent  time.Duration // nanoseconds since it gave a sign of life
	Ready   bool
	Why     string `json:",omitempty"` // it is not ready
	// Sectors are those that it holds, Sweeping those of which it puts the names now.
	Sectors, Sweeping []int
	Names, Due, Late  int // in its sectors
	AtRisk            int
	Unready           int           // names whose key cannot sign there
	Elsewhere         int           // names whose key is not there: others must renew them
	Lag               time.Duration // nanoseconds after which it sees a change of the store; 0: unknown
}

// ClusterSector is one of 64 parts of the names, by their place in the key space.
type ClusterSector struct {
	Sector int
	Holder string `json:",omitempty"` // the ID of a daemon; "": none
	Epoch  uint64
	Left   time.Duration // nanoseconds until its lease ends; 0: it has ended
}

// Text is a line for each daemon.
func (r ClusterStatusRequest) Text(c Cluster) string {
	if c.Alone {
		return "this node is alone: its names are in its own repo, which no other daemon shares\n"
	}
	return table(func(tw io.Writer) {
		for _, d := range c.Daemons {
			who := d.ID
			if d.ID == c.Self {
				who += " (this one)"
			}
			display.Fprintf(tw, "Daemon:\t%s\n", who)
			display.Fprintf(tw, "\tpeer %s, version %s, since %s\n", d.Peer, d.Version, d.Started.UTC().Format(time.RFC3339))
			state := "ready"
			if !d.Ready {
				state = "not ready: " + d.Why
			}
			switch {
			case d.Silent > c.LeaseTTL:
				state = "silent for " + d.Silent.Round(time.Second).String()
			case c.Self == "" && len(d.Sectors) == 0: // nobody here has listened for its signs of life
				state = "may have ended; it said last: " + state
			}
			display.Fprintf(tw, "\t%s\n", state)
			display.Fprintf(tw, "\tholds %d of 64 sectors%s; %d names, %d due, %d late, %d at risk\n", len(d.Sectors), listed(": ", d.Sectors), d.Names, d.Due, d.Late, d.AtRisk)
			if d.Elsewhere+d.Unready > 0 {
				display.Fprintf(tw, "\tcannot renew %d names whose keys are not there, and %d whose keys cannot sign\n", d.Elsewhere, d.Unready)
			}
			if len(d.Sweeping) > 0 {
				display.Fprintf(tw, "\tputs the names of %s now\n", listed("", d.Sweeping))
			}
			if d.Lag > 0 {
				display.Fprintf(tw, "\tsees changes of the store after %s\n", d.Lag.Round(time.Millisecond))
			}
		}
		if c.Self == "" {
			display.Fprintf(tw, "This one:\ttakes no part: it is no running daemon, or has no network\n")
		}
		if c.Error != "" {
			display.Fprintf(tw, "Leases:\tcannot be extended: %s\n", c.Error)
		}
		if c.Unheld > 0 {
			display.Fprintf(tw, "No holder:\t%d sectors, for now\n", c.Unheld)
		}
		if !r.Sectors {
			return
		}
		for _, s := range c.Sectors {
			holder := s.Holder
			if s.Left == 0 {
				holder = "nobody"
			}
			display.Fprintf(tw, "Sector %d:\t%s, epoch %d, for another %s\n", s.Sector, holder, s.Epoch, s.Left.Round(time.Second))
		}
	})
}

// listed lists numbers in order, as ranges.
func listed(before string, list []int) string {
	var parts []string
	for i := 0; i < len(list); {
		j := i
		for j+1 < len(list) && list[j+1] == list[j]+1 {
			j++
		}
		part := strconv.Itoa(list[i])
		if j > i {
			part += "-" + strconv.Itoa(list[j])
		}
		parts = append(parts, part)
		i = j + 1
	}
	if len(parts) == 0 {
		return ""
	}
	return before + strings.Join(parts, " ")
}
