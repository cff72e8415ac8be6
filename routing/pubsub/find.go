package pubsub

import (
	"context"
	"math/rand/v2"
	"sync"
	"time"

	"github.com/ipfs/go-cid"
	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/multiformats/go-multihash"

	"github.com/goipns/ipns"
)

// rendezvous is the CID under which those who listen to the topic of a name find each
// other: they are its providers. The prefix is go-libp2p-pubsub's.
func rendezvous(name ipns.Name) cid.Cid {
	hash, err := multihash.Sum([]byte("floodsub:"+name.Topic()), multihash.SHA2_256, -1)
	if err != nil {
		panic(err) // SHA-256 is a known hash
	}
	return cid.NewCidV1(cid.Raw, hash)
}

// backoff spaces out tries of something: each waits twice as long as the one before.
type backoff struct {
	next time.Time
	wait time.Duration
	busy bool
}

func (b *backoff) due(now time.Time) bool { return !b.busy && !now.Before(b.next) }

// again sets when the next try is.
func (b *backoff) again(now time.Time) {
	b.wait = min(max(firstLook, 2*b.wait), slowestLook)
	// Up to a quarter later, so that not all names look at once.
	b.next = now.Add(b.wait + rand.N(b.wait/4))
}

// discover tells others of the topics of hot names and looks for peers of those that
// have few, some at once.
func (r *Router) discover(now time.Time) {
	for _, t := range r.all() {
		if r.c.Find != nil && r.audience.count(t.name) < wantedPeers {
			r.inBackground(r.finds, &t.look, now, func() bool { return r.find(t) })
		}
		if r.c.Provide != nil && r.toProvide(t, now) {
			r.inBackground(r.tells, &t.tell, now, func() bool { return r.provide(t) })
		}
	}
}

// all returns the hot names.
func (r *Router) all() []*topic {
	r.mu.Lock()
	defer r.mu.Unlock()
	list := make([]*topic, 0, len(r.topics))
	for _, t := range r.topics {
		list = append(list, t)
	}
	return list
}

func (r *Router) toProvide(t *topic, now time.Time) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return t.provided.IsZero() || now.Sub(t.provided) >= provideEvery
}

// inBackground runs f if it is due and a slot is free. It is tried again later and
// later as long as f returns false.
func (r *Router) inBackground(slots chan struct{}, b *backoff, now time.Time, f func() bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.closed || !b.due(now) {
		return
	}
	select {
	case slots <- struct{}{}:
	default:
		return
	}
	b.busy = true
	r.running.Go(func() {
		defer func() { <-slots }()
		ok := f()
		r.mu.Lock()
		defer r.mu.Unlock()
		b.busy = false
		if ok {
			*b = backoff{}
		} else {
			b.again(r.c.Now())
		}
	})
}

// provide tells others that this node listens to a topic.
func (r *Router) provide(t *topic) bool {
	ctx, cancel := context.WithTimeout(r.ctx, provideTimeout)
	defer cancel()
	if err := r.c.Provide(ctx, rendezvous(t.name)); err != nil {
		return false
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	t.provided = r.c.Now()
	return true
}

// find connects to peers that listen to a topic. There being few, it is never done: it
// returns false.
func (r *Router) find(t *topic) bool {
	ctx, cancel := context.WithTimeout(r.ctx, findTimeout)
	defer cancel()
	var dials sync.WaitGroup
	defer dials.Wait()
	dialled := 0
	for p := range r.c.Find(ctx, rendezvous(t.name), 2*wantedPeers) {
		if p.ID == r.host.ID() || r.host.Network().Connectedness(p.ID) == network.Connected {
			continue
		}
		dials.Go(func() { r.connect(ctx, p) })
		if dialled++; dialled == wantedPeers {
			break
		}
	}
	return false
}

// lookSoon has peers looked for at the next tick, however long it was put off.
func (r *Router) lookSoon(t *topic) {
	if t == nil {
		return
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	t.look.next = time.Time{}
}

func (r *Router) connect(ctx context.Context, p peer.AddrInfo) {
	ctx, cancel := context.WithTimeout(ctx, connectTimeout)
	defer cancel()
	if err := r.host.Connect(ctx, p); err != nil {
		r.c.Log.Debug("peer of a topic is not reached", "peer", p.ID, "err", err)
	}
}
