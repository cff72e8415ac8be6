package gateway

import (
	"cmp"
	"context"
	"errors"
	"maps"
	"net/http"
	"sync"
	"time"

	"github.com/ipfs/boxo/retrieval"
)

// maxSwitches is how often one request begins anew because a better record came. After that it shows what it has.
const maxSwitches = 4

// errLate is the cause when content did not come in time.
var errLate = errors.New("unable to retrieve content within timeout period")

// fetches serves requests by boxo's handler.
//
// An attempt is dropped when a better record of the name comes before the first byte. It ends when boxo has had nothing
// to send for the time-out: with status 504 before the first byte, by breaking off the connection after it. How long the
// client takes to read does not count, which is the server's to bound.
type fetches struct {
	next    http.Handler
	timeout time.Duration // 0: none
}

func (f *fetches) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	v := visitOf(r.Context())
	for n := 0; ; n++ {
		a := &attempt{w: w, visit: v, header: maps.Clone(w.Header()), timeout: f.timeout, last: n == maxSwitches}
		if dropped := a.run(f.next, r); !dropped {
			return
		}
	}
}

// attempt is one run of boxo's handler, and the writer for its answer.
type attempt struct {
	w       http.ResponseWriter
	visit   *visit
	timeout time.Duration
	last    bool // it is not dropped any more

	mu      sync.Mutex // guards below
	header  http.Header
	begun   bool // the answer is being sent
	dropped bool // a better record came, or it is late: what boxo still writes is not sent
	late    bool
	busy    bool      // in a write to the client
	moved   time.Time // when boxo began, or the last write ended
	timer   *time.Timer
}

// run serves r and reports whether that is to be done again.
func (a *attempt) run(next http.Handler, r *http.Request) (again bool) {
	ctx, drop := context.WithCancelCause(r.Context())
	defer drop(nil)
	ctx, state := retrieval.ContextWithState(ctx)
	if a.last {
		a.visit.fetching(nil)
	} else {
		a.visit.fetching(drop)
	}
	if a.timeout > 0 {
		a.mu.Lock()
		a.moved = time.Now()
		a.timer = time.AfterFunc(a.timeout, func() { a.tooLate(drop) })
		a.mu.Unlock()
		defer a.timer.Stop()
	}
	next.ServeHTTP(a, r.WithContext(ctx))
	a.mu.Lock()
	late, begun, dropped := a.late, a.begun, a.dropped
	a.mu.Unlock()
	switch {
	case late && begun:
		a.visit.broken = true
	case late:
		text := "Unable to retrieve content within timeout period"
		if s := state.Summary(); s != "" {
			text += ": " + s
		}
		a.visit.lack(state)
		http.Error(a.w, text, http.StatusGatewayTimeout)
	case !begun && !dropped:
		a.WriteHeader(http.StatusOK) // as net/http does it
		return a.dropped
	}
	return dropped && !late
}

// tooLate is called when nothing was written for the time-out.
func (a *attempt) tooLate(drop context.CancelCauseFunc) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if left := a.timeout - time.Since(a.moved); a.busy || left > 0 {
		if a.busy {
			left = a.timeout // it is the client that is slow
		}
		a.timer.Reset(left)
		return
	}
	a.late, a.dropped = true, true
	drop(errLate)
}

// Header is that of the answer once it has begun. Before, it is one that can be dropped.
func (a *attempt) Header() http.Header {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.begun {
		return a.w.Header()
	}
	return a.header
}

func (a *attempt) WriteHeader(status int) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.begin(status)
}

// begin sends the header, unless a better record came. Call with a.mu held.
func (a *attempt) begin(status int) {
	if a.begun || a.dropped {
		return
	}
	if !a.visit.begin(a.last) {
		a.dropped = true
		return
	}
	a.begun = true
	h := a.w.Header()
	clear(h)
	maps.Copy(h, a.header)
	a.w.WriteHeader(status)
}

func (a *attempt) Write(p []byte) (int, error) {
	a.mu.Lock()
	a.begin(http.StatusOK)
	if a.dropped {
		defer a.mu.Unlock()
		if a.late {
			return 0, errLate
		}
		return 0, errBetter
	}
	a.busy = true
	a.mu.Unlock()
	n, err := a.w.Write(p)
	a.mu.Lock()
	defer a.mu.Unlock()
	a.busy, a.moved = false, time.Now()
	return n, err
}

func (a *attempt) Flush() {
	a.mu.Lock()
	a.begin(http.StatusOK)
	skip := a.dropped
	a.mu.Unlock()
	if f, ok := a.w.(http.Flusher); ok && !skip {
		f.Flush()
	}
}

// lack notes what was looked for in vain.
func (v *visit) lack(state *retrieval.State) {
	v.mu.Lock()
	defer v.mu.Unlock()
	root, last := state.GetRootCID(), state.GetTerminalCID()
	v.lacks.missing = cmp.Or(last, root)
}
