package resolver

import (
	"errors"
	"fmt"

	"github.com/goipns/ipns"
)

var (
	// ErrNotFound: enough sources answered, and none has a record.
	ErrNotFound = errors.New("could not resolve name")

	// ErrExpired: the newest record seen has expired. Older ones are withheld.
	ErrExpired = ipns.ErrExpired

	// ErrRecursion: the path leads through more than MaxDepth names, through one
	// name twice, or grows beyond MaxPathLength.
	ErrRecursion = errors.New("could not resolve name (recursion limit exceeded)")

	// ErrPath: the input is not a name, a domain or a path that starts with one.
	ErrPath = errors.New("not an IPNS name")

	// ErrBusy: MaxSearches are already running.
	ErrBusy = errors.New("too many searches at once")
)

var errOffline = errors.New("offline: the network was not asked")

// UnknownError says that the newest record of the name is unknown at the moment: too few
// sources answered, or all answers were older than a record seen before.
type UnknownError struct {
	Name            ipns.Name
	Asked, Answered int // sources; both 0 if there were none to ask
	// Seen is the sequence of the newest record ever seen, which no source returned;
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

// BehindError says that no record with Options.MinSequence came in time.
type BehindError struct {
	Name        ipns.Name
	Have, Least uint64 // Have: of the newest known record
	None        bool   // there is no such record
	Err         error  // why the last search found none, if it failed
}

func (e *BehindError) Error() string {
	has := fmt.Sprintf("the newest record that is known has sequence %d", e.Have)
	if e.None {
		has = "no record is known"
	}
	text := fmt.Sprintf("could not resolve name: %s: %s, and at least %d was asked for", e.Name, has, e.Least)
	if e.Err != nil {
		text += ": " + e.Err.Error()
	}
	return text
}

// Unwrap returns why the last search found none.
func (e *BehindError) Unwrap() error { return e.Err }
