package publisher

import (
	"net/netip"
	"slices"
	"time"

	"github.com/goipns/ipns/routing"
)

// Steps are the points of a publish at which a test can make it fail, in order.
var Steps = []string{
	string(stepRead), string(stepReserve), string(stepReserved), string(stepSign), string(stepSigned), string(stepEnter), string(stepEntered),
	string(stepAnswer), string(stepAnnounce), string(stepAck), string(stepAnnounced), string(stepNote), string(stepNoted), string(stepAnswerAcks),
}

// SetStep makes the Publisher call f at each of the Steps.
func (p *Publisher) SetStep(f func(string) error) { p.at = func(s step) error { return f(string(s)) } }

// Behind returns the result of clocks that are ahead by exactly, or at least, the given
// durations.
func Behind(bounds, exact []time.Duration) (time.Duration, bool) {
	var c clocks
	now, group := time.Now(), byte(0)
	for i, ahead := range slices.Concat(bounds, exact) {
		group++
		c.add(&routing.Clock{Time: now.Add(ahead), Past: i < len(bounds), Group: netip.PrefixFrom(netip.AddrFrom4([4]byte{group}), 16)}, now)
	}
	return c.behind(now)
}
