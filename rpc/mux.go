package rpc

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"iter"
	"net/http"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/goipns/ipns/internal/request"
)

// Prefix is the prefix of commands on an HTTP server.
const Prefix = "/api/v0/"

// streamError is the trailer for an error after the first byte of a reply.
const streamError = "X-Stream-Error"

// streamReason is the trailer for the Reason of that error. It is not declared in
// advance: the header must be as Kubo sends it.
const streamReason = "X-Stream-Reason"

// Mux holds the functions of commands, by path. It is a [Caller] for this process and an
// [http.Handler] for others. Fill it with [Handle] before its first use.
//
// Anyone who can reach a Mux over HTTP controls the node: it does no access control.
type Mux struct {
	// Offline says that the node has no network, so that the offline option changes
	// nothing.
	Offline bool

	// Instead says what to use instead of a command that is not here; empty: nothing. nil:
	// it is never known.
	Instead func(path string) string

	// Explain adds reasons to the errors of commands; nil: they have what was given to them.
	Explain func(error) error

	handlers map[string]*handler
	requests requests
}

// A handler runs one command, without its types.
type handler struct {
	info Info
	resp reflect.Type
	new  func() any // a pointer to a request
	run  func(ctx context.Context, req any) iter.Seq2[any, error]
	text func(req, resp any) (string, error)
}

// Handle sets the function of a command. An error that f yields comes last; its response
// is ignored. Handle panics if the path is taken.
func Handle[Req, Resp any](m *Mux, c Command[Req, Resp], f func(context.Context, Req) iter.Seq2[Resp, error]) {
	h := &handler{
		info: c.Info,
		resp: reflect.TypeFor[Resp](),
		new:  func() any { return new(Req) },
		run: func(ctx context.Context, req any) iter.Seq2[any, error] {
			return func(yield func(any, error) bool) {
				for v, err := range f(ctx, *req.(*Req)) {
					if err != nil && m.Explain != nil {
						err = m.Explain(err)
					}
					if err != nil {
						yield(nil, err)
						return
					}
					if !yield(v, nil) {
						return
					}
				}
			}
		},
		text: c.Print,
	}
	if m.handlers == nil {
		m.handlers = make(map[string]*handler)
	}
	for _, path := range append([]string{c.Path}, c.Aliases...) {
		if m.handlers[path] != nil {
			panic(fmt.Sprintf("rpc: two commands at %s", path))
		}
		m.handlers[path] = h
	}
}

// Describe returns the description of the command at path. uploads says that it reads
// files while the client sends them, ok that it exists.
func (m *Mux) Describe(path string) (info Info, uploads, ok bool) {
	h, _ := m.find(path)
	if h == nil {
		return Info{}, false, false
	}
	_, uploads = h.new().(Body)
	return h.info, uploads, true
}

// call implements [Caller].
func (m *Mux) call(ctx context.Context, path string, req any, _ reflect.Type) iter.Seq2[any, error] {
	h := m.handlers[path]
	if h == nil {
		return func(yield func(any, error) bool) { yield(nil, fmt.Errorf("no command %q", path)) }
	}
	return h.run(ctx, req)
}

// find returns the handler of a path, and the elements that follow its command: they are
// arguments, as with Kubo. It is nil if there is none, or it takes no arguments.
func (m *Mux) find(path string) (h *handler, args []string) {
	for end := path; ; {
		if h = m.handlers[end]; h != nil && (len(args) == 0 || h.info.Args != "") {
			return h, args
		}
		i := strings.LastIndexByte(end, '/')
		if i < 0 || h != nil {
			return nil, nil
		}
		end, args = end[:i], append([]string{end[i+1:]}, args...)
	}
}

// ServeHTTP runs a command. Only POST is allowed.
func (m *Mux) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if r.Method != http.MethodPost {
		w.Header().Set("Allow", "OPTIONS, POST")
		http.Error(w, "405 - Method Not Allowed", http.StatusMethodNotAllowed)
		return
	}
	path, ok := strings.CutPrefix(r.URL.Path, Prefix)
	h, args := m.find(path)
	if !ok || h == nil {
		text := "404 page not found"
		if ok && m.Instead != nil && m.Instead(path) != "" {
			text += ": " + m.Instead(path)
		}
		http.Error(w, text, http.StatusNotFound)
		return
	}
	if len(args) > 0 {
		path = h.info.Path
		q := r.URL.Query()
		q["arg"] = append(args, q["arg"]...)
		r.URL.RawQuery = q.Encode()
	}
	defer m.requests.begin(path, r.URL.Query())()
	if s := r.URL.Query().Get("timeout"); s != "" {
		d, err := time.ParseDuration(s)
		if err != nil {
			fail(w, err)
			return
		}
		ctx, cancel := context.WithTimeout(r.Context(), d)
		defer cancel()
		r = r.WithContext(ctx)
	}
	if q := r.URL.Query(); asksOffline(q) {
		r = r.WithContext(Offline(r.Context()))
		if m.Offline {
			r.URL.RawQuery = withoutOffline(q).Encode()
		}
	}
	if err := h.serve(w, r); err != nil {
		fail(w, err)
	}
}

// serve reads a request, runs the command and writes the reply. After an error nothing
// has been written yet.
func (h *handler) serve(w http.ResponseWriter, r *http.Request) error {
	req := h.new()
	if _, ok := req.(Body); ok {
		fullDuplex(w)
	}
	if err := read(r, req); err != nil {
		return err
	}
	reply := &reply{handler: h, req: req, w: w, asText: isText(r)}
	for v, err := range h.run(r.Context(), req) {
		if s, ok := v.(Stream); ok && err == nil {
			copyStream(w, s)
			return nil
		}
		text := ""
		if err == nil && reply.asText {
			text, err = h.text(req, v)
		}
		switch {
		case err != nil && !reply.started:
			return err
		case err != nil:
			reply.fail(err)
			return nil
		case reply.value(v, text) != nil:
			return nil // the client has left
		}
	}
	reply.start()
	return nil
}

// reply is a reply of values in progress.
type reply struct {
	*handler
	req     any
	w       http.ResponseWriter
	asText  bool
	started bool
}

// start writes the header of a successful reply.
func (p *reply) start() {
	if p.started {
		return
	}
	p.started = true
	kind := "application/json"
	if p.asText {
		kind = "text/plain"
	}
	head := p.w.Header()
	Expose(head)
	head.Set("Content-Type", kind)
	head.Set("Trailer", streamError)
	if p.info.Chunked || request.Chunked(p.req) {
		head.Set("X-Chunked-Output", "1")
	}
	p.w.WriteHeader(http.StatusOK)
}

// value writes one response, whose text is given, and flushes it.
func (p *reply) value(v any, text string) error {
	p.start()
	var err error
	if p.asText {
		_, err = io.WriteString(p.w, text)
	} else if p.resp != reflect.TypeFor[Nothing]() {
		err = json.NewEncoder(p.w).Encode(v)
	}
	if err != nil {
		return err
	}
	return http.NewResponseController(p.w).Flush()
}

// fail ends a reply after its first value.
func (p *reply) fail(err error) {
	p.w.Header().Set(streamError, err.Error())
	if reason := ReasonOf(err); reason != "" {
		p.w.Header().Set(http.TrailerPrefix+streamReason, reason)
	}
	if f, ok := p.req.(Failer); ok && !p.asText {
		_ = json.NewEncoder(p.w).Encode(f.Failed(err)) // the caller may be gone
	}
}

// Failer is a request whose reply, if it fails after the first value, ends with a value
// that says so, for clients that cannot read trailers.
type Failer interface{ Failed(error) any }

// Expose lets web pages read the headers of the API.
func Expose(h http.Header) {
	const exposedHeaders = "X-Stream-Output, X-Chunked-Output, X-Content-Length"
	h.Set("Access-Control-Allow-Headers", exposedHeaders)
	h.Set("Access-Control-Expose-Headers", exposedHeaders)
}

func copyStream(w http.ResponseWriter, s Stream) {
	defer s.Close()
	head := w.Header()
	Expose(head)
	head.Set("Trailer", streamError)
	head.Set("Content-Type", s.Type)
	head.Set("X-Stream-Output", "1")
	if s.Size >= 0 {
		head.Set("X-Content-Length", strconv.FormatInt(s.Size, 10))
	}
	var to io.Writer = w
	if s.Live {
		to = flushed{w, http.NewResponseController(w)}
		_, _ = to.Write(nil) // the header
	}
	if _, err := io.Copy(to, s); err != nil {
		head.Set(streamError, err.Error())
	}
}

// flushed sends what is written to it at once.
type flushed struct {
	http.ResponseWriter
	c *http.ResponseController
}

func (f flushed) Write(p []byte) (int, error) {
	n, err := f.ResponseWriter.Write(p)
	if err == nil {
		err = f.c.Flush()
	}
	return n, err
}

// fullDuplex lets a command read its upload while it writes results. The
// connection is not used again: net/http loses track of it if some of the
// upload is left unread.
func fullDuplex(w http.ResponseWriter) {
	// A server that cannot do this reads the upload first.
	_ = http.NewResponseController(w).EnableFullDuplex()
	w.Header().Set("Connection", "close")
}

// isText reports whether the caller wants the text for the command line.
func isText(r *http.Request) bool {
	q := r.URL.Query()
	return slices.Contains([]string{q.Get("encoding"), q.Get("enc")}, "text")
}
