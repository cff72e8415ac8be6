package delegated

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"iter"
	"mime"
	"net"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/goipns/ipns"
	"github.com/goipns/ipns/routing"
)

// Defaults and limits of a [Client].
const (
	DefaultTimeout = 15 * time.Second // for one request

	dialTimeout    = 5 * time.Second
	maxRedirects   = 3
	maxIdleConns   = 16
	maxReason      = 256              // bytes of an error's text that are read
	maxHeaderBytes = 64 << 10         // of an answer
	maxRetryAfter  = 10 * time.Minute // a server can't silence a client for longer
)

// Config configures a [Client].
type Config struct {
	// URL is the server: https://host, with or without /routing/v1 or
	// /routing/v1/ipns behind it.
	URL string
	// Gateway says that URL is that of an HTTP gateway: records are read from
	// /ipns/{name}?format=ipns-record, and there is nobody to put one to.
	Gateway bool
	// Fresh asks the caches on the way to the server to be passed by.
	Fresh bool
	// Opener opens the records that come; it must be set.
	Opener *routing.Opener
	// Timeout bounds one request; 0: DefaultTimeout.
	Timeout time.Duration
	// AllowPrivate lets a host name lead to a private address. A URL that names
	// such an address itself always may.
	AllowPrivate bool
	// UserAgent is what requests carry; empty: "goipns".
	UserAgent string
	// Now tells the time; nil: time.Now.
	Now func() time.Time
}

// Client is a [routing.Router] that asks one server by HTTP. It has one target
// and one source, whose network is the host of the URL.
type Client struct {
	base    *url.URL // names are below it
	config  Config
	http    *http.Client
	breaker breaker
}

var _ routing.Router = (*Client)(nil)

// New returns a Client of a server. It dials nobody.
func New(c Config) (*Client, error) {
	base, err := parseBase(c)
	if err != nil {
		return nil, err
	}
	if c.Timeout <= 0 {
		c.Timeout = DefaultTimeout
	}
	if c.UserAgent == "" {
		c.UserAgent = "goipns"
	}
	if c.Now == nil {
		c.Now = time.Now
	}
	d := &dialer{private: c.AllowPrivate || namesPrivate(base.Hostname())}
	client := &Client{base: base, config: c}
	client.http = &http.Client{
		Transport: &http.Transport{
			DialContext:            d.dial,
			TLSHandshakeTimeout:    dialTimeout,
			MaxIdleConnsPerHost:    maxIdleConns,
			IdleConnTimeout:        time.Minute,
			MaxResponseHeaderBytes: maxHeaderBytes,
			DisableCompression:     true, // a record is no text
			ForceAttemptHTTP2:      true,
		},
		CheckRedirect: client.checkRedirect,
	}
	return client, nil
}

// parseBase returns the URL below which names are.
func parseBase(c Config) (*url.URL, error) {
	u, err := url.Parse(c.URL)
	if err != nil {
		return nil, fmt.Errorf("HTTP router %q: this is not a URL", shown(c.URL)) // err quotes it, or parts of it
	}
	if u.Scheme != "http" && u.Scheme != "https" || u.Hostname() == "" || u.RawQuery != "" || u.Fragment != "" || u.User != nil {
		return nil, fmt.Errorf("HTTP router %q: use an http or https URL without a user, a query or a fragment", shown(c.URL))
	}
	path := strings.TrimRight(u.Path, "/")
	u.RawPath = ""
	if c.Gateway {
		u.Path, u.RawQuery = path+"/ipns/", "format=ipns-record"
		return u, nil
	}
	path = strings.TrimSuffix(path, strings.TrimSuffix(namePath, "/"))
	path = strings.TrimSuffix(path, strings.TrimSuffix(basePath, "/"))
	u.Path = path + namePath
	return u, nil
}

// shown is what an error shows of a URL that is refused: nothing before its last @, and
// no query or fragment, for a password or token may be there.
func shown(raw string) string {
	const hidden = "xxxxx"
	if i := strings.LastIndexByte(raw, '@'); i >= 0 {
		raw = hidden + raw[i:]
	}
	if i := strings.IndexAny(raw, "?#"); i >= 0 {
		raw = raw[:i+1] + hidden
	}
	return raw
}

// Network is the host of the server.
func (c *Client) Network() string { return c.base.Host }

// Road implements [routing.Roader].
func (c *Client) Road() routing.Road { return routing.HTTP }

// String is the address of the server.
func (c *Client) String() string { return c.base.Scheme + "://" + c.base.Host }

// Close gives up idle connections.
func (c *Client) Close() error {
	c.http.CloseIdleConnections()
	return nil
}

// checkRedirect follows the redirects of a GET within the server. A PUT follows
// none: its body is meant for the place that it was sent to.
func (c *Client) checkRedirect(r *http.Request, via []*http.Request) error {
	switch {
	case len(via) > maxRedirects:
		return fmt.Errorf("more than %d redirects", maxRedirects)
	case via[0].Method != http.MethodGet:
		return fmt.Errorf("redirect of a %s", via[0].Method)
	case !c.within(r.URL):
		return fmt.Errorf("redirect to another server: %s", r.URL.Host)
	}
	return nil
}

// within reports whether a URL is on the server: under its scheme and host, under
// https instead of http where neither names a port, or, on a gateway, in the
// subdomain of a name.
func (c *Client) within(u *url.URL) bool {
	upgrade := c.base.Scheme == "http" && u.Scheme == "https" && c.base.Port() == "" && u.Port() == ""
	if u.Scheme != c.base.Scheme && !upgrade {
		return false
	}
	return u.Host == c.base.Host || c.config.Gateway && strings.HasSuffix(u.Host, ".ipns."+c.base.Host)
}

// Search implements [routing.Router]: it yields one Answer.
func (c *Client) Search(ctx context.Context, name ipns.Name) iter.Seq2[routing.Answer, error] {
	return func(yield func(routing.Answer, error) bool) {
		rec, err := c.Get(ctx, name)
		if err != nil {
			yield(routing.Answer{}, fmt.Errorf("ask %s for %s: %w", c, name, err))
			return
		}
		yield(routing.Answer{Record: rec, Source: c.String(), Network: c.Network(), Road: routing.HTTP, At: c.config.Now()}, nil)
	}
}

// Get returns the record that the server has of a name, nil if it has none. What
// is no valid record of the name is an error, and so is any status that tells
// nothing of the name. A server that is not reached is a [routing.AwayError].
func (c *Client) Get(ctx context.Context, name ipns.Name) (*ipns.Record, error) {
	a, err := c.do(ctx, http.MethodGet, name, nil)
	switch {
	case err != nil:
		return nil, err
	case a.status == http.StatusNotFound, a.status == http.StatusOK && !a.isRecord:
		return nil, nil
	case a.status != http.StatusOK:
		return nil, a.refusal()
	}
	return c.config.Opener.Open(name, a.body)
}

// Put implements [routing.Router]: it yields one Ack. A server that has something
// newer and shows it makes the Ack's Newer; it tells nothing that look could want.
func (c *Client) Put(ctx context.Context, rec *ipns.Record, _ routing.Look) iter.Seq2[routing.Ack, error] {
	return func(yield func(routing.Ack, error) bool) {
		if c.config.Gateway {
			yield(routing.Ack{}, routing.ErrNoTargets)
			return
		}
		if err := routing.Allowed(ctx); err != nil {
			yield(routing.Ack{}, err)
			return
		}
		ack := routing.Ack{Name: rec.Name(), Target: c.String(), Network: c.Network(), Road: routing.HTTP, Of: 1}
		begin := time.Now()
		a, err := c.do(ctx, http.MethodPut, rec.Name(), rec.Raw())
		ack.RTT = time.Since(begin)
		switch {
		case ctx.Err() != nil && err != nil:
			yield(routing.Ack{}, ctx.Err())
			return
		case errors.Is(err, routing.ErrAway):
			yield(routing.Ack{}, fmt.Errorf("put to %s: %w", c, err))
			return
		case err != nil:
			ack.Err = err
		case a.status != http.StatusOK && a.status != http.StatusNoContent:
			ack.Err = fmt.Errorf("%w: %w", routing.ErrRefused, a.refusal())
		}
		if a.status == http.StatusConflict && a.isRecord {
			if newer, err := c.config.Opener.Open(rec.Name(), a.body); err == nil && ipns.Compare(newer, rec) > 0 {
				ack.Newer = newer
			}
		}
		yield(ack, nil)
	}
}

// answer is what a server answered.
type answer struct {
	status   int
	text     string // the status in words
	isRecord bool   // by its media type
	body     []byte // at most a byte more than a record may be long
}

// refusal is the error of an answer that tells nothing of the name, with what the
// server says of it.
func (a answer) refusal() error {
	if a.isRecord {
		return errors.New(a.text)
	}
	said := strings.ToValidUTF8(strings.Join(strings.Fields(string(a.body[:min(len(a.body), maxReason)])), " "), "")
	if said == "" {
		return errors.New(a.text)
	}
	return fmt.Errorf("%s: %s", a.text, said)
}

// do makes one request, unless the server is to be left alone for now.
func (c *Client) do(ctx context.Context, method string, name ipns.Name, body []byte) (answer, error) {
	if err := ctx.Err(); err != nil {
		return answer{}, err
	}
	r, err := c.request(method, name, body)
	if err != nil {
		return answer{}, err
	}
	if err := c.breaker.allow(c.config.Now()); err != nil {
		return answer{}, c.away(err)
	}
	limited, cancel := context.WithTimeout(ctx, c.config.Timeout)
	defer cancel()
	a, resp, err := c.exchange(r.WithContext(limited))
	switch {
	case err == nil:
		c.breaker.answered(c.config.Now(), resp)
		return a, nil
	case ctx.Err() != nil: // whoever gives up says nothing of the server
		c.breaker.gaveUp()
		return answer{}, ctx.Err()
	case limited.Err() != nil:
		err = fmt.Errorf("no answer within %s", c.config.Timeout)
	}
	c.breaker.failed(c.config.Now())
	return answer{}, c.away(err)
}

func (c *Client) request(method string, name ipns.Name, body []byte) (*http.Request, error) {
	u := *c.base
	u.Path += name.String()
	r, err := http.NewRequest(method, u.String(), bytes.NewReader(body))
	if err != nil {
		return nil, err
	}
	r.Header.Set("User-Agent", c.config.UserAgent)
	if method == http.MethodPut {
		r.Header.Set("Content-Type", ipns.RecordMediaType)
	} else {
		r.Header.Set("Accept", ipns.RecordMediaType)
	}
	if c.config.Fresh {
		r.Header.Set("Cache-Control", "no-cache")
	}
	return r, nil
}

// exchange sends a request and reads the answer, of a body no more than tells that
// it is too long.
func (c *Client) exchange(r *http.Request) (answer, *http.Response, error) {
	resp, err := c.http.Do(r)
	if err != nil {
		var ue *url.Error
		if errors.As(err, &ue) {
			err = ue.Err // without the URL
		}
		return answer{}, nil, err
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(io.LimitReader(resp.Body, ipns.MaxRecordSize+1))
	if err != nil {
		return answer{}, nil, fmt.Errorf("read the answer: %w", err)
	}
	kind, _, _ := mime.ParseMediaType(resp.Header.Get("Content-Type")) // none is not a record
	return answer{resp.StatusCode, resp.Status, kind == ipns.RecordMediaType, body}, resp, nil
}

// away says which network is away if that is what an error means.
func (c *Client) away(err error) error {
	var noAddress *net.DNSError
	var noDial *net.OpError
	if errors.Is(err, errBroken) || errors.As(err, &noAddress) || errors.As(err, &noDial) && noDial.Op == "dial" {
		return fmt.Errorf("%w: %w", &routing.AwayError{Network: c.Network(), Road: routing.HTTP}, err)
	}
	return err
}
