package pubsub

import (
	"context"
	"errors"
	"slices"
	"sync"
	"time"

	"github.com/goipns/ipns"
)

// ErrInUse says that a name is being searched or watched.
var ErrInUse = errors.New("key has active subscriptions")

// topic is a hot name. Router.mu guards all but name, leave and entering.
type topic struct {
	name  ipns.Name
	leave func()

	entering sync.Mutex // held while a record is given to Config.Take: one at a time

	rec      *ipns.Record // the newest that is known; nil: none
	taking   *ipns.Record // what Config.Take has just now: not to be published by Changed
	changed  bool         // rec came in otherwise and is to be published
	used     time.Time    // when the name was last published, resolved or watched
	put      bool         // it was published: others do not take its place by being resolved
	users    int          // who use it just now
	watchers map[chan *ipns.Record]struct{}
	sent     time.Time // when rec was last published

	provided time.Time // when others are to be told again; zero: now
	look     backoff   // for peers
	tell     backoff   // after failures
}

// topic returns the hot name; nil: it is not hot.
func (r *Router) topic(name ipns.Name) *topic {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.topics[name]
}

// use makes a name hot, to put it or otherwise, and keeps it so until done is called. It
// returns nil if there is no room for it; fresh says that it was not hot before.
func (r *Router) use(name ipns.Name, put bool) (t *topic, fresh bool, done func()) {
	r.turn.Lock()
	defer r.turn.Unlock()
	r.mu.Lock()
	t = r.topics[name]
	if t == nil && r.closed {
		r.mu.Unlock()
		return nil, false, func() {}
	}
	r.mu.Unlock()
	if t == nil {
		if !r.makeRoom(put) {
			return nil, false, func() {}
		}
		var err error
		if t, err = r.subscribe(name, r.c.Now()); err != nil {
			r.c.Log.Warn("topic is not subscribed to", "name", name.String(), "err", err)
			return nil, false, func() {}
		}
		fresh = true
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	t.users++
	t.used = r.c.Now()
	t.put = t.put || put
	r.dirty = true
	return t, fresh, func() {
		r.mu.Lock()
		defer r.mu.Unlock()
		t.users--
	}
}

// subscribe subscribes to the topic of a name. It is a relay for gossipsub, which has no
// queue of messages that nobody reads: the validator takes each. Call with turn
// held.
func (r *Router) subscribe(name ipns.Name, used time.Time) (*topic, error) {
	h, err := r.handles.open(r.gossip, name)
	if err != nil {
		return nil, err
	}
	leave, err := h.Relay()
	if err != nil {
		return nil, errors.Join(err, r.handles.shut(name))
	}
	t := &topic{name: name, used: used, watchers: map[chan *ipns.Record]struct{}{}}
	t.leave = func() {
		leave()
		if err := r.handles.shut(name); err != nil && r.ctx.Err() == nil {
			r.c.Log.Warn("topic stays open", "name", name.String(), "err", err)
		}
	}
	r.mu.Lock()
	r.topics[name] = t
	r.mu.Unlock()
	r.wakeUp()
	return t, nil
}

// makeRoom lets the name become cold that was used least lately, if there are as many as
// may be: one that was put only for another one, and only if all were. Whoever makes this
// node resolve names, as gateways let anybody do, cannot silence those of its own. Call
// with turn held.
func (r *Router) makeRoom(put bool) bool {
	r.mu.Lock()
	var oldest *topic
	full := len(r.topics) >= MaxSubscriptions
	if full {
		for _, t := range r.topics {
			if t.users > 0 || t.put && !put {
				continue
			}
			if oldest == nil || oldest.put && !t.put || oldest.put == t.put && t.used.Before(oldest.used) {
				oldest = t
			}
		}
	}
	if oldest != nil {
		r.remove(oldest)
	}
	r.mu.Unlock()
	if oldest != nil {
		oldest.leave()
	}
	return !full || oldest != nil
}

// remove forgets a hot name. Call with mu held, and then leave it.
func (r *Router) remove(t *topic) {
	delete(r.topics, t.name)
	r.dirty = true
}

// coolDown lets names become cold that were not used for HotFor.
func (r *Router) coolDown(now time.Time) {
	r.turn.Lock()
	defer r.turn.Unlock()
	var over []*topic
	r.mu.Lock()
	for _, t := range r.topics {
		if t.users == 0 && now.Sub(t.used) >= HotFor {
			over = append(over, t)
			r.remove(t)
		}
	}
	r.mu.Unlock()
	for _, t := range over {
		t.leave()
	}
}

// Subscriptions returns the hot names, in their order.
func (r *Router) Subscriptions() []ipns.Name {
	r.mu.Lock()
	defer r.mu.Unlock()
	list := make([]ipns.Name, 0, len(r.topics))
	for name := range r.topics {
		list = append(list, name)
	}
	slices.SortFunc(list, func(a, b ipns.Name) int { return slices.Compare(a.Binary(), b.Binary()) })
	return list
}

// Cancel lets a name become cold, and reports whether it was hot. A name that is being
// searched or watched stays: ErrInUse.
func (r *Router) Cancel(name ipns.Name) (bool, error) {
	r.turn.Lock()
	defer r.turn.Unlock()
	r.mu.Lock()
	t := r.topics[name]
	switch {
	case t == nil:
		r.mu.Unlock()
		return false, nil
	case t.users > 0:
		r.mu.Unlock()
		return false, ErrInUse
	}
	r.remove(t)
	r.mu.Unlock()
	t.leave()
	r.save()
	return true, nil
}

// Changed tells the Router of a record that came to this node by another road: if its
// name is hot it is published. Those that are Put need not be told. It does not block.
func (r *Router) Changed(rec *ipns.Record) {
	if r.set(rec, true) {
		r.wakeUp()
	}
}

// set makes rec the record of its name, if that is hot and rec is better than what was
// known. publish says that it is to be published later.
func (r *Router) set(rec *ipns.Record, publish bool) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	t := r.topics[rec.Name()]
	if t == nil || !better(rec, t.rec, r.c.Now()) {
		return false
	}
	if publish && t.taking != nil && t.taking.DataHash() == rec.DataHash() {
		return false
	}
	r.replace(t, rec)
	t.changed = publish
	return true
}

// replace makes rec the record of a hot name and tells those who watch it. Call with mu
// held.
func (r *Router) replace(t *topic, rec *ipns.Record) {
	t.rec, t.sent, t.changed = rec, time.Time{}, false
	r.dirty = true
	for w := range t.watchers {
		select {
		case <-w: // an older one that was not read yet
		default:
		}
		w <- rec // the only writer, and it has room for one
	}
}

// enter gives a record from another peer to Config.Take, and makes it that of its name.
// It reports whether it is the newest.
func (r *Router) enter(ctx context.Context, t *topic, rec *ipns.Record) bool {
	t.entering.Lock()
	defer t.entering.Unlock()
	r.mu.Lock()
	known := t.rec
	t.taking = rec
	r.mu.Unlock()
	defer func() {
		r.mu.Lock()
		defer r.mu.Unlock()
		t.taking = nil
	}()
	if !better(rec, known, r.c.Now()) {
		return false
	}
	ctx, cancel := context.WithTimeout(ctx, takeTimeout)
	defer cancel()
	newest, err := r.c.Take(ctx, rec)
	if err != nil {
		r.c.Log.Warn("record that came by pubsub is not kept", "name", rec.Name().String(), "err", err)
		return false
	}
	if !newest {
		return false
	}
	r.set(rec, false)
	return true
}
