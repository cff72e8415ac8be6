package watch

import (
	"bytes"
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"strconv"
	"syscall"
	"time"

	"github.com/goipns/ipns"
)

const (
	// sendTimeout bounds one request with its answer.
	sendTimeout = 10 * time.Second
	// maxSending bounds the requests at one time.
	maxSending = 512
	// maxAnswer is how much of an answer is read. The connection of a longer one is closed.
	maxAnswer = 4096
)

// Post is the body of a request to a webhook, as in the Standard Webhooks specification.
type Post struct {
	Type      string    `json:"type"` // "name.changed", "name.ending", "name.ended", "name.gone", "names.gap"
	Timestamp time.Time `json:"timestamp"`
	Data      Message   `json:"data"`
}

// setup makes what all receivers share.
func (w *Webhooks) setup() {
	w.once.Do(func() {
		w.slots = make(chan struct{}, maxSending)
		for i := range w.clients {
			transport := w.Transport
			if transport == nil {
				transport = newTransport(i == 1)
			}
			w.clients[i] = &http.Client{
				Transport:     transport,
				CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
			}
		}
	})
}

// newTransport returns a transport that uses no proxy, and reaches private addresses only if
// that is wanted.
func newTransport(private bool) *http.Transport {
	dialer := &net.Dialer{Timeout: sendTimeout / 2}
	if !private {
		dialer.Control = publicOnly
	}
	return &http.Transport{
		DialContext:            dialer.DialContext,
		TLSHandshakeTimeout:    sendTimeout / 2,
		MaxResponseHeaderBytes: 16 << 10,
		MaxIdleConns:           maxSending,
		MaxIdleConnsPerHost:    4,
		IdleConnTimeout:        30 * time.Second,
		DisableCompression:     true,
		ForceAttemptHTTP2:      true,
	}
}

// errPrivate means that the address of a webhook is not a public one.
var errPrivate = errors.New("the address is not a public one: allow that with --private when the webhook is added")

// publicOnly refuses to connect to addresses that are not public. It is asked after the name
// was looked up, about the address that is connected to: a name can't lead elsewhere later.
func publicOnly(_, address string, _ syscall.RawConn) error {
	at, err := netip.ParseAddrPort(address)
	if err != nil || !IsPublic(at.Addr()) {
		return fmt.Errorf("%s: %w", address, errPrivate)
	}
	return nil
}

// notPublic are the networks that are not public, besides those that package netip knows:
// shared and reserved ones, those for examples and measurements, those by which IPv6 leads
// to IPv4, and the address at which one cloud tells machines about themselves.
var notPublic = prefixes(
	"0.0.0.0/8", "100.64.0.0/10", "168.63.129.16/32", "192.0.0.0/24", "192.0.2.0/24", "192.88.99.0/24", "198.18.0.0/15", "198.51.100.0/24", "203.0.113.0/24", "240.0.0.0/4",
	"2001::/23", "2001:db8::/32", "2002::/16", "3fff::/20",
)

// public6 is all of IPv6 that is given to networks. What translates to IPv4 is not in it.
var public6 = netip.MustParsePrefix("2000::/3")

func prefixes(list ...string) (out []netip.Prefix) {
	for _, text := range list {
		out = append(out, netip.MustParsePrefix(text))
	}
	return out
}

// IsPublic reports whether an address is one of the internet.
func IsPublic(a netip.Addr) bool {
	a = a.Unmap().WithZone("")
	if !a.IsGlobalUnicast() || a.IsPrivate() || a.Is6() && !public6.Contains(a) {
		return false
	}
	for _, p := range notPublic {
		if p.Contains(a) {
			return false
		}
	}
	return true
}

// send sends an event once, and counts how it goes.
func (r *receiver) send(ctx context.Context, name string, l letter) error {
	r.all.setup()
	select {
	case r.all.slots <- struct{}{}:
		defer func() { <-r.all.slots }()
	case <-ctx.Done():
		return ctx.Err()
	}
	after, err := r.post(ctx, name, l)
	if ctx.Err() != nil {
		return ctx.Err()
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if err == nil {
		r.failures, r.last, r.took, r.pause = 0, "", time.Now(), 0
		return nil
	}
	r.failures++
	factor := time.Duration(2)
	if errors.Is(err, context.DeadlineExceeded) {
		r.failures++ // it costs more
		factor = 4
	}
	r.last = err.Error()
	if r.failures >= breakAfter {
		r.pause = min(max(factor*r.pause, firstRetry), lastPause)
		if time.Since(r.took) < alive {
			r.pause = firstRetry
		}
		after = max(after, r.pause)
	}
	if after > 0 {
		r.paused = time.Now().Add(jittered(after))
	}
	return err
}

// post makes the request. after is how long the receiver wants to be left alone.
func (r *receiver) post(ctx context.Context, name string, l letter) (after time.Duration, err error) {
	ctx, cancel := context.WithTimeout(ctx, sendTimeout)
	defer cancel()
	now := time.Now()
	body, err := json.Marshal(postOf(name, l, now))
	if err != nil {
		return 0, err
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, r.hook.URL, bytes.NewReader(body))
	if err != nil {
		return 0, err
	}
	id := idOf(r.hook.ID, name, l)
	at := strconv.FormatInt(now.Unix(), 10)
	req.Header.Set("Content-Type", "application/json")
	req.Header.Set("User-Agent", r.all.Agent)
	req.Header.Set("Webhook-Id", id)
	req.Header.Set("Webhook-Timestamp", at)
	req.Header.Set("Webhook-Signature", Sign(r.hook.Secret, id, at, body))
	client := r.all.clients[0]
	if r.hook.Private {
		client = r.all.clients[1]
	}
	resp, err := client.Do(req)
	if err != nil {
		// The address may have a secret in it, which is not for logs.
		if with := (*url.Error)(nil); errors.As(err, &with) {
			err = with.Err
		}
		return 0, err
	}
	defer resp.Body.Close()
	_, _ = io.CopyN(io.Discard, resp.Body, maxAnswer) // so that a short answer leaves the connection usable
	if resp.StatusCode >= 200 && resp.StatusCode < 300 {
		return 0, nil
	}
	if seconds, err := strconv.Atoi(resp.Header.Get("Retry-After")); err == nil && seconds > 0 {
		after = min(time.Duration(seconds)*time.Second, lastPause)
	}
	if resp.StatusCode >= 300 && resp.StatusCode < 400 {
		return after, fmt.Errorf("it answers %s: redirects are not followed", resp.Status)
	}
	return after, fmt.Errorf("it answers %.100s", resp.Status)
}

// Sign returns the signature of a request in the header Webhook-Signature: an HMAC with
// SHA-256 of its Webhook-Id, its Webhook-Timestamp and its body, joined by dots.
func Sign(secret []byte, id, timestamp string, body []byte) string {
	mac := hmac.New(sha256.New, secret)
	fmt.Fprintf(mac, "%s.%s.%s", id, timestamp, body)
	return "v1," + base64.StdEncoding.EncodeToString(mac.Sum(nil))
}

// postOf returns the body of a request.
func postOf(text string, l letter, now time.Time) Post {
	name, err := ipns.ParseName(text)
	if err != nil {
		return Post{Type: "names.gap", Timestamp: now.UTC(), Data: Message{Type: "gap"}}
	}
	m := messageOf(l.Kind, name, l.record(text))
	return Post{Type: "name." + m.Type, Timestamp: now.UTC(), Data: m}
}

// idOf returns the ID of an event, which is the same when it is sent again.
func idOf(hook, name string, l letter) string {
	h := sha256.New()
	fmt.Fprintf(h, "%s\n%s\n%d\n%s\n", hook, name, l.Kind, l.At)
	h.Write(l.Record)
	return "msg_" + hex.EncodeToString(h.Sum(nil)[:16])
}
