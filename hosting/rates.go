package hosting

import (
	"sync"
	"time"

	"golang.org/x/time/rate"
)

const (
	maxRates     = 65_536 // tenants, addresses and names whose rate is known
	namePuts     = 30     // new records of one name in a minute
	burstSeconds = 10     // a burst is what may be put in this time, and at least minBurst
	minBurst     = 10
)

// rates bound how often something is done, for each key. The zero value is ready to use.
type rates struct {
	mu   sync.Mutex
	keys map[string]*rate.Limiter
}

// wait counts one more under a key if take is set, or returns how long to wait first.
// A key that has waited long enough to be forgotten is one that need not wait.
func (s *rates) wait(now time.Time, key string, perMinute int, take bool) time.Duration {
	s.mu.Lock()
	defer s.mu.Unlock()
	limit, burst := rate.Limit(float64(perMinute)/60), max(minBurst, perMinute*burstSeconds/60)
	l := s.keys[key]
	if l == nil {
		if !take {
			return 0
		}
		s.makeRoom(now)
		l = rate.NewLimiter(limit, burst)
		s.keys[key] = l
	}
	if l.Limit() != limit {
		l.SetLimitAt(now, limit)
		l.SetBurstAt(now, burst)
	}
	r := l.ReserveN(now, 1)
	wait := r.DelayFrom(now)
	if wait > 0 || !take {
		r.CancelAt(now)
	}
	return wait
}

// makeRoom forgets keys while there are too many: those that would not have to wait, or else
// any. Call with mu held.
func (s *rates) makeRoom(now time.Time) {
	if s.keys == nil {
		s.keys = map[string]*rate.Limiter{}
	}
	if len(s.keys) < maxRates {
		return
	}
	for k, l := range s.keys {
		if l.TokensAt(now) >= float64(l.Burst()) {
			delete(s.keys, k)
		}
	}
	for k := range s.keys {
		if len(s.keys) <= maxRates-maxRates/8 {
			return // so much room that the next keys do not search the map again
		}
		delete(s.keys, k)
	}
}
