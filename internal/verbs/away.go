package verbs

import (
	"errors"

	"github.com/goipns/ipns/api"
	"github.com/goipns/ipns/recordstore"
	"github.com/goipns/ipns/resolver"
	"github.com/goipns/ipns/routing"
	"github.com/goipns/ipns/rpc"
)

// unresolved adds the reasons to the error of a name that has no value.
func unresolved(err error) error {
	switch {
	case errors.Is(err, resolver.ErrExpired):
		return rpc.Because(api.ReasonExpired, err)
	case errors.Is(err, resolver.ErrNotFound):
		return rpc.Because(api.ReasonNotFound, err)
	}
	return away(err)
}

// ofStore adds the reason to an error of a store of names that is elsewhere.
func ofStore(err error) error {
	switch {
	case errors.Is(err, recordstore.ErrAway):
		return rpc.Because(api.ReasonStoreAway, err)
	case errors.Is(err, recordstore.ErrReadOnly):
		return rpc.Because(api.ReasonReadOnly, err)
	}
	return err
}

// away adds the reason to an error caused by a network that is away.
func away(err error) error {
	if !errors.Is(err, routing.ErrAway) {
		return err
	}
	return rpc.Because(api.ReasonAway, err)
}
