package repo

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"
)

// Provide configures which content is announced, and how often.
type Provide struct {
	Enabled *bool `json:",omitempty"` // nil: true
	// Strategy is what is announced; "" and "flat" are "all".
	//
	//	all     every block
	//	pinned  the blocks of all pins
	//	roots   the roots of pins
	//	mfs     nothing here: this node has no MFS
	//
	// "pinned+mfs" is both. With "+unique" blocks that several pins share count once, as
	// they do in any case here; with "+entities" the blocks inside of files are left out.
	Strategy *string    `json:",omitempty"`
	DHT      ProvideDHT `json:",omitzero"`
}

// ProvideDHT says how content is announced on the DHTs.
type ProvideDHT struct {
	// Interval is the time between two announcements. nil: 22 h; 0: content is announced
	// once, when it comes.
	Interval *Duration `json:",omitempty"`
	// SweepEnabled announces region by region of the key space, spread over the Interval;
	// false: all at once, each block by a lookup of its own. nil: true.
	SweepEnabled  *bool `json:",omitempty"`
	ResumeEnabled *bool `json:",omitempty"` // go on after a restart, not begin anew. nil: true
	// The workers, of which some do nothing but periodic announcements, and some only new
	// ones. nil: 16, 2, 1, each with 20 connections.
	MaxWorkers                *int      `json:",omitempty"`
	DedicatedPeriodicWorkers  *int      `json:",omitempty"`
	DedicatedBurstWorkers     *int      `json:",omitempty"`
	MaxProvideConnsPerWorker  *int      `json:",omitempty"`
	KeystoreBatchSize         *int      `json:",omitempty"` // nil: 16,384
	OfflineDelay              *Duration `json:",omitempty"` // without peers for so long: offline. nil: 2 h
	SendProviderRecordTimeout *Duration `json:",omitempty"` // for one server. nil: 10 s
}

// Defaults and limits of Provide.
const (
	DefaultProvideInterval = 22 * time.Hour
	MaxProvideInterval     = 48 * time.Hour // as long as servers keep announcements
)

// Strategy is which content is announced.
type Strategy struct {
	All    bool // every block
	Pinned bool // the blocks of pins
	Roots  bool // only their roots
	// Entities leaves out the blocks inside of files.
	Entities bool
}

// Strategy returns Provide.Strategy.
func (p *Provide) strategy() (s Strategy, err error) {
	text := ""
	if p.Strategy != nil {
		text = *p.Strategy
	}
	if text == "" {
		return Strategy{All: true}, nil
	}
	var has []string
	for part := range strings.SplitSeq(text, "+") {
		switch part {
		case "all", "flat":
			s.All = true
		case "":
			return s, fmt.Errorf("invalid provide strategy: empty token in %q", text)
		case "pinned":
			s.Pinned = true
		case "roots":
			s.Roots = true
		case "mfs", "unique":
		case "entities":
			s.Entities = true
		default:
			return s, fmt.Errorf("unknown provide strategy token: %q in %q", part, text)
		}
		has = append(has, part)
	}
	modified := s.Entities || slices.Contains(has, "unique")
	switch {
	case s.All && slices.ContainsFunc(has, func(p string) bool { return p != "all" && p != "flat" }):
		return s, fmt.Errorf("\"all\" strategy cannot be combined with other strategies in %q", text)
	case modified && !s.Pinned && !slices.Contains(has, "mfs"):
		return s, fmt.Errorf("+unique/+entities must combine with pinned and/or mfs in %q", text)
	case modified && s.Roots:
		return s, fmt.Errorf("+unique/+entities is incompatible with roots in %q", text)
	}
	return s, nil
}

// Which returns which content is announced. The config was checked.
func (p *Provide) Which() Strategy {
	s, err := p.strategy()
	if err != nil {
		panic(err) // see check
	}
	return s
}

func (p *Provide) check() error {
	if _, err := p.strategy(); err != nil {
		return fmt.Errorf("Provide.Strategy: %w", err)
	}
	d := &p.DHT
	if i := d.Interval; i != nil {
		switch interval := time.Duration(*i); {
		case interval > MaxProvideInterval:
			return fmt.Errorf("Provide.DHT.Interval (%v) must be less than or equal to DHT provider record validity (%v)", interval, MaxProvideInterval)
		case interval < 0:
			return fmt.Errorf("Provide.DHT.Interval must be non-negative, got %v", interval)
		case interval == 0 && p.Enabled == nil:
			return errors.New("Provide.DHT.Interval=0 no longer disables the provide system on its own; set Provide.Enabled explicitly: " +
				"Provide.Enabled=false to fully disable providing, or Provide.Enabled=true to keep ad-hoc 'ipns provide once' " +
				"and the announcements of new content without the periodic ones")
		}
	}
	for _, n := range []struct {
		key   string
		value *int
		least int
	}{
		{"MaxWorkers", d.MaxWorkers, 1},
		{"DedicatedPeriodicWorkers", d.DedicatedPeriodicWorkers, 0},
		{"DedicatedBurstWorkers", d.DedicatedBurstWorkers, 0},
		{"MaxProvideConnsPerWorker", d.MaxProvideConnsPerWorker, 1},
		{"KeystoreBatchSize", d.KeystoreBatchSize, 1},
	} {
		kind := "non-negative"
		if n.least > 0 {
			kind = "positive"
		}
		if n.value != nil && *n.value < n.least {
			return fmt.Errorf("Provide.DHT.%s must be %s, got %d", n.key, kind, *n.value)
		}
	}
	if t := d.OfflineDelay; t != nil && *t < 0 {
		return fmt.Errorf("Provide.DHT.OfflineDelay must be non-negative, got %v", time.Duration(*t))
	}
	if t := d.SendProviderRecordTimeout; t != nil && *t <= 0 {
		return fmt.Errorf("Provide.DHT.SendProviderRecordTimeout must be positive, got %v", time.Duration(*t))
	}
	return nil
}
