package publisher

import (
	"context"
	"fmt"
	"math/rand/v2"
	"slices"
	"time"

	"github.com/goipns/ipns"
	"github.com/goipns/ipns/names"
	"github.com/goipns/ipns/recordstore"
)

// A rival is a record that another holder of the key has signed, and that is not
// known here when the next one is signed. Whoever puts a record looks at what
// servers held: of two who publish one name at a time, the one that came later to
// a server sees the other there. The earlier one learns it when it puts its record
// again.

// OnRival says what a publish does when it meets a rival.
type OnRival int

const (
	// RivalRaise signs once more, above the highest that was seen, maxRaises times
	// at most: the value that was asked for becomes that of the name. It does not
	// where the request names a sequence.
	RivalRaise OnRival = iota
	// RivalStop looks at the whole network before anything is signed, and gives way.
	RivalStop
)

// ParseOnRival parses "raise", "stop", or "" for RivalRaise.
func ParseOnRival(s string) (OnRival, error) {
	switch s {
	case "", "raise":
		return RivalRaise, nil
	case "stop":
		return RivalStop, nil
	}
	return 0, fmt.Errorf("on-rival is %q: it must be raise or stop", s)
}

const (
	maxRaises  = 3
	raiseWait  = time.Second // at most before the first, each time twice as long
	maxRivals  = 8           // that one publish tells apart
	raiseLimit = 30 * time.Second
)

// RivalError says that the value of a publish is not that of the name, because
// another holder of the key has published something else.
type RivalError struct {
	Name  ipns.Name
	Value string // what was to be published
	// Signed is the record that was signed for it at last; nil: none was.
	Signed *ipns.Record
	// Rival is the newest record of the other.
	Rival *ipns.Record
	// Raised is how often a higher one was signed in vain.
	Raised int
	Err    error // why it was not signed once more; nil: it was not to be
}

func (e *RivalError) Error() string {
	text := fmt.Sprintf("%s is not published under %s: another holder of the key has published %s with sequence %d",
		e.Value, e.Name, e.Rival.Value(), e.Rival.Sequence())
	if e.Signed != nil {
		text += fmt.Sprintf(", which servers held when they were given sequence %d", e.Signed.Sequence())
	}
	if e.Raised > 0 {
		text += fmt.Sprintf("; after %d higher ones it still does", e.Raised)
	}
	if e.Err != nil {
		text += ": " + e.Err.Error()
	}
	return text
}

// Unwrap returns why it was not signed once more.
func (e *RivalError) Unwrap() error { return e.Err }

// making is how a record was made, so that it can be made again above a rival.
type making struct {
	signer ipns.Signer
	req    Request
	base   recordstore.Entry // from which it was made first
	made   []*ipns.Record    // what was signed so far
}

// raises reports whether the request wants a higher record above a rival.
func (m *making) raises() bool {
	return m.req.OnRival == RivalRaise && m.req.Sequence == nil && m.req.IfSequence == nil
}

// knew reports whether a record was known when the first of these was signed, or
// is one of them. What is below the record before counts as known: whoever signed
// it, it was settled then.
func (m *making) knew(rec *ipns.Record) bool {
	if slices.ContainsFunc(m.made, func(r *ipns.Record) bool { return sameContent(r, rec) }) {
		return true
	}
	e := m.base
	if e.Mark.IsZero() || rec.Sequence() > e.Mark.Sequence {
		return false
	}
	if rec.Sequence() < e.Mark.Sequence || e.Record == nil || e.Record.Sequence() != rec.Sequence() {
		return true
	}
	return slices.ContainsFunc(e.Kept(), func(r *ipns.Record) bool { return sameContent(r, rec) })
}

// sameContent reports whether two records say the same but for their end.
func sameContent(a, b *ipns.Record) bool {
	return a.Sequence() == b.Sequence() && a.Value() == b.Value()
}

// meet deals with a record that a server held. It reports whether what is being
// announced has to give way to it, or a higher one to be signed.
func (p *Publisher) meet(ctx context.Context, a *announcement, theirs *ipns.Record) (yields bool) {
	m, ours := a.making, a.record()
	if m == nil || m.knew(theirs) {
		return false
	}
	yields = theirs.Sequence() >= ours.Sequence()
	if !a.met(theirs, yields) {
		return yields
	}
	p.log().Warn("a server held what another holder of the key has published", "name", ours.Name().String(),
		"ours", ours.Sequence(), "theirs", theirs.Sequence(), "value", theirs.Value())
	if _, err := p.Book.Take(ctx, theirs, names.Entrance{Origin: recordstore.Seen}); err != nil && ctx.Err() == nil {
		p.log().Error("taking the record of another holder of the key", "name", ours.Name().String(), "error", err)
	}
	return yields
}

// raise signs once more, above the rivals, and makes that what is announced. If it
// does not, the error is a *RivalError, or that of ctx.
func (p *Publisher) raise(ctx context.Context, a *announcement) error {
	m, rival := a.making, a.rival()
	round := len(m.made) - 1
	failed := &RivalError{Name: rival.Name(), Value: m.req.Value, Signed: a.record(), Rival: rival, Raised: round}
	if !m.raises() || round >= maxRaises {
		return failed
	}
	wait := time.NewTimer(rand.N(raiseWait << round))
	defer wait.Stop()
	select {
	case <-wait.C:
	case <-ctx.Done():
		return ctx.Err()
	}
	within, cancel := context.WithTimeout(ctx, raiseLimit)
	defer cancel()
	res, err := p.enter(within, rival.Name(), m.signer, m.req, a)
	if ctx.Err() != nil {
		return ctx.Err()
	}
	if err != nil {
		failed.Err = err
		return failed
	}
	m.made = append(m.made, res.Record)
	a.replace(res.Record)
	return nil
}

// overtaken returns ErrOlder unless the newest record of an entry is one that this
// announcement knows: then somebody else has published here meanwhile, and what is
// announced is what is to be overtaken.
func (a *announcement) overtaken(e recordstore.Entry) error {
	if e.Record == nil {
		return nil
	}
	known := append(a.rivals(), a.making.made...)
	if slices.ContainsFunc(known, func(r *ipns.Record) bool { return sameContent(r, e.Record) }) {
		return nil
	}
	return fmt.Errorf("%w: %s with sequence %d", ErrOlder, e.Record.Value(), e.Record.Sequence())
}

// look asks the whole network, before anything is signed, whether another holder
// of the key has published. Unless the publish is forced, an answer that is not
// certain is an error: there would be no stopping for a rival.
func (p *Publisher) look(ctx context.Context, e recordstore.Entry, req Request) (recordstore.Entry, error) {
	best, err := p.find(ctx, e.Name)
	if err != nil && (ctx.Err() != nil || !req.Force) {
		return e, fmt.Errorf("looking for what another holder of the key has published: %w", err)
	}
	if best == nil || (&making{base: e}).knew(best) {
		return e, nil
	}
	origin := recordstore.Own // the name has no entry yet
	if e.Origin == recordstore.Own {
		origin = recordstore.Seen
	}
	if _, err := p.Book.Take(context.WithoutCancel(ctx), best, names.Entrance{Origin: origin}); err != nil {
		return e, err
	}
	return e, &RivalError{Name: e.Name, Value: req.Value, Rival: best}
}
