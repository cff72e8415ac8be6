package republisher

import (
	"time"

	"github.com/goipns/ipns/recordstore"
	"github.com/goipns/ipns/routing"
)

const (
	keptWell  = 0.9 // share of records that servers still have: the period is made longer
	keptBadly = 0.6 // and shorter
	trusted   = 20  // servers asked before anything is concluded
	memory    = 64  // servers asked that count: newer ones push older ones out
)

// survival is what sweeps have found of one sector: how many servers still had a
// record that they had taken in an earlier sweep.
type survival struct {
	told             routing.Survival // by the Router, in all
	asked, held, age float64          // of the newest; age is a sum, in seconds
}

// add takes in what the Router tells now, and returns how much of it is new.
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

// mean returns the share of records that servers still had, and their mean age. ok
// is false if too few were asked to tell.
func (s *survival) mean() (share float64, age time.Duration, ok bool) {
	if s.asked < trusted {
		return 0, 0, false
	}
	return s.held / s.asked, time.Duration(s.age / s.asked * float64(time.Second)), true
}

// overall sums up all sectors.
func overall(list []survival) (sum survival) {
	for _, s := range list {
		sum.asked += s.asked
		sum.held += s.held
		sum.age += s.age
	}
	return sum
}

// period is how often a name of the origin is put, by what is known of its sector, or
// of all if that is too little. That records last is believed for as long as the
// servers have had them.
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

// measure notes how records have lasted in a sector that was swept.
func (r *Republisher) measure(s routing.Sweeper, sector int) {
	told := s.Survival(regionOf(sector))
	r.mu.Lock()
	defer r.mu.Unlock()
	r.counts.samples += uint64(r.survival[sector].add(told))
}
