package ladder

import (
	"context"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/goipns/ipns"
	"github.com/goipns/ipns/names"
	"github.com/goipns/ipns/recordstore"
)

// signedTable has a row for each name: what was last signed for it here.
const signedTable = "signed"

// maxBehind is how far the clock here may be behind that of who made a request.
const maxBehind = 5 * time.Minute

// ErrClock means that the clock here and that of who made a request cannot both be right.
var ErrClock = errors.New("this clock, or that of the machine that made the request, is wrong")

// Desk signs requests. It is safe for concurrent use.
type Desk struct {
	Book *names.Book
	Rows recordstore.Rows
	Now  func() time.Time // nil: time.Now
}

// mark is the row of a name: the sequences of the last request that was signed.
type mark struct {
	At    time.Time // when it was signed
	Steps []markStep
	// Reserved says that the Book has all Steps as used. Before that, another publish may
	// have got one of them.
	Reserved bool `json:",omitempty"`
}

// markStep is a sequence that was used, and for which value.
type markStep struct {
	Sequence uint64
	Value    [32]byte // SHA-256
}

// newMark returns the mark of a request.
func newMark(r *Request, now time.Time) mark {
	m := mark{At: now.UTC()}
	for i, w := range r.Steps {
		if i == 0 || w.Sequence != r.Steps[i-1].Sequence {
			m.Steps = append(m.Steps, markStep{w.Sequence, sha256.Sum256([]byte(w.Value))})
		}
	}
	return m
}

// has reports whether a sequence was used for a value.
func (m mark) has(s markStep) bool {
	for _, own := range m.Steps {
		if own == s {
			return true
		}
	}
	return false
}

// Sign signs a request and returns the file of a record or a ladder. A request that was
// signed before can be signed again. With force, a clock that seems wrong is no error; a
// sequence that was used for another value always is.
func (d *Desk) Sign(ctx context.Context, signer ipns.Signer, r *Request, force bool) ([]byte, error) {
	name, err := ipns.NameOf(signer.Public())
	if err == nil && name != r.Name {
		err = fmt.Errorf("%w: the request is for %s, and the key is that of %s", ipns.ErrKeyMismatch, r.Name, name)
	}
	if err == nil {
		err = r.Check()
	}
	now := time.Now()
	if d.Now != nil {
		now = d.Now()
	}
	if err == nil && !force {
		err = checkClock(r, now)
	}
	if err != nil {
		return nil, fmt.Errorf("sign: %w", err)
	}
	done, err := d.Book.Turn(ctx, name)
	if err != nil {
		return nil, err
	}
	defer done()
	// Durable before the signer is asked: a crash after it may lose the file, and the
	// sequences stay used for these values.
	if err := d.use(ctx, r, now); err != nil {
		return nil, fmt.Errorf("sign for %s: %w", name, err)
	}
	l := &Ladder{Name: name}
	for i, w := range r.Steps {
		form := ipns.V1V2
		if w.V2Only {
			form = ipns.V2Only
		}
		rec, err := ipns.Sign(ctx, signer, ipns.Fields{Value: w.Value, Sequence: w.Sequence, EOL: w.EOL.UTC(), TTL: w.TTL}, form)
		if err != nil {
			return nil, fmt.Errorf("step %d of %d: %w", i+1, len(r.Steps), err)
		}
		if w.At.IsZero() && len(r.Steps) == 1 {
			return rec.Raw(), nil
		}
		l.Steps = append(l.Steps, Step{r.release(w), rec.Raw()})
	}
	if err := signLadder(ctx, signer, l); err != nil {
		return nil, fmt.Errorf("all %d records are signed, but not the list of them, which makes the ladder: a signer that signs records only cannot make one: %w", len(l.Steps), err)
	}
	return l.Encode()
}

// checkClock compares this clock with the times of a request.
func checkClock(r *Request, now time.Time) error {
	says := func(what string, at time.Time) error {
		return fmt.Errorf("%w: here it is %s, and the request %s %s", ErrClock, now.UTC().Format(time.RFC3339), what, at.UTC().Format(time.RFC3339))
	}
	if now.Before(r.Made.Add(-maxBehind)) {
		return says("was made", r.Made)
	}
	for _, w := range r.Steps {
		if !now.Before(w.EOL) {
			return says("is for a record that expired", w.EOL)
		}
	}
	return nil
}

// use makes sure that no other value has or gets the sequences of a request.
func (d *Desk) use(ctx context.Context, r *Request, now time.Time) error {
	row, err := d.Rows.Get(ctx, signedTable, r.Name.String())
	if errors.Is(err, recordstore.ErrNotFound) {
		row, err = recordstore.Row{Table: signedTable, Key: r.Name.String()}, nil
	}
	var before mark
	if err == nil && row.Version != 0 {
		if err = json.Unmarshal(row.Value, &before); err != nil {
			err = fmt.Errorf("what was signed here cannot be read: %w", err)
		}
	}
	if err != nil {
		return err
	}
	next, again := newMark(r, now), before.Reserved
	for _, s := range next.Steps {
		known := before.has(s)
		if known && before.Reserved {
			continue
		}
		again = false
		last := len(before.Steps) - 1
		if !known && last >= 0 && s.Sequence <= before.Steps[last].Sequence {
			return fmt.Errorf("%w: sequence %d was signed here %s, and the request is for another value with sequence %d; make a new request",
				ErrOlder, before.Steps[last].Sequence, before.At.Format(time.RFC3339), s.Sequence)
		}
		if err := d.unused(ctx, r, s.Sequence); err != nil {
			return err
		}
	}
	if again {
		return nil
	}
	// What was signed before and is still as new as this stays used.
	if len(before.Steps) > 0 && next.Steps[0].Sequence <= before.Steps[len(before.Steps)-1].Sequence {
		next.Steps = merge(before.Steps, next.Steps)
	}
	// After a crash between these writes, the request is signed again if the Book still has
	// no use of its sequences.
	for {
		if row.Value, err = json.Marshal(next); err == nil {
			row, err = d.Rows.Swap(ctx, row)
		}
		if err != nil || next.Reserved {
			return err
		}
		if err := d.reserve(ctx, r); err != nil {
			return err
		}
		next.Reserved = true
	}
}

// merge returns the steps of both, in the order of their sequences; at most MaxSteps, the
// last ones.
func merge(a, b []markStep) []markStep {
	all := append([]markStep{}, a...)
	for _, s := range b {
		if !(mark{Steps: a}).has(s) {
			all = append(all, s)
		}
	}
	return all[max(0, len(all)-MaxSteps):]
}

// unused checks that the Book has no other value for a sequence.
func (d *Desk) unused(ctx context.Context, r *Request, seq uint64) error {
	e, err := d.Book.Get(ctx, r.Name)
	if errors.Is(err, recordstore.ErrNotFound) {
		return nil
	}
	if err != nil || seq >= e.Next {
		return err
	}
	for _, w := range r.Steps {
		if w.Sequence == seq && e.Record != nil && e.Record.Sequence() == seq && e.Record.Value() == w.Value {
			return nil // it renews that record
		}
	}
	return fmt.Errorf("%w: the request is for sequence %d, and the next one here is %d; make a new request", ErrOlder, seq, e.Next)
}

// reserve lets nobody else here use the sequences of a request.
func (d *Desk) reserve(ctx context.Context, r *Request) error {
	for {
		e, err := d.Book.Get(ctx, r.Name)
		if errors.Is(err, recordstore.ErrNotFound) {
			e, err = recordstore.Entry{Name: r.Name}, nil
		}
		seq := r.Steps[len(r.Steps)-1].Sequence
		if err != nil || seq < e.Next {
			return err
		}
		if _, err = d.Book.Reserve(ctx, e, seq); !errors.Is(err, recordstore.ErrConflict) {
			return err
		}
	}
}
