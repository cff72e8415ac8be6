package publisher

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"time"

	"github.com/goipns/ipns"
	"github.com/goipns/ipns/routing"
)

// Wait says what a caller waits for after its record is stored, and what it
// counts as success. A positive number asks for so many acks.
type Wait int

const (
	// WaitDefault waits for DefaultAcks acks, or for all that can be reached, if
	// they are fewer; one is enough for success, and none is if no network is meant
	// to be here.
	WaitDefault Wait = 0
	// WaitStored does not wait: announcing goes on behind the caller's back.
	WaitStored Wait = -1
	// WaitAll waits until every target that should hold the record does.
	WaitAll Wait = -2
)

// ParseWait parses "stored", "all", a number of acks, or "" for WaitDefault.
func ParseWait(s string) (Wait, error) {
	switch s {
	case "", "default":
		return WaitDefault, nil
	case "stored":
		return WaitStored, nil
	case "all":
		return WaitAll, nil
	}
	n, err := strconv.Atoi(s)
	if err != nil || n < 1 {
		return 0, fmt.Errorf("wait is %q: it must be stored, all or a number of acks from 1", s)
	}
	return Wait(n), nil
}

func (w Wait) String() string {
	switch w {
	case WaitDefault:
		return "default"
	case WaitStored:
		return "stored"
	case WaitAll:
		return "all"
	}
	return strconv.Itoa(int(w))
}

// enough reports whether there is nothing more to wait for. What counts are acks of
// the network that is expected, if one is: a single peer nearby is no sign that the
// record is where others look for it.
func (w Wait) enough(r routing.Receipt, expected string) bool {
	switch w {
	case WaitDefault:
		return r.Took(expected) >= DefaultAcks
	case WaitAll:
		return false // Of may still grow
	case WaitStored:
		return true
	}
	return r.Took(expected) >= int(w)
}

// happened reports whether what was asked for happened, now that nobody waits
// any more.
func (w Wait) happened(r routing.Receipt, complete bool, expected string) bool {
	switch w {
	case WaitDefault:
		return r.Took(expected) > 0
	case WaitAll:
		k, of := r.Announced()
		return complete && of > 0 && k == of
	}
	return w.enough(r, expected)
}

// waiting is what a caller wants to be told, and until when.
type waiting struct {
	wait     Wait
	timeout  time.Duration
	linger   time.Duration
	onStored func(*ipns.Record)
	onAck    func(routing.Ack)
}

// tell announces the record of the result and waits as the caller wishes.
func (p *Publisher) tell(ctx context.Context, res Result, w waiting) (Result, error) {
	if err := p.pass(stepAnswer); err != nil {
		return res, &NotAnnouncedError{Result: res, Wait: w.wait, Err: err}
	}
	if w.onStored != nil {
		w.onStored(res.Record)
	}
	a, err := p.start(res.Record, res.making)
	if err == nil && w.wait != WaitStored {
		err = p.await(ctx, a, &res, w)
	}
	if w.wait == WaitStored {
		return res, nil // whatever keeps the announcement, Run comes back to it
	}
	if err2 := p.pass(stepAnswerAcks); err2 != nil {
		err = err2
	}
	var rival *RivalError
	switch {
	case errors.As(err, &rival):
		return res, err
	case w.wait.happened(res.Receipt, res.Complete, p.expected()):
		return res, nil
	case w.wait == WaitDefault && errors.Is(err, routing.ErrNoTargets):
		// No network is meant to be here: to store it is all that was asked.
		res.Warnings = append(res.Warnings, NobodyExpected)
		return res, nil
	}
	return res, &NotAnnouncedError{Result: res, Wait: w.wait, Err: err}
}

// await folds the acks of an announcement into the result until there are
// enough, the announcement is over, or time is up.
func (p *Publisher) await(ctx context.Context, a *announcement, res *Result, w waiting) error {
	timeout := w.timeout
	if timeout == 0 {
		timeout = DefaultTimeout
	}
	ctx, cancel := context.WithTimeoutCause(ctx, timeout, fmt.Errorf("no more acks within %v", timeout))
	defer cancel()
	var lingered <-chan time.Time // nil: there are not enough
	for seen := 0; ; {
		if rec := a.record(); rec != res.Record {
			// Signed above a rival: nobody has taken it yet.
			res.Record, seen, lingered = rec, 0, nil
			if w.onStored != nil {
				w.onStored(rec)
			}
		}
		s := a.since(res.Record, seen)
		for _, ack := range s.acks {
			if w.onAck != nil {
				w.onAck(ack)
			}
		}
		seen += len(s.acks)
		res.Receipt, res.Complete, res.Rivals = s.receipt, s.over, s.rivals
		switch {
		case s.over:
			return a.err
		case s.yields || !w.wait.enough(s.receipt, p.expected()):
			lingered = nil
		case w.wait != WaitDefault || w.linger == 0:
			return nil
		case lingered == nil:
			t := time.NewTimer(w.linger)
			defer t.Stop() // there is one for each time that a rival was met
			lingered = t.C
		}
		select {
		case <-s.more:
		case <-lingered:
			return nil
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
}
