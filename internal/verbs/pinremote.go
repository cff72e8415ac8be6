package verbs

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"maps"
	"slices"
	"time"

	"github.com/ipfs/go-cid"
	ma "github.com/multiformats/go-multiaddr"

	"github.com/libp2p/go-libp2p/core/host"
	"github.com/libp2p/go-libp2p/core/peer"

	"github.com/goipns/ipns/api"
	"github.com/goipns/ipns/content"
	"github.com/goipns/ipns/internal/pinservice"
	"github.com/goipns/ipns/internal/repo"
	"github.com/goipns/ipns/rpc"
)

func (n *verbs) handleRemotePins(m *rpc.Mux) {
	rpc.Handle(m, api.PinRemoteAdd, rpc.One(n.pinRemoteAdd))
	rpc.Handle(m, api.PinRemoteLs, n.pinRemoteList)
	rpc.Handle(m, api.PinRemoteRm, rpc.One(n.pinRemoteRemove))
	rpc.Handle(m, api.PinServiceAdd, rpc.One(n.pinServiceAdd))
	rpc.Handle(m, api.PinServiceLs, rpc.One(n.pinServiceList))
	rpc.Handle(m, api.PinServiceRm, rpc.One(n.pinServiceRemove))
}

// service returns a service of the config.
func (n *verbs) service(name string) (pinservice.Service, error) {
	if name == "" {
		return pinservice.Service{}, errors.New("a service name must be passed")
	}
	c, err := n.Repo.Config()
	if err != nil {
		return pinservice.Service{}, err
	}
	s := c.Pinning.RemoteServices[name]
	if s == nil {
		return pinservice.Service{}, errors.New("service not known")
	}
	endpoint, err := pinservice.Endpoint(s.API.Endpoint)
	return pinservice.Service{Endpoint: endpoint, Key: s.API.Key}, err
}

const (
	pinPoll      = 500 * time.Millisecond // between two looks whether it is pinned
	connectLimit = 10 * time.Second       // for the connection to a node of a service
)

// pinRemoteAdd implements the command.
func (n *verbs) pinRemoteAdd(ctx context.Context, req api.PinRemoteAddRequest) (api.RemotePin, error) {
	enc, err := req.Encoder()
	var s pinservice.Service
	if err == nil {
		s, err = n.service(req.Service)
	}
	if err == nil {
		err = content.CheckPinName(req.Name)
	}
	var c cid.Cid
	if err == nil {
		c, err = n.blockAt(ctx, req.Path)
	}
	if err != nil {
		return api.RemotePin{}, err
	}
	// What is here can be fetched from here.
	has, err := n.Content.BlockService().Blockstore().Has(ctx, c)
	if err != nil {
		return api.RemotePin{}, err
	}
	var origins []string
	if has && n.Host != nil {
		addrs, err := peer.AddrInfoToP2pAddrs(host.InfoFromHost(n.Host))
		if err != nil {
			return api.RemotePin{}, err
		}
		for _, a := range addrs {
			origins = append(origins, a.String())
		}
	}
	p, err := s.Add(ctx, c.String(), req.Name, origins)
	if err != nil {
		return api.RemotePin{}, err
	}
	n.connectAll(ctx, p.Delegates)
	for id := p.RequestID; !req.Background && p.Status != pinservice.Pinned; {
		if p.Status == pinservice.Failed {
			return api.RemotePin{}, fmt.Errorf("remote service failed to pin requestid=%q", id)
		}
		select {
		case <-ctx.Done():
			return api.RemotePin{}, fmt.Errorf("waiting for pin interrupted, requestid=%q remains on remote service", id)
		case <-time.After(pinPoll):
		}
		if p, err = s.Get(ctx, id); err != nil {
			return api.RemotePin{}, fmt.Errorf("failed to check pin status for requestid=%q due to error: %w", id, err)
		}
		if p.RequestID != id {
			return api.RemotePin{}, fmt.Errorf("failed to check pin status for requestid=%q, remote service sent unexpected requestid=%q", id, p.RequestID)
		}
	}
	return api.RemotePin{Status: p.Status, Cid: enc.Encode(c), Name: p.Pin.Name, Offline: has && n.Host == nil}, nil
}

// connectAll connects with the nodes of a service, so that they find the content at once. Others find it too.
func (n *verbs) connectAll(ctx context.Context, addrs []string) {
	if n.Host == nil {
		return
	}
	ctx, cancel := context.WithTimeout(ctx, connectLimit)
	defer cancel()
	for _, text := range addrs {
		if m, err := ma.NewMultiaddr(text); err == nil {
			if info, err := peer.AddrInfoFromP2pAddr(m); err == nil {
				_ = n.Host.Connect(ctx, *info)
			}
		}
	}
}

// remotePins yields the pins that a query selects.
func (n *verbs) remotePins(ctx context.Context, q api.RemoteQuery) iter.Seq2[pinservice.Pin, error] {
	return func(yield func(pinservice.Pin, error) bool) {
		s, err := n.service(q.Service)
		if err == nil {
			err = content.CheckPinName(q.Name)
		}
		query := pinservice.Query{Name: q.Name, Statuses: q.Status}
		if len(query.Statuses) == 0 {
			query.Statuses = []string{pinservice.Pinned}
		}
		for _, status := range query.Statuses {
			if err == nil && !slices.Contains(pinservice.Statuses, status) {
				err = fmt.Errorf("status %q is not valid", status)
			}
		}
		for _, text := range q.CIDs {
			c, cerr := cid.Decode(text)
			if err == nil && cerr != nil {
				err = fmt.Errorf("CID %q cannot be parsed: %w", text, cerr)
			}
			query.CIDs = append(query.CIDs, c.String())
		}
		if err != nil {
			yield(pinservice.Pin{}, err)
			return
		}
		s.List(ctx, query)(yield)
	}
}

// pinRemoteList implements the command.
func (n *verbs) pinRemoteList(ctx context.Context, req api.PinRemoteListRequest) iter.Seq2[api.RemotePin, error] {
	return func(yield func(api.RemotePin, error) bool) {
		enc, err := req.Encoder()
		if err != nil {
			yield(api.RemotePin{}, err)
			return
		}
		for p, err := range n.remotePins(ctx, req.RemoteQuery) {
			out := api.RemotePin{Status: p.Status, Cid: p.Pin.CID, Name: p.Pin.Name}
			if c, cerr := cid.Decode(p.Pin.CID); cerr == nil {
				out.Cid = enc.Encode(c)
			}
			if !yield(out, err) || err != nil {
				return
			}
		}
	}
}

// pinRemoteRemove implements the command.
func (n *verbs) pinRemoteRemove(ctx context.Context, req api.PinRemoteRemoveRequest) (rpc.Nothing, error) {
	s, err := n.service(req.Service)
	if err != nil {
		return rpc.Nothing{}, err
	}
	var ids []string
	for p, err := range n.remotePins(ctx, req.RemoteQuery) {
		if err != nil {
			return rpc.Nothing{}, fmt.Errorf("error while listing remote pins: %w", err)
		}
		ids = append(ids, p.RequestID)
	}
	if len(ids) > 1 && !req.Force {
		return rpc.Nothing{}, api.ErrManyPins
	}
	for _, id := range ids {
		if err := s.Remove(ctx, id); err != nil {
			return rpc.Nothing{}, fmt.Errorf("removing pin identified by requestid=%q failed: %w", id, err)
		}
	}
	return rpc.Nothing{}, nil
}

// pinServiceAdd implements the command.
func (n *verbs) pinServiceAdd(_ context.Context, req api.PinServiceAddRequest) (rpc.Nothing, error) {
	endpoint, err := pinservice.Endpoint(req.Endpoint)
	if err != nil {
		return rpc.Nothing{}, err
	}
	c, err := n.Repo.Config()
	if err != nil {
		return rpc.Nothing{}, err
	}
	if c.Pinning.RemoteServices[req.Service] != nil {
		return rpc.Nothing{}, errors.New("service already present")
	}
	var s repo.RemoteService
	s.API.Endpoint, s.API.Key = endpoint, req.Key
	return rpc.Nothing{}, n.Repo.SetService(req.Service, s)
}

// pinServiceRemove implements the command.
func (n *verbs) pinServiceRemove(_ context.Context, req api.PinServiceRemoveRequest) (rpc.Nothing, error) {
	return rpc.Nothing{}, n.Repo.RemoveService(req.Service)
}

// pinServiceList implements the command.
func (n *verbs) pinServiceList(ctx context.Context, req api.PinServiceListRequest) (api.PinServices, error) {
	c, err := n.Repo.Config()
	if err != nil {
		return api.PinServices{}, err
	}
	out := api.PinServices{RemoteServices: []api.PinService{}}
	for _, name := range slices.Sorted(maps.Keys(c.Pinning.RemoteServices)) {
		s := c.Pinning.RemoteServices[name]
		line := api.PinService{Service: name, ApiEndpoint: s.API.Endpoint}
		if req.Stat {
			line.Stat = statOf(ctx, pinservice.Service{Endpoint: s.API.Endpoint, Key: s.API.Key})
		}
		out.RemoteServices = append(out.RemoteServices, line)
	}
	return out, nil
}

// statOf counts the pins of a service, if it answers.
func statOf(ctx context.Context, s pinservice.Service) *api.PinServiceStat {
	var counts api.PinCount
	for status, to := range map[string]*int{
		pinservice.Queued: &counts.Queued, pinservice.Pinning: &counts.Pinning,
		pinservice.Pinned: &counts.Pinned, pinservice.Failed: &counts.Failed,
	} {
		var err error
		if *to, err = s.Count(ctx, status); err != nil {
			return &api.PinServiceStat{Status: "invalid"}
		}
	}
	return &api.PinServiceStat{Status: "valid", PinCount: &counts}
}
