package rpc

import (
	"context"
	"io"
	"iter"
	"reflect"

	"github.com/goipns/ipns/internal/display"
	"github.com/goipns/ipns/internal/request"
)

// Command is one command: the types of its request and response, and its help. Responses
// are a stream; most commands have one.
type Command[Req, Resp any] struct {
	Info
	// Text returns the text of one response for the command line; nil: none. It writes
	// values with package display, unless Exact is set.
	Text func(Req, Resp) string
	// Check returns an error if a response cannot be printed as text; nil: all can.
	Check func(Req, Resp) error
	// Exact says that Text returns raw data, of which nothing is escaped.
	Exact bool
}

// Info describes a command, independent of its types.
type Info struct {
	// Path is the command's path below [Prefix], and its words on a command line:
	// "name/publish".
	Path string
	// Aliases are other paths of the same command.
	Aliases []string
	// Args are the arguments in the usage line: "<path>".
	Args string
	// Short describes the command in one line.
	Short string
	// Long is a longer description; empty: Short is enough.
	Long string
	// Examples are one to three command lines.
	Examples []string
	// Local says that the command needs no node.
	Local bool
	// Daemon says that the command is about a running daemon, not about a repo.
	Daemon bool
	// Config says that the command needs no more of a node than its config.
	Config bool
	// Chunked says that the reply is always a stream of values.
	Chunked bool
	// Instant says that the response comes from memory: it is returned even when the API
	// is busy.
	Instant bool
}

// Describe returns the description. It makes every Command a [Spec].
func (i Info) Describe() Info { return i }

// Spec is a Command without its types, for the command line, pages and tests.
type Spec interface {
	Describe() Info
	// New returns a pointer to a request with its defaults.
	New() any
	// Run runs the command; req is what New returned, filled in.
	Run(ctx context.Context, to Caller, req any) iter.Seq2[Result, error]
	// Response is the type of what Run yields as Value.
	Response() reflect.Type
	// Print returns the text of one response for the command line, or why it cannot be
	// printed. req is from New, resp has the type Response.
	Print(req, resp any) (string, error)
}

// Result is one response of a command.
type Result struct {
	Value any
	// Exact says that Text returns raw data.
	Exact bool
	text  func() (string, error)
}

// Text returns the text of the response for the command line, or why it cannot be
// printed; its JSON is always available.
func (r Result) Text() (string, error) { return r.text() }

// New returns a request with its defaults.
func New[Req any]() Req {
	var req Req
	request.SetDefaults(&req)
	return req
}

// New implements [Spec].
func (c Command[Req, Resp]) New() any {
	req := New[Req]()
	return &req
}

// Response implements [Spec].
func (c Command[Req, Resp]) Response() reflect.Type { return reflect.TypeFor[Resp]() }

// Run implements [Spec].
func (c Command[Req, Resp]) Run(ctx context.Context, to Caller, req any) iter.Seq2[Result, error] {
	r := req.(*Req)
	return func(yield func(Result, error) bool) {
		for v, err := range Call(ctx, to, c, *r) {
			if !yield(Result{v, c.Exact, func() (string, error) { return c.Print(r, v) }}, err) {
				return
			}
		}
	}
}

// Print implements [Spec].
func (c Command[Req, Resp]) Print(req, resp any) (string, error) {
	r, v := *req.(*Req), resp.(Resp)
	if c.Check != nil {
		if err := c.Check(r, v); err != nil {
			return "", err
		}
	}
	switch {
	case c.Text == nil:
		return "", nil
	case c.Exact:
		return c.Text(r, v), nil
	}
	return display.Clean(c.Text(r, v)), nil
}

// Caller runs commands: a [*Mux] in this process, a [*Client] elsewhere.
type Caller interface {
	// call runs the command at path. req is a pointer to its request, resp the
	// type of its responses. An error comes last, with a nil value.
	call(ctx context.Context, path string, req any, resp reflect.Type) iter.Seq2[any, error]
}

// Call runs a command and yields its responses. An error comes last.
func Call[Req, Resp any](ctx context.Context, to Caller, c Command[Req, Resp], req Req) iter.Seq2[Resp, error] {
	return func(yield func(Resp, error) bool) {
		for v, err := range to.call(ctx, c.Path, &req, reflect.TypeFor[Resp]()) {
			resp, _ := v.(Resp) // nil if there is an error
			if !yield(resp, err) {
				return
			}
		}
	}
}

// Do runs a command to its end and returns its last response.
func Do[Req, Resp any](ctx context.Context, to Caller, c Command[Req, Resp], req Req) (Resp, error) {
	var last Resp
	for v, err := range Call(ctx, to, c, req) {
		if err != nil {
			return last, err
		}
		last = v
	}
	return last, nil
}

// One turns a function with a single response into a stream.
func One[Req, Resp any](f func(context.Context, Req) (Resp, error)) func(context.Context, Req) iter.Seq2[Resp, error] {
	return func(ctx context.Context, req Req) iter.Seq2[Resp, error] {
		return func(yield func(Resp, error) bool) { yield(f(ctx, req)) }
	}
}

// Nothing is the response of a command without one.
type Nothing struct{}

// Stream is a response of bytes. The caller closes it.
type Stream struct {
	io.ReadCloser
	Type string // media type
	Size int64  // length in bytes, -1 if unknown
	Live bool   // comes bit by bit, and each is to be seen at once
}
