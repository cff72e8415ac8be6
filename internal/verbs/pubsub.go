package verbs

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/goipns/ipns/api"
	"github.com/goipns/ipns/rpc"
)

func (n *verbs) handlePubsub(m *rpc.Mux) {
	rpc.Handle(m, api.NamePubsubState, rpc.One(n.pubsubState))
	rpc.Handle(m, api.NamePubsubSubs, rpc.One(n.pubsubSubs))
	rpc.Handle(m, api.NamePubsubCancel, rpc.One(n.pubsubCancel))
}

// errNoPubsub is the answer to pubsub commands if pubsub is not enabled.
var errNoPubsub = rpc.Refuse(errors.New("IPNS pubsub subsystem is not enabled"))

// pubsubState implements the command.
func (n *verbs) pubsubState(context.Context, api.PubsubStateRequest) (api.PubsubState, error) {
	return api.PubsubState{Enabled: n.Pubsub != nil}, nil
}

// pubsubSubs implements the command.
func (n *verbs) pubsubSubs(_ context.Context, req api.PubsubSubsRequest) (api.PubsubSubs, error) {
	encode, err := nameEncoder(req.IPNSBase)
	if err != nil {
		return api.PubsubSubs{}, err
	}
	if n.Pubsub == nil {
		return api.PubsubSubs{}, errNoPubsub
	}
	var subs api.PubsubSubs
	for _, name := range n.Pubsub.Subscriptions() {
		subs.Strings = append(subs.Strings, "/ipns/"+encode(name))
	}
	slices.Sort(subs.Strings)
	return subs, nil
}

// pubsubCancel implements the command.
func (n *verbs) pubsubCancel(_ context.Context, req api.PubsubCancelRequest) (api.PubsubCanceled, error) {
	if n.Pubsub == nil {
		return api.PubsubCanceled{}, errNoPubsub
	}
	name, err := parseName(req.Name)
	if err != nil {
		return api.PubsubCanceled{}, rpc.Refuse(fmt.Errorf("not a valid IPNS name: %w", err))
	}
	canceled, err := n.Pubsub.Cancel(name)
	return api.PubsubCanceled{Canceled: canceled}, err
}
