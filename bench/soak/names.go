package main

import (
	"context"
	"fmt"
	"math/rand/v2"
	"net/url"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/ipfs/go-cid"
	mh "github.com/multiformats/go-multihash"
	"golang.org/x/sync/errgroup"

	"github.com/goipns/ipns"
)

// fillers is how many names are made at once.
const fillers = 8

// name is a name of the daemon. Its values are numbers that go up.
type name struct {
	ipns.Name
	label string

	mu      sync.Mutex // guards all below
	acked   int        // the last number that was acknowledged, or seen
	tried   int        // the last that was sent
	network uint64     // the highest sequence seen on the network
}

func (n *name) has() int {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.acked
}

// saw notes a number that somebody was shown, who knew of another one before.
func (n *name) saw(number, before int) (back bool) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.acked = max(n.acked, number)
	return number < before
}

// counts are what happened.
type counts struct {
	published, unpublished, resolved, unresolved, pages, noPages atomic.Int64
	lost, back                                                   atomic.Int64

	kills, ended, full, replaced, expired int // events and end alone
}

// value is the path of content that has a number and fits into its CID.
func value(number int) (string, error) {
	hash, err := mh.Sum([]byte(strconv.Itoa(number)), mh.IDENTITY, -1)
	if err != nil {
		return "", err
	}
	return "/ipfs/" + cid.NewCidV1(cid.Raw, hash).String(), nil
}

// numberOf undoes value.
func numberOf(path string) (int, error) {
	c, err := cid.Decode(strings.TrimPrefix(path, "/ipfs/"))
	if err != nil {
		return 0, err
	}
	hash, err := mh.Decode(c.Hash())
	if err != nil {
		return 0, err
	}
	return strconv.Atoi(string(hash.Digest))
}

// fill makes the names.
func (s *soak) fill(ctx context.Context) error {
	s.names = make([]*name, s.config.names)
	g, ctx := errgroup.WithContext(ctx)
	g.SetLimit(fillers)
	for i := range s.names {
		g.Go(func() error {
			n := &name{label: fmt.Sprintf("name%d", i)}
			var key struct{ ID string }
			if err := s.daemon.call(ctx, &key, "key/gen", url.Values{"arg": {n.label}}); err != nil {
				return err
			}
			var err error
			if n.Name, err = ipns.ParseName(key.ID); err != nil {
				return err
			}
			s.names[i] = n
			if err := s.put(ctx, n); err != nil {
				return err
			}
			s.counts.published.Add(1)
			return nil
		})
	}
	return g.Wait()
}

// put publishes the next number of a name. Nobody else publishes it meanwhile.
func (s *soak) put(ctx context.Context, n *name) error {
	n.mu.Lock()
	n.tried++
	number := n.tried
	n.mu.Unlock()
	v, err := value(number)
	if err != nil {
		return err
	}
	args := url.Values{"arg": {v}, "key": {n.label}, "resolve": {"false"}, "allow-offline": {"true"}, "ttl": {"1s"}}
	if err := s.daemon.call(ctx, &struct{}{}, "name/publish", args); err != nil {
		return err
	}
	n.saw(number, 0)
	return nil
}

// again does something with names again and again, as often as the rate says.
func (s *soak) again(ctx context.Context, f func(context.Context, *name)) {
	tick := time.NewTicker(time.Duration(float64(time.Second) / s.rate))
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
			f(ctx, s.names[rand.IntN(len(s.names))])
		}
	}
}

func (s *soak) publish(ctx context.Context, n *name) {
	if err := s.put(ctx, n); err != nil {
		s.counts.unpublished.Add(1) // killed, or the disk is full; it may be stored all the same
		return
	}
	s.counts.published.Add(1)
}

func (s *soak) resolve(ctx context.Context, n *name) {
	before := n.has()
	var r struct{ Path string }
	if err := s.daemon.call(ctx, &r, "name/resolve", url.Values{"arg": {n.String()}}); err != nil {
		s.counts.unresolved.Add(1)
		return
	}
	number, err := numberOf(r.Path)
	s.shown(n, number, before, err)
	s.counts.resolved.Add(1)
}

func (s *soak) browse(ctx context.Context, n *name) {
	before := n.has()
	text, err := s.daemon.page(ctx, "/ipns/"+n.String())
	if err != nil {
		s.counts.noPages.Add(1)
		return
	}
	number, err := strconv.Atoi(text)
	s.shown(n, number, before, err)
	s.counts.pages.Add(1)
}

// shown looks at what somebody was shown of a name, who knew of a number before.
func (s *soak) shown(n *name, number, before int, err error) {
	if err != nil || n.saw(number, before) {
		s.counts.back.Add(1)
		s.say("%s shows %d after %d: %v", n, number, before, err)
	}
}

// compare compares what the daemon has with what it acknowledged.
func (s *soak) compare(ctx context.Context) error {
	var list struct {
		Names []struct{ Name, Value string }
	}
	before := make(map[string]int, len(s.names))
	for _, n := range s.names {
		before[n.String()] = n.has()
	}
	if err := s.daemon.call(ctx, &list, "name/status", url.Values{"local": {"true"}}); err != nil {
		return err
	}
	has := make(map[string]int, len(list.Names))
	for _, n := range list.Names {
		number, err := numberOf(n.Value)
		if _, ours := before[n.Name]; ours && err == nil {
			has[n.Name] = number
		}
	}
	for _, n := range s.names {
		if number := has[n.String()]; number < before[n.String()] {
			s.counts.lost.Add(1)
			s.say("%s has %d, and %d was acknowledged", n, number, before[n.String()])
		}
	}
	return nil
}

// best returns the highest record that servers have of a name; nil: none has one.
func (s *soak) best(n *name) (best *ipns.Record) {
	for _, server := range s.nw.Holders(n.Name) {
		rec, err := ipns.Reopen(n.Name, server.Record(n.Name))
		if err == nil && (best == nil || rec.Sequence() > best.Sequence() || rec.Sequence() == best.Sequence() && rec.EOL().After(best.EOL())) {
			best = rec
		}
	}
	return best
}

// look looks for names that have gone back or have expired on the network.
func (s *soak) look() {
	for _, n := range s.names {
		rec := s.best(n)
		if rec == nil || rec.EOL().Before(time.Now()) {
			s.counts.expired++
			s.say("%s has no valid record on the network", n)
			continue
		}
		if rec.Sequence() < n.network {
			s.counts.back.Add(1)
			s.say("the network has sequence %d of %s after %d", rec.Sequence(), n, n.network)
		}
		n.network = max(n.network, rec.Sequence())
	}
}

// missing counts the names whose last number the network does not have.
func (s *soak) missing() (count int) {
	for _, n := range s.names {
		rec := s.best(n)
		if rec == nil {
			count++
			continue
		}
		if number, err := numberOf(rec.Value()); err != nil || number < n.has() {
			count++
		}
	}
	return count
}
