package verbs

import (
	"errors"
	"fmt"

	"github.com/goipns/ipns/routing"
)

// ifNotMeant is what to do about a network that is away and always will be.
const ifNotMeant = "if this node is not meant to be on that network, say so by 'ipns bootstrap rm --all'"

// wayOut adds ifNotMeant to an error because of a network that is away.
func wayOut(err error) error {
	if !errors.Is(err, routing.ErrAway) {
		return err
	}
	return fmt.Errorf("%w; this node keeps trying to join it; %s", err, ifNotMeant)
}
