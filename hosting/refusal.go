package hosting

import (
	"errors"
	"fmt"
	"net/http"
	"time"

	"github.com/goipns/ipns"
	"github.com/goipns/ipns/recordstore"
)

// Why is the kind of a [Refusal].
type Why int

const (
	// Outdated: a newer record of the name is known; it is Refusal.Current, or nil if
	// nobody has it any more.
	Outdated Why = iota + 1
	// WrongName: the key of the name did not sign the record.
	WrongName
	// Invalid: the bytes are no valid record.
	Invalid
	// Expired: the record is past its EOL.
	Expired
	// ShortLived: the record is valid for less than the policy wants.
	ShortLived
	// TooMany: too many puts in too little time. Refusal.RetryAfter says when one more is taken.
	TooMany
	// OverQuota: the tenant has as many names or bytes as it may.
	OverQuota
	// Denied: the name or the tenant is on the deny list.
	Denied
	// Unauthorized: there is no token, or it is not valid (any more).
	Unauthorized
	// Forbidden: the token is valid, and does not allow this.
	Forbidden
	// Busy: this node has too much to do, or cannot store anything now.
	Busy
	// Failed: something went wrong here.
	Failed

	whys = int(Failed) + 1
)

var whyNames = [whys]string{
	"", "outdated", "wrong-name", "invalid", "expired", "short-lived", "too-many", "over-quota",
	"denied", "unauthorized", "forbidden", "busy", "failed",
}

// String returns the kind as it is in JSON and in metrics, such as "over-quota".
func (w Why) String() string {
	if w <= 0 || int(w) >= whys {
		return "unknown"
	}
	return whyNames[w]
}

// Status returns the HTTP status for a refusal in protocols that have none of their own.
func (w Why) Status() int {
	switch w {
	case Outdated:
		return http.StatusConflict
	case WrongName, Invalid, Expired, ShortLived:
		return http.StatusBadRequest
	case TooMany, OverQuota:
		return http.StatusTooManyRequests
	case Denied, Forbidden:
		return http.StatusForbidden
	case Unauthorized:
		return http.StatusUnauthorized
	case Busy:
		return http.StatusServiceUnavailable
	}
	return http.StatusInternalServerError
}

// Refusal is the error of a request that was refused, with all that a door needs to say so.
type Refusal struct {
	Why Why
	// Current is the record that is newer, if Why is Outdated.
	Current *ipns.Record
	// RetryAfter is when it is worth to try again; 0: it is not.
	RetryAfter time.Duration
	Err        error // the reason, for people
}

func (r *Refusal) Error() string { return r.Err.Error() }

// Unwrap returns the reason.
func (r *Refusal) Unwrap() error { return r.Err }

// Of returns the refusal that an error is: every error is one.
func Of(err error) *Refusal {
	var r *Refusal
	if errors.As(err, &r) {
		return r
	}
	// How to reach the store is nobody's business.
	switch {
	case errors.Is(err, recordstore.ErrAway):
		return refuseFor(retryStore, Busy, "%w now: nothing was stored, try again", recordstore.ErrAway)
	case errors.Is(err, recordstore.ErrFull):
		return refuseFor(retryFull, Busy, "there is no space to store anything now: %w", recordstore.ErrFull)
	case errors.Is(err, recordstore.ErrReadOnly):
		return refuseFor(retryStore, Busy, "%w now: nothing was stored, try again", recordstore.ErrReadOnly)
	case errors.Is(err, recordstore.ErrDoubt):
		return refuseFor(retryStore, Busy, "%w: try again, which is harmless", recordstore.ErrDoubt)
	}
	return &Refusal{Why: Failed, Err: err}
}

// When it is worth to try again while the store does not answer or takes no writes, and while it is full.
const (
	retryStore = 10 * time.Second
	retryFull  = time.Minute
)

func refuse(why Why, format string, args ...any) *Refusal {
	return &Refusal{Why: why, Err: fmt.Errorf(format, args...)}
}

func refuseFor(wait time.Duration, why Why, format string, args ...any) *Refusal {
	r := refuse(why, format, args...)
	r.RetryAfter = wait
	return r
}
