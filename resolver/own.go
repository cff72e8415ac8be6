package resolver

import "github.com/goipns/ipns"

// missed reports whether a search found nothing though a record was put on this node's
// server while it went on.
func (r *Resolver) missed(f *flight) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	missed := f.heard && f.best.rec == nil
	f.heard = false
	return missed
}

// Heard says that a record of the name was put on this node's own server: that nobody
// has one is remembered no longer.
func (r *Resolver) Heard(name ipns.Name) {
	r.start()
	r.mu.Lock()
	defer r.mu.Unlock()
	if f := r.flights[name]; f != nil {
		f.heard = true
	}
	if known, ok := r.cache.get(name); ok && known.rec == nil {
		r.cache.drop(name)
	}
}
