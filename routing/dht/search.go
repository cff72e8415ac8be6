package dht

import (
	"bytes"
	"context"
	"fmt"
	"iter"
	"time"

	pb "github.com/libp2p/go-libp2p-kad-dht/pb"
	"github.com/libp2p/go-libp2p/core/peer"

	"github.com/goipns/ipns"
	"github.com/goipns/ipns/routing"
)

const (
	// searchParallel is how many questions a search has under way where the map
	// is of no use, and directWidth how many servers are asked at once where it is.
	searchParallel = 10
	directWidth    = 8

	// nearWidth is how many servers are asked at once where answers take less than
	// fastRTT: there the time goes into the work on questions, and the first answers
	// would wait for those that nobody needs.
	nearWidth = 3

	// patience is how many median round trips the servers that are asked directly
	// are given before others are asked as well.
	patience = 4.5

	// correctTimeout bounds the correction of servers with older records.
	correctTimeout = 10 * time.Second
)

// Search asks the servers closest to the name, and this node's own, which counts as
// nobody.
//
// Where the map is good the closest few are asked at once, and the rest of the
// closest 20 when those are late or the caller still wants more; where it is not,
// a walk asks all that it comes by. When all have been asked and the caller still
// listens, those of the closest 20 that have no record or an older one are given
// the best that was found.
func (r *Router) Search(ctx context.Context, name ipns.Name) iter.Seq2[routing.Answer, error] {
	return func(yield func(routing.Answer, error) bool) {
		s := &search{lookup: r.newLookup(ctx, name.RoutingKey()), name: name}
		defer s.end()
		answer := func(id peer.ID, rec *ipns.Record) bool {
			return yield(routing.Answer{Record: rec, Source: id.String(), Network: r.network, At: time.Now(), Own: id == r.host.ID()}, nil)
		}
		if rec := r.ownRecord(ctx, name); rec != nil && !answer(r.host.ID(), rec) {
			return
		}
		err := s.run(answer)
		if err != nil && err != errStopped {
			yield(routing.Answer{}, fmt.Errorf("searching %s: %w", name, err))
		}
	}
}

// search is one Search under way.
type search struct {
	*lookup
	name ipns.Name
	best *ipns.Record

	// direct says that only the closest few are asked, until late.
	direct bool
	near   bool // and they answer fast
	late   time.Time
}

// run asks until the closest 20 servers have answered or failed.
func (s *search) run(yield func(peer.ID, *ipns.Record) bool) error {
	if len(s.sorted) == 0 {
		return s.r.nobody()
	}
	if s.r.reach(s.target).trusted {
		rtt := medianRTT(s.sorted[:min(len(s.sorted), replicas)])
		s.direct, s.near, s.late = true, rtt < fastRTT, time.Now().Add(time.Duration(patience*float64(rtt)))
	}
	for {
		now := time.Now()
		s.advance(now)
		if s.inFlight == 0 {
			break
		}
		e, err := s.wait(s.late)
		if err != nil {
			return err
		}
		if e.kind == eventTime {
			continue
		}
		s.handleAnswer(e)
		if e.err != nil || e.kind != eventAsked {
			continue
		}
		e.node.rec = s.r.recordIn(e.msg, s.name)
		if e.node.rec != nil && (s.best == nil || ipns.Compare(e.node.rec, s.best) > 0) {
			s.best = e.node.rec
		}
		if !yield(e.node.id, e.node.rec) {
			return errStopped
		}
	}
	s.correct()
	return s.verdict()
}

// advance asks whom it is time to ask.
func (s *search) advance(now time.Time) {
	width, parallel := replicas, searchParallel
	if s.direct {
		width, parallel = directWidth, directWidth
		if s.near {
			parallel = nearWidth
		}
		if !now.Before(s.late) || s.converged(directWidth, now) {
			s.direct, s.late = false, time.Time{}
			width, parallel = replicas, searchParallel
		}
	}
	s.survey()
	for _, n := range s.next(width, parallel, now) {
		s.ask(n, pb.Message_GET_VALUE, now)
	}
}

// verdict is nil if so many servers answered that what none of them has does not
// exist: four fifths of the closest 20 that may be there, which is kad-dht's
// quorum of 16 of 20, and half of all that are
// known: where most seem to be dead, this node has no network. Of a network that is
// not the expected one nothing is demanded.
func (s *search) verdict() error {
	asked, answers := 0, 0
	for _, n := range s.sorted {
		if n.state == answered {
			answers++
		}
		if n.state == answered || n.state == failed && n.timedOut {
			asked++
		}
		if asked == replicas {
			break
		}
	}
	switch s.r.standing() {
	case needed:
		if !s.reached {
			return s.r.nobody()
		}
	case spare:
		if !s.reached {
			return routing.ErrNoTargets
		}
		return nil
	}
	// Those that were there a while ago are not asked again so soon, but they are
	// missing all the same.
	there := len(s.sorted)
	if there < replicas {
		there += s.r.servers.lost(time.Now())
	}
	if most := min(replicas, there); 5*answers < 4*asked || 2*answers < most {
		return &routing.IncompleteError{Asked: max(asked, most), Answered: answers}
	}
	return nil
}

// correct gives the best record to those of the closest servers that answered
// with an older one or none. What this node knows to be out of date is not spread:
// servers that have lost the newer one would take it.
func (s *search) correct() {
	if s.best == nil || s.r.older != nil && s.r.older(s.ctx, s.best) {
		return
	}
	ctx, cancel := context.WithTimeout(s.ctx, correctTimeout)
	defer cancel()
	p := &put{lookup: s.lookup, value: s.best.Raw()}
	for _, n := range s.wanted(replicas, time.Now()) {
		if n.state == answered && (n.rec == nil || ipns.Compare(n.rec, s.best) < 0) {
			p.offer(n, time.Now())
		}
	}
	for p.inFlight > 0 {
		select {
		case <-p.events:
			p.inFlight--
		case <-ctx.Done():
			return
		}
	}
}

// fetch returns the record that a server has of the name, nil if it has none.
// What is no valid record counts as none.
func (r *Router) fetch(ctx context.Context, p peer.ID, name ipns.Name) (*ipns.Record, error) {
	a, err := r.request(ctx, p, pb.NewMessage(pb.Message_GET_VALUE, name.RoutingKey(), 0))
	if err != nil {
		return nil, err
	}
	return r.recordIn(a.msg, name), nil
}

// recordIn returns the valid record of the name in an answer, or nil.
func (r *Router) recordIn(m *pb.Message, name ipns.Name) *ipns.Record {
	have := m.GetRecord()
	if have == nil || !bytes.Equal(have.GetKey(), name.RoutingKey()) {
		return nil
	}
	rec, err := r.opener.Open(name, have.GetValue())
	if err != nil {
		return nil
	}
	return rec
}

// ownRecord returns what this node's own server has of the name, or nil.
func (r *Router) ownRecord(ctx context.Context, name ipns.Name) *ipns.Record {
	if r.own == nil {
		return nil
	}
	have, err := r.own.Get(ctx, string(name.RoutingKey()))
	if err != nil || have == nil {
		return nil
	}
	rec, err := r.opener.Open(name, have.GetValue())
	if err != nil {
		return nil
	}
	return rec
}
