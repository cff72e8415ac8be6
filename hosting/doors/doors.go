// Package doors is the HTTP server of hosting: each protocol by which tenants put, read and
// watch names has its file here, and its lines in New.
//
// A door reads its protocol's request, asks hosting.Host, and answers in its protocol's
// status. It decides nothing itself: the same record gets the same verdict through each.
package doors

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"time"

	"github.com/goipns/ipns"
	"github.com/goipns/ipns/hosting"
	"github.com/goipns/ipns/hosting/pins"
	"github.com/goipns/ipns/recordstore"
	"github.com/goipns/ipns/routing/delegated"
	"github.com/goipns/ipns/watch"
)

// Options are what the doors lead to.
type Options struct {
	Host *hosting.Host // required
	// Find returns the newest record of a name that is not kept here, and when it was first
	// seen, or delegated.ErrNotFound. nil: only what is kept here is served.
	Find func(context.Context, ipns.Name) (*ipns.Record, time.Time, error)
	// Names gives names to readers as they change; nil: there is no watching.
	Names *watch.Names
	// Pins keeps content for tenants; nil: none is kept.
	Pins *pins.Pins
}

// doors are the handlers.
type doors struct{ Options }

// New returns the handler of all doors.
func New(o Options) http.Handler {
	d := &doors{o}
	return pages(d.mux())
}

// mux has all doors.
func (d *doors) mux() *mux {
	m := &mux{}
	d.addRouting(m)
	d.addWellKnown(m)
	d.addW3Name(m)
	d.addNames(m)
	d.addWatch(m)
	d.addPins(m)
	d.addOpenAPI(m)
	return m
}

// pages lets pages of any origin use the doors: who may do what depends on tokens, which a
// browser does not send by itself.
func pages(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		head := w.Header()
		head.Set("Access-Control-Allow-Origin", "*")
		head.Set("Access-Control-Expose-Headers", "Etag, Cache-Control, Expires, Last-Modified, Retry-After, Warning, X-Ipfs-Position")
		head.Set("X-Content-Type-Options", "nosniff")
		if r.Method == http.MethodOptions && r.Header.Get("Access-Control-Request-Method") != "" {
			head.Set("Access-Control-Allow-Methods", "GET, HEAD, PUT, POST, PATCH, DELETE, OPTIONS")
			head.Set("Access-Control-Allow-Headers", "Authorization, Content-Type, Accept, If-None-Match, Last-Event-ID")
			head.Set("Access-Control-Max-Age", "600")
			w.WriteHeader(http.StatusNoContent)
			return
		}
		next.ServeHTTP(w, r)
	})
}

// find returns the newest record of a name: of what is kept here, else of what Find finds.
// A name on the deny list is a Refusal.
func (d *doors) find(ctx context.Context, name ipns.Name) (*ipns.Record, time.Time, error) {
	if err := d.Host.DeniedName(ctx, name); err != nil {
		return nil, time.Time{}, err
	}
	e, err := d.Host.Book.Get(ctx, name)
	switch {
	case err == nil && e.Record != nil && !e.Record.Expired(time.Now()):
		return e.Record, e.Changed, nil
	case err != nil && !errors.Is(err, recordstore.ErrNotFound):
		return nil, time.Time{}, err
	case d.Find == nil:
		return nil, time.Time{}, delegated.ErrNotFound
	}
	return d.Find(ctx, name)
}

// refused sets the headers of an answer that says why something was refused, and returns
// its status in protocols that have none of their own.
func refused(head http.Header, r *hosting.Refusal) int {
	head.Set("Cache-Control", "no-store")
	if r.RetryAfter > 0 {
		seconds := max(1, int64((r.RetryAfter+time.Second-1)/time.Second))
		head.Set("Retry-After", strconv.FormatInt(seconds, 10))
	}
	if r.Why == hosting.Unauthorized {
		head.Set("WWW-Authenticate", `Bearer realm="ipns"`)
	}
	return r.Why.Status()
}

// plain answers with a line of text.
func plain(w http.ResponseWriter, status int, text string) {
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	w.WriteHeader(status)
	_, _ = fmt.Fprintln(w, text) // the client may be gone
}
