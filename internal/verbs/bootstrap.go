package verbs

import (
	"context"
	"errors"
	"slices"

	"github.com/goipns/ipns/api"
	"github.com/goipns/ipns/internal/host"
	"github.com/goipns/ipns/internal/repo"
	"github.com/goipns/ipns/rpc"
)

func (n *verbs) handleBootstrap(m *rpc.Mux) {
	rpc.Handle(m, api.Bootstrap, rpc.One(n.bootstrapList))
	rpc.Handle(m, api.BootstrapList, rpc.One(n.bootstrapList))
	rpc.Handle(m, api.BootstrapAdd, rpc.One(n.bootstrapAdd))
	rpc.Handle(m, api.BootstrapAddDefault, rpc.One(n.bootstrapAddDefault))
	rpc.Handle(m, api.BootstrapRm, rpc.One(n.bootstrapRm))
	rpc.Handle(m, api.BootstrapRmAll, rpc.One(n.bootstrapRmAll))
}

func (n *verbs) bootstrapList(_ context.Context, req api.BootstrapListRequest) (api.BootstrapPeers, error) {
	list, err := n.Network.Bootstrap(req.ExpandAuto)
	return api.BootstrapPeers{Peers: list}, err
}

func (n *verbs) bootstrapAdd(_ context.Context, req api.BootstrapAddRequest) (api.BootstrapPeers, error) {
	add := req.Peers
	if req.Default {
		add = append(slices.Clone(add), repo.Auto)
	}
	if len(add) == 0 {
		return api.BootstrapPeers{}, rpc.Refuse(errors.New("no bootstrap peers to add"))
	}
	if _, err := host.ParseBootstrap(add); err != nil {
		return api.BootstrapPeers{}, rpc.Refuse(err)
	}
	list, err := n.Network.AddBootstrap(add)
	return api.BootstrapPeers{Peers: list}, err
}

func (n *verbs) bootstrapAddDefault(ctx context.Context, req api.BootstrapAddRequest) (api.BootstrapPeers, error) {
	req.Default = true
	return n.bootstrapAdd(ctx, req)
}

func (n *verbs) bootstrapRm(_ context.Context, req api.BootstrapRemoveRequest) (api.BootstrapPeers, error) {
	if len(req.Peers) == 0 && !req.All {
		return api.BootstrapPeers{}, rpc.Refuse(errors.New("no bootstrap peers to remove: name them, or pass --all"))
	}
	list, err := n.Network.RemoveBootstrap(req.Peers, req.All)
	if errors.Is(err, host.ErrNotBootstrap) {
		err = rpc.Because(api.ReasonNotBootstrap, err)
	}
	return api.BootstrapPeers{Peers: list}, err
}

func (n *verbs) bootstrapRmAll(ctx context.Context, req api.BootstrapRemoveRequest) (api.BootstrapPeers, error) {
	req.All = true
	return n.bootstrapRm(ctx, req)
}
