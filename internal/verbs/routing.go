package verbs

import (
	"context"
	"encoding/base64"
	"errors"
	"fmt"

	"github.com/goipns/ipns"
	"github.com/goipns/ipns/api"
	"github.com/goipns/ipns/content"
	"github.com/goipns/ipns/rpc"
)

func (n *verbs) handleRouting(m *rpc.Mux) {
	rpc.Handle(m, api.RoutingGet, rpc.One(n.routingGet))
	rpc.Handle(m, api.RoutingPut, rpc.One(n.routingPut))
	rpc.Handle(m, api.RoutingProvide, rpc.One(n.provide))
}

// routingName parses the key of a raw value: only keys of names are served.
func routingName(key string) (ipns.Name, error) {
	if len(key) < len("/ipns/") || key[:len("/ipns/")] != "/ipns/" {
		return ipns.Name{}, fmt.Errorf("key %q: only keys that begin with /ipns/ have values", key)
	}
	return ipns.ParseName(key)
}

// routingGet implements the command.
func (n *verbs) routingGet(ctx context.Context, req api.RoutingGetRequest) (api.RoutingValue, error) {
	name, err := routingName(req.Key)
	if err != nil {
		return api.RoutingValue{}, err
	}
	rec, err := n.record(ctx, name)
	if err != nil {
		return api.RoutingValue{}, err
	}
	return api.RoutingValue{Extra: base64.StdEncoding.EncodeToString(rec.Raw()), Type: routingValue}, nil
}

// routingValue is the type of a routing event with a value.
const routingValue = 5

// routingPut implements the command.
func (n *verbs) routingPut(ctx context.Context, req api.RoutingPutRequest) (api.RoutingValue, error) {
	name, err := routingName(req.Key)
	if err != nil {
		return api.RoutingValue{}, err
	}
	put, err := n.namePut(ctx, api.NamePutRequest{Name: name.String(), Record: req.Value, AllowOffline: req.AllowOffline})
	if err != nil {
		return api.RoutingValue{}, err
	}
	return api.RoutingValue{Extra: put.Name, Type: routingValue}, nil
}

// provide implements the command.
func (n *verbs) provide(ctx context.Context, req api.ProvideRequest) (api.Provided, error) {
	var out api.Provided
	for _, text := range req.CIDs {
		c, err := n.root(ctx, text)
		if err != nil {
			return out, err
		}
		if _, err := n.Content.Provide(ctx, c); errors.Is(err, content.ErrOffline) {
			return out, api.ErrOffline
		} else if err != nil {
			return out, err
		}
		out.Provided++
	}
	return out, nil
}
