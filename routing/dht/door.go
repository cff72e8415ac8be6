package dht

import (
	"context"
	"sync"
	"time"

	pb "github.com/libp2p/go-libp2p-kad-dht/pb"
	recpb "github.com/libp2p/go-libp2p-record/pb"
	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/peer"
)

const (
	// paceEvery is the time between two things that others put while more than half
	// of the room is taken, refused or not: a flood gets no more of this machine.
	paceEvery = time.Millisecond

	// paceWait is the longest that one waits.
	paceWait = time.Second
)

// A door sees each request to this node's server before kad-dht handles it. It
// remembers who puts a value, and turns away what there is no room for before work
// is done on it.
type door struct {
	values    *valueStore
	providers *providerStore
	pace      pace
}

func (d *door) request(ctx context.Context, from network.Stream, req *pb.Message) {
	who := from.Conn().RemotePeer()
	switch req.GetType() {
	case pb.Message_PUT_VALUE:
		rec := req.GetRecord()
		if rec == nil {
			return
		}
		room := d.values.room(rec, who)
		if !room || d.values.budget.crowded() {
			d.pace.wait(ctx)
		}
		if !room {
			req.Record = nil // kad-dht refuses that
			return
		}
		d.values.senders.note(rec.GetKey(), rec.GetValue(), peerHash(who))
	case pb.Message_ADD_PROVIDER:
		if d.providers.budget.crowded() {
			d.pace.wait(ctx) // what there is no room for is dropped later, without a word
		}
	}
}

// room reports whether there is room for a value of a peer.
func (s *valueStore) room(rec *recpb.Record, who peer.ID) bool {
	return len(rec.GetValue()) <= maxStored && !s.scarce() &&
		s.budget.room(string(rec.GetKey()), storedSize(rec), peerHash(who))
}

// pace lets one through at a time.
type pace struct {
	mu   sync.Mutex
	next time.Time
}

// wait returns when it is the caller's turn, or it has waited long enough.
func (p *pace) wait(ctx context.Context) {
	p.mu.Lock()
	now := time.Now()
	if p.next.Before(now) {
		p.next = now
	}
	wait := min(p.next.Sub(now), paceWait)
	p.next = now.Add(wait + paceEvery)
	p.mu.Unlock()
	if wait == 0 {
		return
	}
	t := time.NewTimer(wait)
	defer t.Stop()
	select {
	case <-t.C:
	case <-ctx.Done():
	}
}
