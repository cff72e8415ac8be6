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
	// MaxSkew is how far off the clock may be for a record to be signed.
	MaxSkew = 5 * time.Minute

	warnSkew = time.Minute // from when on it is warned of

	minClocks = 3  // IP groups whose clocks say something together
	maxClocks = 32 // that are remembered
	clockAge  = 24 * time.Hour
	clockJump = 30 * time.Second // by which a clock was set, or the machine slept
)

// ErrSkew says that the clock is off, as others see it. It is an ErrClock.
var ErrSkew = fmt.Errorf("%w: others have another time", ErrClock)

// clocks is what the clocks of others say, one of each IP group. The zero value is
// ready to use.
type clocks struct {
	mu   sync.Mutex
	list map[netip.Prefix]reading
}

// reading is what one clock said.
type reading struct {
	behind time.Duration // this node's clock is, behind that one; of past: at least
	past   bool
	at     time.Time // with the monotonic clock
}

// add notes what a clock said just now, when this node's had now.
func (c *clocks) add(said *routing.Clock, now time.Time) {
	if said == nil || !said.Group.IsValid() {
		return
	}
	at := time.Now()
	c.mu.Lock()
	defer c.mu.Unlock()
	if old, ok := c.list[said.Group]; ok && said.Past && !old.past && old.holds(at) {
		return // a bound says less
	}
	if c.list == nil {
		c.list = make(map[netip.Prefix]reading)
	}
	if _, ok := c.list[said.Group]; !ok && len(c.list) >= maxClocks {
		for g := range c.list {
			delete(c.list, g) // any: those that are left are enough
			break
		}
	}
	c.list[said.Group] = reading{said.Time.Add(said.Ago).Sub(now).Round(0), said.Past, at}
}

// holds reports whether a reading still says something: it is not old, and the
// clock was not set since.
func (r reading) holds(now time.Time) bool {
	age := now.Sub(r.at)
	jump := now.Round(0).Sub(r.at.Round(0)) - age
	return age < clockAge && jump.Abs() < clockJump
}

// behind is how far this node's clock is behind the others' median; ok is false if
// too few say so. Where clocks are known by bounds alone, so is the median.
func (c *clocks) behind() (off time.Duration, ok bool) {
	now := time.Now()
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
		return 0, false // the bounds say that it is not far behind, and no more
	}
	return off, true
}

func median(list []time.Duration) time.Duration {
	slices.Sort(list)
	return list[(len(list)-1)/2]
}

// skew is how far the clock is behind that of others.
func (p *Publisher) skew() (time.Duration, bool) {
	if p.Skew != nil {
		return p.Skew()
	}
	return p.clocks.behind()
}

// checkSkew refuses to sign with a clock that is far off.
func (p *Publisher) checkSkew(req Request) error {
	off, ok := p.skew()
	if !ok || off.Abs() <= MaxSkew || req.Force {
		return nil
	}
	return fmt.Errorf("%w: this clock is %s; set it, or force the publish", ErrSkew, skewWords(off))
}

// warnClock adds to a result what others say of the clock.
func (p *Publisher) warnClock(res Result) Result {
	off, ok := p.skew()
	if !ok || off.Abs() <= warnSkew {
		return res
	}
	text := fmt.Sprintf("this clock is %s, as servers say: set it", skewWords(off))
	if off.Abs() > MaxSkew {
		text += "; with more than " + MaxSkew.String() + " the next publish is refused"
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
