package relay

import (
	"maps"
	"net/netip"
	"sync"
	"time"
)

const (
	burst      = 30              // records that one client may send at once
	every      = 2 * time.Second // and then one in this time
	maxSenders = 16_384          // clients whose pace is known
)

// pace bounds how many records each client sends. The zero value is ready to use.
type pace struct {
	mu   sync.Mutex
	free map[netip.Addr]time.Time // when all that the client has sent is forgotten
}

// enter counts a record, or returns how long its client has to wait first. Clients
// that count for no address never wait: see [door.Client].
func (p *pace) enter(a netip.Addr, now time.Time) (wait time.Duration) {
	if !a.IsValid() {
		return 0
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	free := p.free[a]
	if free.Before(now) {
		free = now
	}
	free = free.Add(every)
	if wait = free.Sub(now.Add(burst * every)); wait > 0 {
		return wait
	}
	p.makeRoom(now)
	p.free[a] = free
	return 0
}

// makeRoom forgets clients while there are too many: those that would not have to wait,
// or else any. Call with mu held.
func (p *pace) makeRoom(now time.Time) {
	if p.free == nil {
		p.free = map[netip.Addr]time.Time{}
	}
	if len(p.free) < maxSenders {
		return
	}
	maps.DeleteFunc(p.free, func(_ netip.Addr, free time.Time) bool { return !free.After(now) })
	for a := range p.free {
		if len(p.free) <= maxSenders-maxSenders/8 {
			return // so much room that the next clients do not search the map again
		}
		delete(p.free, a)
	}
}
