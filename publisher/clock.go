package publisher

import (
	"fmt"
	"net/netip"
	"slices"
	"sync"
	"time"

	"github.com/goipns/ipns/routing"
)

const (
	// MaxSkew is the largest clock skew with which a record is signed.
	MaxSkew = 5 * time.Minute

	warnSkew = time.Minute // skew above which a publish warns

	minClocks = 3  // IP groups needed for a median
	maxClocks = 32 // IP groups remembered
	clockAge  = 24 * time.Hour
	clockJump = 30 * time.Second // a larger jump means that the clock was set or the machine slept
)

// ErrSkew means that the clock differs from those of others. It is an ErrClock.
var ErrSkew = fmt.Errorf("%w: it differs from the clocks of others", ErrClock)

// clocks holds the clock readings of others, one for each IP group. The zero value is
// ready to use.
type clocks struct {
	mu   sync.Mutex
	list map[netip.Prefix]reading
}

// reading is one reading of another clock.
type reading struct {
	behind time.Duration // how far this clock is behind that one; if past, at least that
	past   bool
	ours   time.Time // what this clock showed then
	at     time.Time // when it was read, with the monotonic clock
}

// add adds a reading taken when this node's clock showed now.
func (c *clocks) add(said *routing.Clock, now time.Time) {
	if said == nil || !said.Group.IsValid() {
		return
	}
	at, now := time.Now(), now.Round(0)
	c.mu.Lock()
	defer c.mu.Unlock()
	if old, ok := c.list[said.Group]; ok && said.Past && !old.past && old.holds(now) {
		return // a lower bound is worth less than an exact reading
	}
	if c.list == nil {
		c.list = make(map[netip.Prefix]reading)
	}
	if _, ok := c.list[said.Group]; !ok && len(c.list) >= maxClocks {
		for g := range c.list {
			delete(c.list, g) // any one: enough remain
			break
		}
	}
	c.list[said.Group] = reading{said.Time.Add(said.Ago).Sub(now), said.Past, now, at}
}

// holds reports whether a reading is still valid when this clock shows now: it is
// recent, and the clock has not been set since.
func (r reading) holds(now time.Time) bool {
	age := time.Since(r.at)
	jump := now.Round(0).Sub(r.ours) - age
	return age < clockAge && jump.Abs() < clockJump
}

// behind returns how far this node's clock, which shows now, is behind the median of
// the others; ok is false if there are too few readings. If all readings are lower bounds,
// so is the result.
func (c *clocks) behind(now time.Time) (off time.Duration, ok bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	var exact, all []time.Duration
	for _, r := range c.list {
		if !r.holds(now) {
			continue
		}
		all = append(all, r.behind)
		if !r.past {
			exact = append(exact, r.behind)
		}
	}
	if len(exact) >= minClocks {
		return median(exact), true
	}
	if len(all) < minClocks {
		return 0, false
	}
	if off = median(all); off <= 0 {
		return 0, false // lower bounds cannot tell that the clock is ahead
	}
	return off, true
}

func median(list []time.Duration) time.Duration {
	slices.Sort(list)
	return list[(len(list)-1)/2]
}

// Behind returns how far this clock is behind that of others; ok is false if that is
// unknown.
func (p *Publisher) Behind() (off time.Duration, ok bool) {
	if p.Skew != nil {
		return p.Skew()
	}
	return p.clocks.behind(p.now())
}

// NeedsClocks reports whether the time of too few others is known to tell whether this
// node's clock is right.
func (p *Publisher) NeedsClocks() bool {
	_, ok := p.Behind()
	return !ok
}

// AddClock adds what the clock of a server said just now; nil: nothing.
func (p *Publisher) AddClock(said *routing.Clock) { p.clocks.add(said, p.now()) }

// CheckClock returns an ErrSkew if the clock is too far off to sign.
func (p *Publisher) CheckClock() error {
	off, ok := p.Behind()
	if !ok || off.Abs() <= MaxSkew {
		return nil
	}
	return fmt.Errorf("%w: this clock is %s; set it, or force the publish", ErrSkew, skewWords(off))
}

// warnClock adds a warning to the result if the clock is off.
func (p *Publisher) warnClock(res Result) Result {
	off, ok := p.Behind()
	if !ok || off.Abs() <= warnSkew {
		return res
	}
	text := fmt.Sprintf("this clock is %s according to servers: set it", skewWords(off))
	if off.Abs() > MaxSkew {
		text += "; with more than " + MaxSkew.String() + " nothing more is signed, and records are not renewed"
	}
	p.log().Warn("the clock is off", "behind", off.Round(time.Second).String())
	res.Warnings = append(slices.Clip(res.Warnings), text)
	return res
}

func skewWords(off time.Duration) string {
	if off < 0 {
		return (-off).Round(time.Second).String() + " ahead of that of others"
	}
	return off.Round(time.Second).String() + " behind that of others"
}
