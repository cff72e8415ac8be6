package rpc

import (
	"encoding/json"
	"errors"
	"net/http"
	"slices"
	"strings"

	"github.com/goipns/ipns/internal/request"
)

// Error is the error of a failed command as its caller sees it.
type Error struct {
	Message string
	// Client says that the request itself was invalid.
	Client bool
	// Reason lists the kinds of failure, separated by spaces, for programs that can do
	// something about them: "offline", "full", "conflict". Empty: none.
	Reason string
}

func (e *Error) Error() string { return e.Message }

// Refuse marks an error as the fault of the request: over HTTP it is 400.
func Refuse(err error) error { return &request.Error{Err: err} }

// IsRefused reports whether an error is the fault of the request, here or at the other end
// of a [Client].
func IsRefused(err error) bool {
	var here *request.Error
	var there *Error
	return errors.As(err, &here) || errors.As(err, &there) && there.Client
}

// Because adds a reason to an error, which callers see. An error that wraps another with
// a reason has both.
func Because(reason string, err error) error { return &reasoned{err, reason} }

type reasoned struct {
	error
	reason string
}

func (r *reasoned) Unwrap() error { return r.error }

// ReasonOf returns the reasons of an error, from this process or from the other end of a
// [Client], separated by spaces; empty if it has none.
func ReasonOf(err error) string {
	var all []string
	var here *reasoned
	for ; errors.As(err, &here); err = here.error {
		all = append(all, here.reason)
	}
	var there *Error
	if errors.As(err, &there) && there.Reason != "" {
		all = append(all, there.Reason)
	}
	return strings.Join(all, " ")
}

// HasReason reports whether an error has a reason.
func HasReason(err error, reason string) bool {
	return slices.Contains(strings.Fields(ReasonOf(err)), reason)
}

// errorReply is a failed command on the wire.
type errorReply struct {
	Message string
	Code    int
	Type    string
	Reason  string `json:",omitempty"`
}

// fail writes the reply of a command that failed before its first byte.
func fail(w http.ResponseWriter, err error) {
	var bad *request.Error
	if errors.As(err, &bad) && bad.Plain {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	w.Header().Set("Trailer", streamError)
	reply := errorReply{Message: err.Error(), Type: "error", Reason: ReasonOf(err)}
	status := http.StatusInternalServerError
	if IsRefused(err) {
		reply.Code = 1
		status = http.StatusBadRequest
	}
	w.Header().Set("Content-Type", "application/json")
	Expose(w.Header())
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(reply) // the caller may be gone
}
