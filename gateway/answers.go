package gateway

import (
	"bytes"
	"container/list"
	"maps"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"time"

	boxo "github.com/ipfs/boxo/gateway"
)

// Limits of the answers that are kept, in bytes.
const (
	maxAnswer  = 64 << 10 // of one body
	maxAnswers = 64 << 20 // of all, with what each takes beside its body
	answerCost = 1 << 10  // that is, but for its key and header
)

// answers keeps short answers in front of boxo's handler.
//
// What an immutable path leads to never changes, and neither does what boxo answers for it. The name in a path is
// resolved for each request; what depends on the name, or on its path, is made for each request too. So an answer that
// is kept is dropped only to make room, or when blocks were deleted or denied, since then it may not be had any more. A
// new config makes a new gateway.
//
// Requests for anything but the whole of a file, by address and in its own format, are passed on.
type answers struct {
	cfg     boxo.Config
	names   Resolver
	now     func() time.Time
	changes func() uint64 // differs when blocks were deleted or denied
	next    http.Handler

	troubles *troubles

	mu     sync.Mutex                  // guards below
	since  uint64                      // changes when the answers were right
	kept   map[answerKey]*list.Element // of *answer
	recent list.List                   // the same, last used first
	bytes  int
}

// answerKey is all that an answer depends on, but for what is made for each request.
type answerKey struct {
	path string // immutable
	rest string // of the path asked for, after its name or root: its end decides the media type
	host hostClass
}

// hostClass is what an answer owes to the host it was asked of.
type hostClass struct {
	isolated bool // the site has an origin of its own, and may have redirects
	secure   bool
}

// answer is a status 200 with a whole file.
type answer struct {
	key      answerKey
	header   http.Header // without what is made for each request; not to be changed
	etag     string
	body     []byte
	modified time.Time // of the file itself; zero: it has none
}

func newAnswers(cfg boxo.Config, o Options, changes func() uint64, next http.Handler) *answers {
	return &answers{cfg: cfg, names: o.Names, now: o.Now, changes: changes, next: next, troubles: &troubles{}, kept: map[answerKey]*list.Element{}}
}

func (s *answers) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	q, ok := s.question(r)
	if !ok {
		s.next.ServeHTTP(w, r)
		return
	}
	if a := s.find(q.key); a != nil {
		if match, ok := matches(r.Header["If-None-Match"], a.etag); ok {
			q.answer(w, r, a, match)
			return
		}
	}
	if r.Method != http.MethodGet || r.Header["If-None-Match"] != nil {
		s.next.ServeHTTP(w, r)
		return
	}
	changes := s.changes()
	rec := &recorder{ResponseWriter: w}
	s.next.ServeHTTP(rec, r)
	if a := rec.answer(); a != nil {
		fetched, opened := visitOf(r.Context()).fetched()
		if fetched != "" {
			q.key.path = fetched
		}
		for _, o := range opened {
			if a.etag == `"`+o.cid.String()+`"` && !o.modified.IsZero() {
				a.modified = o.modified
			}
		}
		a.key = q.key
		s.keep(a, changes)
	}
}

// find returns the answer that is kept, if any.
func (s *answers) find(key answerKey) *answer {
	changes := s.changes()
	s.mu.Lock()
	defer s.mu.Unlock()
	s.renew(changes)
	e := s.kept[key]
	if e == nil {
		return nil
	}
	s.recent.MoveToFront(e)
	return e.Value.(*answer)
}

// renew drops all answers if they may be wrong by now. Call with s.mu held.
func (s *answers) renew(changes uint64) {
	if s.since != changes {
		s.since, s.bytes = changes, 0
		clear(s.kept)
		s.recent.Init()
	}
}

// keep keeps an answer that was got when changes were so many.
func (s *answers) keep(a *answer, changes uint64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.renew(s.changes()); s.since != changes || s.kept[a.key] != nil {
		return
	}
	s.kept[a.key] = s.recent.PushFront(a)
	for s.bytes += a.size(); s.bytes > maxAnswers; {
		old := s.recent.Remove(s.recent.Back()).(*answer)
		delete(s.kept, old.key)
		s.bytes -= old.size()
	}
}

func (a *answer) size() int {
	n := len(a.body) + len(a.key.path) + len(a.key.rest) + answerCost
	for _, values := range a.header { // a long path has many roots
		for _, v := range values {
			n += len(v)
		}
	}
	return n
}

// recorder copies a short answer while it is sent.
type recorder struct {
	http.ResponseWriter
	a    *answer // nil: not one to keep
	want int     // bytes of its body
	done bool    // the header was written
}

func (w *recorder) WriteHeader(status int) {
	if !w.done && status >= http.StatusOK {
		w.done = true
		w.a, w.want = recordable(status, w.Header())
	}
	w.ResponseWriter.WriteHeader(status)
}

// made are the headers that are made for each request.
var made = []string{"Cache-Control", "Last-Modified", "X-Ipfs-Path", "Ipfs-Uri", silentHeader}

// recordable returns the answer for a header, if it is of a kind that is kept.
func recordable(status int, h http.Header) (a *answer, want int) {
	if status != http.StatusOK || h.Get("Content-Disposition") != "" || h.Get("Set-Cookie") != "" {
		return nil, 0
	}
	want, err := strconv.Atoi(h.Get("Content-Length"))
	if err != nil || want > maxAnswer {
		return nil, 0
	}
	// Only a file has the CID by itself as its tag; a listing shows the path by which it was asked for.
	roots := h.Get("X-Ipfs-Roots")
	etag := `"` + roots[strings.LastIndexByte(roots, ',')+1:] + `"`
	if roots == "" || h.Get("Etag") != etag {
		return nil, 0
	}
	a = &answer{header: maps.Clone(h), etag: etag, body: make([]byte, 0, want)}
	for _, key := range made {
		delete(a.header, key)
	}
	return a, want
}

func (w *recorder) Write(p []byte) (int, error) {
	if !w.done {
		w.WriteHeader(http.StatusOK)
	}
	if w.a != nil {
		if len(w.a.body)+len(p) > w.want {
			w.a = nil
		} else {
			w.a.body = append(w.a.body, p...)
		}
	}
	return w.ResponseWriter.Write(p)
}

func (w *recorder) Flush() {
	if f, ok := w.ResponseWriter.(http.Flusher); ok {
		f.Flush()
	}
}

// Unwrap is for [http.ResponseController].
func (w *recorder) Unwrap() http.ResponseWriter { return w.ResponseWriter }

// answer returns what was recorded, if it is whole.
func (w *recorder) answer() *answer {
	if w.a == nil || len(w.a.body) != w.want {
		return nil
	}
	w.a.body = bytes.Clone(w.a.body)
	return w.a
}
