package publisher

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"time"

	"github.com/goipns/ipns"
	"github.com/goipns/ipns/routing"
)

// Wait says what a caller waits for after its record is stored, and what counts as
// success. A positive number is a number of acks.
type Wait int

const (
	// WaitDefault waits for DefaultAcks acks, or for all targets that can be reached if
	// they are fewer. One ack is success; if the node has no network, none is needed.
	// The receipt includes acks that arrive shortly after the last one needed.
	WaitDefault Wait = 0
	// WaitStored does not wait: announcing continues in the background.
	WaitStored Wait = -1
	// WaitAll waits until every target that should hold the record does.
	WaitAll Wait = -2
)

// linger is how long WaitDefault collects more acks once there are enough.
const linger = 300 * time.Millisecond

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

// enough reports whether the caller has what it waits for. If a network is expected,
// only its acks count: one nearby peer does not mean that others can find the record.
// Else those of one road do: see routing.Road.
func (w Wait) enough(r routing.Receipt, expected string) bool {
	switch w {
	case WaitDefault:
		return r.Holders(expected) >= DefaultAcks
	case WaitAll:
		return false // more targets may follow
	case WaitStored:
		return true
	}
	return r.Holders(expected) >= int(w)
}

// succeeded reports whether the result is a success once the wait has ended.
func (w Wait) succeeded(r routing.Receipt, complete bool, expected string) bool {
	switch w {
	case WaitDefault:
		return r.Holders(expected) > 0
	case WaitAll:
		k, of := r.Announced()
		routers, ofRouters := r.On(routing.HTTP)
		return complete && of > 0 && k == of && routers == ofRouters
	}
	return w.enough(r, expected)
}

// waiting is what a request says of announcing its record.
type waiting struct {
	via        routing.Router
	wait       Wait
	timeout    time.Duration
	onProgress func(Result)
}

// announceAndWait announces the record of the result and waits as requested.
func (p *Publisher) announceAndWait(ctx context.Context, res Result, w waiting) (Result, error) {
	wait, timeout, onProgress := w.wait, w.timeout, w.onProgress
	if err := p.pass(stepAnswer); err != nil {
		return res, &NotAnnouncedError{Result: res, Wait: wait, Err: err}
	}
	if onProgress == nil {
		onProgress = func(Result) {}
	}
	onProgress(res)
	a, err := p.start(res.Record, res.making, w.via)
	res.Alone = errors.Is(err, routing.ErrNoTargets)
	if wait == WaitStored {
		return res, nil // if the announcement did not start, Run retries it
	}
	if err == nil {
		if timeout == 0 {
			timeout = DefaultTimeout
		}
		within, cancel := context.WithTimeoutCause(ctx, timeout, fmt.Errorf("no more acks within %v", timeout))
		defer cancel()
		err = p.await(within, a, &res, wait, onProgress)
	}
	if err2 := p.pass(stepAnswerAcks); err2 != nil {
		err = err2
	}
	res.Alone = res.Alone || errors.Is(err, routing.ErrNoTargets)
	var rival *RivalError
	switch {
	case errors.As(err, &rival):
		return res, err
	case wait.succeeded(res.Receipt, res.Complete, p.expectedVia(w.via)):
		return res, nil
	case wait == WaitDefault && res.Alone: // storing the record is all that this node can do
		res.Warnings = append(res.Warnings, NobodyExpected)
		return res, nil
	}
	return res, &NotAnnouncedError{Result: res, Wait: wait, Err: err}
}

// await updates the result until there are enough acks, the announcement is over, or
// ctx ends.
func (p *Publisher) await(ctx context.Context, a *announcement, res *Result, wait Wait, onProgress func(Result)) error {
	known := res.Rivals           // known before the announcement
	var lingered <-chan time.Time // nil: not enough acks yet
	step := *res                  // what onProgress gets, ack by ack
	for seen := 0; ; {
		s := a.progress(step.Record, seen)
		if s.rec != step.Record { // signed above a rival: it starts without acks
			step.Record, step.Receipt, seen, lingered = s.rec, routing.Receipt{}, 0, nil
			onProgress(step)
		}
		for _, ack := range s.acks {
			step.Receipt.Add(ack)
			onProgress(step)
		}
		seen += len(s.acks)
		res.Record, res.Receipt, res.Complete, res.Rivals = s.rec, s.receipt, s.over, allRivals(known, s.rivals)
		switch expected := p.expectedVia(a.via); {
		case s.over:
			return s.err
		case s.yields:
			lingered = nil
		case s.counted && wait != WaitAll && (expected != "" || s.receipt.Holders("") > 0):
			return s.err // what the others do makes no difference
		case !wait.enough(s.receipt, expected):
			lingered = nil
		case wait != WaitDefault:
			return nil
		case lingered == nil:
			t := time.NewTimer(linger)
			defer t.Stop() // one timer for each raise, at most maxRaises
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

// expectedVia is the network whose acks count of an announcement: by a Router of its
// own, any.
func (p *Publisher) expectedVia(via routing.Router) string {
	if via != nil || p.Expected == nil {
		return ""
	}
	return p.Expected()
}

// allRivals returns the rivals known before a publish and those found by it, without
// duplicates.
func allRivals(known, met []*ipns.Record) []*ipns.Record {
	all := slices.Clone(known)
	for _, r := range met {
		if !slices.ContainsFunc(all, func(k *ipns.Record) bool { return k.DataHash() == r.DataHash() }) {
			all = append(all, r)
		}
	}
	return all
}
