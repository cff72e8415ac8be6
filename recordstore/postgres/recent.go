package postgres

import (
	"slices"
	"sync"

	"github.com/goipns/ipns/internal/keyspace"
)

// recentLimit bounds the entries that are remembered twice over.
const recentLimit = 2048

// recent remembers entries as they were read or swapped last, so that a swap need not read
// again what its caller has just read. They may be outdated: the swap compares the version
// and the position. The zero value is ready to use.
type recent struct {
	mu         sync.Mutex
	young, old map[keyspace.Key]stored
}

func (r *recent) get(k keyspace.Key) (stored, bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	e, ok := r.young[k]
	if !ok {
		e, ok = r.old[k]
	}
	return e, ok
}

func (r *recent) put(k keyspace.Key, e stored) {
	e.entry.Rivals, e.entry.Staged = slices.Clone(e.entry.Rivals), slices.Clone(e.entry.Staged)
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.young == nil || len(r.young) >= recentLimit {
		r.old, r.young = r.young, make(map[keyspace.Key]stored)
	}
	r.young[k] = e
}

func (r *recent) forget(k keyspace.Key) {
	r.mu.Lock()
	defer r.mu.Unlock()
	delete(r.young, k)
	delete(r.old, k)
}
