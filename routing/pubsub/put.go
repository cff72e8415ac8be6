package pubsub

import (
	"context"
	"fmt"
	"iter"
	"time"

	"github.com/libp2p/go-libp2p/core/peer"

	"github.com/goipns/ipns"
	"github.com/goipns/ipns/routing"
)

// Road implements routing.Roader.
func (r *Router) Road() routing.Road { return routing.PubSub }

// Put implements routing.Router: it makes the name hot, unless the record is put again,
// and sends the record to all peers that listen to its topic. A better record that is
// known here is what refuses an older one. All peers that listen should get it.
func (r *Router) Put(ctx context.Context, rec *ipns.Record, look routing.Look) iter.Seq2[routing.Ack, error] {
	return func(yield func(routing.Ack, error) bool) {
		if err := routing.Allowed(ctx); err != nil {
			yield(routing.Ack{}, err)
			return
		}
		if look.Again {
			r.put(ctx, rec, false)(yield)
			return
		}
		t, fresh, done := r.use(rec.Name(), true)
		defer done()
		r.lookSoon(t)
		r.put(ctx, rec, fresh)(yield)
	}
}

// put sends a record to the topic's peers. If it was subscribed to just now, it waits a
// little for some.
func (r *Router) put(ctx context.Context, rec *ipns.Record, fresh bool) iter.Seq2[routing.Ack, error] {
	return func(yield func(routing.Ack, error) bool) {
		held, err := r.held(ctx, rec.Name())
		if err != nil {
			yield(routing.Ack{}, err)
			return
		}
		if held != nil && ipns.Compare(held, rec) > 0 {
			yield(routing.Ack{
				Name: rec.Name(), Target: r.host.ID().String(), Network: Network, Road: routing.PubSub, Extra: true,
				Err: fmt.Errorf("%w: have a newer record", routing.ErrRefused), Newer: held,
			}, nil)
			return
		}
		r.set(rec, false)
		peers := r.listeners(ctx, rec.Name(), fresh)
		switch {
		case ctx.Err() != nil:
			yield(routing.Ack{}, context.Cause(ctx))
			return
		case len(peers) == 0:
			yield(routing.Ack{}, routing.ErrNoTargets)
			return
		}
		for to, err := range r.deliver(ctx, rec, peers) {
			if err != nil {
				yield(routing.Ack{}, err)
				return
			}
			ack := routing.Ack{
				Name: rec.Name(), Target: to.peer.String(), Network: Network, Road: routing.PubSub,
				Err: to.err, RTT: to.took, Of: len(peers),
			}
			if !yield(ack, nil) {
				return
			}
		}
	}
}

// listeners returns the peers of a topic. If it was subscribed to just now and has none,
// it waits a little.
func (r *Router) listeners(ctx context.Context, name ipns.Name, fresh bool) []peer.ID {
	peers := r.audience.of(name)
	if len(peers) > 0 || !fresh || len(r.gossip.ListPeers("")) == 0 {
		return peers
	}
	limit := time.NewTimer(r.settle)
	defer limit.Stop()
	look := time.NewTicker(5 * time.Millisecond)
	defer look.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-limit.C:
			return nil
		case <-look.C:
			if peers := r.audience.of(name); len(peers) > 0 {
				return peers
			}
		}
	}
}

// publish sends a record to its topic, which is opened for that if it is not.
func (r *Router) publish(ctx context.Context, rec *ipns.Record, d *delivery) error {
	h, err := r.handles.open(r.gossip, rec.Name())
	if err != nil {
		return fmt.Errorf("join the topic of %s: %w", rec.Name(), err)
	}
	defer func() {
		if err := r.handles.shut(rec.Name()); err != nil && r.ctx.Err() == nil {
			r.c.Log.Warn("topic stays open", "name", rec.Name().String(), "err", err)
		}
	}()
	if err := r.sender.publish(ctx, h, rec.Raw(), d); err != nil {
		return fmt.Errorf("publish %s: %w", rec.Name(), err)
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if t := r.topics[rec.Name()]; t != nil && t.rec != nil && t.rec.DataHash() == rec.DataHash() {
		t.sent, t.changed = r.c.Now(), false
	}
	return nil
}

// deliver publishes a record and yields what became of it for each peer.
func (r *Router) deliver(ctx context.Context, rec *ipns.Record, peers []peer.ID) iter.Seq2[sentTo, error] {
	return func(yield func(sentTo, error) bool) {
		d := newDelivery(peers)
		defer r.sender.end(d)
		if err := r.publish(ctx, rec, d); err != nil {
			yield(sentTo{}, err)
			return
		}
		limit := time.NewTimer(sentTimeout)
		defer limit.Stop()
		for range peers {
			select {
			case to := <-d.sent:
				if !yield(to, nil) {
					return
				}
			case <-limit.C:
				for _, p := range d.rest() {
					if !yield(sentTo{p, errQueue, sentTimeout}, nil) {
						return
					}
				}
				return
			case <-ctx.Done():
				yield(sentTo{}, context.Cause(ctx))
				return
			}
		}
	}
}

// send publishes the record of a hot name if anybody listens.
func (r *Router) send(rec *ipns.Record) {
	if r.audience.count(rec.Name()) == 0 {
		return
	}
	if err := r.publish(r.ctx, rec, nil); err != nil && r.ctx.Err() == nil {
		r.c.Log.Warn("record is not published by pubsub", "err", err)
	}
}

// Sweep implements routing.Sweeper: records go to the peers that listen to their topics
// now. No name becomes hot by it.
func (r *Router) Sweep(ctx context.Context, _ routing.Region, records iter.Seq[*ipns.Record]) iter.Seq2[routing.Ack, error] {
	return func(yield func(routing.Ack, error) bool) {
		alone := true
		for rec := range records {
			if ctx.Err() != nil {
				yield(routing.Ack{}, context.Cause(ctx))
				return
			}
			if r.audience.count(rec.Name()) == 0 && r.topic(rec.Name()) == nil {
				continue // as most
			}
			for ack, err := range r.put(ctx, rec, false) {
				if err != nil {
					break // of this record
				}
				alone = false
				if !yield(ack, nil) {
					return
				}
			}
		}
		if alone {
			yield(routing.Ack{}, routing.ErrNoTargets)
		}
	}
}

// Pace implements routing.Sweeper. What a sweep sends here is little.
func (r *Router) Pace(float64) {}

// Survival implements routing.Sweeper: nobody is asked what he kept.
func (r *Router) Survival(routing.Region) routing.Survival { return routing.Survival{} }

// publishChanged publishes the records of hot names that came in otherwise.
func (r *Router) publishChanged() {
	var changed []*ipns.Record
	r.mu.Lock()
	for _, t := range r.topics {
		if t.changed {
			t.changed = false
			changed = append(changed, t.rec)
		}
	}
	r.mu.Unlock()
	for _, rec := range changed {
		r.send(rec)
	}
}

// rebroadcast publishes the records of hot names again, those first that were sent
// longest ago.
func (r *Router) rebroadcast(now time.Time) {
	var due []*ipns.Record
	r.mu.Lock()
	for _, t := range r.topics {
		if len(due) == rebroadcastRate {
			break // the others at the next tick
		}
		if t.rec != nil && !t.rec.Expired(now) && now.Sub(t.sent) >= rebroadcastEvery {
			if t.sent.IsZero() { // not now: it was put or came in just now
				t.sent = now
				continue
			}
			t.sent = now
			due = append(due, t.rec)
		}
	}
	r.mu.Unlock()
	for _, rec := range due {
		r.send(rec)
	}
}
