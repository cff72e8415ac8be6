package dht

import (
	"bytes"
	"context"
	"errors"
	"time"

	pb "github.com/libp2p/go-libp2p-kad-dht/pb"
	record "github.com/libp2p/go-libp2p-record"
	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/peer"

	"github.com/goipns/ipns"
)

// visit is one server and the records that it is to be given. It belongs to the
// goroutine that makes it, before and after to the sweep.
type visit struct {
	server   peer.ID
	records  []int     // into the sweep's records
	outcomes []outcome // of the first len(outcomes) records
	err      error     // why the rest was not given to it
}

// outcome is what a server did with one record.
type outcome struct {
	rtt   time.Duration
	err   error
	newer *ipns.Record
}

// outcome returns what became of the record at place i of the visit.
func (v *visit) outcome(i int) outcome {
	if i < len(v.outcomes) {
		return v.outcomes[i]
	}
	return outcome{err: v.err}
}

// errLate says that a server took too long.
var errLate = errors.New("the server takes too long")

// visit gives a server its records, all on one stream, and asks it for its own
// neighbours.
func (r *Router) visit(ctx context.Context, v *visit, records []*ipns.Record) {
	was := r.host.Network().Connectedness(v.server)
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	patience := time.AfterFunc(putTimeout, func() { cancel(errLate) })
	defer patience.Stop()

	last := len(v.records)
	v.err = r.sender.batch(ctx, v.server, last+1, func(i int) *pb.Message {
		if i == last {
			return pb.NewMessage(pb.Message_FIND_NODE, []byte(v.server), 0)
		}
		rec := records[v.records[i]]
		key := rec.Name().RoutingKey()
		m := pb.NewMessage(pb.Message_PUT_VALUE, key, 0)
		m.Record = record.MakePutRecord(string(key), rec.Raw())
		return m
	}, func(i int, a answer, err error) {
		if i == last {
			if err == nil {
				r.learn(a.msg.GetCloserPeers())
			}
			return
		}
		patience.Reset(putTimeout)
		if err == nil && !bytes.Equal(a.msg.GetRecord().GetValue(), records[v.records[i]].Raw()) {
			err = errNotConfirmed
		}
		v.outcomes = append(v.outcomes, outcome{rtt: a.rtt, err: err})
	})
	r.settle(ctx, v)
	for i := range v.outcomes {
		if errors.Is(v.outcomes[i].err, errRefused) {
			v.outcomes[i].newer = r.newerThan(ctx, v.server, records[v.records[i]])
		}
	}
	if was != network.Connected && !r.host.ConnManager().IsProtected(v.server, "") {
		// A sweep meets every server of the network: they are not worth keeping.
		_ = r.host.Network().ClosePeer(v.server)
	}
}

// settle notes in the map how the server behaved.
func (r *Router) settle(ctx context.Context, v *visit) {
	now := time.Now()
	if len(v.outcomes) > 0 {
		r.servers.answer(v.server, v.outcomes[0].rtt, now)
	}
	if errors.Is(context.Cause(ctx), errLate) {
		v.err = errLate
	}
	if errors.Is(v.err, errLate) || errors.Is(v.err, errDeadEnd) {
		r.servers.fail(v.server, now)
	}
}

// newerThan asks a server that refused a record whether it has a newer one, and
// for it.
func (r *Router) newerThan(ctx context.Context, p peer.ID, rec *ipns.Record) *ipns.Record {
	have, err := r.fetch(ctx, p, rec.Name())
	if err != nil || have == nil || ipns.Compare(have, rec) <= 0 {
		return nil
	}
	return have
}
