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
	"github.com/goipns/ipns/internal/tracing"
	"github.com/goipns/ipns/routing"
)

const (
	// searchParallel is how many queries a search has in flight in a walk, and
	// directWidth how many servers it queries at once where the map can be trusted.
	searchParallel = 10
	directWidth    = 8

	// nearWidth replaces directWidth where the round trip is below fastRTT. There
	// processing takes most of the time, and unneeded queries would delay the first
	// answers.
	nearWidth = 3

	// patience is how many median round trips a direct search waits before it queries
	// more servers.
	patience = 4.5

	// correctTimeout bounds the updating of servers with older records.
	correctTimeout = 10 * time.Second
)

// Search queries the servers closest to the name, and this node's own server, whose
// answer is not counted.
//
// Where the map can be trusted, it queries the closest few directly, and the rest of
// the closest 20 once those are late or have answered. Elsewhere it does a walk. When
// all have been queried and the caller still reads, Search puts the best record found
// on those of the closest 20 that have an older record or none.
func (r *Router) Search(ctx context.Context, name ipns.Name) iter.Seq2[routing.Answer, error] {
	return func(yield func(routing.Answer, error) bool) {
		ctx, end := tracing.Begin(ctx, tracing.Get, name, r.network)
		s := &search{lookup: r.newLookup(ctx, name.RoutingKey()), name: name}
		defer s.end()
		answer := func(id peer.ID, rec *ipns.Record) bool {
			return yield(routing.Answer{Record: rec, Source: id.String(), Network: r.network, At: time.Now(), Own: id == r.host.ID()}, nil)
		}
		if rec := r.ownRecord(ctx, name); rec != nil && !answer(r.host.ID(), rec) {
			end(nil)
			return
		}
		err := s.run(answer)
		if err == errStopped {
			err = nil
		}
		end(err)
		if err != nil {
			yield(routing.Answer{}, fmt.Errorf("searching %s: %w", name, err))
		}
	}
}

// search is one running Search.
type search struct {
	*lookup
	name ipns.Name
	best *ipns.Record

	// direct: query only the closest few servers, until late.
	direct bool
	near   bool // the round trip is below fastRTT
	late   time.Time
}

// run sends queries until the closest 20 servers have answered or failed.
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

// advance sends the queries that are due.
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

// verdict returns nil if enough servers answered to conclude that a record which
// none of them has does not exist. That takes four fifths of the closest 20 that may
// be alive (kad-dht's quorum is 16 of 20), and half of the closest 20 known: if most
// seem dead, this node is probably offline. It is always nil if another network is
// the expected one and any server answered.
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
	// Servers in their pause after a failure were not queried, but count as missing.
	there := len(s.sorted)
	if there < replicas {
		there += s.r.servers.lost(time.Now())
	}
	if most := min(replicas, there); 5*answers < 4*asked || 2*answers < most {
		return &routing.IncompleteError{Asked: max(asked, most), Answered: answers}
	}
	return nil
}

// correct puts the best record on those of the closest servers that answered with an
// older one or none. It does not spread a record that this node knows to be out of
// date: servers that have lost the newer one would take it.
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

// fetch returns a server's record of the name, or nil if it has no valid one.
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

// ownRecord returns the record of the name on this node's own server, or nil.
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
