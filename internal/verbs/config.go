package verbs

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/libp2p/go-libp2p/core/peer"

	"github.com/goipns/ipns/api"
	"github.com/goipns/ipns/rpc"
)

func (n *verbs) handleConfig(m *rpc.Mux) {
	rpc.Handle(m, api.Config, rpc.One(n.config))
	rpc.Handle(m, api.ConfigShow, rpc.One(n.configShow))
	rpc.Handle(m, api.ConfigReplace, rpc.One(n.configReplace))
	rpc.Handle(m, api.ConfigReload, rpc.One(n.configReload))
	rpc.Handle(m, api.ConfigProfileApply, rpc.One(n.configProfileApply))
}

// config implements the command. A change takes effect at the next start.
func (n *verbs) config(_ context.Context, req api.ConfigRequest) (api.ConfigValue, error) {
	if req.Value == nil {
		v, err := n.Repo.Get(req.Key)
		return api.ConfigValue{Key: req.Key, Value: v}, err
	}
	var v any = *req.Value
	switch {
	case req.JSON:
		if err := json.Unmarshal([]byte(*req.Value), &v); err != nil {
			return api.ConfigValue{}, fmt.Errorf("failed to unmarshal json. %w", err)
		}
	case req.Bool:
		v = *req.Value == "true"
	}
	if text, ok := v.(string); ok && strings.EqualFold(req.Key, "Identity.PeerID") {
		if id, err := peer.Decode(text); err == nil {
			v = id.String() // the form of the config
		}
	}
	warnings, err := n.Repo.Set(req.Key, v)
	return api.ConfigValue{Key: req.Key, Value: v, Warnings: warnings}, err
}

// configShow implements the command.
func (n *verbs) configShow(context.Context, api.ConfigShowRequest) (api.ConfigTree, error) {
	return n.Repo.Show()
}

// configReplace implements the command. A change takes effect at the next start.
func (n *verbs) configReplace(_ context.Context, req api.ConfigReplaceRequest) (api.ConfigReplaced, error) {
	b, err := io.ReadAll(req.File)
	if err != nil {
		return api.ConfigReplaced{}, err
	}
	warnings, err := n.Repo.Replace(b)
	return api.ConfigReplaced{Warnings: warnings}, err
}

// configProfileApply implements the command.
func (n *verbs) configProfileApply(_ context.Context, req api.ProfileRequest) (api.ConfigChange, error) {
	c, err := n.Repo.ApplyProfile(req.Profile, req.DryRun)
	return api.ConfigChange{OldCfg: c.Before, NewCfg: c.After, Warnings: c.Warnings}, err
}

// configReload implements the command.
func (n *verbs) configReload(context.Context, api.ConfigReloadRequest) (api.ConfigReloaded, error) {
	s := n.Servers.Load()
	if s == nil {
		return api.ConfigReloaded{}, errors.New("no server runs that could read the config again")
	}
	r, err := s.Reload()
	return api.ConfigReloaded(r), err
}
