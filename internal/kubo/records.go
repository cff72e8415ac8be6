package kubo

import (
	"crypto/sha256"
	"encoding/base32"
	"errors"
	"fmt"
	"strings"

	recpb "github.com/libp2p/go-libp2p-record/pb"
	"github.com/multiformats/go-multihash"
	"google.golang.org/protobuf/proto"

	"github.com/goipns/ipns"
)

// Record returns the newest record of a key's name, published by this Kubo or put on its
// DHT server by others; nil: there is none. Expired ones count: their sequence was used.
//
// A record that is there but cannot be read is in the error, beside the best that can.
func (r *Repo) Record(key Key) (*ipns.Record, error) {
	var best *ipns.Record
	var errs []error
	take := func(at string, raw []byte) {
		rec, err := ipns.Reopen(key.Name, raw)
		switch {
		case err != nil:
			errs = append(errs, fmt.Errorf("record of %s at %s: %w", key.Name, at, err))
		case best == nil || ipns.Compare(rec, best) > 0:
			best = rec
		}
	}
	for _, at := range recordKeys(key) {
		raw, err := r.get(at)
		if err == nil {
			take(at, raw)
		} else if !errors.Is(err, errNone) {
			errs = append(errs, fmt.Errorf("read %s: %w", at, err))
		}
	}
	for _, at := range dhtKeys(key.Name) {
		raw, err := r.get(at)
		if errors.Is(err, errNone) {
			continue
		}
		var rec recpb.Record
		if err == nil {
			err = proto.Unmarshal(raw, &rec)
		}
		if err != nil {
			errs = append(errs, fmt.Errorf("read %s: %w", at, err))
			continue
		}
		take(at, rec.GetValue())
	}
	return best, errors.Join(errs...)
}

var rawBase32 = base32.StdEncoding.WithPadding(base32.NoPadding)

// ownKey is where Kubo keeps what it published under a name.
func ownKey(binary []byte) string { return "/ipns/" + rawBase32.EncodeToString(binary) }

// recordKeys are the keys at which a Kubo, today's or an old one, keeps what it published:
// by the name, or as names were before short keys became part of them, by the hash of the
// key. Case was not always the same.
func recordKeys(key Key) []string {
	keys := []string{ownKey(key.Name.Binary())}
	if old := hashedName(key); old != nil {
		keys = append(keys, ownKey(old))
	}
	for _, k := range keys {
		keys = append(keys, "/ipns/"+strings.ToLower(strings.TrimPrefix(k, "/ipns/")))
	}
	return keys
}

// hashedName is the name of a key as Kubo made it before 0.5, if that differs.
func hashedName(key Key) []byte {
	pub, err := ipns.MarshalPublicKey(key.Priv.GetPublic())
	if err != nil {
		return nil
	}
	sum := sha256.Sum256(pub)
	hash, err := multihash.Encode(sum[:], multihash.SHA2_256)
	if err != nil || string(hash) == string(key.Name.Binary()) {
		return nil
	}
	return hash
}

// dhtKeys are the keys at which a DHT server, or an offline Kubo, keeps a record: in Kubo
// 0.43, before it, and of its offline router.
func dhtKeys(name ipns.Name) []string {
	k := rawBase32.EncodeToString(name.RoutingKey())
	return []string{"/dht/ipns/" + k, "/dht/" + k, "/ipns/" + k, "/" + k}
}
