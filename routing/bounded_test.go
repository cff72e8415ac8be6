package routing_test

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/goipns/ipns"
	"github.com/goipns/ipns/routing"
	"github.com/goipns/ipns/routing/routingtest"
)

func TestABoundedRouterKeepsItsBounds(t *testing.T) {
	rec := routingtest.Sign(t, routingtest.NewKey(t), ipns.Fields{Value: "/ipfs/bafkqaaa"})
	now := func() time.Time { return rec.EOL().Add(-time.Hour) }
	for name, c := range map[string]struct {
		bounded routing.Bounded
		net     *routingtest.Network
		found   bool
		err     error
		after   time.Duration
	}{
		"delayed":          {routing.Bounded{After: 2 * time.Second}, net("a", 1, time.Second, rec), true, nil, 3 * time.Second},
		"too late":         {routing.Bounded{Timeout: time.Second}, dead("a", 1), false, nil, time.Second},
		"too late, no end": {routing.Bounded{Timeout: time.Minute}, net("a", 1, time.Second, rec), true, nil, time.Second},
		"failing":          {routing.Bounded{}, failing(errNo), false, errNo, 0},
		"ignored":          {routing.Bounded{IgnoreErrors: true}, failing(errNo), false, routing.ErrNoTargets, 0},
		"late and ignored": {routing.Bounded{IgnoreErrors: true, Timeout: time.Second}, dead("a", 1), false, routing.ErrNoTargets, time.Second},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				c.net.Now = now
				c.bounded.Router = c.net
				begin := time.Now()
				answers, err := found(c.bounded.Search(t.Context(), rec.Name()))
				if took := time.Since(begin); took != c.after || (newest(answers) != nil) != c.found || c.err != nil && !errors.Is(err, c.err) || c.found != (err == nil) {
					t.Errorf("found %v after %v, %v", newest(answers) != nil, took, err)
				}
				if errors.Is(err, context.DeadlineExceeded) {
					t.Error("the Router's own time-out looks as if the caller's time were over")
				}
				if _, err := routing.Collect(c.bounded.Put(t.Context(), rec, routing.Look{})); c.err != nil && !errors.Is(err, c.err) {
					t.Errorf("a put ends with %v", err)
				}
			})
		})
	}
}

func TestSplitPutsByOneAndSearchesByAnother(t *testing.T) {
	rec := routingtest.Sign(t, routingtest.NewKey(t), ipns.Fields{Value: "/ipfs/bafkqaaa"})
	puts, asks := router("puts.example", 0, 0, nil), net("asks", 3, 0, nil)
	s := routing.Split{Putter: puts, Searcher: asks}
	if _, err := routing.Collect(s.Put(t.Context(), rec, routing.Look{})); err != nil {
		t.Fatal(err)
	}
	if _, err := found(s.Search(t.Context(), rec.Name())); err != nil {
		t.Fatal(err)
	}
	if puts.Holders(rec) != 1 || puts.Counts().Searches != 0 || asks.Counts().Puts != 0 || asks.Counts().Searches != 1 {
		t.Errorf("puts %+v, asks %+v", puts.Counts(), asks.Counts())
	}
	if s.Road() != routing.HTTP {
		t.Errorf("a put by HTTP is measured on %q", s.Road())
	}
}
