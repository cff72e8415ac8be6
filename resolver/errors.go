package resolver

import (
	"errors"
	"fmt"

	"github.com/goipns/ipns"
)

var (
	// ErrNotFound: all who should know answered, and nobody has a record.
	ErrNotFound = errors.New("could not resolve name")

	// ErrExpired: the newest record that was seen has reached its end of life.
	// Older ones are withheld.
	ErrExpired = ipns.ErrExpired

	// ErrRecursion: the path leads through more than MaxDepth names, through one
	// name twice, or grows beyond MaxPathLength.
	ErrRecursion = errors.New("could not resolve name (recursion limit exceeded)")

	// ErrPath: what was to be resolved is not a name, domain or path of them.
	ErrPath = errors.New("not an IPNS name")

	// ErrBusy: MaxSearches are going on already.
	ErrBusy = errors.New("too many searches at once")
)

var errOffline = errors.New("offline: the network was not asked")

// UnknownError says that nobody can tell now what the name means: too few
// answered, or all that did have something older than what was shown before.
type UnknownError struct {
	Name            ipns.Name
	Asked, Answered int // sources; both 0 if there was nobody to ask
	// Seen is the sequence of the newest record ever seen, which nobody has now;
	// older ones are withheld. nil: none was ever seen.
	Seen *uint64
	Err  error // why too few answered, if known
}

func (e *UnknownError) Error() string {
	text := "could not resolve name: " + e.Name.String() + ": "
	switch {
	case e.Asked > e.Answered:
		text += fmt.Sprintf("unknown: only %d of %d servers answered", e.Answered, e.Asked)
	default:
		text += "unknown"
	}
	if e.Seen != nil {
		text += fmt.Sprintf("; nobody has the record with sequence %d that was seen before, and older ones are withheld", *e.Seen)
	}
	if e.Err != nil {
		text += ": " + e.Err.Error()
	}
	return text
}

// Unwrap returns why too few answered.
func (e *UnknownError) Unwrap() error { return e.Err }
