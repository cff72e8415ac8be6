package rpc

import (
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
	"strconv"
	"strings"
	"time"

	ma "github.com/multiformats/go-multiaddr"
	manet "github.com/multiformats/go-multiaddr/net"
)

// Client is a [Node] behind an HTTP API. Use [NewClient].
type Client struct {
	// Offline asks for answers with what the node has, see [Offline].
	Offline bool

	base string // http://host:port
	at   string // what errors call it
	auth string // the header Authorization
	http *http.Client
}

var _ Node = (*Client)(nil)

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

// Authorize makes the client prove a secret, in one of the forms of
// [NewAuthorization], with every call.
func (c *Client) Authorize(secret string) (err error) {
	c.auth, err = authorizationHeader(secret)
	return err
}

// Close gives up idle connections.
func (c *Client) Close() error {
	c.http.CloseIdleConnections()
	return nil
}

// post sends a request and returns the reply if it is a success.
func (c *Client) post(ctx context.Context, command string, req any) (*http.Response, error) {
	q := encode(req)
	if c.Offline || IsOffline(ctx) {
		q.Set(offlineOptions[0], "true")
	}
	body, contentType := upload(req) // its writer ends when the transport closes it
	u := c.base + Prefix + command
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
	if c.auth != "" {
		r.Header.Set("Authorization", c.auth)
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
		err = ue.Err // without the URL, which has all options in it
	}
	return fmt.Errorf("call the API at %s: %w", c.at, err)
}

// maxErrorReply bounds what is read of the reply of a failed command, in bytes.
const maxErrorReply = 64 << 10

func replyError(resp *http.Response) error {
	b, err := io.ReadAll(io.LimitReader(resp.Body, maxErrorReply))
	if err != nil {
		return fmt.Errorf("read the API's error: %w", err)
	}
	var e errorReply
	if kind, _, _ := mime.ParseMediaType(resp.Header.Get("Content-Type")); kind == "application/json" && json.Unmarshal(b, &e) == nil {
		return &Error{Message: e.Message, Client: e.Code == 1}
	}
	return &Error{Message: strings.TrimSpace(string(b)), Client: resp.StatusCode == http.StatusBadRequest}
}

// upload starts writing what the request uploads; no body if that is nothing.
// Closing the body ends the writer.
func upload(req any) (body io.ReadCloser, contentType string) {
	write := func(*multipart.Writer) error { return nil }
	if add, ok := req.(*AddRequest); ok {
		write = func(w *multipart.Writer) error { return writeFiles(w, add.Files) }
	} else if u := UploadOf(req); u != nil {
		write = func(w *multipart.Writer) error {
			if err := writePart(w, u.Name, u.Name, fileType, u.reader()); err != nil {
				return err
			}
			return w.Close()
		}
	} else {
		return nil, fileType
	}
	pr, pw := io.Pipe()
	w := multipart.NewWriter(pw)
	go func() { pw.CloseWithError(write(w)) }()
	return pr, w.FormDataContentType()
}

// call runs a command with one response.
func call[Resp, Req any](ctx context.Context, c *Client, command string, req Req) (Resp, error) {
	return Last(streamed[Resp](ctx, c, command, req))
}

// maxLine bounds one value of a stream, in bytes: a list of a million pins.
const maxLine = 256 << 20

// streamed runs a command with a stream of responses.
func streamed[Resp, Req any](ctx context.Context, c *Client, command string, req Req) iter.Seq2[Resp, error] {
	return func(yield func(Resp, error) bool) {
		var zero Resp
		ctx, cancel := context.WithCancel(ctx)
		defer cancel()
		resp, err := c.post(ctx, command, &req)
		if err != nil {
			yield(zero, err)
			return
		}
		defer resp.Body.Close()
		dec := json.NewDecoder(io.LimitReader(resp.Body, maxLine))
		for {
			var v Resp
			err := dec.Decode(&v)
			if errors.Is(err, io.EOF) {
				break
			}
			if err != nil {
				yield(zero, fmt.Errorf("read the API's reply: %w", err))
				return
			}
			if !yield(v, nil) {
				return
			}
		}
		if msg := resp.Trailer.Get(streamError); msg != "" {
			yield(zero, &Error{Message: msg})
		}
	}
}

// bytes runs a command that answers with bytes.
func (c *Client) bytes(ctx context.Context, command string, req any) (Stream, error) {
	resp, err := c.post(ctx, command, req)
	if err != nil {
		return Stream{}, err
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
