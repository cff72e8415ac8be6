package api

import (
	"io"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/goipns/ipns/internal/display"

	"github.com/goipns/ipns/rpc"
)

// republishCommands are the commands of this file.
var republishCommands = []rpc.Spec{RepublishStatus}

// RepublishStatus: show which names are due, late and at risk.
var RepublishStatus = rpc.Command[RepublishStatusRequest, Republishing]{
	Info: rpc.Info{
		Path:     "republish/status",
		Short:    "Show which names are due, late and at risk",
		Examples: []string{`ipns republish status`, `ipns republish status --watch`},
	},
	Text: RepublishStatusRequest.Text,
}

// RepublishStatusRequest shows how the names of the node are kept alive.
type RepublishStatusRequest struct {
	Watch bool `opt:"watch,w" chunked:"true" help:"keep printing until no name is due"`
}

// Republishing describes how the names of the node are kept alive. Figures about names
// are as of ScannedAt; counters start with the daemon.
type Republishing struct {
	ScannedAt time.Time
	Own       int // names with a key here
	Hosted    int // names of others
	Expired   int // of both kinds
	Holders   int // servers that took a record last time, summed over all names
	// KeysLocked says that keys are encrypted and that there is no passphrase: no record is
	// renewed.
	KeysLocked bool `json:",omitempty"`

	// Regions is the number of sectors, RegionsDone of those in which no name is due.
	Regions, RegionsDone int
	Due                  int // names to announce now
	Late                 int // how many of them have been due for more than five minutes
	// NamesPerSecond is the rate while names are due.
	NamesPerSecond float64
	ETA            time.Duration // nanoseconds until no name is due; 0: none is, or unknown
	// PausedUntil is set while puts are paused because no server answers.
	PausedUntil *time.Time `json:",omitempty"`
	// Survival is the share of servers that still had a record when it was announced
	// again; 0: unknown.
	Survival float64

	// AtRisk lists names with less than a quarter of their lifetime left, fewer than ten
	// holders, or a key that cannot sign, at most 1000; AtRiskCount counts all. Unready
	// counts those whose key cannot sign.
	AtRisk      []AtRisk
	AtRiskCount int
	Unready     int `json:",omitempty"`
	// OtherWriters are own names for which someone else has published a newer record.
	OtherWriters []string

	Puts, Acks, FailedAcks, Bytes, Renewed, RenewalsFailed uint64
	// The cost of a name per day.
	RPCsPerNameDay, BytesPerNameDay float64
	// Failures counts the reasons why servers did not take a record or keys did not sign.
	Failures map[string]uint64
}

// AtRisk is a name that may be lost.
type AtRisk struct {
	Name    string
	EOL     time.Time
	Holders int
	Reason  string
	// Signer is why the key cannot sign; "": it can, as far as is known. NoKey says that no
	// key was found, neither here nor at an agent or signer.
	Signer string `json:",omitempty"`
	NoKey  bool   `json:",omitempty"`
}

// shownAtRisk is how many names at risk are printed.
const shownAtRisk = 20

// Text is a few lines.
func (RepublishStatusRequest) Text(r Republishing) string {
	return table(func(tw io.Writer) {
		display.Fprintf(tw, "Names:\t%d own, %d hosted, %d expired\n", r.Own, r.Hosted, r.Expired)
		if r.KeysLocked {
			display.Fprintf(tw, "Keys:\tlocked, so that nothing is renewed: the daemon has no passphrase\n")
		}
		display.Fprintf(tw, "Regions:\t%d of %d done\n", r.RegionsDone, r.Regions)
		display.Fprintf(tw, "Due:\t%d, late %d\n", r.Due, r.Late)
		if r.NamesPerSecond > 0 {
			display.Fprintf(tw, "Rate:\t%.1f names/s", r.NamesPerSecond)
			if r.ETA > 0 {
				display.Fprintf(tw, ", done in %s", r.ETA)
			}
			display.Fprintln(tw)
		}
		if r.PausedUntil != nil {
			display.Fprintf(tw, "Paused:\tuntil %s, because no server answers\n", r.PausedUntil.UTC().Format(time.RFC3339))
		}
		display.Fprintf(tw, "Announced:\t%d names since the start, %d of %d records taken\n", r.Puts, r.Acks, r.Acks+r.FailedAcks)
		display.Fprintf(tw, "Renewed:\t%d, failed %d\n", r.Renewed, r.RenewalsFailed)
		if r.Survival > 0 {
			display.Fprintf(tw, "Survival:\t%.0f %% of the servers keep a record until it comes again\n", 100*r.Survival)
		}
		display.Fprintf(tw, "At risk:\t%d\n", r.AtRiskCount)
		for i, a := range r.AtRisk {
			if i == shownAtRisk {
				display.Fprintf(tw, "\tand %d more: see --json\n", r.AtRiskCount-shownAtRisk)
				break
			}
			display.Fprintf(tw, "\t%s: %s; ends %s, %d holders\n", a.Name, a.Reason, a.EOL.UTC().Format(time.RFC3339), a.Holders)
		}
		for _, name := range r.OtherWriters {
			display.Fprintf(tw, "Other writer:\t%s\n", name)
		}
		for _, reason := range slices.SortedFunc(maps.Keys(r.Failures), func(a, b string) int {
			if n := int(r.Failures[b]) - int(r.Failures[a]); n != 0 {
				return n
			}
			return strings.Compare(a, b)
		}) {
			display.Fprintf(tw, "Failed:\t%d times: %s\n", r.Failures[reason], reason)
		}
	})
}
