package publisher

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"math"
	"reflect"
	"time"

	"github.com/goipns/ipns"
	"github.com/goipns/ipns/names"
	"github.com/goipns/ipns/recordstore"
)

// earliest is when this code was written: a clock before it is wrong.
var earliest = time.Date(2026, 11, 1, 0, 0, 0, 0, time.UTC)

// shortLifetime is a lifetime so short that a record may expire before anyone finds it.
const shortLifetime = time.Minute

// longestLifetime is the longest that a Publisher with a MaxLifetime signs unforced.
const longestLifetime = 366 * 24 * time.Hour

// RemoteSigner is implemented by signers that may sign without the answer arriving, so
// that a sequence is reserved before they are asked, as those of an ssh-agent.
type RemoteSigner interface {
	ipns.Signer
	// Remote reports whether the key is outside this process.
	Remote() bool
}

// step is a point at which tests can make a publish fail.
type step string

const (
	stepRead       step = "read"
	stepReserve    step = "reserve"
	stepReserved   step = "reserved"
	stepSign       step = "sign"
	stepSigned     step = "signed"
	stepEnter      step = "enter"
	stepEntered    step = "entered"
	stepAnswer     step = "answer"
	stepAnnounce   step = "announce"
	stepAck        step = "ack"
	stepAnnounced  step = "announced"
	stepNote       step = "note"
	stepNoted      step = "noted"
	stepAnswerAcks step = "answer acks"
)

// pass runs the test hook of a step.
func (p *Publisher) pass(s step) error {
	if p.at == nil {
		return nil
	}
	return p.at(s)
}

// enter signs the next record of the name and enters it into the Book. If the previous
// record is being announced and has met rivals, above is that announcement.
func (p *Publisher) enter(ctx context.Context, name ipns.Name, signer ipns.Signer, req Request, above *announcement) (Result, error) {
	now := p.now()
	fields, warnings, err := p.check(now, req)
	if err != nil {
		return Result{}, err
	}
	done, err := p.Book.Turn(ctx, name)
	if err != nil {
		return Result{}, err
	}
	defer done()
	for range enterTries {
		e, warning, err := p.last(ctx, name, req)
		if err != nil {
			return Result{}, err
		}
		before := e.Rival
		e.Pending = nil // this publish supersedes it, or is the one above the rival
		if above == nil {
			e.Rival = nil // this publish supersedes earlier rivals
		} else if err := above.overtaken(e); err != nil {
			return Result{}, err
		}
		res, err := p.make(ctx, e, signer, fields, req)
		if errors.Is(err, recordstore.ErrConflict) {
			continue // someone else was first: read again and check the conditions again
		}
		if err != nil {
			return Result{}, err
		}
		if warning != "" {
			warnings = append(warnings, warning)
		}
		res.Warnings = warnings
		if above == nil && before != nil && e.Record != nil && before.DataHash() == e.Record.DataHash() {
			res.Rivals = []*ipns.Record{before} // the Book already knew it
		}
		return res, nil
	}
	return Result{}, fmt.Errorf("%d tries: %w", enterTries, recordstore.ErrConflict)
}

// make makes and enters the record that follows the entry.
func (p *Publisher) make(ctx context.Context, e recordstore.Entry, signer ipns.Signer, f ipns.Fields, req Request) (Result, error) {
	if err := checkIfSequence(e, req); err != nil {
		return Result{}, err
	}
	seq, err := sequence(e, f, req)
	if err != nil {
		return Result{}, err
	}
	f.Sequence, f.HighSequence = seq, req.Force || req.HighSequence && req.Sequence != nil
	fresh := e.Record == nil || e.Record.Sequence() != seq
	if r, ok := signer.(RemoteSigner); ok && r.Remote() && fresh {
		if err := p.pass(stepReserve); err != nil {
			return Result{}, err
		}
		// The reservation is durable before the signer is asked: a signature lost on
		// its way back may turn up later, and no other may have its sequence.
		if e, err = p.Book.Reserve(ctx, e, seq); err != nil {
			return Result{}, err
		}
		if err := p.pass(stepReserved); err != nil {
			return Result{}, err
		}
	}
	if err := p.pass(stepSign); err != nil {
		return Result{}, err
	}
	rec, err := ipns.Sign(ctx, signer, f, req.Form)
	if err != nil {
		return Result{}, err
	}
	if err := p.pass(stepSigned); err != nil {
		return Result{}, err
	}
	if err := p.pass(stepEnter); err != nil {
		return Result{}, err
	}
	e.Span, _ = p.times(req)
	// A crash before Enter leaves no trace of the record. After Enter, the record and
	// its mark are durable, and it is announced after the next start.
	outcome, err := p.Book.Enter(ctx, e, rec, names.Entrance{Vouched: req.Force || req.Sequence != nil})
	if err != nil {
		return Result{}, err
	}
	if outcome != names.New && outcome != names.Same {
		return Result{}, fmt.Errorf("new record with sequence %d was judged %v", seq, outcome)
	}
	if outcome == names.Same {
		rec = e.Record
	}
	if err := p.pass(stepEntered); err != nil {
		return Result{}, err
	}
	res := Result{Record: rec, Previous: e.Record, Outcome: outcome, NewSequence: fresh}
	if outcome == names.New {
		res.making = &making{signer: signer, req: req, base: e, made: []*ipns.Record{rec}}
	}
	return res, nil
}

// check rejects a request that should not be signed, before any search or write.
func (p *Publisher) check(now time.Time, req Request) (f ipns.Fields, warnings []string, err error) {
	if now.Before(earliest) {
		return f, nil, fmt.Errorf("%w: it says %v, which is in the past", ErrClock, now.UTC().Format(time.RFC3339))
	}
	if err := p.CheckClock(); err != nil && !req.Force {
		return f, nil, err
	}
	if err := p.CheckTimes(req); err != nil {
		return f, nil, err
	}
	lifetime, ttl := p.times(req)
	eol := now.Add(lifetime).UTC()
	switch {
	case !eol.After(now):
		return f, nil, fmt.Errorf("%w: the record would have expired at %v", ErrLifetime, eol.Format(time.RFC3339Nano))
	case p.MaxLifetime > 0 && lifetime > longestLifetime && !req.Force:
		return f, nil, fmt.Errorf("%w: %v is longer than %v: force it if this is intended", ErrLifetime, lifetime, longestLifetime)
	case eol.Year() > 9999:
		return f, nil, fmt.Errorf("%w: it ends after the year 9999", ErrLifetime)
	}
	if p.MaxLifetime > 0 && lifetime > p.MaxLifetime {
		warnings = append(warnings, fmt.Sprintf("lifetime %v is longer than %v: until then, anyone who kept this record can bring it back where no newer one is left", lifetime, p.MaxLifetime))
	}
	if lifetime < shortLifetime {
		warnings = append(warnings, fmt.Sprintf("lifetime %v is so short that the record may expire before anyone finds it", lifetime))
	}
	return ipns.Fields{Value: req.Value, EOL: eol, TTL: ttl, Metadata: req.Metadata}, warnings, nil
}

// CheckTimes returns the ErrLifetime that Publish would return for the lifetime and
// the TTL of a request, regardless of its other fields. The texts are Kubo's.
func (p *Publisher) CheckTimes(req Request) error {
	switch lifetime, ttl := p.times(req); {
	case lifetime <= 0:
		return timesError(fmt.Sprintf("lifetime must be greater than zero, got %s", lifetime))
	case ttl < 0:
		return timesError(fmt.Sprintf("ttl must not be negative, got %s", ttl))
	case ttl > lifetime:
		return timesError(fmt.Sprintf("ttl (%s) must not be greater than lifetime (%s)", ttl, lifetime))
	}
	return nil
}

// timesError is an ErrLifetime whose text does not include that of ErrLifetime.
type timesError string

func (e timesError) Error() string        { return string(e) }
func (e timesError) Is(target error) bool { return target == ErrLifetime }

// times returns the lifetime and the TTL of a request, with defaults applied.
func (p *Publisher) times(req Request) (lifetime, ttl time.Duration) {
	lifetime = cmp.Or(p.Lifetime, ipns.DefaultLifetime)
	if req.Lifetime != nil {
		lifetime = *req.Lifetime
	}
	ttl = max(min(cmp.Or(p.TTL, ipns.DefaultTTL), lifetime), 0)
	if req.TTL != nil {
		ttl = *req.TTL
	}
	return lifetime, ttl
}

func checkIfSequence(e recordstore.Entry, req Request) error {
	if req.IfSequence == nil || !e.Mark.IsZero() && e.Mark.Sequence == *req.IfSequence {
		return nil
	}
	return &IfSequenceError{Name: e.Name, Want: *req.IfSequence, Value: req.Value, Current: e.Record}
}

// sequence returns the sequence of the entry's next record: that of the current record
// if the new one only renews it and wins against it, else the next number.
func sequence(e recordstore.Entry, f ipns.Fields, req Request) (uint64, error) {
	if req.Sequence != nil {
		seq := *req.Sequence
		if seq < max(e.Next, 1) || !e.Mark.IsZero() && seq <= e.Mark.Sequence {
			return 0, fmt.Errorf("%w: %d, the next is %d", ErrSequenceLow, seq, max(e.Next, 1))
		}
		return seq, nil
	}
	if cur := e.Record; cur != nil && len(e.Rivals) == 0 && e.Next == following(cur.Sequence()) && renews(cur, f, req.Form) {
		return cur.Sequence(), nil
	}
	if !e.Mark.IsZero() && e.Mark.Sequence == math.MaxUint64 || e.Next == math.MaxUint64 {
		return 0, fmt.Errorf("%w: there is no number after %d", ipns.ErrSequence, uint64(math.MaxUint64))
	}
	return e.Next, nil
}

func following(seq uint64) uint64 {
	if seq == math.MaxUint64 {
		return seq
	}
	return seq + 1
}

// renews reports whether a record of f would equal cur, or differ only in a later EOL.
func renews(cur *ipns.Record, f ipns.Fields, form ipns.Form) bool {
	return f.Value == cur.Value() && f.TTL == cur.TTL() && form == cur.Form() &&
		!f.EOL.Before(cur.EOL()) && sameMetadata(f.Metadata, cur.Metadata())
}

// sameMetadata reports whether two records have equal metadata. Numbers of different
// types count as different, which only costs a sequence.
func sameMetadata(a, b ipns.Metadata) bool {
	return len(a) == len(b) && maps.EqualFunc(a, b, func(x, y any) bool { return reflect.DeepEqual(x, y) })
}
