package delegated

import (
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"sync"
	"time"

	"github.com/goipns/ipns/routing"
)

// Limits of a breaker.
const (
	breakAfter = 3 // failures in a row
	firstBreak = 5 * time.Second
	maxBreak   = 5 * time.Minute
)

// errBroken says that a server has not answered for some time.
var errBroken = errors.New("the server does not answer")

// A breaker keeps requests from a server that does not answer, or that asked to
// be left alone. After a break one request tries, while the others go on failing.
type breaker struct {
	mu     sync.Mutex
	fails  int       // in a row
	until  time.Time // no request before
	why    error
	trying bool // the request after a break is under way
}

// allow returns an error if the server is to be left alone. After nil one of
// failed, answered and gaveUp is called.
func (b *breaker) allow(now time.Time) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	if now.Before(b.until) {
		return fmt.Errorf("%w; it is asked again at %s", b.why, b.until.UTC().Format(time.RFC3339))
	}
	if b.trying {
		return fmt.Errorf("%w; another request tries", b.why)
	}
	b.trying = b.fails >= breakAfter
	return nil
}

// gaveUp ends a request whose caller did not wait for the answer.
func (b *breaker) gaveUp() {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.trying = false
}

// failed counts a request without an answer.
func (b *breaker) failed(now time.Time) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.trying = false
	if b.fails++; b.fails >= breakAfter {
		b.until = now.Add(min(firstBreak<<min(b.fails-breakAfter, 10), maxBreak))
		b.why = errBroken
	}
}

// answered counts an answer, and obeys its Retry-After.
func (b *breaker) answered(now time.Time, resp *http.Response) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.trying = false
	b.fails = 0
	if resp.StatusCode != http.StatusTooManyRequests && resp.StatusCode != http.StatusServiceUnavailable {
		return
	}
	if wait := retryAfter(resp.Header.Get("Retry-After"), now); wait > 0 {
		b.until = now.Add(min(wait, maxRetryAfter))
		b.why = fmt.Errorf("%w: %s", routing.ErrRefused, resp.Status)
	}
}

// retryAfter reads a number of seconds or a date; 0 if it is neither.
func retryAfter(text string, now time.Time) time.Duration {
	if seconds, err := strconv.ParseUint(text, 10, 32); err == nil {
		return time.Duration(seconds) * time.Second
	}
	if at, err := http.ParseTime(text); err == nil {
		return at.Sub(now)
	}
	return 0
}
