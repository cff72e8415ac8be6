package verbs

import (
	"errors"

	"github.com/goipns/ipns/api"
	"github.com/goipns/ipns/routing"
	"github.com/goipns/ipns/rpc"
)

// away gives an error because of a network that is away its reason.
func away(err error) error {
	if !errors.Is(err, routing.ErrAway) {
		return err
	}
	return rpc.Because(api.ReasonAway, err)
}
