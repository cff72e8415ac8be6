package guard

import (
	"context"
	"net/http"
	"sync"
)

// running are the requests that a Guard has let in and that have not ended.
type running struct {
	mu       sync.Mutex // guards all below
	requests map[*http.Request]context.CancelFunc
	next     *Guard // that took the place of this one; nil: none
}

// Replaced says that another guard takes the place of this one. Requests that have begun go
// on, but those that the other one would ask for a secret which they do not have end: some,
// such as watching names, would stay for days.
func (g *Guard) Replaced(next *Guard) {
	g.running.mu.Lock()
	defer g.running.mu.Unlock()
	g.running.next = next
	for r, end := range g.running.requests {
		if !next.admits(r) {
			end()
		}
	}
}

// begin lets a request in that was admitted. It returns the guard that took the place of
// this one instead, if there is one by now.
func (g *Guard) begin(r *http.Request) (_ *http.Request, end func(), next *Guard) {
	g.running.mu.Lock()
	defer g.running.mu.Unlock()
	if g.running.next != nil {
		return r, nil, g.running.next
	}
	ctx, cancel := context.WithCancel(r.Context())
	r = r.WithContext(ctx)
	if g.running.requests == nil {
		g.running.requests = make(map[*http.Request]context.CancelFunc)
	}
	g.running.requests[r] = cancel
	return r, func() {
		g.running.mu.Lock()
		defer g.running.mu.Unlock()
		delete(g.running.requests, r)
		cancel()
	}, nil
}

// admits reports whether a request has a secret for its path, if one is needed.
func (g *Guard) admits(r *http.Request) bool {
	return len(g.Authorizations) == 0 || authorized(g.Authorizations, r)
}
