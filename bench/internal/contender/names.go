package contender

import (
	"context"
	"crypto/ed25519"
	"encoding/binary"
	"fmt"
	"math/rand/v2"
	"time"

	"github.com/goipns/ipns"
	"github.com/libp2p/go-libp2p/core/crypto"
)

// The two values that names have in turn.
const (
	firstValue  = "/ipfs/bafkreigh2akiscaildcqabsyg3dfr6chu3fgpregiymsck7e7aqa4s52zy"
	secondValue = "/ipfs/bafkreifzjut3te7nhyekklss27nh3k72ysco7y32koao5eei66wof36n5e"
)

// NewNames makes Ed25519 names from the seed, each with its last and, if update,
// its next record. The records outlive any experiment, but end before
// those that a client makes now with the default lifetime, which are newer then.
func NewNames(seed uint64, count int, update bool) ([]*Name, error) {
	var start [32]byte
	binary.BigEndian.PutUint64(start[:], seed)
	random := rand.NewChaCha8(start)
	names := make([]*Name, count)
	eol := time.Now().Add(ipns.DefaultLifetime - time.Minute)
	for i := range names {
		var seed [ed25519.SeedSize]byte
		random.Read(seed[:]) // never fails
		key, err := crypto.UnmarshalEd25519PrivateKey(ed25519.NewKeyFromSeed(seed[:]))
		if err != nil {
			return nil, fmt.Errorf("making a key: %w", err)
		}
		n := &Name{Key: key}
		if n.Last, err = sign(key, firstValue, 1, eol); err != nil {
			return nil, err
		}
		if update {
			if n.Next, err = sign(key, secondValue, 2, eol); err != nil {
				return nil, err
			}
		}
		names[i] = n
	}
	return names, nil
}

func sign(key crypto.PrivKey, value string, sequence uint64, eol time.Time) (*ipns.Record, error) {
	fields := ipns.Fields{Value: value, Sequence: sequence, EOL: eol, TTL: ipns.DefaultTTL}
	return ipns.Sign(context.Background(), ipns.NewSigner(key), fields, ipns.V1V2)
}
