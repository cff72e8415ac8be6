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
	// replicas is how many servers should hold a record: the closest to it.
	replicas = 20

	// maxNamed is how many servers are believed of those that one answer names.
	maxNamed = 40

	// seeds is how many servers a lookup starts from, of the routing table and
	// of the map: more than should hold a record, since some may be dead.
	seeds = 3 * replicas

	// askTimeout bounds a question, putTimeout a record, the dial included.
	askTimeout = 10 * time.Second
	putTimeout = 30 * time.Second
)

// lookup runs one walk: it sends its questions and hears the answers. All is
// done by the goroutine that calls its methods, but for the requests.
type lookup struct {
	*walk
	r      *Router
	key    []byte // the routing key as it is sent
	ctx    context.Context
	cancel context.CancelFunc
	wg     sync.WaitGroup
	events chan event
	flying int // requests under way

	reached  bool // somebody has answered, if only by a refusal
	surveyed bool // the surroundings have been asked for by other keys
}

// event is the end of one request.
type event struct {
	node *node
	kind eventKind
	answer
	err   error
	newer *ipns.Record // what a server has that refused a record for it
	found []contact    // by the survey

	// Of a record, if that was asked for.
	look   *pb.Message    // the answer of a server that was asked what it held
	before *ipns.Record   // what that was
	clock  *routing.Clock // what its clock said
}

type eventKind uint8

const (
	eventTime     eventKind = iota // no request ended: time has passed
	eventAsked                     // a question for closer servers, or for a record
	eventNamed                     // a question for a server's own neighbours
	eventSurveyed                  // the survey
	eventPut                       // a record
)

// newLookup prepares a lookup that starts from what this node knows. end ends it.
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
		l.hear(c, uint8(i%paths))
	}
	store := r.host.Peerstore()
	for i, p := range r.table.NearestPeers(kbucket.ID(l.target[:]), seeds) {
		c, ok, known := r.servers.hearOf(p, now)
		if !known {
			c, ok = r.servers.hear(p, r.filter(store.Addrs(p)), now)
		}
		if ok {
			l.hear(c, uint8(i%paths))
		}
	}
	return l
}

// end stops all requests and waits for their goroutines.
func (l *lookup) end() {
	l.cancel()
	l.wg.Wait()
	if l.dense() {
		l.r.log.Warn("servers crowd around a key: somebody may want to hide what belongs there",
			"network", l.r.network, "key", hex.EncodeToString(l.target[:]))
	}
}

// send lets f send a request to a node; what it returns becomes an event.
func (l *lookup) send(n *node, kind eventKind, timeout time.Duration, f func(context.Context) event) {
	l.flying++
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

// ask asks a node for closer servers and, if typ says so, for the record.
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

// survey looks for the servers around the target by other keys, once, if the
// closest are too dense: everybody names just those when asked for the target.
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
	var crowd []peer.ID // they would name each other
	for _, n := range l.sorted {
		if distance(l.target, n.key) < denseShare*l.radius {
			crowd = append(crowd, n.id)
		}
	}
	l.flying++
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

// heard takes in the answer to a question: the node has answered or failed, and
// whom it names is known.
func (l *lookup) heard(e event) {
	if e.kind == eventSurveyed {
		for i, c := range e.found {
			l.hear(c, uint8(i%paths))
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
		l.hear(c, e.node.path)
	}
}

// wait waits for the next event: the end of a request, a node that begins to
// straggle, or the time at if it is not zero.
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
	case e := <-l.events: // before an alarm at the same moment: chance has no say
		l.landed(e)
		return e, nil
	default:
	}
	select {
	case e := <-l.events:
		l.landed(e)
		return e, nil
	case <-alarm:
		return event{}, nil
	case <-l.ctx.Done():
		return event{}, l.ctx.Err()
	}
}

// landed counts a request that has ended.
func (l *lookup) landed(e event) {
	l.flying--
	l.reached = l.reached || e.node != nil && (e.err == nil || errors.Is(e.err, errRefused))
}

// learn notes in the map the servers that an answer of namer names, and returns
// those that are worth a question.
func (r *Router) learn(namer peer.ID, named []*pb.Message_Peer) []contact {
	now := time.Now()
	var contacts []contact
	for _, p := range named[:min(len(named), maxNamed)] {
		id := peer.ID(p.GetId())
		if id == r.host.ID() {
			continue
		}
		// Most answers name servers that are known. To parse all their addresses
		// again would be most of the work of a lookup.
		said := hashAddrs(p.GetAddrs())
		c, ok, known := r.servers.hearAgain(id, said, now)
		if !known {
			c, ok = r.servers.hearNamed(id, namer, said, r.filter(p.Addresses()), now)
		}
		if ok {
			contacts = append(contacts, c)
		}
	}
	return contacts
}

// addrsSeed is random in each process, so that nobody can construct two lists of
// addresses with the same hash. A saved Map has no hashes.
var addrsSeed = maphash.MakeSeed()

// hashAddrs is the hash of a list of addresses as a server sent it; never 0.
func hashAddrs(addrs [][]byte) uint64 {
	var h maphash.Hash
	h.SetSeed(addrsSeed)
	for _, a := range addrs {
		maphash.WriteComparable(&h, len(a))
		_, _ = h.Write(a) // it never fails
	}
	return max(h.Sum64(), 1)
}

// request sends a message to a server and keeps the map's books.
func (r *Router) request(ctx context.Context, p peer.ID, m *pb.Message) (answer, error) {
	a, err := r.sender.request(ctx, p, m)
	switch {
	case err == nil:
		now := time.Now()
		r.servers.answer(p, a.rtt, now)
		r.answered.Store(now.UnixNano())
	case ctx.Err() == nil && !errors.Is(err, errRefused):
		r.servers.fail(p, time.Now())
	}
	return a, err
}
