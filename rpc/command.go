package rpc

import (
	"context"
	"io"
	"iter"
	"reflect"

	"github.com/goipns/ipns/internal/display"
	"github.com/goipns/ipns/internal/request"
)

// Command is one command: the types of its request and response, and the words
// that people read about it. Responses are a stream; most commands have one.
type Command[Req, Resp any] struct {
	Info
	// Text returns what a command line prints of one response; nil: nothing. It
	// writes values by way of package display, unless Exact is set.
	Text func(Req, Resp) string
	// Check refuses to print a response as text; nil: all can be printed.
	Check func(Req, Resp) error
	// Exact says that Text returns bytes that were asked for: nothing in them is
	// escaped.
	Exact bool
}

// Info describes a command, whatever its types are.
type Info struct {
	// Path is where the command is, below [Prefix], and its words on a command
	// line: "name/publish".
	Path string
	// Aliases are other paths of the same command.
	Aliases []string
	// Args shows the arguments in a line of usage: "<path>".
	Args string
	// Short says in one line what the command does.
	Short string
	// Long says more; empty: Short is enough.
	Long string
	// Examples are command lines, one to three.
	Examples []string
	// Local says that the command needs no node.
	Local bool
	// Chunked says that the reply is always a stream of values.
	Chunked bool
	// Instant says that the answer comes from memory, at once: it is given also
	// while others crowd the API.
	Instant bool
}

// Describe returns the description. It makes every Command a part of [Spec].
func (i Info) Describe() Info { return i }

// Spec is a Command whose types are erased: what a command line, a page of
// documentation and a test need of it.
type Spec interface {
	Describe() Info
	// New returns a pointer to a request with its defaults.
	New() any
	// Run runs the command; req is what New returned, filled in.
	Run(ctx context.Context, to Caller, req any) iter.Seq2[Result, error]
	// Response is the type of what Run yields as Value.
	Response() reflect.Type
	// Print returns what a command line prints of one response, or why it can't
	// print it. req is what New returned, resp of the type Response.
	Print(req, resp any) (string, error)
}

// Result is one response of a command.
type Result struct {
	Value any
	// Exact says that Text returns bytes that were asked for, not words.
	Exact bool
	text  func() (string, error)
}

// Text returns what a command line prints of the response, or why it can't print
// it: the JSON of the response has it all the same.
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
			resp, _ := v.(Resp) // nil beside an error
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

// One makes a stream of a function with a single response.
func One[Req, Resp any](f func(context.Context, Req) (Resp, error)) func(context.Context, Req) iter.Seq2[Resp, error] {
	return func(ctx context.Context, req Req) iter.Seq2[Resp, error] {
		return func(yield func(Resp, error) bool) { yield(f(ctx, req)) }
	}
}

// Nothing is the response of a command that has none.
type Nothing struct{}

// Stream is a response of bytes. The caller closes it.
type Stream struct {
	io.ReadCloser
	Type string // media type
	Size int64  // length in bytes, -1 if unknown
}
