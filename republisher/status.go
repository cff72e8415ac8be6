package republisher

import (
	"context"
	"errors"
	"maps"
	"strings"
	"time"

	"github.com/goipns/ipns"
	"github.com/goipns/ipns/names"
	"github.com/goipns/ipns/recordstore"
	"github.com/goipns/ipns/routing"
)

const (
	maxListed    = 1000 // names at risk, and of other writers, that are listed
	maxReasons   = 32   // distinct reasons of failures
	maxReason    = 120  // bytes of one reason
	otherReasons = "other"
	rateShare    = 0.2 // weight of a new batch in the average rate
)

// Status describes the names of a node as of the last scan. Counters start with the
// process.
type Status struct {
	ScannedAt time.Time
	Own       int // names with a key here
	Hosted    int // names of others
	Expired   int // of both kinds
	// OwnExpired are those of Expired whose key is or was here, and FewHolders those names at
	// risk of which no server or too few have the record.
	OwnExpired, FewHolders int
	Holders                int // servers that took a record last time, summed over all names

	// Regions is the number of sectors that this process looks after, RegionsDone of those
	// in which no name is due.
	Regions, RegionsDone int
	Due                  int // names to put now
	Late                 int // how many of them have been due for more than five minutes
	// PerSecond is how many names are put per second while names are due.
	PerSecond float64
	ETA       time.Duration // until no name is due; 0: none is, or unknown
	// PausedUntil is set while puts are paused because no server answered.
	PausedUntil time.Time
	// Survival is the share of servers that still had a record, an hour or more after
	// they took it; 0: unknown.
	Survival float64

	// AtRisk are names with less than a quarter of their lifetime left, with fewer than
	// AtRiskHolders holders although there are more servers, whose key cannot sign, that are
	// not renewed because the clock is wrong, or with an Outlook that says so; at most 1000 of
	// the AtRiskCount.
	AtRisk      []AtRisk
	AtRiskCount int
	// Unready counts own names whose key cannot sign now, whatever is left of their record.
	Unready int
	// Elsewhere counts own names whose key is not on this daemon, and which another renews.
	Elsewhere int
	// Sectors are the figures of the sectors that this process looks after.
	Sectors []Sector
	// OtherWriters are own names for which another holder of the key has published; at
	// most 1000.
	OtherWriters []string

	Puts                    uint64 // puts of a name
	Acks, FailedAcks        uint64 // records that servers took or did not take
	Bytes                   uint64 // of the records offered to servers
	Samples                 uint64 // records that servers were asked for
	Renewed, RenewalsFailed uint64
	// RPCsPerNameDay and BytesPerNameDay are the cost of a name since the start.
	RPCsPerNameDay, BytesPerNameDay float64
	// Failures counts the reasons why servers did not take a record or keys did not sign.
	Failures map[string]uint64
}

// Sector are the figures of one sector as of its last scan.
type Sector struct {
	Number                            int
	Names, Expired, Due, Late, AtRisk int
	Unready, Elsewhere                int
	Working                           bool // it is swept, or asked about, now
}

// AtRisk is a name that may be lost.
type AtRisk struct {
	Name    ipns.Name
	EOL     time.Time
	Holders int
	Reason  string
	// Signer is why its key cannot sign; nil: it can, as far as is known.
	Signer error
}

// Outlook is what others know of a name's future.
type Outlook struct {
	// Signed says that the next records of the name are signed already, and enter the Book
	// in time: it is neither renewed nor removed.
	Signed bool
	// Risk is why the name may be lost although its record is valid; "": nothing is known.
	Risk string
}

// outlook returns what others know of the name of an entry.
func (r *Republisher) outlook(e recordstore.Entry) Outlook {
	if r.Outlook == nil {
		return Outlook{}
	}
	return r.Outlook(e)
}

// tally holds the figures of one sector.
type tally struct {
	own, hosted, expired int
	ownExpired, few      int
	holders, due, late   int
	unready, elsewhere   int
	atRisk               []AtRisk
	atRiskCount          int
}

// count adds one name to the tally. at is when it became due, unless l is laneNone;
// wrong is the error of the signer or of the clock because of which it is not renewed, risk
// that of its Outlook.
func (v *sectorScan) count(r *Republisher, w recordstore.Work, l lane, at time.Time, wrong error, risk string) {
	e, t, now := w.Entry, &v.tally, v.at
	if e.Origin == recordstore.Own {
		t.own++
	} else {
		t.hosted++
	}
	eol := e.Record.EOL()
	expired := e.Record.Expired(now)
	if expired {
		t.expired++
		if e.Origin == recordstore.Own {
			t.ownExpired++
		}
		if e.Origin != recordstore.Own && risk == "" {
			return // expired
		}
	}
	t.holders += holders(w)
	if l != laneNone {
		t.due++
		v.wake(at.Add(lateAfter + 1))
		if now.Sub(at) > lateAfter {
			t.late++
		}
	}
	v.wake(eol.Add(1))
	v.wake(eol.Add(1 - r.lifetime(e)/4))
	var why string
	signer := r.Unready(e.Name)
	if elsewhere := errors.Is(signer, ErrElsewhere) || errors.Is(wrong, ErrElsewhere); elsewhere {
		t.elsewhere++
		if v.wake(eol.Add(1 - r.lifetime(e)/4)); !expired && !r.nearEnd(e, now) {
			signer, wrong = nil, nil // another renews it, as far as is known
		}
	}
	unready := wrong == nil && signer != nil
	if unready {
		wrong = signer
	} else if errors.As(wrong, new(signerError)) {
		unready, signer = true, wrong
	}
	switch {
	case errors.Is(wrong, ErrStopped):
		return // it is to end
	case expired:
		why = "expired"
	case unready:
		why = "its key cannot sign"
	case wrong != nil:
		why = "it is not renewed"
	case r.nearEnd(e, now):
		why = "less than a quarter of its life is left"
	case strings.HasPrefix(w.Upkeep.LastErr, unsure):
		why = "it is not announced"
	case risk != "":
		why = risk
	case !fewHold(w):
		return
	case now.Sub(e.Changed) < r.grace(e) && !fellShort(w):
		v.wake(now.Add(1)) // it is still being announced
		return
	case holders(w) == 0 && receiptOf(w).Took("") == 0:
		t.few++
		why = "nobody holds it"
	default:
		t.few++
		why = "too few servers hold it"
	}
	if wrong != nil {
		why += ": " + wrong.Error()
	} else if w.Upkeep.LastErr != "" && why != risk {
		why += ": " + w.Upkeep.LastErr
	}
	if signer != nil {
		t.unready++
	}
	if t.atRiskCount++; len(t.atRisk) < maxListed {
		t.atRisk = append(t.atRisk, AtRisk{Name: e.Name, EOL: eol, Holders: holders(w), Reason: why, Signer: signer})
	}
}

// holders returns how many servers took the entry's current record.
func holders(w recordstore.Work) int {
	if w.Upkeep.Announced != w.Entry.Record.Hash() {
		return 0 // the upkeep is that of another record
	}
	return w.Upkeep.Holders
}

// fellShort reports whether the entry's current record was announced to fewer targets
// than should hold it.
func fellShort(w recordstore.Work) bool {
	return w.Upkeep.LastErr != "" && w.Upkeep.Announced == w.Entry.Record.Hash()
}

// fewHold reports whether fewer than AtRiskHolders took the record, although there were
// more servers.
func fewHold(w recordstore.Work) bool {
	if holders(w) >= AtRiskHolders {
		return false
	}
	held, of := receiptOf(w).Announced()
	return held == 0 || held < of // held is also 0 if there is no receipt
}

// receiptOf returns the receipt of the entry's current record; zero if there is none.
func receiptOf(w recordstore.Work) routing.Receipt {
	if w.Upkeep.Announced != w.Entry.Record.Hash() {
		return routing.Receipt{}
	}
	return w.Upkeep.Receipt
}

// counts are the counters of a Republisher.
type counts struct {
	puts, acks, refused, bytes       uint64
	samples, renewed, renewalsFailed uint64
	perSecond                        float64
	reasons                          map[string]uint64
	writers                          map[ipns.Name]struct{}
}

// batch counts a batch of names and its duration.
func (c *counts) batch(names int, took time.Duration) {
	c.puts += uint64(names)
	if names == 0 || took <= 0 {
		return
	}
	rate := float64(names) / took.Seconds()
	if c.perSecond == 0 {
		c.perSecond = rate
	}
	c.perSecond += rateShare * (rate - c.perSecond)
}

// ack counts the answer of one server to a record of the given size.
func (c *counts) ack(ack routing.Ack, size int) {
	c.bytes += uint64(size)
	if ack.Err == nil {
		c.acks++
		return
	}
	c.refused++
	c.failed(ack.Err)
}

// failed counts a reason.
func (c *counts) failed(err error) {
	reason := err.Error()
	if len(reason) > maxReason {
		reason = reason[:maxReason]
	}
	if _, known := c.reasons[reason]; !known && len(c.reasons) >= maxReasons {
		reason = otherReasons
	}
	c.reasons[reason]++
}

// report logs and counts a record of an own name by another holder of the key.
func (r *Republisher) report(e recordstore.Entry, rec *ipns.Record, outcome names.Outcome) {
	if outcome != names.New && outcome != names.Fork || e.Origin != recordstore.Own {
		return
	}
	r.log().Warn("somebody else publishes this name with its key", "name", e.Name.String(),
		"ours", e.Record.Sequence(), "theirs", rec.Sequence(), "value", rec.Value())
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.counts.writers == nil {
		r.counts.writers = make(map[ipns.Name]struct{})
	}
	if len(r.counts.writers) < maxListed {
		r.counts.writers[e.Name] = struct{}{}
	}
}

// Look scans and returns the Status. It skips the scan if that would exceed scanShare.
func (r *Republisher) Look(ctx context.Context) (Status, error) {
	r.init()
	r.mu.Lock()
	rests := time.Now().Before(r.rested)
	r.mu.Unlock()
	if rests {
		return r.Status(), nil
	}
	if err := r.scan(ctx); err != nil {
		return Status{}, err
	}
	return r.Status(), nil
}

// Status returns the Status as of the last scan.
func (r *Republisher) Status() Status {
	r.init()
	r.mu.Lock()
	defer r.mu.Unlock()
	c := r.counts
	out := Status{
		ScannedAt: r.scannedAt, Regions: sectors, RegionsDone: sectors, PerSecond: c.perSecond,
		Puts: c.puts, Acks: c.acks, FailedAcks: c.refused, Bytes: c.bytes, Samples: c.samples,
		Renewed: c.renewed, RenewalsFailed: c.renewalsFailed, Failures: maps.Clone(c.reasons),
	}
	if r.Leases != nil {
		out.Regions, out.RegionsDone = 0, 0
	}
	for i := range r.scans {
		t := r.scans[i].tally
		if _, held := r.lease(i); !held || r.scans[i].others {
			continue
		}
		if r.Leases != nil {
			out.Regions++
			out.RegionsDone++
		}
		out.add(t)
		out.Sectors = append(out.Sectors, Sector{
			Number: i, Names: t.own + t.hosted, Expired: t.expired, Due: t.due, Late: t.late,
			AtRisk: t.atRiskCount, Unready: t.unready, Elsewhere: t.elsewhere, Working: r.working[i] > 0,
		})
	}
	all := overall(r.survival[:])
	out.Survival, _, _ = all.mean()
	if c.perSecond > 0 {
		out.ETA = time.Duration(float64(out.Due) / c.perSecond * float64(time.Second)).Round(time.Second)
	}
	if r.paused.After(r.now()) {
		out.PausedUntil = r.paused
	}
	if nameDays := float64(out.Own+out.Hosted) * r.now().Sub(r.began).Hours() / 24; nameDays > 0 && !r.began.IsZero() {
		out.RPCsPerNameDay = float64(c.acks+c.refused) / nameDays
		out.BytesPerNameDay = float64(c.bytes) / nameDays
	}
	for name := range c.writers {
		out.OtherWriters = append(out.OtherWriters, name.String())
	}
	return out
}

// add adds the figures of one sector.
func (s *Status) add(t tally) {
	s.Own += t.own
	s.Hosted += t.hosted
	s.Expired += t.expired
	s.OwnExpired += t.ownExpired
	s.FewHolders += t.few
	s.Holders += t.holders
	s.Due += t.due
	s.Late += t.late
	s.AtRisk = append(s.AtRisk, t.atRisk[:min(len(t.atRisk), maxListed-len(s.AtRisk))]...)
	s.Unready += t.unready
	s.Elsewhere += t.elsewhere
	s.AtRiskCount += t.atRiskCount
	if t.due > 0 {
		s.RegionsDone--
	}
}
