package dht

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	pb "github.com/libp2p/go-libp2p-kad-dht/pb"
	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/peer"

	"github.com/goipns/ipns"
	"github.com/goipns/ipns/routing"
)

// A visit ends when the server has refused more than refusals records plus one for
// every refusalShare records that it took. Each refusal costs up to a window of round
// trips.
const (
	refusals     = 16
	refusalShare = 4
)

var (
	// errLost says that a server could not be reached, was lost, or took too long.
	errLost = errors.New("the server was lost")
	// errUnwilling says that the visit ended because of too many refusals.
	errUnwilling = errors.New("the server refuses too much")
	// errLate says that a server took too long.
	errLate = errors.New("the server takes too long")
)

// visit is one server and the items to send to it. While the visit runs it belongs to
// its goroutine, before and after that to the sweep.
type visit struct {
	target   *target
	first    bool  // the sweep's first visit to this server
	items    []int // indexes into the sweep's items
	outcomes []outcome
}

// outcome is what a server did with one item. err is or wraps errLost if the server
// was lost before it answered.
type outcome struct {
	told  bool
	rtt   time.Duration
	err   error
	newer *ipns.Record
	have  *ipns.Record // the record in the answer to a query
}

// visit sends a server its items, all on one stream. The first visit starts with two
// queries: for a record that the server took in an earlier sweep, which shows how long
// it keeps records, and for the server's own neighbours.
func (r *Router) visit(ctx context.Context, v *visit, items []item) {
	p := v.target.id
	if r.host.Network().Connectedness(p) != network.Connected {
		v.target.made.Store(true)
	}
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	patience := time.AfterFunc(putTimeout, func() { cancel(errLate) })
	defer patience.Stop()

	var questions []question
	if v.first {
		questions = r.questions(p)
	}
	v.outcomes = make([]outcome, len(v.items))
	taken, refused := 0, 0
	err := r.sender.batch(ctx, p, len(questions)+len(v.items), func(i int) ([]byte, error) {
		if i < len(questions) {
			return encodeFrame(questions[i].message)
		}
		return items[v.items[i-len(questions)]].frame, nil
	}, func(i int, a answer, err error) error {
		patience.Reset(putTimeout)
		if i < len(questions) {
			if err == nil {
				questions[i].answered(a)
			}
			return nil
		}
		i -= len(questions)
		it, have := &items[v.items[i]], (*ipns.Record)(nil)
		switch {
		case err != nil:
		case it.rec == nil:
			have = r.recordIn(a.msg, it.name)
		case !bytes.Equal(a.msg.GetRecord().GetValue(), it.rec.Raw()):
			err = errNotConfirmed
		}
		if err == nil {
			taken++
		} else {
			refused++
		}
		v.outcomes[i] = outcome{told: true, rtt: a.rtt, err: err, have: have}
		if refused > refusals+taken/refusalShare {
			return errUnwilling
		}
		return nil
	})
	r.settle(ctx, v, items, err)
	if v.target.made.Load() && r.host.Network().Connectedness(p) == network.Connected {
		r.sender.dropWhenIdle(p, r.drop)
	}
}

// drop closes a connection that was opened for a visit: a sweep connects to every
// server of the network, which is too many to keep. It keeps a connection that others
// use now. kad-dht's own outbound streams do not count as use: it opens one on every
// connection, to check that the peer answers.
func (r *Router) drop(p peer.ID) {
	conns := r.host.ConnManager()
	if tags := conns.GetTagInfo(p); conns.IsProtected(p, "") || tags != nil && tags.Value > 0 {
		return
	}
	for _, c := range r.host.Network().ConnsToPeer(p) {
		for _, s := range c.GetStreams() {
			id, inbound := s.Protocol(), s.Stat().Direction == network.DirInbound
			// identify also runs on every connection.
			if id != "" && !strings.HasPrefix(string(id), "/ipfs/id/") && (id != r.sender.protocol || inbound) {
				return
			}
		}
	}
	_ = r.host.Network().ClosePeer(p)
}

// question is a query that a visit sends in addition to its items.
type question struct {
	message  *pb.Message
	answered func(answer)
}

// questions returns the queries for a sweep's first visit to a server.
func (r *Router) questions(p peer.ID) []question {
	neighbours := question{pb.NewMessage(pb.Message_FIND_NODE, []byte(p), 0), func(a answer) {
		r.learn(p, a.msg.GetCloserPeers())
	}}
	s, ok := r.keeps.sampleOf(p, time.Now())
	if !ok {
		return []question{neighbours}
	}
	return []question{{pb.NewMessage(pb.Message_GET_VALUE, s.name.RoutingKey(), 0), func(a answer) {
		rec := r.recordIn(a.msg, s.name)
		r.keeps.note(s, s.in(rec), time.Now())
	}}, neighbours}
}

// settle records the result of a visit: in the map, as a sample for later sweeps, and
// as an error for each item without an answer. For each refused record it queries the
// server for a newer one.
func (r *Router) settle(ctx context.Context, v *visit, items []item, err error) {
	now, p := time.Now(), v.target.id
	switch {
	case err == nil, errors.Is(err, errUnwilling):
	case errors.Is(err, routing.ErrNotHeld): // that is not the server's fault
		err = fmt.Errorf("%w: %w", errLost, err)
	case errors.Is(context.Cause(ctx), errLate):
		r.servers.fail(p, now)
		err = fmt.Errorf("%w: %w", errLost, errLate)
	case ctx.Err() != nil:
		err = fmt.Errorf("%w: %w", errLost, err)
	default:
		r.servers.fail(p, now)
		err = fmt.Errorf("%w: %w", errLost, err)
	}
	var taken *ipns.Record // the last one taken
	for i := range v.outcomes {
		o, rec := &v.outcomes[i], items[v.items[i]].rec
		switch {
		case !o.told:
			o.err = err
		case rec == nil:
		case o.err == nil:
			taken = rec
		case errors.Is(o.err, errRefused) && ctx.Err() == nil:
			o.newer = r.newerThan(ctx, p, rec)
		}
	}
	if taken != nil {
		r.keeps.sample(p, sample{taken.Name(), taken.Sequence(), taken.Value(), now})
	}
	if first := v.outcomes[0]; first.told && err == nil {
		r.servers.answer(p, first.rtt, now)
	}
}

// newerThan queries a server that refused rec and returns its record if that is newer,
// else nil.
func (r *Router) newerThan(ctx context.Context, p peer.ID, rec *ipns.Record) *ipns.Record {
	have, err := r.fetch(ctx, p, rec.Name())
	if err != nil || have == nil || ipns.Compare(have, rec) <= 0 {
		return nil
	}
	return have
}
