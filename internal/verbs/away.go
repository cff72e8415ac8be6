package verbs

import (
	"errors"

	"github.com/goipns/ipns/api"
	"github.com/goipns/ipns/routing"
	"github.com/goipns/ipns/rpc"
)

// away adds the reason to an error caused by a network that is away.
func away(err error) error {
	if !errors.Is(err, routing.ErrAway) {
		return err
	}
	return rpc.Because(api.ReasonAway, err)
}
