package pubsub

import (
	"context"
	"iter"
	"math/rand/v2"
	"sync"

	"github.com/libp2p/go-libp2p/core/peer"

	"github.com/goipns/ipns"
	"github.com/goipns/ipns/routing"
)

// Search implements routing.Router: it makes the name hot, yields what this node has as
// its own answer, and asks peers that listen to the topic. Better records that are
// published later come by Config.Take and Watch.
func (r *Router) Search(ctx context.Context, name ipns.Name) iter.Seq2[routing.Answer, error] {
	return func(yield func(routing.Answer, error) bool) {
		if ctx.Err() != nil {
			yield(routing.Answer{}, context.Cause(ctx))
			return
		}
		t, fresh, done := r.use(name, false)
		defer done()
		held, err := r.held(ctx, name)
		if err != nil {
			yield(routing.Answer{}, err)
			return
		}
		if held != nil && !yield(r.own(held), nil) {
			return
		}
		peers := r.listeners(ctx, name, fresh)
		answers := 0
		for a, err := range r.ask(ctx, t, name, peers) {
			if err != nil {
				yield(a, err)
				return
			}
			answers++
			if !yield(a, nil) {
				return
			}
		}
		if answers == 0 {
			yield(routing.Answer{}, routing.ErrNoTargets)
		}
	}
}

func (r *Router) own(rec *ipns.Record) routing.Answer {
	return routing.Answer{Record: rec, Source: r.host.ID().String(), Network: Network, Road: routing.PubSub, At: r.c.Now(), Own: true}
}

// ask fetches a name from some of the peers and yields what each answers. The error is
// that of ctx.
func (r *Router) ask(ctx context.Context, t *topic, name ipns.Name, peers []peer.ID) iter.Seq2[routing.Answer, error] {
	return func(yield func(routing.Answer, error) bool) {
		rand.Shuffle(len(peers), func(i, j int) { peers[i], peers[j] = peers[j], peers[i] })
		peers = peers[:min(len(peers), maxAsked)]
		within, cancel := context.WithTimeout(ctx, askTimeout)
		var asking sync.WaitGroup
		defer asking.Wait()
		defer cancel()
		answers := make(chan *routing.Answer, len(peers))
		for _, p := range peers {
			asking.Go(func() {
				rec, err := r.fetch(within, p, name)
				if err != nil {
					answers <- nil
					return
				}
				answers <- &routing.Answer{Record: rec, Source: p.String(), Network: Network, Road: routing.PubSub, At: r.c.Now()}
			})
		}
		for range peers {
			select {
			case a := <-answers:
				if a == nil {
					continue
				}
				if a.Record != nil {
					r.fetched(ctx, t, a.Record)
				}
				if !yield(*a, nil) {
					return
				}
			case <-ctx.Done():
			}
			if ctx.Err() != nil {
				break
			}
		}
		if ctx.Err() != nil {
			yield(routing.Answer{}, context.Cause(ctx))
		}
	}
}

// fetched takes a record that a peer answered with, and publishes one that is better
// than what this node had. Specification, section Persistence.
func (r *Router) fetched(ctx context.Context, t *topic, rec *ipns.Record) {
	if t == nil {
		return // whoever searches takes it
	}
	held, err := r.held(ctx, rec.Name())
	if err != nil || held != nil && !better(rec, held, r.c.Now()) {
		return
	}
	if r.enter(ctx, t, rec) {
		r.counts.taken.Add(1)
		r.send(rec)
	}
}

// Ask implements routing.Asker. Peers are not asked for many names at once: what they
// have of hot names comes anyway.
func (r *Router) Ask(_ context.Context, _ routing.Region, names iter.Seq[ipns.Name], _ int) iter.Seq2[routing.Finding, error] {
	return func(yield func(routing.Finding, error) bool) {
		for name := range names {
			if !yield(routing.Finding{Name: name, Err: routing.ErrNoTargets}, nil) {
				return
			}
		}
	}
}

// Watch implements routing.Watcher: it keeps the name hot, and yields the record that is
// known and each better one, but for those that are followed by another at once.
func (r *Router) Watch(ctx context.Context, name ipns.Name) iter.Seq2[routing.Answer, error] {
	return func(yield func(routing.Answer, error) bool) {
		t, _, done := r.use(name, false)
		defer done()
		if t == nil {
			yield(routing.Answer{}, routing.ErrNoTargets)
			return
		}
		records := make(chan *ipns.Record, 1)
		r.mu.Lock()
		t.watchers[records] = struct{}{}
		if t.rec != nil {
			records <- t.rec
		}
		r.mu.Unlock()
		defer func() {
			r.mu.Lock()
			defer r.mu.Unlock()
			delete(t.watchers, records)
		}()
		for {
			select {
			case rec := <-records:
				if !rec.Expired(r.c.Now()) && !yield(r.own(rec), nil) {
					return
				}
			case <-ctx.Done():
				yield(routing.Answer{}, context.Cause(ctx))
				return
			case <-r.ctx.Done():
				return
			}
		}
	}
}
