package republisher

import (
	"time"

	"github.com/goipns/ipns/recordstore"
	"github.com/goipns/ipns/routing"
)

const (
	keptWell  = 0.9 // share of records still held from which the period is longer
	keptBadly = 0.6 // share of records still held below which it is shorter
	trusted   = 20  // minimum number of samples
	memory    = 64  // number of samples after which older ones have faded out
)

// survival is the result of sampling one sector: how many servers still had a record
// that they took in an earlier sweep.
type survival struct {
	told             routing.Survival // the Router's last total
	asked, held, age float64          // weighted to the newest samples; age is a sum, in seconds
}

// add adds what is new in the Router's total, and returns the number of new samples.
func (s *survival) add(told routing.Survival) (news int) {
	n := told.Since(s.told)
	s.told = told
	if n.Asked <= 0 {
		return 0
	}
	fade := max(0, 1-float64(n.Asked)/memory)
	s.asked = s.asked*fade + float64(n.Asked)
	s.held = s.held*fade + float64(n.Held)
	s.age = s.age*fade + n.Age.Seconds()
	return n.Asked
}

// mean returns the share of records that servers still had, and their mean age. ok is
// false if there are too few samples.
func (s *survival) mean() (share float64, age time.Duration, ok bool) {
	if s.asked < trusted {
		return 0, 0, false
	}
	return s.held / s.asked, time.Duration(s.age / s.asked * float64(time.Second)), true
}

// overall returns the sum over all sectors.
func overall(list []survival) (sum survival) {
	for _, s := range list {
		sum.asked += s.asked
		sum.held += s.held
		sum.age += s.age
	}
	return sum
}

// period returns how often a name is put, given its origin and the survival in its
// sector, or in all sectors if the sector has too few samples. The period is doubled only
// if the samples are at least half a period old.
func (r *Republisher) period(origin recordstore.Origin, sector int) time.Duration {
	r.mu.Lock()
	share, age, known := r.survival[sector].mean()
	if !known {
		all := overall(r.survival[:])
		share, age, known = all.mean()
	}
	r.mu.Unlock()
	own := origin == recordstore.Own
	period := r.hostedPeriod()
	if own {
		period = r.ownPeriod()
	}
	switch {
	case !known:
	case share < keptBadly:
		period /= 2
	case share >= keptWell && !own && age >= period/2:
		period *= 2
	}
	return period
}

// measure updates the survival of a sector after a sweep.
func (r *Republisher) measure(s routing.Sweeper, sector int) {
	told := s.Survival(regionOf(sector))
	r.mu.Lock()
	defer r.mu.Unlock()
	r.counts.samples += uint64(r.survival[sector].add(told))
}
