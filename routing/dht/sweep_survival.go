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
	// keepBits is how fine the key space is cut to tell where records last.
	keepBits = 6

	// ripeAge is how long ago a server must have taken a record before it is asked
	// for it. In a small network a server is visited every few minutes.
	ripeAge = time.Hour
)

// Survival implements [routing.Sweeper]. Records are told apart by the first 6 bits
// of their place in the key space: a smaller region is told of the larger one that
// contains it.
func (r *Router) Survival(region keyspace.Region) routing.Survival {
	return r.keeps.of(region)
}

// keeps is what is known of how long servers keep records.
type keeps struct {
	mu      sync.Mutex
	ripe    time.Duration      // 0: ripeAge
	samples map[peer.ID]sample // at most MaxServers
	found   [1 << keepBits]routing.Survival
}

// sample is a record that a server has taken.
type sample struct {
	name     ipns.Name
	sequence uint64
	value    string
	at       time.Time
}

// in reports whether an answer has the record, renewed or not, or a newer one. One
// with another value under the same sequence is neither.
func (s sample) in(rec *ipns.Record) bool {
	return rec != nil && (rec.Sequence() > s.sequence || rec.Sequence() == s.sequence && rec.Value() == s.value)
}

// sample remembers a record that a server has taken, to ask for it later, unless
// there is one already.
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

// sampleOf returns the record that is to be asked of a server now, and forgets it.
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

// note notes whether a server still had a sample.
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

// of sums up what was found in a region.
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
