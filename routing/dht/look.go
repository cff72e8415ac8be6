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
	// looks is how many servers are asked what they hold before they are given a
	// record: as many as should have it.
	looks = replicas

	// clocks is how many servers, each of another IP group, are asked behind a
	// record when they took it: by their clock, that is what time it is.
	clocks = 4

	// clockPatience is how long that answer is waited for once the record is taken.
	clockPatience = 50 * time.Millisecond
)

// errNewer says that a server has a newer record, so that it is given none.
var errNewer = errors.New("the server has a newer record")

// looking is what a put finds out beside.
type looking struct {
	name   ipns.Name
	rec    *ipns.Record
	look   int                   // servers that are still to be looked at
	clock  int                   // clocks that are still to be read
	groups map[netip.Prefix]bool // whose clocks are read
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

// offering is one value on its way to one server. What the server holds is asked
// ahead of it and its clock behind it, all on one stream, where servers answer in
// order: that costs no round trip.
//
// Where a server refuses, the stream is reset and its answers are lost with it.
// Then the link sends them again one by one, the question first; an answer with
// a newer record saves the value.
type offering struct {
	put    *put
	node   *node
	before bool // ask what it holds
	clock  bool // ask its clock

	ctx   context.Context
	value context.Context // of the value and what follows it: ends with spare
	spare context.CancelFunc
	done  chan result

	// Set by the link before it ends the question's call.
	held  *ipns.Record // what it held, if that is another record
	past  time.Time    // when it took that, by its clock
	newer bool         // held is newer than the value
}

// The tags of the calls of an offering, in the order in which they are sent.
const (
	tagBefore = iota
	tagValue
	tagClock
)

// newOffering decides what is asked of a node beside.
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

// run sends the value and returns what became of it.
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

// calls makes the requests in their order.
func (o *offering) calls() ([]*call, error) {
	p := o.put
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

// heldBefore looks at the answer to the question. It is called by the link, before
// that sends anything more.
func (o *offering) heldBefore(m *pb.Message) {
	l := o.put.looking
	have := o.put.r.recordIn(m, l.name)
	if have == nil || bytes.Equal(have.Raw(), o.put.value) {
		return // its own value, if the answer to it was lost
	}
	o.held, o.past = have, receivedAt(m.GetRecord())
	if o.newer = ipns.Compare(have, l.rec) > 0; o.newer {
		o.spare()
	}
}

// await waits for the answers.
func (o *offering) await() event {
	e := event{}
	var late <-chan time.Time // nil: the value is not taken yet
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
			case r := <-o.done: // an answer at the last moment is one
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

// got takes one answer in and reports whether another is to be waited for.
func (o *offering) got(e *event, r result) bool {
	switch r.tag {
	case tagBefore:
		if r.err != nil {
			return true // it says nothing; what becomes of the value shows the rest
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
		if e.err == nil && !bytes.Equal(r.msg.GetRecord().GetValue(), o.put.value) {
			e.err = errNotConfirmed
		}
		return e.err == nil && o.clock
	}
	if have := r.msg.GetRecord(); r.err == nil && bytes.Equal(have.GetValue(), o.put.value) {
		if at := receivedAt(have); !at.IsZero() {
			// It took the value half a round trip before the answer was here.
			e.clock = &routing.Clock{Time: at, Ago: r.rtt / 2, Group: o.node.group}
		}
	}
	return false
}

// settle keeps the map's books. A server that refuses does not say why, so it is
// asked what it has, unless it has told.
func (o *offering) settle(e event) event {
	r, id := o.put.r, o.node.id
	switch {
	case e.err == nil, errors.Is(e.err, errNewer):
		r.servers.answer(id, e.rtt, time.Now())
	case o.ctx.Err() == nil && !errors.Is(e.err, errRefused):
		r.servers.fail(id, time.Now())
	}
	if errors.Is(e.err, errRefused) && o.put.newer != nil {
		e.newer = o.put.newer(o.ctx, id)
	}
	return e
}

// receivedAt is when a server says that it took a record; zero if it does not.
func receivedAt(have *recpb.Record) time.Time {
	at, err := time.Parse(time.RFC3339Nano, have.GetTimeReceived())
	if err != nil {
		return time.Time{}
	}
	return at
}
