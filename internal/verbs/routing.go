package verbs

import (
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"iter"
	"strings"

	"github.com/ipfs/go-cid"
	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/libp2p/go-libp2p/core/routing"

	"github.com/goipns/ipns"
	"github.com/goipns/ipns/api"
	"github.com/goipns/ipns/rpc"
)

func (n *verbs) handleRouting(m *rpc.Mux) {
	rpc.Handle(m, api.RoutingGet, rpc.One(n.routingGet))
	rpc.Handle(m, api.RoutingPut, rpc.One(n.routingPut))
	rpc.Handle(m, api.RoutingFindPeer, n.findPeer)
	rpc.Handle(m, api.RoutingFindProvs, n.findProvs)
	rpc.Handle(m, api.DHTQuery, n.dhtQuery)
}

// routingName parses the key of a raw value: only keys of names are served.
func routingName(key string) (ipns.Name, error) {
	if !strings.HasPrefix(key, "/ipns/") {
		return ipns.Name{}, fmt.Errorf("invalid key %q: only keys that begin with /ipns/ have values", key)
	}
	name, err := ipns.ParseName(key)
	if err != nil {
		err = fmt.Errorf("invalid key %q: %w", key, err)
	}
	return name, err
}

// routingGet implements the command.
func (n *verbs) routingGet(ctx context.Context, req api.RoutingGetRequest) (api.QueryEvent, error) {
	name, err := routingName(req.Key)
	if err != nil {
		return api.QueryEvent{}, err
	}
	rec, err := n.record(ctx, name)
	if err != nil {
		return api.QueryEvent{}, err
	}
	return api.QueryEvent{Extra: base64.StdEncoding.EncodeToString(rec.Raw()), Type: api.Value}, nil
}

// errPutOffline is Kubo's text.
var errPutOffline = rpc.Because(api.ReasonOffline, errors.New("can't put while offline: pass `--allow-offline` to override"))

// routingPut implements the command.
func (n *verbs) routingPut(ctx context.Context, req api.RoutingPutRequest) (api.QueryEvent, error) {
	name, err := routingName(req.Key)
	if err != nil {
		return api.QueryEvent{}, err
	}
	if n.Host == nil && !req.AllowOffline {
		return api.QueryEvent{}, errPutOffline
	}
	_, err = n.namePut(ctx, api.NamePutRequest{Name: name.String(), Record: req.Value, AllowOffline: req.AllowOffline})
	if err != nil {
		return api.QueryEvent{}, err
	}
	return api.QueryEvent{ID: name.PeerID().String(), Type: api.Value}, nil
}

// maxProviders bounds the providers of one CID that are searched for.
const maxProviders = 10_000

// findProvs implements the command.
func (n *verbs) findProvs(ctx context.Context, req api.FindProvsRequest) iter.Seq2[api.QueryEvent, error] {
	return func(yield func(api.QueryEvent, error) bool) {
		c, err := parseCID(req.CIDs[0])
		switch {
		case n.Host == nil:
			err = api.ErrNotOnline
		case req.Max < 1:
			err = errors.New("number of providers must be greater than 0")
		}
		if err != nil {
			yield(api.QueryEvent{}, err)
			return
		}
		events(ctx, func(ctx context.Context) error {
			for p := range n.Finder.FindProvidersAsync(ctx, c, min(req.Max, maxProviders)) {
				routing.PublishQueryEvent(ctx, &routing.QueryEvent{Type: routing.Provider, Responses: []*peer.AddrInfo{&p}})
			}
			return nil
		})(yield)
	}
}

// errFindSelf is Kubo's text.
var errFindSelf = errors.New("finding your own node in the DHT is currently not supported")

// findPeer implements the command.
func (n *verbs) findPeer(ctx context.Context, req api.FindPeerRequest) iter.Seq2[api.QueryEvent, error] {
	return func(yield func(api.QueryEvent, error) bool) {
		var p peer.ID
		err := error(api.ErrNotOnline)
		if n.Host != nil {
			p, err = peer.Decode(req.Peers[0])
		}
		if err == nil && p == n.Host.ID() {
			err = errFindSelf
		}
		if err != nil {
			yield(api.QueryEvent{}, err)
			return
		}
		events(ctx, func(ctx context.Context) error {
			info, err := n.Finder.FindPeer(ctx, p)
			if err != nil {
				routing.PublishQueryEvent(ctx, &routing.QueryEvent{Type: routing.QueryError, Extra: err.Error()})
				return err
			}
			routing.PublishQueryEvent(ctx, &routing.QueryEvent{Type: routing.FinalPeer, Responses: []*peer.AddrInfo{&info}})
			return nil
		})(yield)
	}
}

// errNoDHT is Kubo's text.
var errNoDHT = errors.New("routing service is not a DHT")

// dhtQuery implements the command.
func (n *verbs) dhtQuery(ctx context.Context, req api.DHTQueryRequest) iter.Seq2[api.QueryEvent, error] {
	return func(yield func(api.QueryEvent, error) bool) {
		p, err := peer.Decode(req.Peers[0])
		switch {
		case n.DHT == nil:
			err = errNoDHT
		case err != nil:
			err = rpc.Refuse(errors.New("invalid peer ID"))
		}
		if err != nil {
			yield(api.QueryEvent{}, err)
			return
		}
		d := n.DHT.Dual.WAN
		if !n.DHT.Dual.WANActive() {
			d = n.DHT.Dual.LAN
		}
		events(ctx, func(ctx context.Context) error {
			closest, err := d.GetClosestPeers(ctx, string(p))
			for _, id := range closest {
				routing.PublishQueryEvent(ctx, &routing.QueryEvent{ID: id, Type: routing.FinalPeer})
			}
			return err
		})(yield)
	}
}

// events yields the events of a search, which run makes, and last its error.
func events(ctx context.Context, run func(context.Context) error) iter.Seq2[api.QueryEvent, error] {
	return func(yield func(api.QueryEvent, error) bool) {
		ctx, cancel := context.WithCancel(ctx)
		defer cancel()
		registered, list := routing.RegisterForQueryEvents(ctx)
		ended := make(chan error, 1)
		go func() { // ends with run; the receive below waits for it
			defer cancel()
			ended <- run(registered)
		}()
		more := true
		for e := range list { // is closed when ctx ends
			if more = more && yield(event(e), nil); !more {
				cancel()
			}
		}
		if err := <-ended; err != nil && more {
			yield(api.QueryEvent{}, err)
		}
	}
}

func event(e *routing.QueryEvent) api.QueryEvent {
	out := api.QueryEvent{Extra: e.Extra, Type: api.QueryType(e.Type)}
	if e.ID != "" {
		out.ID = e.ID.String()
	}
	if e.Responses != nil {
		out.Responses = []api.PeerAddrs{}
	}
	for _, p := range e.Responses {
		out.Responses = append(out.Responses, peerAddrs(*p))
	}
	return out
}

func peerAddrs(p peer.AddrInfo) api.PeerAddrs {
	out := api.PeerAddrs{ID: p.ID.String(), Addrs: []string{}}
	for _, a := range p.Addrs {
		out.Addrs = append(out.Addrs, a.String())
	}
	return out
}

// parseCID reads a CID, or the path or URI of one.
func parseCID(text string) (cid.Cid, error) {
	rest := strings.TrimPrefix(text, "/ipfs/")
	if after, ok := strings.CutPrefix(text, "ipfs:"); ok {
		rest = strings.TrimPrefix(after, "//")
	}
	root, below, deep := strings.Cut(strings.TrimSuffix(rest, "/"), "/")
	c, err := cid.Decode(root)
	switch {
	case err != nil && rest == text:
		return cid.Undef, fmt.Errorf("invalid path %q: path does not have enough components", text)
	case err != nil:
		return cid.Undef, fmt.Errorf("invalid path %q: %w", text, err)
	case deep && below != "":
		return cid.Undef, fmt.Errorf("%q points below a root CID, expected a single CID", text)
	}
	return c, nil
}
