package dht

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"sync"
	"time"

	pb "github.com/libp2p/go-libp2p-kad-dht/pb"
	recpb "github.com/libp2p/go-libp2p-record/pb"
	"github.com/libp2p/go-libp2p/core/peer"

	"github.com/goipns/ipns"
	"github.com/goipns/ipns/internal/tracing"
	"github.com/goipns/ipns/routing"
)

const (
	// putParallel is how many queries a put's walk has in flight.
	putParallel = 24

	// initialPuts is how many live servers from the map are sent a record at once: a
	// few more than should hold it, since some will be slow. Of servers that have
	// never answered, the share unprovenAlive is expected to be alive.
	initialPuts   = 24
	unprovenAlive = 0.8

	// fastRTT is the median round trip below which slow servers cost little. Then a
	// put sends no records to spare servers at first, and its verifying walk, which
	// would compete with the records, waits for them.
	fastRTT = 20 * time.Millisecond

	// nearPuts is how many records are in flight at once below fastRTT. There
	// processing takes most of the time, and more would delay the first acks.
	nearPuts = 4

	// verifyWidth is how many of the closest servers a put that trusts the map queries
	// for closer ones. In a small network below fastRTT this is not repeated within
	// verifyPause: new servers show up in the routing table, which the next put reads.
	verifyWidth = 6
	verifyPause = 10 * time.Second

	// widenBy is how many of the farthest servers of the result are finally queried
	// for their own neighbours. Answers include dead servers among the 20 closest, so
	// the last of the live ones may not have been named.
	widenBy = 3
)

// errNotConfirmed says that a server did not answer with the value that it was sent.
var errNotConfirmed = errors.New("the server did not confirm the record")

// Put offers the record to the 20 servers closest to its name. This node's own server
// keeps it too, but is not counted.
//
// Where the map can be trusted, Put sends the record to all at once while a walk
// verifies that no closer server is missing. Elsewhere it sends the record as the walk
// reaches servers that are close enough. Servers that fail are replaced by the next
// closest. The last Acks come from slow servers, long after the result is clear.
//
// If the name does not contain its public key, Put also puts the key. The Acks do not
// cover that, since the record contains the key as well.
func (r *Router) Put(ctx context.Context, rec *ipns.Record, look routing.Look) iter.Seq2[routing.Ack, error] {
	return func(yield func(routing.Ack, error) bool) {
		name := rec.Name()
		ctx, end := tracing.Begin(ctx, tracing.Put, name, r.network)
		p := r.newPut(ctx, name.RoutingKey(), rec.Raw())
		p.looking = newLooking(rec, look)
		var key sync.WaitGroup
		defer key.Wait()
		defer p.end()
		p.newer = func(ctx context.Context, id peer.ID) *ipns.Record { return r.newerThan(ctx, id, rec) }
		r.keepOwn(ctx, rec)
		key.Go(func() { r.putKey(p.ctx, rec) })
		acks := &acks{put: p, yield: func(ack routing.Ack) bool {
			ack.Name, ack.Network = name, r.network
			return yield(ack, nil)
		}}
		err := p.run(acks.add)
		if err == nil {
			err = acks.finish()
		}
		if errors.Is(err, errStopped) {
			end(nil)
			return
		}
		end(err)
		if err != nil {
			yield(routing.Ack{}, fmt.Errorf("putting %s: %w", name, err))
		}
		if err == nil {
			key.Wait() // finish putting the key, even if the record was faster
		}
	}
}

// errStopped says that the caller stopped the iteration.
var errStopped = errors.New("stopped by the caller")

// put puts one value on the servers closest to its key.
type put struct {
	*lookup
	value    []byte
	reach    reach
	begun    bool // the first values have been sent
	fast     bool // the round trip is below fastRTT
	verified bool // by a walk just before this put
	wide     bool // the farthest servers have been queried; see widenBy

	looking *looking // the work for routing.Look; nil: none

	announcement []byte // the request that is sent in place of a value; nil: the value

	// newer fetches the newer record, if any, from a server that refused. Nil: there
	// cannot be one.
	newer func(context.Context, peer.ID) *ipns.Record
}

func (r *Router) newPut(ctx context.Context, key, value []byte) *put {
	return &put{lookup: r.newLookup(ctx, key), value: value}
}

// run puts the value until every server that should have it has taken it, refused it
// or failed. It calls done with every event; a zero event means that a node became
// late. It ends early if done returns false.
func (p *put) run(done func(event) bool) error {
	if len(p.sorted) == 0 {
		return p.r.nobody()
	}
	p.reach = p.r.reach(p.target)
	for {
		now := time.Now()
		p.advance(now)
		if p.inFlight == 0 && !p.reached && p.r.standing() == needed {
			return p.r.nobody()
		}
		if p.inFlight == 0 {
			return nil
		}
		e, err := p.wait(time.Time{})
		switch {
		case err != nil:
			return err
		case e.kind == eventAsked, e.kind == eventNamed, e.kind == eventSurveyed:
			p.handleAnswer(e)
		case e.kind == eventPut:
			if e.node.put = e.outcome(); e.node.put == putFailed {
				p.verified = false // the network has changed
			}
			if p.fast && e.look != nil && e.node.state == known {
				// The later verifying walk need not query it again.
				p.handleAnswer(event{node: e.node, kind: eventAsked, answer: answer{msg: e.look}})
			}
		}
		if !done(e) {
			return errStopped
		}
	}
}

// advance sends what is due: the value to servers that should have it, and queries to
// those that may know closer ones.
func (p *put) advance(now time.Time) {
	width := replicas
	if p.reach.trusted {
		width = verifyWidth
	}
	converged := p.converged(width, now)
	sure := p.reach.trusted || converged
	room := len(p.sorted)
	if p.fast {
		room = nearPuts - p.sending(now)
	}
	for _, n := range p.targets(now) {
		if n.put == notPut && room > 0 && (sure || p.reach.covers(p.target, n.key)) {
			p.offer(n, now)
			room--
		}
	}
	if !p.verified && (!p.fast || p.sending(now) == 0) {
		for _, n := range p.next(width, putParallel, now) {
			p.ask(n, pb.Message_FIND_NODE, now)
		}
	}
	p.survey()
	if converged {
		p.widen(now)
	}
}

// widen queries the farthest servers of the result for their own neighbours, once.
func (p *put) widen(now time.Time) {
	if p.wide {
		return
	}
	p.wide = true
	p.r.noteWalk(now)
	live := p.live(replicas, now)
	for _, n := range live[max(0, len(live)-widenBy):] {
		p.askNeighbours(n)
	}
}

// targets returns the nodes that should have the value, as far as is known.
func (p *put) targets(now time.Time) []*node {
	if !p.reach.trusted || p.begun {
		return p.wanted(replicas, now)
	}
	p.begun = true
	if near := p.live(replicas, now); medianRTT(near) < fastRTT {
		p.fast, p.verified = true, p.r.walkedLately(now)
		if l := p.looking; l != nil {
			l.look = min(l.look, nearLooks)
		}
		return near
	}
	nodes, living := p.live(2*initialPuts, now), 0.0
	for i, n := range nodes {
		if living >= initialPuts {
			return nodes[:i]
		}
		if n.alive {
			living++
		} else {
			living += unprovenAlive
		}
	}
	return nodes
}

// noteWalk records that a walk has just verified the map around a key.
func (r *Router) noteWalk(now time.Time) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.walkedAt = now
}

// walkedLately reports whether the network is so small that a walk sees most of it,
// and the last walk was within verifyPause.
func (r *Router) walkedLately(now time.Time) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.servers.Len() <= smallNetwork && now.Sub(r.walkedAt) < verifyPause
}

// sending counts the servers to which the value is in flight and not late.
func (p *put) sending(now time.Time) int {
	count := 0
	for _, n := range p.sorted {
		if n.put == putSent && !n.late(now) {
			count++
		}
	}
	return count
}

// offer sends the value to a node.
func (p *put) offer(n *node, now time.Time) {
	n.put, n.putAt = putSent, now
	o := p.newOffering(n)
	p.send(n, eventPut, putTimeout, o.run)
}

// outcome returns what the node did with the value.
func (e event) outcome() putState {
	switch {
	case e.err == nil:
		return putTaken
	case e.newer != nil:
		return putRefused
	}
	return putFailed
}

// rank counts the proven nodes that are closer than n.
func (p *put) rank(n *node, now time.Time) int {
	rank := 0
	for _, other := range p.sorted {
		if other == n {
			break
		}
		if other.proven() && other.counts(now) {
			rank++
		}
	}
	return rank
}

// keepOwn stores the record on this node's own server. It ignores failures and newer
// records there: what counts is the network.
func (r *Router) keepOwn(ctx context.Context, rec *ipns.Record) {
	if r.own == nil {
		return
	}
	key := rec.Name().RoutingKey()
	_ = r.own.Put(ctx, string(key), &recpb.Record{Key: key, Value: rec.Raw()})
}

// putKey puts the public key under /pk/ if the name does not contain it. It ignores
// failures.
func (r *Router) putKey(ctx context.Context, rec *ipns.Record) {
	name := rec.Name()
	if _, err := name.PublicKey(); !errors.Is(err, ipns.ErrNoPublicKey) {
		return
	}
	pub, err := rec.PublicKey()
	if err != nil {
		return
	}
	value, err := ipns.MarshalPublicKey(pub)
	if err != nil {
		return
	}
	p := r.newPut(ctx, append([]byte("/pk/"), name.Binary()...), value)
	defer p.end()
	_ = p.run(func(event) bool { return true })
}
