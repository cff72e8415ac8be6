package gateway

import (
	"context"
	"errors"
	"net/http"
	"sync"
	"time"

	"github.com/ipfs/go-cid"

	"github.com/goipns/ipns/resolver"
)

// agreeing is how many sources must have one record before the search for a better one ends. The resolver's own searches
// end by as many, so that a request makes none longer.
const agreeing = 8

// errBetter is the cause when a fetch is given up because a better record came.
var errBetter = errors.New("a better record of the name was found")

// visit is one request, as its handlers and the backend know it together.
//
// Its name is resolved once. If that needs a search, the first record found is used, and the search is followed until the
// first byte of the answer: what is fetched for an older record is then dropped.
type visit struct {
	ctx   context.Context // of the request
	names Resolver

	broken bool // the answer ends before its end

	watch sync.WaitGroup     // the following of a search
	stop  context.CancelFunc // ends that; nil: there is none

	mu     sync.Mutex // guards below
	opened []opened
	path   string               // as asked, if it is mutable and was resolved
	now    *resolver.Resolution // for which content is fetched; nil: not resolved
	next   *resolver.Resolution // a better one that came since
	err    error                // why there is none
	begun  bool                 // the answer has begun: nothing is dropped any more
	drop   context.CancelCauseFunc
	lacks  loss
}

// opened is a file or folder that was opened, and its own modification time; mostly zero.
type opened struct {
	cid      cid.Cid
	modified time.Time
}

// maxOpened bounds those of one request: more are opened only for a listing.
const maxOpened = 8

type visitKey struct{}

func visitOf(ctx context.Context) *visit {
	v, _ := ctx.Value(visitKey{}).(*visit)
	return v
}

// visits gives each request its visit.
func visits(names Resolver, next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		v := &visit{names: names}
		v.ctx = context.WithValue(r.Context(), visitKey{}, v)
		defer v.end()
		next.ServeHTTP(w, r.WithContext(v.ctx))
		if v.broken {
			panic(http.ErrAbortHandler) // the client must see that something is missing
		}
	})
}

func (v *visit) end() {
	if v.stop != nil {
		v.stop()
		v.watch.Wait()
	}
}

// resolve returns what a path leads to. ctx is that of the attempt.
func (v *visit) resolve(ctx context.Context, p string) (resolver.Resolution, error) {
	if res, done, err := v.resolved(); done {
		return res, err
	}
	res, known := v.names.Known(ctx, p)
	if known {
		v.mu.Lock()
		v.path, v.now = p, &res
		v.mu.Unlock()
		return res, nil
	}
	return v.follow(ctx, p)
}

// resolved returns what an earlier attempt has found out.
func (v *visit) resolved() (res resolver.Resolution, done bool, err error) {
	v.mu.Lock()
	defer v.mu.Unlock()
	switch {
	case v.err != nil:
		v.now, v.next = nil, nil
		return res, true, v.err
	case v.next != nil:
		v.now, v.next = v.next, nil
	case v.now == nil:
		return res, false, nil
	}
	return *v.now, true, nil
}

// follow returns the first answer of a search, and watches for better ones.
func (v *visit) follow(ctx context.Context, p string) (resolver.Resolution, error) {
	watching, stop := context.WithCancel(v.ctx)
	v.stop = stop
	first := make(chan struct{})
	v.watch.Go(func() {
		var once sync.Once
		found := func() { once.Do(func() { close(first) }) }
		defer found()
		var last *resolver.Resolution
		for res, err := range v.names.Stream(watching, p, resolver.Options{Confidence: agreeing}) {
			if err != nil {
				v.failed(err)
				return
			}
			if last = &res; !unsure(res) {
				v.offer(p, res)
				found()
			}
		}
		if last != nil {
			v.offer(p, *last)
		}
	})
	select {
	case <-first:
		res, _, err := v.resolved()
		return res, err
	case <-ctx.Done():
		return resolver.Resolution{}, context.Cause(ctx)
	}
}

// unsure reports whether a better answer must be waited for: this one has a record that is stale, and that the search has
// not confirmed.
func unsure(res resolver.Resolution) bool {
	if res.Final {
		return false
	}
	for _, h := range res.Hops {
		if h.Stale {
			return true
		}
	}
	return false
}

// offer takes an answer of the search. The first begins a fetch, another ends it.
func (v *visit) offer(p string, res resolver.Resolution) {
	v.mu.Lock()
	defer v.mu.Unlock()
	switch {
	case v.now == nil && v.next == nil:
		v.path, v.now = p, &res
	case v.begun || v.now.Path == res.Path:
	default:
		v.replace(&res)
	}
}

// replace ends the fetch for an older record. Call with v.mu held.
func (v *visit) replace(res *resolver.Resolution) {
	v.next = res
	if v.drop != nil {
		v.drop(errBetter)
	}
}

// failed takes the error that ended the search. Once something was found it matters only if that must not be shown.
func (v *visit) failed(err error) {
	v.mu.Lock()
	defer v.mu.Unlock()
	switch {
	case v.now == nil && v.next == nil:
		v.err = err
	case !v.begun && errors.Is(err, resolver.ErrExpired):
		v.err = err
		v.replace(nil)
	}
}

// fetching begins an attempt, which drop ends.
func (v *visit) fetching(drop context.CancelCauseFunc) {
	v.mu.Lock()
	defer v.mu.Unlock()
	v.drop, v.opened = drop, nil
}

// begin says that the first byte is about to be sent. It returns false if there is a better record by now.
func (v *visit) begin(last bool) bool {
	v.mu.Lock()
	p, now := v.path, v.now
	v.mu.Unlock()
	var newer *resolver.Resolution
	if now != nil && !last {
		// Others may have been shown a newer record while this one was fetched.
		if res, known := v.names.Known(v.ctx, p); known && res.Path != now.Path {
			newer = &res
		}
	}
	v.mu.Lock()
	defer v.mu.Unlock()
	if !last && v.next == nil && newer != nil {
		v.next = newer
	}
	if !last && (v.next != nil || v.err != nil && v.now != nil) {
		return false
	}
	v.begun = true
	return true
}

// open notes what the backend has opened.
func (v *visit) open(c cid.Cid, modified time.Time) {
	v.mu.Lock()
	defer v.mu.Unlock()
	if len(v.opened) < maxOpened {
		v.opened = append(v.opened, opened{c, modified})
	}
}

// fetched returns the immutable path that was fetched for a mutable one, and what was opened on the way.
func (v *visit) fetched() (string, []opened) {
	v.mu.Lock()
	defer v.mu.Unlock()
	if v.now == nil {
		return "", v.opened
	}
	return v.now.Path, v.opened
}

// lost notes that a path did not resolve, and since when that is so.
func (v *visit) lost(p string, err error, since time.Time) {
	v.mu.Lock()
	defer v.mu.Unlock()
	v.err = err
	v.lacks.asked, v.lacks.err, v.lacks.since = p, err, since
}

// loss is what a visit did not find.
type loss struct {
	asked   string // the path that did not resolve; "": all did
	err     error
	since   time.Time
	missing cid.Cid
}

func (v *visit) loss() loss {
	v.mu.Lock()
	defer v.mu.Unlock()
	return v.lacks
}
