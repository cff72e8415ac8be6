package api

import (
	"errors"
	"fmt"
	"strings"
	"text/tabwriter"
	"time"
	"unicode/utf8"

	"github.com/goipns/ipns/internal/display"
)

// ProvideStatRequest asks how content is announced. Without options, the text is a
// summary; each option but Lan and Compact adds a section.
type ProvideStatRequest struct {
	Lan          bool `opt:"lan" help:"about the local network, not the public one"`
	All          bool `opt:"all,a" help:"print all sections"`
	Compact      bool `opt:"compact" help:"print two columns; needs --all"`
	Connectivity bool `opt:"connectivity" help:"print whether the network is reached"`
	Network      bool `opt:"network" help:"print what is known of the network"`
	Schedule     bool `opt:"schedule" help:"print what is announced again, and when"`
	Timings      bool `opt:"timings" help:"print times and intervals"`
	Workers      bool `opt:"workers" help:"print what works on it"`
	Operations   bool `opt:"operations" help:"print what was done"`
	Queues       bool `opt:"queues" help:"print what waits"`
}

func (req ProvideStatRequest) sections() (n int) {
	for _, on := range []bool{req.All, req.Connectivity, req.Queues, req.Schedule, req.Network, req.Timings, req.Operations, req.Workers} {
		if on {
			n++
		}
	}
	return n
}

// ProvideStats has Sweep, or with Provide.DHT.SweepEnabled=false Legacy.
type ProvideStats struct {
	Sweep  *SweepStats
	Legacy *LegacyStats
	FullRT bool
}

// LegacyStats are about announcing everything at once.
type LegacyStats struct {
	TotalReprovides, LastReprovideBatchSize     uint64
	ReprovideInterval                           time.Duration
	AvgReprovideDuration, LastReprovideDuration time.Duration
	LastRun                                     time.Time
}

// SweepStats are about announcing region by region of the key space.
type SweepStats struct {
	Closed       bool              `json:"closed"`
	Connectivity SweepConnectivity `json:"connectivity"`
	Queues       SweepQueues       `json:"queues"`
	Schedule     SweepSchedule     `json:"schedule"`
	Workers      SweepWorkers      `json:"workers"`
	Timing       SweepTiming       `json:"timing"`
	Operations   SweepOperations   `json:"operations"`
	Network      SweepNetwork      `json:"network"`
}

// SweepConnectivity says whether the network is reached.
type SweepConnectivity struct {
	Status string    `json:"status"`
	Since  time.Time `json:"since"`
}

// SweepQueues are what waits.
type SweepQueues struct {
	PendingKeyProvides      int64 `json:"pending_key_provides"`
	PendingRegionProvides   int64 `json:"pending_region_provides"`
	PendingRegionReprovides int64 `json:"pending_region_reprovides"`
}

// SweepSchedule is what is announced again.
type SweepSchedule struct {
	Keys                int64     `json:"keys"`
	Regions             int64     `json:"regions"`
	AvgPrefixLength     float64   `json:"avg_prefix_length"`
	NextReprovideAt     time.Time `json:"next_reprovide_at"`
	NextReprovidePrefix string    `json:"next_reprovide_prefix"`
}

// SweepWorkers are what works on it.
type SweepWorkers struct {
	Max                      int `json:"max"`
	Active                   int `json:"active"`
	ActivePeriodic           int `json:"active_periodic"`
	ActiveBurst              int `json:"active_burst"`
	DedicatedPeriodic        int `json:"dedicated_periodic"`
	DedicatedBurst           int `json:"dedicated_burst"`
	QueuedPeriodic           int `json:"queued_periodic"`
	QueuedBurst              int `json:"queued_burst"`
	MaxProvideConnsPerWorker int `json:"max_provide_conns_per_worker"`
}

// SweepTiming are times and intervals.
type SweepTiming struct {
	Uptime             time.Duration `json:"uptime"`
	ReprovidesInterval time.Duration `json:"reprovides_interval"`
	CycleStart         time.Time     `json:"cycle_start"`
	CurrentTimeOffset  time.Duration `json:"current_time_offset"`
	MaxReprovideDelay  time.Duration `json:"max_reprovide_delay"`
}

// SweepOperations are what was and is done.
type SweepOperations struct {
	Ongoing SweepOngoing `json:"ongoing"`
	Past    SweepPast    `json:"past"`
}

// SweepOngoing is what is done.
type SweepOngoing struct {
	RegionProvides   int `json:"region_provides"`
	KeyProvides      int `json:"key_provides"`
	RegionReprovides int `json:"region_reprovides"`
	KeyReprovides    int `json:"key_reprovides"`
}

// SweepPast is what was done since the start.
type SweepPast struct {
	RecordsProvided int64 `json:"records_provided"`
	KeysProvided    int64 `json:"keys_provided"`
	KeysFailed      int64 `json:"keys_failed"`

	KeysProvidedPerMinute     float64       `json:"keys_provided_per_minute"`
	KeysReprovidedPerMinute   float64       `json:"keys_reprovided_per_minute"`
	RegionReprovideDuration   time.Duration `json:"reprovide_duration"`
	AvgKeysPerReprovide       float64       `json:"avg_keys_per_reprovide"`
	RegionReprovidedLastCycle int64         `json:"regions_reprovided_last_cycle"`
}

// SweepNetwork is what is known of the network.
type SweepNetwork struct {
	Peers                    int     `json:"peers"`
	Reachable                int     `json:"reachable"`
	CompleteKeyspaceCoverage bool    `json:"complete_keyspace_coverage"`
	AvgRegionSize            float64 `json:"avg_region_size"`
	AvgHolders               float64 `json:"avg_holders"`
	ReplicationFactor        int     `json:"replication_factor"`
}

func (req ProvideStatRequest) check(s ProvideStats) error {
	switch {
	case s.Legacy != nil && req.sections() > 0:
		return errors.New("cannot use flags with legacy provide stats")
	case s.Legacy == nil && s.Sweep == nil:
		return errors.New("no provide stats available")
	case s.Legacy == nil && !s.Sweep.Closed && req.Compact && !req.All:
		return errors.New("--compact requires --all flag")
	}
	return nil
}

// Text is what the options ask for.
func (req ProvideStatRequest) Text(s ProvideStats) string {
	switch {
	case req.check(s) != nil:
		return ""
	case s.Legacy != nil:
		return s.Legacy.text(s.FullRT)
	case s.Sweep.Closed:
		return "Provider is closed\n"
	}
	p := statPage{compact: req.All && req.Compact, brief: req.sections() == 0, titles: req.sections() > 1 || req.All}
	p.indent = "  "
	if p.brief || !p.titles {
		p.indent = ""
	}
	x := s.Sweep
	if req.All || req.Connectivity || p.brief && x.Connectivity.Status != "online" {
		p.connectivity(x.Connectivity)
	}
	if req.All || req.Queues || p.brief {
		p.title(1, "Queues")
		p.line(1, "Provide queue: %s CIDs, %s regions", si(x.Queues.PendingKeyProvides), si(x.Queues.PendingRegionProvides))
		p.line(1, "Reprovide queue: %s regions", si(x.Queues.PendingRegionReprovides))
		p.end(1)
	}
	if req.All || req.Schedule || p.brief {
		p.schedule(x.Schedule)
	}
	if req.All || req.Timings {
		p.title(1, "Timings")
		p.line(1, "Uptime: %s (%s)", span(x.Timing.Uptime), clock(time.Now().Add(-x.Timing.Uptime)))
		p.line(1, "Current time offset: %s", span(x.Timing.CurrentTimeOffset))
		p.line(1, "Cycle started: %s", clock(x.Timing.CycleStart))
		p.line(1, "Reprovide interval: %s", span(x.Timing.ReprovidesInterval))
		p.end(1)
	}
	if req.All || req.Network || p.brief {
		p.network(x.Network)
	}
	if req.All || req.Operations || p.brief {
		p.operations(x.Operations)
	}
	p.workers(x.Workers, req.All || req.Workers)
	return p.text()
}

func (l *LegacyStats) text(fullRT bool) string {
	var b strings.Builder
	tw := tabwriter.NewWriter(&b, 1, 2, 1, ' ', 0)
	display.Fprintf(tw, "TotalReprovides:\t%s\n", number(float64(l.TotalReprovides)))
	display.Fprintf(tw, "AvgReprovideDuration:\t%s\nLastReprovideDuration:\t%s\n", span(l.AvgReprovideDuration), span(l.LastReprovideDuration))
	if !l.LastRun.IsZero() {
		display.Fprintf(tw, "LastReprovide:\t%s\n", clock(l.LastRun))
		if fullRT {
			display.Fprintf(tw, "NextReprovide:\t%s\n", clock(l.LastRun.Add(l.ReprovideInterval)))
		}
	}
	tw.Flush()
	return b.String()
}

// statPage are the lines of a page, in one column or two.
type statPage struct {
	compact, brief, titles bool
	indent                 string
	cols                   [2][]string
	width                  int // of the left column
}

// add adds a line to a column; without compact, all are in one, whose parts are aligned.
func (p *statPage) add(col int, format string, args ...any) {
	if !p.compact {
		format = strings.Replace(strings.Replace(format, ": ", ":\t", 1), ", ", ",\t", 1)
		p.cols[0] = append(p.cols[0], display.Sprintf(format, args...))
		return
	}
	s := strings.ReplaceAll(fmt.Sprintf(format, args...), "\t", " ")
	p.cols[col] = append(p.cols[col], s)
	if col == 0 {
		p.width = max(p.width, utf8.RuneCountInString(s))
	}
}

func (p *statPage) line(col int, format string, args ...any) { p.add(col, p.indent+format, args...) }

func (p *statPage) title(col int, title string) {
	if !p.brief && p.titles {
		p.add(col, title+":")
	}
}

func (p *statPage) end(col int) {
	if !p.brief {
		p.add(col, "")
	}
}

func (p *statPage) text() string {
	var b strings.Builder
	tw := tabwriter.NewWriter(&b, 1, 2, 1, ' ', 0)
	if p.compact {
		for i := range max(len(p.cols[0]), len(p.cols[1])) - 1 { // the last one is empty
			var left, right string
			if i < len(p.cols[0]) {
				left = p.cols[0][i]
			}
			if i < len(p.cols[1]) {
				right = p.cols[1][i]
			}
			left += strings.Repeat(" ", p.width+2-utf8.RuneCountInString(left))
			display.Fprintf(tw, "%s %s\n", left, right)
		}
	} else {
		lines := p.cols[0]
		if !p.brief && len(lines) > 0 {
			lines = lines[:len(lines)-1]
		}
		for _, line := range lines {
			// Written by display already, but for the tabs between the columns.
			_, _ = tw.Write([]byte(line + "\n"))
		}
	}
	tw.Flush()
	return b.String()
}

func (p *statPage) connectivity(c SweepConnectivity) {
	p.title(1, "Connectivity")
	if c.Since.IsZero() {
		p.line(1, "Status: %s", c.Status)
	} else {
		p.line(1, "Status: %s (%s)", c.Status, clock(c.Since))
	}
	p.end(1)
}

func (p *statPage) schedule(s SweepSchedule) {
	p.title(0, "Schedule")
	p.line(0, "CIDs scheduled: %s", number(float64(s.Keys)))
	p.line(0, "Regions scheduled: %s", orNA(s.Regions > 0, number(float64(s.Regions))))
	if !p.brief {
		p.line(0, "Avg prefix length: %s", average(s.AvgPrefixLength))
		p.line(0, "Next region prefix: %s", orNA(s.NextReprovidePrefix != "", s.NextReprovidePrefix))
		p.line(0, "Next region reprovide: %s", orNA(!s.NextReprovideAt.IsZero(), s.NextReprovideAt.Format("15:04:05")))
	}
	p.end(0)
}

func (p *statPage) network(n SweepNetwork) {
	p.title(0, "Network")
	p.line(0, "Avg record holders: %s", average(n.AvgHolders))
	if p.brief {
		return
	}
	p.line(0, "Peers swept: %s", integer(n.Peers))
	p.line(0, "Full keyspace coverage: %t", n.CompleteKeyspaceCoverage)
	if n.Peers > 0 {
		p.line(0, "Reachable peers: %s (%s%%)", integer(n.Reachable), number(float64(100*n.Reachable/n.Peers)))
	} else {
		p.line(0, "Reachable peers: %s", integer(n.Reachable))
	}
	p.line(0, "Avg region size: %s", average(n.AvgRegionSize))
	p.line(0, "Replication factor: %s", number(float64(n.ReplicationFactor)))
	p.end(0)
}

func (p *statPage) operations(o SweepOperations) {
	p.title(1, "Operations")
	p.line(1, "Ongoing provides: %s CIDs, %s regions", si(o.Ongoing.KeyProvides), si(o.Ongoing.RegionProvides))
	p.line(1, "Ongoing reprovides: %s CIDs, %s regions", si(o.Ongoing.KeyReprovides), si(o.Ongoing.RegionReprovides))
	p.line(1, "Total CIDs provided: %s", number(float64(o.Past.KeysProvided)))
	if p.brief {
		return
	}
	p.line(1, "Total records provided: %s", number(float64(o.Past.RecordsProvided)))
	p.line(1, "Total provide errors: %s", number(float64(o.Past.KeysFailed)))
	p.line(1, "CIDs provided/min/worker: %s", average(o.Past.KeysProvidedPerMinute))
	p.line(1, "CIDs reprovided/min/worker: %s", average(o.Past.KeysReprovidedPerMinute))
	p.line(1, "Region reprovide duration: %s", orNA(o.Past.RegionReprovideDuration > 0, span(o.Past.RegionReprovideDuration)))
	p.line(1, "Avg CIDs/reprovide: %s", average(o.Past.AvgKeysPerReprovide))
	p.line(1, "Regions reprovided (last cycle): %s", number(float64(o.Past.RegionReprovidedLastCycle)))
	p.end(1)
}

// fewWorkers are so few that a summary mentions them.
const fewWorkers = 2

func (p *statPage) workers(w SweepWorkers, wanted bool) {
	free := max(0, w.Max-max(w.DedicatedBurst, w.ActiveBurst)-max(w.DedicatedPeriodic, w.ActivePeriodic))
	burst := free + max(0, w.DedicatedBurst-w.ActiveBurst)
	periodic := free + max(0, w.DedicatedPeriodic-w.ActivePeriodic)
	if !wanted && (!p.brief || burst > fewWorkers && periodic > fewWorkers) {
		return
	}
	p.title(0, "Workers")
	word := " workers"
	if p.compact {
		word = ""
	}
	p.line(0, "Active"+word+": %s / %s (max)", integer(w.Active), integer(w.Max))
	if p.brief {
		p.line(0, "Periodic"+word+": %s active, %s available, %s queued", integer(w.ActivePeriodic), integer(periodic), integer(w.QueuedPeriodic))
		p.line(0, "Burst"+word+": %s active, %s available, %s queued", integer(w.ActiveBurst), integer(burst), integer(w.QueuedBurst))
		return
	}
	p.line(0, "Free"+word+": %s", integer(free))
	row := func(what, a, b string) { p.line(0, "  %-14s %-9s %s", what, a, b) }
	row("Workers stats:", "Periodic", "Burst")
	row("Active:", integer(w.ActivePeriodic), integer(w.ActiveBurst))
	row("Dedicated:", integer(w.DedicatedPeriodic), integer(w.DedicatedBurst))
	row("Available:", integer(periodic), integer(burst))
	row("Queued:", integer(w.QueuedPeriodic), integer(w.QueuedBurst))
	p.line(0, "Max connections/worker: %s", integer(w.MaxProvideConnsPerWorker))
	p.end(0)
}
