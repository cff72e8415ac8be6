package dht

import (
	"errors"
	"fmt"
	"strings"

	record "github.com/libp2p/go-libp2p-record"

	"github.com/goipns/ipns"
	"github.com/goipns/ipns/routing"
)

// maxPublicKey is above the size of the largest key, RSA with 8192 bits.
const maxPublicKey = 2048

// Validator returns the rules by which a DHT server accepts values: IPNS records under
// /ipns/ and public keys under /pk/, and nothing else. A server validates a record
// several times before it stores it, and again when the next one arrives; the Opener
// verifies it only once. Nil: a new Opener.
func Validator(o *routing.Opener) record.Validator {
	if o == nil {
		o = new(routing.Opener)
	}
	return record.NamespacedValidator{
		"ipns": ipnsValidator{o},
		"pk":   pkValidator{},
	}
}

// ipnsValidator adapts the rules of package ipns to kad-dht.
type ipnsValidator struct{ opener *routing.Opener }

func (v ipnsValidator) Validate(key string, value []byte) error {
	name, err := nameOfRoutingKey(key)
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
	name, err := nameOfRoutingKey(key)
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

// pkValidator accepts a public key only in canonical form. Otherwise bytes appended by
// a peer would be stored and served.
type pkValidator struct{}

func (pkValidator) Validate(key string, value []byte) error {
	id, ok := strings.CutPrefix(key, pkNamespace+"/")
	if !ok {
		return errors.New("not a key of a public key")
	}
	if len(value) > maxPublicKey {
		return fmt.Errorf("a public key of %d bytes is too large", len(value))
	}
	pub, err := ipns.ParsePublicKey(value)
	if err != nil {
		return err
	}
	name, err := ipns.NameOf(pub)
	if err != nil {
		return err
	}
	if id != string(name.Binary()) {
		return errors.New("the public key belongs to another id")
	}
	return nil
}

// Select returns the first: all valid keys of one id are equal.
func (pkValidator) Select(string, [][]byte) (int, error) { return 0, nil }

// nameOfRoutingKey returns the name with a routing key.
func nameOfRoutingKey(key string) (ipns.Name, error) {
	name, err := ipns.NameFromRoutingKey([]byte(key))
	if err != nil {
		return ipns.Name{}, fmt.Errorf("routing key: %w", err)
	}
	return name, nil
}
