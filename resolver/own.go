package resolver

import "github.com/goipns/ipns"

// missed reports whether a search found nothing although a record was put on this
// node's server while it ran.
func (r *Resolver) missed(s *search) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	missed := s.arrived && s.best.rec == nil
	s.arrived = false
	return missed
}

// Received is called when a record of the name was put on this node's own server. It
// drops a cached "not found".
func (r *Resolver) Received(name ipns.Name) {
	r.start()
	r.mu.Lock()
	defer r.mu.Unlock()
	if s := r.running[name]; s != nil {
		s.arrived = true
	}
	if known, ok := r.cache.get(name); ok && known.rec == nil {
		r.cache.drop(name)
	}
}
