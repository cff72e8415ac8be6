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

// errAutoOff is Kubo's text.
var errAutoOff = errors.New("cannot add default bootstrap peers: AutoConf is disabled (AutoConf.Enabled=false). " +
	"Enable AutoConf by setting AutoConf.Enabled=true in your config, or add specific peer addresses instead")

func (n *verbs) bootstrapAdd(_ context.Context, req api.BootstrapAddRequest) (api.BootstrapPeers, error) {
	var add []string
	for _, p := range req.Peers {
		if p == "default" {
			p = repo.Auto
		}
		add = append(add, p)
	}
	if req.Default {
		add = append(add, repo.Auto)
	}
	if len(add) == 0 {
		return api.BootstrapPeers{}, errors.New("no bootstrap peers to add")
	}
	if slices.Contains(add, repo.Auto) {
		c, err := n.Repo.Config()
		if err == nil && !repo.On(c.AutoConf.Enabled) {
			err = errAutoOff
		}
		if err != nil {
			return api.BootstrapPeers{}, err
		}
	}
	if _, err := host.ParseBootstrap(add); err != nil {
		return api.BootstrapPeers{}, err
	}
	if _, err := n.Network.AddBootstrap(add); err != nil {
		return api.BootstrapPeers{}, err
	}
	return api.BootstrapPeers{Peers: add}, nil // those that were there too, as Kubo
}

func (n *verbs) bootstrapAddDefault(ctx context.Context, req api.BootstrapAddRequest) (api.BootstrapPeers, error) {
	req.Default = true
	return n.bootstrapAdd(ctx, req)
}

// errAutoManaged is Kubo's text.
var errAutoManaged = errors.New("cannot remove individual bootstrap peers when using 'auto' placeholder: the 'auto' value is managed by AutoConf. " +
	"Either disable AutoConf by setting AutoConf.Enabled=false and replace 'auto' with specific peer addresses, or use 'ipns bootstrap rm --all' to remove all peers")

func (n *verbs) bootstrapRm(_ context.Context, req api.BootstrapRemoveRequest) (api.BootstrapPeers, error) {
	if len(req.Peers) == 0 && !req.All {
		return api.BootstrapPeers{}, rpc.Refuse(errors.New("no bootstrap peers to remove: name them, or pass --all"))
	}
	c, err := n.Repo.Config()
	if err != nil {
		return api.BootstrapPeers{}, err
	}
	single := slices.ContainsFunc(req.Peers, func(p string) bool { return p != repo.Auto })
	if single && !req.All && repo.On(c.AutoConf.Enabled) && slices.Contains(c.Bootstrap, repo.Auto) {
		return api.BootstrapPeers{}, errAutoManaged
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
