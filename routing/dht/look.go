package dht

import (
	"bytes"
	"context"
	"errors"
	"net/netip"
	"time"

	pb "github.com/libp2p/go-libp2p-kad-dht/pb"
	record "github.com/libp2p/go-libp2p-record"
	recpb "github.com/libp2p/go-libp2p-record/pb"

	"github.com/goipns/ipns"
	"github.com/goipns/ipns/routing"
)

const (
	// looks is how many servers are queried for the record they hold before they are sent
	// the new one.
	looks = replicas

	// nearLooks replaces looks if the servers are near, where processing takes most of
	// the time. It is enough to detect a concurrent publish: of two nodes that publish at
	// the same time, one comes second at each of these servers.
	nearLooks = 3

	// clocks is how many servers, each in a different IP group, are queried after the
	// put for the time at which they received the record, which shows their clock.
	clocks = 4

	// clockPatience is how long to wait for that answer once the record is taken.
	clockPatience = 50 * time.Millisecond
)

// errNewer says that a server has a newer record, and so was not sent ours.
var errNewer = errors.New("the server has a newer record")

// looking is the state of a put's routing.Look.
type looking struct {
	name   ipns.Name
	rec    *ipns.Record
	look   int                   // servers still to query for their record
	clock  int                   // clocks still to read
	groups map[netip.Prefix]bool // IP groups whose clocks are read
}

func newLooking(rec *ipns.Record, look routing.Look) *looking {
	l := &looking{name: rec.Name(), rec: rec}
	if look.Before {
		l.look = looks
	}
	if look.Clock {
		l.clock, l.groups = clocks, make(map[netip.Prefix]bool)
	}
	return l
}

// offering is the put of one value to one server. A query for the server's current
// record may precede it, and one for its clock may follow. All are pipelined on one
// stream, so they take no extra round trip.
//
// If the server refuses, it resets the stream and the answers are lost. The link then
// sends the calls again one by one, the query first; if that returns a newer record,
// the value is not sent.
type offering struct {
	put    *put
	node   *node
	before bool // query its record first
	clock  bool // query its clock afterwards

	ctx   context.Context
	value context.Context // of the value and the clock query; cancelled by spare
	spare context.CancelFunc
	done  chan result

	// Set by the link before it ends the call of the first query.
	held  *ipns.Record // the record it held, if different
	past  time.Time    // when it received that, by its clock
	newer bool         // held is newer than the value
}

// Tags of the calls of an offering, in sending order.
const (
	tagBefore = iota
	tagValue
	tagClock
)

// newOffering decides which extra queries to send to a node.
func (p *put) newOffering(n *node) *offering {
	o := &offering{put: p, node: n}
	l := p.looking
	if l == nil {
		return o
	}
	if l.look > 0 {
		l.look--
		o.before = true
	}
	if l.clock > 0 && n.group.IsValid() && !l.groups[n.group] {
		l.clock--
		l.groups[n.group] = true
		o.clock = true
	}
	return o
}

// run sends the value and returns the result.
func (o *offering) run(ctx context.Context) event {
	o.ctx = ctx
	o.value, o.spare = context.WithCancel(ctx)
	defer o.spare()
	o.done = make(chan result, tagClock+1)
	calls, err := o.calls()
	if err == nil {
		err = o.put.r.sender.enqueue(o.node.id, calls...)
	}
	if err != nil {
		return event{err: err}
	}
	defer o.put.r.sender.abandoned(o.node.id)
	return o.await()
}

// calls returns the calls in sending order.
func (o *offering) calls() ([]*call, error) {
	p := o.put
	if p.announcement != nil {
		return []*call{{ctx: o.value, frame: p.announcement, tag: tagValue, done: o.done}}, nil
	}
	get := pb.NewMessage(pb.Message_GET_VALUE, p.key, 0)
	value := pb.NewMessage(pb.Message_PUT_VALUE, p.key, 0)
	value.Record = record.MakePutRecord(string(p.key), p.value)
	messages := []struct {
		tag  int
		on   bool
		what *pb.Message
	}{{tagBefore, o.before, get}, {tagValue, true, value}, {tagClock, o.clock, get}}
	var calls []*call
	for _, m := range messages {
		if !m.on {
			continue
		}
		frame, err := encodeFrame(m.what)
		if err != nil {
			return nil, err
		}
		c := &call{ctx: o.value, frame: frame, tag: m.tag, done: o.done}
		if m.tag == tagBefore {
			c.ctx, c.got = o.ctx, o.heldBefore
		}
		calls = append(calls, c)
	}
	return calls, nil
}

// heldBefore handles the answer to the first query. The link calls it before it sends
// anything else.
func (o *offering) heldBefore(m *pb.Message) {
	l := o.put.looking
	have := o.put.r.recordIn(m, l.name)
	if have == nil || bytes.Equal(have.Raw(), o.put.value) {
		return // the same value: an earlier answer was lost
	}
	o.held, o.past = have, receivedAt(m.GetRecord())
	if o.newer = ipns.Compare(have, l.rec) > 0; o.newer {
		o.spare()
	}
}

// await waits for the answers.
func (o *offering) await() event {
	e := event{}
	var late <-chan time.Time // nil until the value is taken
	for waiting := true; waiting; {
		select {
		case r := <-o.done:
			waiting = o.got(&e, r)
			if r.tag == tagValue && waiting {
				t := time.NewTimer(clockPatience)
				defer t.Stop()
				late = t.C
			}
		case <-late:
			waiting = false
		case <-o.ctx.Done():
			select {
			case r := <-o.done: // an answer that came at the same time still counts
				waiting = o.got(&e, r)
			default:
				if late == nil {
					e.err = o.ctx.Err()
				}
				waiting = false
			}
		}
	}
	return o.settle(e)
}

// got handles one answer and reports whether to wait for another.
func (o *offering) got(e *event, r result) bool {
	switch r.tag {
	case tagBefore:
		if r.err != nil {
			return true // inconclusive; the put itself decides
		}
		e.look = r.msg
		if e.before = o.held; o.newer {
			e.newer, e.err, e.rtt = o.held, errNewer, r.rtt
			return false
		}
		if !o.past.IsZero() {
			e.clock = &routing.Clock{Time: o.past, Past: true, Group: o.node.group}
		}
		return true
	case tagValue:
		e.answer, e.err = r.answer, r.err
		if e.err == nil && o.put.announcement == nil && !bytes.Equal(r.msg.GetRecord().GetValue(), o.put.value) {
			e.err = errNotConfirmed
		}
		return e.err == nil && o.clock
	}
	if have := r.msg.GetRecord(); r.err == nil && bytes.Equal(have.GetValue(), o.put.value) {
		if at := receivedAt(have); !at.IsZero() {
			// It received the value about half a round trip ago.
			e.clock = &routing.Clock{Time: at, Ago: r.rtt / 2, Group: o.node.group}
		}
	}
	return false
}

// settle updates the map with the result. A refusal carries no reason, so settle
// queries the server for a newer record.
func (o *offering) settle(e event) event {
	r, id := o.put.r, o.node.id
	switch {
	case e.err == nil, errors.Is(e.err, errNewer):
		r.servers.answer(id, e.rtt, time.Now())
	case routing.Allowed(o.ctx) == nil && !errors.Is(e.err, errRefused):
		r.servers.fail(id, time.Now())
	}
	if errors.Is(e.err, errRefused) && o.put.newer != nil {
		e.newer = o.put.newer(o.ctx, id)
	}
	return e
}

// receivedAt returns when a server says it received a record; zero if it does not say.
func receivedAt(have *recpb.Record) time.Time {
	at, err := time.Parse(time.RFC3339Nano, have.GetTimeReceived())
	if err != nil {
		return time.Time{}
	}
	return at
}
