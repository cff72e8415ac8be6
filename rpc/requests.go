package rpc

import (
	"net/url"
	"slices"
	"strings"
	"sync"
	"time"
)

// Served is a request that a Mux serves over HTTP, or has served.
type Served struct {
	StartTime, EndTime time.Time // EndTime is zero while it is active
	Active             bool
	Command            string
	Options            map[string]any
	Args               []string // only the first, others may be secrets
	ID                 int
}

// Limits of the requests that are remembered after they ended.
const (
	maxServed = 1000
	keepTime  = time.Hour // unless another was set

	maxServedText    = 256 // bytes of an option or argument
	maxServedOptions = 64
)

// clipped is a text as it is remembered.
func clipped(s string) string { return strings.Clone(s[:min(len(s), maxServedText)]) }

// requests remembers what is served and was served.
type requests struct {
	mu   sync.Mutex // guards the fields below
	next int
	keep time.Duration // 0: keepTime
	list []*Served     // in the order of their start
}

// begin remembers a request; end says that it ended.
func (r *requests) begin(path string, q url.Values) (end func()) {
	s := &Served{StartTime: time.Now(), Active: true, Command: path, Options: map[string]any{}}
	for name := range q {
		if name == "arg" {
			s.Args = []string{clipped(q.Get(name))}
		} else if len(s.Options) < maxServedOptions {
			s.Options[clipped(name)] = clipped(q.Get(name))
		}
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	s.ID = r.next
	r.next++
	r.list = append(r.list, s)
	if len(r.list) > 2*maxServed { // not each time: it looks at all
		r.forget()
	}
	return func() {
		r.mu.Lock()
		defer r.mu.Unlock()
		s.Active, s.EndTime = false, time.Now()
	}
}

// forget drops ended requests that are too old or too many. Call with mu held.
func (r *requests) forget() {
	keep := keepTime
	if r.keep > 0 {
		keep = r.keep
	}
	surplus := len(r.list) - maxServed
	r.list = slices.DeleteFunc(r.list, func(s *Served) bool {
		drop := !s.Active && (surplus > 0 || time.Since(s.EndTime) > keep)
		if drop {
			surplus--
		}
		return drop
	})
}

// Served lists the requests over HTTP that are active, and the last ones that ended.
func (m *Mux) Served() []Served {
	m.requests.mu.Lock()
	defer m.requests.mu.Unlock()
	m.requests.forget()
	list := []Served{}
	for _, s := range m.requests.list {
		list = append(list, *s)
	}
	return list
}

// ForgetServed forgets the requests that ended.
func (m *Mux) ForgetServed() {
	m.requests.mu.Lock()
	defer m.requests.mu.Unlock()
	m.requests.list = slices.DeleteFunc(m.requests.list, func(s *Served) bool { return !s.Active })
}

// KeepServed sets how long requests that ended are remembered.
func (m *Mux) KeepServed(d time.Duration) {
	m.requests.mu.Lock()
	defer m.requests.mu.Unlock()
	m.requests.keep = d
}
