package rpc

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"iter"
	"mime"
	"mime/multipart"
	"net"
	"net/http"
	"net/url"
	"reflect"
	"strconv"
	"strings"
	"time"

	ma "github.com/multiformats/go-multiaddr"
	manet "github.com/multiformats/go-multiaddr/net"

	"github.com/goipns/ipns/internal/request"
)

// Client is a [Caller] that runs commands over HTTP. Use [NewClient].
type Client struct {
	// Offline asks the node to answer from local data, see [Offline].
	Offline bool
	// Authorization is the header sent with every call; empty: none.
	Authorization string

	base string // http://host:port
	at   string // its name in errors
	http *http.Client
}

// dialTimeout bounds how long the API may take to accept a connection.
const dialTimeout = 5 * time.Second

// NewClient returns a client for the API at a multiaddr (/ip4/127.0.0.1/tcp/5001,
// /dns4/node.example/tcp/443/https, /unix/run/ipns.sock) or at an http URL.
func NewClient(addr string) (*Client, error) {
	dialer := &net.Dialer{Timeout: dialTimeout}
	transport := &http.Transport{DialContext: dialer.DialContext, DisableCompression: true}
	c := &Client{at: addr, http: &http.Client{Transport: transport}}
	if strings.HasPrefix(addr, "http://") || strings.HasPrefix(addr, "https://") {
		c.base = strings.TrimSuffix(addr, "/")
		c.at = c.base
		return c, nil
	}
	m, err := ma.NewMultiaddr(addr)
	if err != nil {
		return nil, fmt.Errorf("API address %q: %w", addr, err)
	}
	seen := false
	socket, inside := ma.SplitFunc(m, func(c ma.Component) bool {
		after := seen
		seen = seen || c.Protocol().Code == ma.P_TCP
		return after
	})
	network, target, err := manet.DialArgs(socket)
	switch {
	case err == nil && network == "unix":
		transport.DialContext = func(ctx context.Context, _, _ string) (net.Conn, error) {
			return dialer.DialContext(ctx, network, target)
		}
		c.base = "http://localhost"
		return c, nil
	case err != nil || !strings.HasPrefix(network, "tcp"):
		return nil, fmt.Errorf("API address %q is neither a TCP address nor a Unix socket", addr)
	}
	c.base = "http://" + target
	if len(inside) > 0 && inside.String() != "/http" {
		if s := inside.String(); s != "/https" && s != "/tls/http" {
			return nil, fmt.Errorf("API address %q: %s is not supported", addr, s)
		}
		c.base = "https://" + target
	}
	c.at = c.base
	return c, nil
}

// Close closes idle connections.
func (c *Client) Close() error {
	c.http.CloseIdleConnections()
	return nil
}

// post sends a request and returns the reply if it succeeded.
func (c *Client) post(ctx context.Context, path string, req any) (*http.Response, error) {
	q := request.Encode(req)
	if c.Offline || IsOffline(ctx) {
		q.Set(offlineOptions[0], "true")
	}
	body, contentType := upload(req) // its writer ends when the transport closes the body
	u := c.base + Prefix + path
	if len(q) > 0 {
		u += "?" + q.Encode()
	}
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, u, body)
	if err != nil {
		if body != nil {
			body.Close()
		}
		return nil, err
	}
	r.Header.Set("Content-Type", contentType)
	r.Header.Set("User-Agent", "goipns/rpc")
	if c.Authorization != "" {
		r.Header.Set("Authorization", c.Authorization)
	}
	resp, err := c.http.Do(r)
	if err != nil {
		return nil, c.unreachable(err)
	}
	if resp.StatusCode != http.StatusOK {
		defer resp.Body.Close()
		return nil, replyError(resp)
	}
	return resp, nil
}

func (c *Client) unreachable(err error) error {
	var ue *url.Error
	if errors.As(err, &ue) {
		err = ue.Err // without the URL, which contains all options
	}
	return &UnreachableError{c.at, err}
}

// UnreachableError says that there was no answer from an API.
type UnreachableError struct {
	At  string // where it should be
	Err error
}

func (e *UnreachableError) Error() string { return fmt.Sprintf("call the API at %s: %v", e.At, e.Err) }

// Unwrap returns the cause.
func (e *UnreachableError) Unwrap() error { return e.Err }

// maxErrorReply bounds how much is read of a failed command's reply, in bytes.
const maxErrorReply = 64 << 10

func replyError(resp *http.Response) error {
	b, err := io.ReadAll(io.LimitReader(resp.Body, maxErrorReply))
	if err != nil {
		return fmt.Errorf("read the API's error: %w", err)
	}
	var e errorReply
	if kind, _, _ := mime.ParseMediaType(resp.Header.Get("Content-Type")); kind == "application/json" && json.Unmarshal(b, &e) == nil {
		return &Error{Message: e.Message, Client: e.Code == 1, Reason: e.Reason}
	}
	return &Error{Message: strings.TrimSpace(string(b)), Client: resp.StatusCode == http.StatusBadRequest}
}

// upload starts writing the request's upload, if it has one. Closing the body ends the
// writer.
func upload(req any) (body io.ReadCloser, contentType string) {
	write := writeBody(req)
	if write == nil {
		return nil, FileType
	}
	pr, pw := io.Pipe()
	w := multipart.NewWriter(pw)
	go func() { pw.CloseWithError(write(w)) }()
	return pr, w.FormDataContentType()
}

// maxReply bounds the JSON of one reply, in bytes: a list of a million pins.
const maxReply = 256 << 20

// call implements [Caller].
func (c *Client) call(ctx context.Context, path string, req any, respType reflect.Type) iter.Seq2[any, error] {
	if respType == reflect.TypeFor[Stream]() {
		return func(yield func(any, error) bool) { yield(c.bytes(ctx, path, req)) }
	}
	return func(yield func(any, error) bool) {
		ctx, cancel := context.WithCancel(ctx)
		defer cancel()
		resp, err := c.post(ctx, path, req)
		if err != nil {
			yield(nil, err)
			return
		}
		defer resp.Body.Close()
		dec := json.NewDecoder(io.LimitReader(resp.Body, maxReply))
		for {
			v := reflect.New(respType)
			err := decodeValue(dec, req, v.Interface())
			if errors.Is(err, io.EOF) {
				break
			}
			if failed := (*Error)(nil); errors.As(err, &failed) {
				yield(nil, failed)
				return
			}
			if err != nil {
				yield(nil, fmt.Errorf("read the API's reply: %w", err))
				return
			}
			if !yield(v.Elem().Interface(), nil) {
				return
			}
		}
		if msg := resp.Trailer.Get(streamError); msg != "" {
			yield(nil, &Error{Message: msg, Reason: resp.Trailer.Get(streamReason)})
		}
	}
}

// decodeValue decodes the next value of a reply. It returns an *Error if that is the error
// which ended the command: see [Failer].
func decodeValue(dec *json.Decoder, req, v any) error {
	if _, ok := req.(Failer); !ok {
		return dec.Decode(v)
	}
	var raw json.RawMessage
	if err := dec.Decode(&raw); err != nil {
		return err
	}
	var e errorReply
	if json.Unmarshal(raw, &e) == nil && e.Type == "error" {
		return &Error{Message: cmp.Or(e.Message, "the command failed"), Reason: e.Reason}
	}
	return json.Unmarshal(raw, v)
}

// bytes runs a command that returns bytes. The any is a [Stream].
func (c *Client) bytes(ctx context.Context, path string, req any) (any, error) {
	resp, err := c.post(ctx, path, req)
	if err != nil {
		return nil, err
	}
	size := int64(-1)
	if n, err := strconv.ParseInt(resp.Header.Get("X-Content-Length"), 10, 64); err == nil {
		size = n
	}
	return Stream{ReadCloser: &body{resp: resp}, Type: resp.Header.Get("Content-Type"), Size: size}, nil
}

// body is a reply of bytes whose end may be an error in the trailer.
type body struct{ resp *http.Response }

func (b *body) Read(p []byte) (int, error) {
	n, err := b.resp.Body.Read(p)
	if errors.Is(err, io.EOF) {
		if msg := b.resp.Trailer.Get(streamError); msg != "" {
			err = &Error{Message: msg}
		}
	}
	return n, err
}

func (b *body) Close() error { return b.resp.Body.Close() }
