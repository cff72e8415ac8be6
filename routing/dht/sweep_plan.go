package dht

import (
	"context"
	"errors"
	"slices"
	"sync/atomic"
	"time"

	pb "github.com/libp2p/go-libp2p-kad-dht/pb"
	record "github.com/libp2p/go-libp2p-record"
	"github.com/libp2p/go-libp2p/core/peer"

	"github.com/goipns/ipns"
	"github.com/goipns/ipns/internal/keyspace"
	"github.com/goipns/ipns/routing"
)

// item is one record to put, or one name to query.
type item struct {
	name  ipns.Name
	rec   *ipns.Record // nil: a query
	frame []byte       // the request, the same for all servers

	given   []*target    // servers to which it was or is being sent
	took    int          // how many of those took the record, or answered the query
	refused int          // how many refused it without having a newer record
	best    *ipns.Record // the newest record in the answers
}

// target is a server in a sweep.
type target struct {
	id   peer.ID
	name string      // the id as text
	met  bool        // has been visited, or is being visited
	made atomic.Bool // a visit opened the connection, so a visit also closes it
}

func newItems(batch []*ipns.Record) ([]item, error) {
	items := make([]item, len(batch))
	for i, rec := range batch {
		key := rec.Name().RoutingKey()
		m := pb.NewMessage(pb.Message_PUT_VALUE, key, 0)
		m.Record = record.MakePutRecord(string(key), rec.Raw())
		frame, err := encodeFrame(m)
		if err != nil {
			return nil, err
		}
		items[i] = item{name: rec.Name(), rec: rec, frame: frame}
	}
	return items, nil
}

// plan returns the visits to make: each server with the items that it should get and
// was not sent yet, in key space order. If no new servers were found since the last
// plan, it considers only items that a server did not take.
func (s *sweep) plan(ctx context.Context) []*visit {
	now := time.Now()
	byServer := make(map[*target]*visit)
	var visits []*visit
	look := func(i int) {
		it := &s.items[i]
		for _, c := range s.wanted(ctx, it, now) {
			t := s.target(c.id)
			if slices.Contains(it.given, t) {
				continue
			}
			it.given = append(it.given, t)
			v := byServer[t]
			if v == nil {
				v = &visit{target: t, first: !t.met}
				t.met = true
				byServer[t] = v
				visits = append(visits, v)
			}
			v.items = append(v.items, i)
		}
	}
	if s.r.servers.Len() > s.known {
		s.known = s.r.servers.Len()
		s.of = min(s.copies, len(s.r.servers.closest(keyspace.Key{}, s.copies, now)))
		for i := range s.items {
			look(i)
		}
	} else {
		slices.Sort(s.todo)
		for _, i := range slices.Compact(s.todo) {
			look(i)
		}
	}
	s.todo = s.todo[:0]
	return visits
}

// unsettled reports whether another plan may have visits.
func (s *sweep) unsettled() bool { return len(s.todo) > 0 || s.r.servers.Len() > s.known }

// target returns the sweep's entry for a server.
func (s *sweep) target(id peer.ID) *target {
	t := s.targets[id]
	if t == nil {
		t = &target{id: id, name: id.String()}
		s.targets[id] = t
	}
	return t
}

// wanted returns the servers that should get the item: the closest known ones, copies
// in number, plus one for each that refused it. Servers beyond maxPerGroup of one IP
// group are included but not counted. This node's own server keeps the record too if
// it is closer than the last of them.
func (s *sweep) wanted(ctx context.Context, it *item, now time.Time) []contact {
	key, count := keyspace.Key(it.name.Kad()), s.copies+it.refused
	near, missing := spread(s.r.servers.closest(key, count, now), count)
	if missing > 0 && len(near) == count {
		near, _ = spread(s.r.servers.closest(key, 2*count, now), count)
	}
	if it.rec != nil && it.given == nil && s.r.own != nil && len(near) > 0 &&
		keyspace.Closer(key, keyspace.KeyOf([]byte(s.r.host.ID())), near[len(near)-1].key) < 0 {
		s.r.keepOwn(ctx, it.rec)
	}
	return near
}

// spread returns the shortest prefix of near, which is sorted by distance, that has
// count servers if at most maxPerGroup per IP group are counted. missing is how many
// servers near is short of that.
func spread(near []contact, count int) (chosen []contact, missing int) {
	for i, c := range near {
		if count == 0 {
			return near[:i], 0
		}
		before := 0
		for _, other := range near[:i] {
			if c.group.IsValid() && other.group == c.group {
				before++
			}
		}
		if before < maxPerGroup {
			count--
		}
	}
	return near, count
}

// report yields an Ack for each item of a finished visit, and queues those that the
// server did not take for the next plan.
func (s *sweep) report(v *visit, yield func(routing.Ack, error) bool) bool {
	of := s.r.shouldHold(s.of, time.Now())
	for at, i := range v.items {
		it, o := &s.items[i], v.outcomes[at]
		ack := routing.Ack{
			Name: it.name, Target: v.target.name, Network: s.r.network,
			Err: o.err, Newer: o.newer, RTT: o.rtt, Of: of, Extra: o.err == nil && it.took >= of,
		}
		switch {
		case o.err == nil:
			it.took++
			if o.have != nil && (it.best == nil || ipns.Compare(o.have, it.best) > 0) {
				it.best = o.have
			}
		case o.newer == nil:
			s.todo = append(s.todo, i)
			if !errors.Is(o.err, errLost) {
				it.refused++
			}
		}
		if !yield(ack, nil) {
			return false
		}
	}
	return true
}
