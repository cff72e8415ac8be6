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
	// paceEvery is the minimum time between two puts by other peers, refused or not,
	// while a budget is crowded. It bounds what a flood costs this machine.
	paceEvery = time.Millisecond

	// paceWait is the longest that one put waits.
	paceWait = time.Second
)

// A door handles each request to this node's server before kad-dht does. It records
// the sender of each value, and rejects values for which there is no room before they
// cost any work.
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
			d.pace.wait(ctx) // providerStore silently drops it if there is no room
		}
	}
}

// room reports whether there is room for a value from a peer.
func (s *valueStore) room(rec *recpb.Record, who peer.ID) bool {
	return len(rec.GetValue()) <= maxStored && !s.scarce() &&
		s.budget.room(string(rec.GetKey()), storedSize(rec), peerHash(who))
}

// pace is a rate limiter with one event per paceEvery.
type pace struct {
	mu   sync.Mutex
	next time.Time
}

// wait waits for the caller's turn, at most paceWait.
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
