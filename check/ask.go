// Package check asks other nodes, not this one, who holds which record of a name, and who
// has content: it shows what everyone else sees. [Ask] asks them for a name; [Judge]
// evaluates the answers without asking anyone. [Content] looks for content, and fetches it.
package check

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/libp2p/go-libp2p"
	kaddht "github.com/libp2p/go-libp2p-kad-dht"
	"github.com/libp2p/go-libp2p/core/peer"

	"github.com/goipns/ipns"
	"github.com/goipns/ipns/internal/keyspace"
	"github.com/goipns/ipns/routing"
	"github.com/goipns/ipns/routing/delegated"
	"github.com/goipns/ipns/routing/dht"
)

// Limits of one check.
const (
	closest     = 20               // servers of a DHT that should hold a record
	joinTimeout = 10 * time.Second // to reach the first server
	timeout     = time.Minute      // for the whole check
	maxPeers    = 64               // peers dialled to join
	maxParallel = 16               // dialled concurrently
)

// Networks of a [Source].
const (
	WAN     = "wan"
	LAN     = "lan"
	Router  = "router"  // a delegated router
	Gateway = "gateway" // an HTTP gateway
)

// Request says which name to check, and where.
type Request struct {
	Name ipns.Name
	// Peers are dialled to join the DHTs. None: no DHT is asked.
	Peers []peer.AddrInfo
	// Routers and Gateways are URLs of delegated routers and HTTP gateways.
	Routers, Gateways []string
	// UserAgent identifies this node to those it asks.
	UserAgent string
}

// Source is one server, router or gateway, and its answer.
type Source struct {
	Network string        // WAN, LAN, Router or Gateway
	Source  string        // peer id or URL
	Record  *Record       `json:",omitempty"` // nil: none
	Error   string        `json:",omitempty"` // why its record is unknown
	Took    time.Duration // nanoseconds from the start of the search to the answer
	// Found is the record behind Record.
	Found *ipns.Record `json:"-"`
}

// Record summarizes a record.
type Record struct {
	Sequence uint64
	EOL      time.Time
	Value    string
}

// found stores the record that the source has; nil: none.
func (s *Source) found(rec *ipns.Record) { s.Found, s.Record = rec, recordOf(rec) }

func recordOf(rec *ipns.Record) *Record {
	if rec == nil {
		return nil
	}
	return &Record{Sequence: rec.Sequence(), EOL: rec.EOL(), Value: rec.Value()}
}

// ErrNobody means that a [Request] has no peers, routers or gateways.
var ErrNobody = errors.New("no one to ask")

// Ask asks others for their records of a name. It uses a separate host, which shares
// nothing with a node.
func Ask(ctx context.Context, req Request) ([]Source, error) {
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	if len(req.Peers)+len(req.Routers)+len(req.Gateways) == 0 {
		return nil, ErrNobody
	}
	opener := new(routing.Opener)
	var asks []func() []Source
	if len(req.Peers) > 0 {
		d, leave, err := join(ctx, req.Peers, req.UserAgent, opener)
		if err != nil {
			return nil, err
		}
		defer leave()
		asks = append(asks,
			func() []Source { return askDHT(ctx, d.WAN, WAN, req.Name) },
			func() []Source { return askDHT(ctx, d.LAN, LAN, req.Name) })
	}
	for i, u := range slices.Concat(req.Routers, req.Gateways) {
		network := Router
		if i >= len(req.Routers) {
			network = Gateway
		}
		client, err := delegated.New(delegated.Config{
			URL: u, Gateway: network == Gateway, Fresh: true, Opener: opener,
			Timeout: timeout, AllowPrivate: true, UserAgent: req.UserAgent,
		})
		if err != nil {
			return nil, err
		}
		defer client.Close()
		asks = append(asks, func() []Source { return []Source{askHTTP(ctx, client, network, u, req.Name)} })
	}
	answers := make([][]Source, len(asks))
	var wg sync.WaitGroup
	for i, ask := range asks {
		wg.Go(func() { answers[i] = ask() })
	}
	wg.Wait()
	return slices.Concat(answers...), nil
}

// RouterURL returns an error if a text is not the URL of a delegated router.
func RouterURL(text string) error {
	c, err := delegated.New(delegated.Config{URL: text})
	if err != nil {
		return err
	}
	return c.Close()
}

// join starts a host and joins the DHTs with it. leave ends both.
func join(ctx context.Context, peers []peer.AddrInfo, agent string, opener *routing.Opener) (d *dht.DHT, leave func(), err error) {
	h, err := libp2p.New(libp2p.NoListenAddrs, libp2p.UserAgent(agent))
	if err != nil {
		return nil, nil, fmt.Errorf("host for the check: %w", err)
	}
	if d, err = dht.New(h, dht.Config{Mode: kaddht.ModeClient, LoopbackOnLAN: true, Opener: opener}); err != nil {
		return nil, nil, errors.Join(err, h.Close())
	}
	leave = func() { _, _ = d.Close(), h.Close() } // nothing of them is kept
	if err := connect(ctx, d, peers); err != nil {
		leave()
		return nil, nil, err
	}
	return d, leave, nil
}

// connect connects to the peers until they have filled the routing tables.
func connect(ctx context.Context, d *dht.DHT, peers []peer.AddrInfo) error {
	ctx, cancel := context.WithTimeout(ctx, joinTimeout)
	defer cancel()
	var wg sync.WaitGroup
	var mu sync.Mutex // guards below
	var reached int
	var failure error
	slots := make(chan struct{}, maxParallel)
	for _, p := range peers[:min(len(peers), maxPeers)] {
		slots <- struct{}{}
		wg.Go(func() {
			defer func() { <-slots }()
			err := d.Dual.WAN.Host().Connect(ctx, p)
			mu.Lock()
			defer mu.Unlock()
			if err == nil {
				reached++
			} else {
				failure = err
			}
		})
	}
	wg.Wait()
	if reached == 0 {
		return fmt.Errorf("none of %d servers could be reached: %w", len(peers), failure)
	}
	for d.Dual.WAN.RoutingTable().Size()+d.Dual.LAN.RoutingTable().Size() == 0 {
		select {
		case <-ctx.Done():
			return errors.New("the servers that answered are not DHT servers")
		case <-time.After(10 * time.Millisecond):
		}
	}
	// The search finds the closest servers from the known ones. On an empty network this
	// returns an error, but the search reports that better.
	for _, refresh := range []<-chan error{d.Dual.WAN.RefreshRoutingTable(), d.Dual.LAN.RefreshRoutingTable()} {
		select {
		case <-refresh:
		case <-ctx.Done():
		}
	}
	return nil
}

// askDHT returns the answers of the servers closest to the name. A network without
// servers yields none.
func askDHT(ctx context.Context, r routing.Router, network string, name ipns.Name) []Source {
	var all []Source
	start := time.Now()
	for a, err := range r.Search(ctx, name) {
		var incomplete *routing.IncompleteError
		switch {
		case errors.Is(err, routing.ErrNoTargets):
			return nil
		case errors.As(err, &incomplete):
			all = append(all, Source{Network: network, Source: "the others", Error: err.Error()})
		case err != nil:
			return []Source{{Network: network, Source: network, Error: err.Error()}}
		case a.Own:
		default:
			s := Source{Network: network, Source: a.Source, Took: a.At.Sub(start)}
			s.found(a.Record)
			all = append(all, s)
		}
	}
	target := keyspace.Key(name.Kad())
	slices.SortStableFunc(all, func(a, b Source) int {
		return keyspace.Closer(target, sourceKey(a), sourceKey(b))
	})
	return all[:min(len(all), closest)]
}

func sourceKey(s Source) keyspace.Key {
	id, err := peer.Decode(s.Source)
	if err != nil {
		return keyspace.Key{} // not a peer: no place
	}
	return keyspace.KeyOf([]byte(id))
}

// askHTTP asks a router or a gateway.
func askHTTP(ctx context.Context, c *delegated.Client, network, url string, name ipns.Name) Source {
	s := Source{Network: network, Source: url}
	start := time.Now()
	rec, err := c.Get(ctx, name)
	s.Took = time.Since(start)
	s.found(rec)
	if err != nil {
		s.Error = err.Error()
	}
	return s
}
