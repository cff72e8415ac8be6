package dht

import (
	"context"
	"encoding/hex"
	"errors"
	"hash/maphash"
	"math"
	"sync"
	"time"

	pb "github.com/libp2p/go-libp2p-kad-dht/pb"
	kbucket "github.com/libp2p/go-libp2p-kbucket"
	"github.com/libp2p/go-libp2p/core/peer"

	"github.com/goipns/ipns"
	"github.com/goipns/ipns/internal/keyspace"
	"github.com/goipns/ipns/routing"
)

const (
	// replicas is how many of the closest servers should hold a record.
	replicas = 20

	// maxNamed is how many servers are used from one answer.
	maxNamed = 40

	// seeds is how many servers a lookup takes from the routing table and from the
	// map to start with: more than should hold a record, since some may be dead.
	seeds = 3 * replicas

	// askTimeout bounds a query and putTimeout a put to one server, including the dial.
	askTimeout = 10 * time.Second
	putTimeout = 30 * time.Second
)

// lookup runs one walk: it sends the queries and feeds the answers back. Only the
// requests run in goroutines of their own.
type lookup struct {
	*walk
	r        *Router
	key      []byte // the routing key sent to servers
	ctx      context.Context
	cancel   context.CancelFunc
	wg       sync.WaitGroup
	events   chan event
	inFlight int // requests in flight

	reached  bool // a server has answered, even if only with a refusal
	surveyed bool // survey has started
}

// event is the end of one request.
type event struct {
	node *node
	kind eventKind
	answer
	err   error
	newer *ipns.Record // the newer record for which a server refused ours
	found []contact    // servers found by the survey

	// Results of a put's routing.Look.
	look   *pb.Message    // the answer to the query before the put
	before *ipns.Record   // the record that the server held before
	clock  *routing.Clock // the server's clock
}

type eventKind uint8

const (
	eventTime     eventKind = iota // no request ended: a timer fired
	eventAsked                     // a query for closer servers, or for a record
	eventNamed                     // a query for a server's own neighbours
	eventSurveyed                  // the survey
	eventPut                       // a put to one server
)

// newLookup returns a lookup that starts from the servers in the map and the routing
// table. The caller must call end.
func (r *Router) newLookup(ctx context.Context, key []byte) *lookup {
	ctx, cancel := context.WithCancel(ctx)
	l := &lookup{
		walk: newWalk(keyspace.KeyOf(key)), r: r, key: key,
		ctx: ctx, cancel: cancel, events: make(chan event),
	}
	now := time.Now()
	if size, ok := r.size(); ok {
		l.radius = replicas / size
	}
	for i, c := range r.servers.closest(l.target, seeds, now) {
		l.add(c, uint8(i%paths))
	}
	store := r.host.Peerstore()
	for i, p := range r.table.NearestPeers(kbucket.ID(l.target[:]), seeds) {
		for _, conn := range r.host.Network().ConnsToPeer(p) {
			r.servers.connected(p, conn.Stat().Opened)
		}
		c, ok, known := r.servers.noteSeen(p, now)
		if !known {
			c, ok = r.servers.noteAddrs(p, r.filter(store.Addrs(p)), now)
		}
		if ok {
			l.add(c, uint8(i%paths))
		}
	}
	return l
}

// end stops all requests and waits for their goroutines.
func (l *lookup) end() {
	l.cancel()
	l.wg.Wait()
	if l.dense() {
		l.r.log.Warn("too many servers are close to a key: someone may be trying to hide its records",
			"network", l.r.network, "key", hex.EncodeToString(l.target[:]))
	}
}

// send runs f, which sends a request to a node, and delivers its result as an event.
func (l *lookup) send(n *node, kind eventKind, timeout time.Duration, f func(context.Context) event) {
	l.inFlight++
	l.wg.Go(func() {
		ctx, cancel := context.WithTimeout(l.ctx, timeout)
		defer cancel()
		e := f(ctx)
		e.node, e.kind = n, kind
		select {
		case l.events <- e:
		case <-l.ctx.Done():
		}
	})
}

// ask queries a node for closer servers and, depending on typ, for the record.
func (l *lookup) ask(n *node, typ pb.Message_MessageType, now time.Time) {
	n.state, n.asked = asked, now
	m := pb.NewMessage(typ, l.key, 0)
	l.send(n, eventAsked, askTimeout, func(ctx context.Context) event {
		a, err := l.r.request(ctx, n.id, m)
		return event{answer: a, err: err}
	})
}

// askNeighbours asks a node for the servers closest to itself.
func (l *lookup) askNeighbours(n *node) {
	m := pb.NewMessage(pb.Message_FIND_NODE, []byte(n.id), 0)
	l.send(n, eventNamed, askTimeout, func(ctx context.Context) event {
		a, err := l.r.request(ctx, n.id, m)
		return event{answer: a, err: err}
	})
}

// survey explores the region around the target using other keys, once, if the
// closest servers are too dense: a query for the target itself would only ever
// return those.
func (l *lookup) survey() {
	if l.surveyed || !l.dense() {
		return
	}
	l.surveyed = true
	bits := int(-math.Log2(denseReach * l.radius))
	around := keyspace.RegionOf(l.target, max(bits, 0))
	keys, err := cellKeys(around, around.Bits+cellStep)
	if err != nil {
		return
	}
	var crowd []peer.ID // not queried: they would name each other
	for _, n := range l.sorted {
		if distance(l.target, n.key) < denseShare*l.radius {
			crowd = append(crowd, n.id)
		}
	}
	l.inFlight++
	l.wg.Go(func() {
		e := &exploration{r: l.r, ctx: l.ctx}
		var cells sync.WaitGroup
		for _, key := range keys {
			cells.Go(func() { e.cell(key, crowd) })
		}
		cells.Wait()
		select {
		case l.events <- event{kind: eventSurveyed, found: l.r.servers.within(around, time.Now())}:
		case <-l.ctx.Done():
		}
		e.wg.Wait()
	})
}

func (l *lookup) handleAnswer(e event) {
	if e.kind == eventSurveyed {
		for i, c := range e.found {
			l.add(c, uint8(i%paths))
		}
		return
	}
	if e.err != nil && e.kind == eventNamed {
		return
	}
	if e.err != nil {
		e.node.state = failed
		e.node.timedOut = errors.Is(e.err, context.DeadlineExceeded) || errors.Is(e.err, errStalled)
		return
	}
	if e.kind == eventAsked {
		e.node.state = answered
	}
	for _, c := range l.r.learn(e.node.id, e.msg.GetCloserPeers()) {
		l.add(c, e.node.path)
	}
}

// wait waits for the next event: the end of a request, a node becoming late, or the
// time at if it is not zero.
func (l *lookup) wait(at time.Time) (event, error) {
	now := time.Now()
	if t, ok := l.wakeAt(now); ok && (at.IsZero() || t.Before(at)) {
		at = t
	}
	var alarm <-chan time.Time
	if !at.IsZero() {
		timer := time.NewTimer(max(at.Sub(now), 0))
		defer timer.Stop()
		alarm = timer.C
	}
	select {
	case e := <-l.events: // makes tests deterministic: an event comes before an alarm of the same time
		l.requestDone(e)
		return e, nil
	default:
	}
	select {
	case e := <-l.events:
		l.requestDone(e)
		return e, nil
	case <-alarm:
		return event{}, nil
	case <-l.ctx.Done():
		return event{}, l.ctx.Err()
	}
}

func (l *lookup) requestDone(e event) {
	l.inFlight--
	l.reached = l.reached || e.node != nil && (e.err == nil || errors.Is(e.err, errRefused))
}

// learn adds the servers named in an answer from namer to the map and returns those
// worth querying.
func (r *Router) learn(namer peer.ID, named []*pb.Message_Peer) []contact {
	now := time.Now()
	var contacts []contact
	for _, p := range named[:min(len(named), maxNamed)] {
		id := peer.ID(p.GetId())
		if id == r.host.ID() {
			continue
		}
		// Most answers name known servers. Parsing all their addresses again would
		// be most of the work of a lookup.
		said := hashAddrs(p.GetAddrs())
		c, ok, known := r.servers.noteUnchanged(id, said, now)
		if !known {
			c, ok = r.servers.noteNamed(id, namer, said, r.filter(p.Addresses()), now)
		}
		if ok {
			contacts = append(contacts, c)
		}
	}
	return contacts
}

// addrsSeed is random per process, so that nobody can construct two address lists
// with the same hash. A saved Map contains no hashes.
var addrsSeed = maphash.MakeSeed()

// hashAddrs returns the hash of an address list as sent by a server; never 0.
func hashAddrs(addrs [][]byte) uint64 {
	var h maphash.Hash
	h.SetSeed(addrsSeed)
	for _, a := range addrs {
		maphash.WriteComparable(&h, len(a))
		_, _ = h.Write(a) // it never fails
	}
	return max(h.Sum64(), 1)
}

// request sends a message to a server and updates the map with the result.
func (r *Router) request(ctx context.Context, p peer.ID, m *pb.Message) (answer, error) {
	a, err := r.sender.request(ctx, p, m)
	switch {
	case err == nil:
		now := time.Now()
		r.servers.answer(p, a.rtt, now)
		r.answered.Store(now.UnixNano())
	case routing.Allowed(ctx) == nil && !errors.Is(err, errRefused):
		r.servers.fail(p, time.Now())
	}
	return a, err
}
