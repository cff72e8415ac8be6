package resolver

import (
	"context"
	"errors"
	"iter"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/goipns/ipns"
	"github.com/goipns/ipns/routing"
	"github.com/goipns/ipns/routing/routingtest"
)

// ownServer is a network in which this node is a server as well.
type ownServer struct {
	*routingtest.Network
	has atomic.Pointer[ipns.Record]
}

func (o *ownServer) Search(ctx context.Context, name ipns.Name) iter.Seq2[routing.Answer, error] {
	return func(yield func(routing.Answer, error) bool) {
		rec := o.has.Load()
		if rec != nil && rec.Name() == name && !yield(routing.Answer{Record: rec, Source: "self", Network: "wan", At: time.Now(), Own: true}, nil) {
			return
		}
		o.Network.Search(ctx, name)(yield)
	}
}

func newOwnServer(t *testing.T) (*fixture, *ownServer) {
	f := newFixture(t)
	own := &ownServer{Network: f.net}
	f.Router = own
	return f, own
}

// A record on this node's own server is an answer, but does not count as agreement.
func TestTheOwnServerIsNoSourceThatAgrees(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f, own := newOwnServer(t)
		rec := newName(t).record(1, pathA)
		own.has.Store(rec)
		path := rec.Name().String()
		begin := time.Now()
		res := f.resolve(path, Options{})
		if hop := res.Hops[0]; res.Path != pathA || hop.Agree != 0 || time.Since(begin) > 0 {
			t.Errorf("%s, %d agree, after %v", res.Path, hop.Agree, time.Since(begin))
		}
		hop := f.resolve(path, Options{NoCache: true, Confidence: All}).Hops[0]
		if hop.Agree != 0 || hop.Answered != 20 {
			t.Errorf("%d of %d agree, want none of 20", hop.Agree, hop.Answered)
		}
		hold(rec, f.net.Servers[:3]...)
		hop = f.resolve(path, Options{NoCache: true, Confidence: All}).Hops[0]
		if hop.Agree != 3 || hop.Answered != 20 {
			t.Errorf("%d of %d agree, want 3 of 20", hop.Agree, hop.Answered)
		}
	})
}

// A record put on this node's server is found at once, even if "not found" was just
// cached or a search is running.
func TestARecordPutHereEndsNotFound(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f, own := newOwnServer(t)
		first := newName(t).record(1, pathA)
		f.fails(first.Name().String(), Options{}, ErrNotFound)
		own.has.Store(first)
		f.Received(first.Name())
		if got := f.resolve(first.Name().String(), Options{}).Path; got != pathA {
			t.Error(got)
		}

		second := newName(t).record(1, pathB)
		time.AfterFunc(delay/2, func() {
			own.has.Store(second)
			f.Received(second.Name())
		})
		if got := f.resolve(second.Name().String(), Options{}).Path; got != pathB {
			t.Error(got)
		}
	})
}

// If one network is away, a name that was not found is unknown, whether or not the other
// networks answer.
func TestAwayIsNotNotFound(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFixture(t)
		wan := routingtest.New(0)
		wan.Name, wan.Expected = "wan", true
		for _, router := range []routing.Router{wan, routing.Parallel{wan, f.net}, routing.Parallel{wan, routingtest.New(0)}} {
			f.Router = router
			path := mustName(t, newName(t)).String()
			err := f.fails(path, Options{}, routing.ErrAway)
			var unknown *UnknownError
			if !errors.As(err, &unknown) || errors.Is(err, ErrNotFound) {
				t.Errorf("%v", err)
			}
		}
	})
}
