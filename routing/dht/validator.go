package dht

import (
	"errors"
	"fmt"

	record "github.com/libp2p/go-libp2p-record"

	"github.com/goipns/ipns"
	"github.com/goipns/ipns/routing"
)

// Validator returns the rules by which a DHT server takes and keeps records:
// IPNS records under /ipns/ and public keys under /pk/, and nothing else. A server
// looks at a record several times before it keeps it, and again when the next one
// comes: the Opener verifies it once. Nil: one is made.
func Validator(o *routing.Opener) record.Validator {
	if o == nil {
		o = new(routing.Opener)
	}
	return record.NamespacedValidator{
		"ipns": ipnsValidator{o},
		"pk":   record.PublicKeyValidator{},
	}
}

// ipnsValidator is kad-dht's view of the rules of package ipns.
type ipnsValidator struct{ opener *routing.Opener }

func (v ipnsValidator) Validate(key string, value []byte) error {
	name, err := nameOfKey(key)
	if err != nil {
		return err
	}
	_, err = v.opener.Open(name, value)
	return err
}

var errNoneValid = errors.New("none of the records is valid")

// Select returns the index of the best record. Those that are invalid or have
// expired take no part, so that they never make a selection fail, and a
// stored record that has expired loses to any valid one. Of identical
// records the first is the best: a server that is given what it has refreshes
// its age.
func (v ipnsValidator) Select(key string, values [][]byte) (int, error) {
	name, err := nameOfKey(key)
	if err != nil {
		return 0, err
	}
	best, index := (*ipns.Record)(nil), 0
	for i, raw := range values {
		rec, err := v.opener.Open(name, raw)
		if err != nil {
			continue
		}
		if best == nil || ipns.Compare(rec, best) > 0 {
			best, index = rec, i
		}
	}
	if best == nil {
		return 0, errNoneValid
	}
	return index, nil
}

// nameOfKey is the name that a routing key stands for.
func nameOfKey(key string) (ipns.Name, error) {
	name, err := ipns.NameFromRoutingKey([]byte(key))
	if err != nil {
		return ipns.Name{}, fmt.Errorf("routing key: %w", err)
	}
	return name, nil
}
