package resolver

import (
	"slices"

	"github.com/goipns/ipns/routing"
)

// heard counts the sources of a search, by their roads. Those of the road that the
// Resolver's Router is measured by decide.
type heard struct {
	measure uint8 // an index of roads
	roads   [len(routing.Roads)]onRoad
}

// onRoad is how many answered, and how many of them hold the record. Each source is one
// of maxSources.
type onRoad struct{ agree, answered uint16 }

func roadIndex(road routing.Road) int { return max(0, slices.Index(routing.Roads[:], road)) }

// agree and answered count on the road that decides.
func (h *heard) agree() int    { return int(h.roads[h.measure].agree) }
func (h *heard) answered() int { return int(h.roads[h.measure].answered) }

// anyAgrees reports whether any source at all holds the record.
func (h *heard) anyAgrees() bool {
	return slices.ContainsFunc(h.roads[:], func(r onRoad) bool { return r.agree > 0 })
}

// source is one that answered.
type source struct {
	road  uint8 // an index of routing.Roads
	holds bool  // it holds best
}

// count records that a source holds best. Call with Resolver.mu held, after answered.
func (s *search) count(a routing.Answer) {
	if !s.best.heard.anyAgrees() && !s.best.own {
		s.best.source, s.best.network = a.Source, a.Network
	}
	if from, counted := s.sources[a.Source]; counted && !from.holds {
		from.holds = true
		s.sources[a.Source] = from
		s.best.heard.roads[from.road].agree++
	}
	s.wake()
}

// answered records that a source has answered. A source that answers on two networks
// counts once. Call with Resolver.mu held.
func (s *search) answered(a routing.Answer) {
	if _, known := s.sources[a.Source]; !known && len(s.sources) < maxSources {
		road := roadIndex(a.Road)
		s.sources[a.Source] = source{road: uint8(road)}
		s.answers[road]++
	}
}

// summed returns best with how many have answered so far. Call with Resolver.mu held.
func (s *search) summed() *result {
	for i, n := range s.answers {
		s.best.heard.roads[i].answered = n
	}
	return &s.best
}

// settled reports whether the search can stop before all sources have answered: enough
// of those that count hold the best record, and none of them answered anything else.
// Call with Resolver.mu held.
func (s *search) settled() bool {
	agree := s.best.heard.agree()
	return s.wanted != All && agree >= max(agreement, int(s.wanted)) && agree == int(s.answers[s.best.heard.measure])
}
