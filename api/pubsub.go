package api

import (
	"github.com/goipns/ipns/rpc"
)

// pubsubCommands are the commands of this file.
var pubsubCommands = []rpc.Spec{NamePubsubState, NamePubsubSubs, NamePubsubCancel}

var (
	// NamePubsubState: show whether names are published over pubsub.
	NamePubsubState = rpc.Command[PubsubStateRequest, PubsubState]{
		Info: rpc.Info{
			Path:     "name/pubsub/state",
			Short:    "Show whether names are published over pubsub",
			Examples: []string{`ipns name pubsub state`},
		},
		Text: PubsubStateRequest.Text,
	}
	// NamePubsubSubs: list the names that are subscribed to.
	NamePubsubSubs = rpc.Command[PubsubSubsRequest, PubsubSubs]{
		Info: rpc.Info{
			Path:     "name/pubsub/subs",
			Short:    "List the names that are subscribed to",
			Examples: []string{`ipns name pubsub subs`},
		},
		Text: PubsubSubsRequest.Text,
	}
	// NamePubsubCancel: cancel the subscription to a name.
	NamePubsubCancel = rpc.Command[PubsubCancelRequest, PubsubCanceled]{
		Info: rpc.Info{
			Path: "name/pubsub/cancel", Args: "<name>",
			Short:    "Cancel the subscription to a name",
			Examples: []string{`ipns name pubsub cancel $NAME`},
		},
		Text: PubsubCancelRequest.Text,
	}
)

// PubsubStateRequest asks whether pubsub is enabled.
type PubsubStateRequest struct{}

// PubsubState says whether pubsub is enabled.
type PubsubState struct{ Enabled bool }

// Text is one word.
func (PubsubStateRequest) Text(s PubsubState) string {
	if s.Enabled {
		return "enabled\n"
	}
	return "disabled\n"
}

// PubsubSubsRequest lists the subscribed names.
type PubsubSubsRequest struct {
	IPNSBase string `opt:"ipns-base" default:"base36" help:"encoding of the printed names"`
}

// PubsubSubs are the subscribed names, as paths; nil: none.
type PubsubSubs struct{ Strings []string }

// Text is one name per line.
func (PubsubSubsRequest) Text(s PubsubSubs) string { return lines("", s.Strings, "") }

// PubsubCancelRequest ends the subscription to a name.
type PubsubCancelRequest struct {
	Name string `arg:"name"`
}

// PubsubCanceled says whether there was a subscription.
type PubsubCanceled struct{ Canceled bool }

// Text is a few words.
func (PubsubCancelRequest) Text(c PubsubCanceled) string {
	if c.Canceled {
		return "canceled\n"
	}
	return "no subscription\n"
}
