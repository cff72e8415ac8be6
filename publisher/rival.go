package publisher

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"time"

	"github.com/goipns/ipns"
	"github.com/goipns/ipns/names"
	"github.com/goipns/ipns/recordstore"
)

// A rival is a record by another holder of the key that was not known here when the next
// record was signed. Each put looks at what servers already hold: of
// two nodes that publish a name at the same time, the one that reaches a server later
// sees the other's record there. The earlier one finds out when it puts its record
// again.

// OnRival says what a publish does when it meets a rival.
type OnRival int

const (
	// RivalRaise signs again above the highest rival, at most maxRaises times, so that
	// the name gets the requested value. It does not if the request has a Sequence or
	// an IfSequence.
	RivalRaise OnRival = iota
	// RivalStop searches the network before signing, and gives way to a rival.
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
	maxRaises    = 3
	raiseWait    = time.Second // longest wait before the first raise; doubled each time
	maxRivals    = 8           // rivals that one publish keeps
	raiseTimeout = 30 * time.Second
)

// RivalError means that the name does not have the value of the publish, because
// another holder of the key has published something else.
type RivalError struct {
	Name  ipns.Name
	Value string // the value that was to be published
	// Signed is the last record signed for it; nil: none was.
	Signed *ipns.Record
	// Rival is the newest record of the other holder.
	Rival *ipns.Record
	// Raised counts the higher records signed without success.
	Raised int
	Err    error // why no higher record was signed; nil: none was to be
}

func (e *RivalError) Error() string {
	text := fmt.Sprintf("%s is not published under %s: another holder of the key has published %s with sequence %d",
		e.Value, e.Name, e.Rival.Value(), e.Rival.Sequence())
	if e.Signed != nil {
		text += fmt.Sprintf(", which servers already held when they got sequence %d", e.Signed.Sequence())
	}
	if e.Raised > 0 {
		text += fmt.Sprintf("; signing above it %d times did not help", e.Raised)
	}
	if e.Err != nil {
		text += ": " + e.Err.Error()
	}
	return text
}

// Unwrap returns why no higher record was signed.
func (e *RivalError) Unwrap() error { return e.Err }

// making holds how a record was made, so that another can be made above a rival.
type making struct {
	signer ipns.Signer
	req    Request
	base   recordstore.Entry // from which the first record was made
	made   []*ipns.Record    // records signed so far
}

// raises reports whether to sign a higher record above a rival.
func (m *making) raises() bool {
	return m.req.OnRival == RivalRaise && m.req.Sequence == nil && m.req.IfSequence == nil
}

// knew reports whether a record was known when the first of m.made was signed, or is
// one of them. Records below the previous one count as known, whoever signed them.
func (m *making) knew(rec *ipns.Record) bool {
	if m.has(rec) {
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

// has reports whether a record is one of those signed so far.
func (m *making) has(rec *ipns.Record) bool {
	return slices.ContainsFunc(m.made, func(r *ipns.Record) bool { return sameContent(r, rec) })
}

// sameContent reports whether two records have the same sequence and value.
func sameContent(a, b *ipns.Record) bool {
	return a.Sequence() == b.Sequence() && a.Value() == b.Value()
}

// ErrNoSigner means that there is no key of a name any more.
var ErrNoSigner = errors.New("there is no signer")

// remake returns how the pending record of an entry was made, as far as it is known
// after a restart.
func (p *Publisher) remake(ctx context.Context, e recordstore.Entry) (*making, error) {
	if p.Signers == nil {
		return nil, fmt.Errorf("%s: %w", e.Name, ErrNoSigner)
	}
	signer, err := p.Signers(ctx, e.Name)
	if err != nil {
		return nil, err
	}
	rec := e.Pending
	ttl := rec.TTL()
	req := Request{Value: rec.Value(), TTL: &ttl, Form: rec.Form(), Metadata: rec.Metadata()}
	for past, err := range p.Book.History(ctx, e.Name) {
		if err != nil {
			return nil, err
		}
		if past.Record.Hash() == rec.Hash() {
			life := rec.EOL().Sub(past.At).Round(time.Second)
			req.Lifetime = &life
			break
		}
	}
	return &making{signer: signer, req: req, base: e, made: []*ipns.Record{rec}}, nil
}

// above returns the records of m.base that the last one made must give way to.
func (m *making) above() []*ipns.Record {
	ours := m.made[len(m.made)-1]
	var list []*ipns.Record
	for _, r := range m.base.Kept() {
		if r.Sequence() >= ours.Sequence() && !sameContent(r, ours) {
			list = append(list, r)
		}
	}
	return list
}

// meet handles a record that a server held. It reports whether the announced record
// must give way to it or be replaced by a higher one.
func (p *Publisher) meet(ctx context.Context, a *announcement, theirs *ipns.Record) (yields bool) {
	m, ours := a.making, a.record()
	if m == nil || m.knew(theirs) {
		return false
	}
	if p.superseded(ctx, a) {
		p.take(ctx, theirs)
		a.cancel()
		return true
	}
	yields = theirs.Sequence() >= ours.Sequence()
	if !a.met(theirs, yields) {
		return yields
	}
	if yields && m.raises() && len(m.made) <= maxRaises {
		// From here on a restart goes on with it.
		if err := p.Book.Pend(ctx, ours.Name(), ours); err != nil && ctx.Err() == nil {
			p.log().Error("noting that a publish is to rise above a rival", "name", ours.Name().String(), "error", err)
		}
	}
	p.log().Warn("a server held a record of another holder of the key", "name", ours.Name().String(),
		"ours", ours.Sequence(), "theirs", theirs.Sequence(), "value", theirs.Value())
	p.take(ctx, theirs)
	return yields
}

// take enters a record that a server held.
func (p *Publisher) take(ctx context.Context, theirs *ipns.Record) {
	if _, err := p.Book.Take(ctx, theirs, names.Entrance{Origin: recordstore.Seen}); err != nil && ctx.Err() == nil {
		p.log().Error("taking the record of another holder of the key", "name", theirs.Name().String(), "error", err)
	}
}

// superseded reports whether another process that shares the store has published since.
// Its record, which servers may hold by now, is none of a rival: it was stored before it
// left, and whoever published it announces it.
func (p *Publisher) superseded(ctx context.Context, a *announcement) bool {
	e, err := p.Book.Get(context.WithoutCancel(ctx), a.record().Name()) // an ack may have two records: the first ends ctx
	return err == nil && e.Record != nil && e.Span > 0 && !a.making.has(e.Record) && ipns.Compare(e.Record, a.record()) > 0
}

// raise signs a record above the rivals and makes it the announced one. If it cannot,
// it returns a *RivalError, or the error of ctx.
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
	within, cancel := context.WithTimeout(ctx, raiseTimeout)
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

// overtaken returns ErrOlder if the entry's record is neither a rival known to this
// announcement nor its own: then someone else has published on this store meanwhile, and
// theirs is newer.
func (a *announcement) overtaken(e recordstore.Entry) error {
	if e.Record == nil || a.making.has(e.Record) {
		return nil
	}
	isRival := func(r *ipns.Record) bool { return sameContent(r, e.Record) }
	if e.Span == 0 && slices.ContainsFunc(a.rivals(), isRival) { // with a Span, it was signed here
		return nil
	}
	return fmt.Errorf("%w: %s with sequence %d", ErrOlder, e.Record.Value(), e.Record.Sequence())
}

// look searches the network, before anything is signed, for a record by another holder
// of the key. Unless the publish is forced, an inconclusive search is an error: a rival
// could be missed.
func (p *Publisher) look(ctx context.Context, e recordstore.Entry, req Request) (recordstore.Entry, error) {
	if e.Rival != nil { // it came here by itself, since this node is a server or has announced the name
		return e, &RivalError{Name: e.Name, Value: req.Value, Rival: e.Rival}
	}
	best, err := p.find(ctx, e.Name, req.Via)
	if err != nil && (ctx.Err() != nil || !req.Force) {
		return e, fmt.Errorf("search for a record of another holder of the key: %w", err)
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
