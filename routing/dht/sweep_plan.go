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

// item is one record of a sweep, or one name that is asked for.
type item struct {
	name  ipns.Name
	rec   *ipns.Record // nil: servers are asked what they have
	frame []byte       // the request that puts it or asks, the same for all servers

	given   []*target    // who was or is being given it, or asked
	took    int          // how many of those have taken it, or answered
	refused int          // how many refused it, and have nothing newer
	best    *ipns.Record // the newest answer
}

// target is a server in a sweep.
type target struct {
	id   peer.ID
	name string      // the id as text
	met  bool        // is being visited, or was
	made atomic.Bool // a visit has made the connection, so that the last one closes it
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

// plan lists the visits that are to be made: each server with the records that
// it should have and was not given, in the order of the key space. Where nobody
// has named servers that were not known to the plan before, it looks only at the
// records that a server did not take.
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

// unsettled reports whether a plan may find something to do.
func (s *sweep) unsettled() bool { return len(s.todo) > 0 || s.r.servers.Len() > s.known }

// target returns what is known in this sweep of a server.
func (s *sweep) target(id peer.ID) *target {
	t := s.targets[id]
	if t == nil {
		t = &target{id: id, name: id.String()}
		s.targets[id] = t
	}
	return t
}

// wanted returns the servers that should have the record: the closest 20, as far
// as is known, and as many more as refused it. Those that have too many of their
// IP group before them are beyond that number. This node's own server keeps the
// record if it is closer than the last of them.
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

// spread returns as many of the servers, which come closest first, as it takes to
// have count of them of which no more than a few are of one IP group, and how many
// are missing.
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

// report tells what became of the records of one visit, and notes which of them
// are to be looked at again: those that the server did not take.
func (s *sweep) report(v *visit, yield func(routing.Ack, error) bool) bool {
	for at, i := range v.items {
		it, o := &s.items[i], v.outcomes[at]
		ack := routing.Ack{
			Name: it.name, Target: v.target.name, Network: s.r.network,
			Err: o.err, Newer: o.newer, RTT: o.rtt, Of: s.of, Extra: o.err == nil && it.took >= s.of,
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
