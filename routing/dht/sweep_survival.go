package dht

import (
	"sync"
	"time"

	"github.com/libp2p/go-libp2p/core/peer"

	"github.com/goipns/ipns"
	"github.com/goipns/ipns/internal/keyspace"
	"github.com/goipns/ipns/routing"
)

const (
	// keepBits is the prefix length of the regions for which survival is recorded.
	keepBits = 6

	// ripeAge is how old a sample must be before the server is queried for it. In a
	// small network servers are visited every few minutes.
	ripeAge = time.Hour
)

// Survival implements [routing.Sweeper]. It is recorded for regions with a prefix of 6
// bits; for a smaller region it returns the figures of the one that contains it.
func (r *Router) Survival(region keyspace.Region) routing.Survival {
	return r.keeps.of(region)
}

// keeps records how long servers keep records.
type keeps struct {
	mu      sync.Mutex
	ripe    time.Duration      // 0: ripeAge
	samples map[peer.ID]sample // at most MaxServers
	found   [1 << keepBits]routing.Survival
}

// sample is a record that a server has taken, to query for later.
type sample struct {
	name     ipns.Name
	sequence uint64
	value    string
	at       time.Time
}

// in reports whether rec is the sample, possibly renewed, or a newer record. A record
// with the same sequence and another value is neither.
func (s sample) in(rec *ipns.Record) bool {
	return rec != nil && (rec.Sequence() > s.sequence || rec.Sequence() == s.sequence && rec.Value() == s.value)
}

// sample stores a sample for a server, unless it has one already.
func (k *keeps) sample(p peer.ID, s sample) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if _, known := k.samples[p]; known || len(k.samples) >= MaxServers {
		return
	}
	if k.samples == nil {
		k.samples = make(map[peer.ID]sample)
	}
	k.samples[p] = s
}

// sampleOf removes and returns the sample of a server if it is old enough.
func (k *keeps) sampleOf(p peer.ID, now time.Time) (s sample, ok bool) {
	k.mu.Lock()
	defer k.mu.Unlock()
	ripe := k.ripe
	if ripe == 0 {
		ripe = ripeAge
	}
	if s, ok = k.samples[p]; !ok || now.Sub(s.at) < ripe {
		return sample{}, false
	}
	delete(k.samples, p)
	return s, true
}

// note records whether a server still had a sample.
func (k *keeps) note(s sample, held bool, now time.Time) {
	f := routing.Survival{Asked: 1, Age: now.Sub(s.at)}
	if held {
		f.Held = 1
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	at := s.name.Kad()[0] >> (8 - keepBits)
	k.found[at] = k.found[at].Add(f)
}

// of returns the total for a region.
func (k *keeps) of(region keyspace.Region) routing.Survival {
	first := int(region.First()[0] >> (8 - keepBits))
	last := int(region.Last()[0] >> (8 - keepBits))
	k.mu.Lock()
	defer k.mu.Unlock()
	var sum routing.Survival
	for _, f := range k.found[first : last+1] {
		sum = sum.Add(f)
	}
	return sum
}
