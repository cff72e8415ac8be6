package deploy

import "errors"

// Outcome is how a deploy ended.
type Outcome string

// The outcomes. Each has a code of its own, by which programs tell them apart. Up to
// Refused, the name is as it was.
const (
	Published    Outcome = "published"
	Failed       Outcome = "failed"        // for another reason than those below
	BadInput     Outcome = "bad-input"     // an option, the path, or a record for other content
	NoKey        Outcome = "no-key"        // there is no such key, or it cannot be read
	NoNode       Outcome = "no-node"       // no node could be started, or the daemon does not answer
	NotAdded     Outcome = "not-added"     // the content could not be read, stored or pinned
	NotHandedOn  Outcome = "not-pinned"    // the pinning service does not have it
	NotReachable Outcome = "not-reachable" // nobody outside can find and fetch the root
	Refused      Outcome = "refused"       // there is a newer record, or may be
	FewAcks      Outcome = "few-acks"      // stored, but too few servers took it
	NotSeen      Outcome = "not-seen"      // announced, but others do not find it
	Interrupted  Outcome = "interrupted"
)

var codes = map[Outcome]int{
	Published: 0, Failed: 1, BadInput: 2, NoKey: 3, NoNode: 4, NotAdded: 5, NotHandedOn: 6,
	NotReachable: 7, Refused: 8, FewAcks: 9, NotSeen: 10, Interrupted: 130,
}

// Code is the exit code of a program that ends so.
func (o Outcome) Code() int {
	code, ok := codes[o]
	if !ok {
		return codes[Failed]
	}
	return code
}

// OutcomeOf is the outcome with an exit code.
func OutcomeOf(code int) Outcome {
	for o, c := range codes {
		if c == code {
			return o
		}
	}
	return Failed
}

// outcomeError is an error with the outcome that it makes.
type outcomeError struct {
	outcome Outcome
	err     error
}

func (e *outcomeError) Error() string { return e.err.Error() }
func (e *outcomeError) Unwrap() error { return e.err }

// because gives an error its outcome, unless it has one; nil stays nil.
func because(o Outcome, err error) error {
	if has := new(outcomeError); err == nil || errors.As(err, &has) {
		return err
	}
	return &outcomeError{o, err}
}

// outcomeOf returns the outcome of an error.
func outcomeOf(err error) Outcome {
	var e *outcomeError
	if errors.As(err, &e) {
		return e.outcome
	}
	return Failed
}
