package guard

import (
	"context"
	"net/http"
	"sync"
)

// running are the requests that were let in and have not ended, by this guard or by those
// whose place it took.
type running struct {
	mu       sync.Mutex // guards requests
	requests map[*http.Request]context.CancelFunc
}

// Replaced says that another guard takes the place of this one. Requests that have begun go
// on, but those that the other one would ask for a secret which they do not have end: some,
// such as watching names, would stay for days.
func (g *Guard) Replaced(next *Guard) {
	g.mu.Lock()
	defer g.mu.Unlock()
	all := g.begun()
	g.next = next
	next.mu.Lock()
	next.running = all
	next.mu.Unlock()
	all.mu.Lock()
	defer all.mu.Unlock()
	for r, end := range all.requests {
		if !next.admits(r) {
			end()
		}
	}
}

// begun returns the requests that go on. Call with mu held.
func (g *Guard) begun() *running {
	if g.running == nil {
		g.running = &running{requests: make(map[*http.Request]context.CancelFunc)}
	}
	return g.running
}

// begin lets a request in that was admitted. It returns the guard that took the place of
// this one instead, if there is one by now.
func (g *Guard) begin(r *http.Request) (_ *http.Request, end func(), next *Guard) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.next != nil {
		return r, nil, g.next
	}
	all := g.begun()
	ctx, cancel := context.WithCancel(r.Context())
	r = r.WithContext(ctx)
	all.mu.Lock()
	defer all.mu.Unlock()
	all.requests[r] = cancel
	return r, func() {
		all.mu.Lock()
		defer all.mu.Unlock()
		delete(all.requests, r)
		cancel()
	}, nil
}

// admits reports whether a request has a secret for its path, if one is needed.
func (g *Guard) admits(r *http.Request) bool {
	return len(g.Authorizations) == 0 || authorized(g.Authorizations, r)
}
