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
	"github.com/goipns/ipns/routing"
)

const (
	// putParallel is how many questions a put's walk has under way.
	putParallel = 24

	// initialPuts is how many living servers of the map are given a record at once:
	// some more than should have it, in the place of slow ones. Of servers that
	// have only been named, not answered, a share of unprovenAlive is expected to
	// live.
	initialPuts   = 24
	unprovenAlive = 0.8

	// fastRTT is a median round trip that is so short that nobody waits for the
	// slow: then no server is given a record in the place of another at once, and
	// the walk that verifies waits for the records, with which it would compete.
	fastRTT = 20 * time.Millisecond

	// nearPuts is how many records are under way at once to servers that are so near.
	// There the time goes into the work on them, and the first to be taken would
	// wait for the last.
	nearPuts = 4

	// verifyWidth is how many of the closest servers are asked for closer ones
	// beside a put that relies on the map. In a small network that is near, nobody
	// is asked again for verifyPause: whoever comes meanwhile is in the routing
	// table, where the next put looks.
	verifyWidth = 6
	verifyPause = 10 * time.Second

	// widenBy is how many of the outermost servers are asked for their own
	// neighbours in the end. Servers name dead ones among the 20 closest to the
	// record, and then nobody has named the last of those that live.
	widenBy = 3
)

// errNotConfirmed says that a server answered with something else than the
// value that it was given.
var errNotConfirmed = errors.New("the server did not confirm the record")

// Put offers the record to the 20 servers closest to its name. This node's own
// server keeps it too, which is not counted.
//
// Where the map is good all are offered it at once, and a walk beside verifies
// that nobody closer is missing; where it is not, servers are offered it as the
// walk comes to those that are close enough. Servers that fail are replaced by
// the next closest. The last Acks are those of slow servers: what matters is
// settled long before.
//
// For a name that does not contain its key the key is put beside the record; the
// Acks do not tell of it, since the record contains the key as well.
func (r *Router) Put(ctx context.Context, rec *ipns.Record, look routing.Look) iter.Seq2[routing.Ack, error] {
	return func(yield func(routing.Ack, error) bool) {
		name := rec.Name()
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
		if err != nil && !errors.Is(err, errStopped) {
			yield(routing.Ack{}, fmt.Errorf("putting %s: %w", name, err))
		}
		if err == nil {
			key.Wait() // it is put even where all have taken the record already
		}
	}
}

// errStopped says that the caller wants no more.
var errStopped = errors.New("stopped by the caller")

// put puts one value on the servers closest to its key.
type put struct {
	*lookup
	value    []byte
	reach    reach
	begun    bool // the first values have been sent
	fast     bool // and servers are near
	verified bool // by a walk just before this put
	wide     bool // the outermost servers have been asked

	looking *looking // what it finds out beside; nil: nothing

	// newer asks a server that refused whether it has something newer, and for
	// it. Nil: that cannot be.
	newer func(context.Context, peer.ID) *ipns.Record
}

func (r *Router) newPut(ctx context.Context, key, value []byte) *put {
	return &put{lookup: r.newLookup(ctx, key), value: value}
}

// run puts the value until every server that should have it has taken it,
// refused it or failed, and tells done of each, and of each moment at which
// something else changed by a zero event. It ends early when done returns false.
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
				p.verified = false // something has changed
			}
			if p.fast && e.look != nil && e.node.state == known {
				// The walk that verifies comes later, and need not ask it again.
				p.handleAnswer(event{node: e.node, kind: eventAsked, answer: answer{msg: e.look}})
			}
		}
		if !done(e) {
			return errStopped
		}
	}
}

// advance sends what is to be sent now: the value to servers that should have
// it, and questions to those that may know closer ones.
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
	if converged && !p.wide {
		p.wide = true
		p.r.noteWalk(now)
		live := p.live(replicas, now)
		for _, n := range live[max(0, len(live)-widenBy):] {
			p.askNeighbours(n)
		}
	}
}

// targets are the nodes that should have the value, as far as is known.
func (p *put) targets(now time.Time) []*node {
	if !p.reach.trusted || p.begun {
		return p.wanted(replicas, now)
	}
	p.begun = true
	if near := p.live(replicas, now); medianRTT(near) < fastRTT {
		p.fast, p.verified = true, p.r.walkedLately(now)
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

// noteWalk notes that a walk has verified what the map knows around a key.
func (r *Router) noteWalk(now time.Time) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.walkedAt = now
}

// walkedLately reports whether the network is so small that the last walk has seen
// most of it, and was made just now.
func (r *Router) walkedLately(now time.Time) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.servers.Len() <= smallNetwork && now.Sub(r.walkedAt) < verifyPause
}

// sending is to how many servers the value is under way and not late.
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

// outcome is what became of the value at the node.
func (e event) outcome() putState {
	switch {
	case e.err == nil:
		return putTaken
	case e.newer != nil:
		return putRefused
	}
	return putFailed
}

// rank is how many nodes that are known to live are closer than n.
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

// keepOwn gives the record to this node's own server. If that fails, or has a
// newer one, the network decides.
func (r *Router) keepOwn(ctx context.Context, rec *ipns.Record) {
	if r.own == nil {
		return
	}
	key := rec.Name().RoutingKey()
	_ = r.own.Put(ctx, string(key), &recpb.Record{Key: key, Value: rec.Raw()})
}

// putKey puts the public key of a name that does not contain it under /pk/.
// Whether that succeeds does not matter to the record.
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
