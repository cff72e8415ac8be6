package dht

import (
	"sync"
	"time"

	"github.com/libp2p/go-libp2p/core/peer"

	"github.com/goipns/ipns"
	"github.com/goipns/ipns/internal/keyspace"
)

// keepBits is how fine the key space is cut to tell where records last.
const keepBits = 6

// Survival tells how records last on the servers of a region: before a sweep puts
// anything on a server again, it asks for one record that the server took in an
// earlier sweep.
type Survival struct {
	Asked int           // servers that were asked and answered
	Held  int           // those of them that still had the record, or a newer one
	Age   time.Duration // how long ago they had taken it, on average
}

// Survival returns what sweeps have found since the Router was made. Servers are
// told apart by the first 6 bits of their place in the key space: a smaller region
// is told of the larger one that contains it.
func (r *Router) Survival(region keyspace.Region) Survival {
	return r.keeps.of(region)
}

// keeps is what is known of how long servers keep records.
type keeps struct {
	mu      sync.Mutex
	samples map[peer.ID]sample // at most MaxServers
	found   [1 << keepBits]Survival
}

// sample is a record that a server has taken.
type sample struct {
	name     ipns.Name
	sequence uint64
	at       time.Time
}

// sample remembers a record that a server has taken, to ask for it next time.
func (k *keeps) sample(p peer.ID, s sample) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if _, known := k.samples[p]; !known && len(k.samples) >= MaxServers {
		return
	}
	if k.samples == nil {
		k.samples = make(map[peer.ID]sample)
	}
	k.samples[p] = s
}

// sampleOf returns the record that is to be asked of a server, and forgets it.
func (k *keeps) sampleOf(p peer.ID) (s sample, ok bool) {
	k.mu.Lock()
	defer k.mu.Unlock()
	s, ok = k.samples[p]
	delete(k.samples, p)
	return s, ok
}

// note notes whether a server still had its sample.
func (k *keeps) note(p peer.ID, held bool, age time.Duration) {
	at := keyspace.KeyOf([]byte(p))[0] >> (8 - keepBits)
	k.mu.Lock()
	defer k.mu.Unlock()
	f := &k.found[at]
	f.Asked++
	if held {
		f.Held++
	}
	f.Age += (age - f.Age) / time.Duration(f.Asked)
}

// of sums up what was found in a region.
func (k *keeps) of(region keyspace.Region) Survival {
	first := int(region.First()[0] >> (8 - keepBits))
	last := int(region.Last()[0] >> (8 - keepBits))
	k.mu.Lock()
	defer k.mu.Unlock()
	var sum Survival
	for _, f := range k.found[first : last+1] {
		if f.Asked == 0 {
			continue
		}
		sum.Asked += f.Asked
		sum.Held += f.Held
		sum.Age += (f.Age - sum.Age) * time.Duration(f.Asked) / time.Duration(sum.Asked)
	}
	return sum
}
