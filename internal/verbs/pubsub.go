package verbs

import (
	"context"
	"errors"

	"github.com/goipns/ipns/api"
	"github.com/goipns/ipns/rpc"
)

func (n *verbs) handlePubsub(m *rpc.Mux) {
	rpc.Handle(m, api.NamePubsubState, rpc.One(n.pubsubState))
	rpc.Handle(m, api.NamePubsubSubs, rpc.One(n.pubsubSubs))
	rpc.Handle(m, api.NamePubsubCancel, rpc.One(n.pubsubCancel))
}

// errNoPubsub is the answer to commands about pubsub.
var errNoPubsub = rpc.Refuse(errors.New("IPNS pubsub subsystem is not enabled"))

// pubsubState implements the command.
func (n *verbs) pubsubState(context.Context, api.PubsubStateRequest) (api.PubsubState, error) {
	return api.PubsubState{}, nil
}

// pubsubSubs implements the command.
func (n *verbs) pubsubSubs(context.Context, api.PubsubSubsRequest) (api.PubsubSubs, error) {
	return api.PubsubSubs{}, errNoPubsub
}

// pubsubCancel implements the command.
func (n *verbs) pubsubCancel(context.Context, api.PubsubCancelRequest) (api.PubsubCanceled, error) {
	return api.PubsubCanceled{}, errNoPubsub
}
