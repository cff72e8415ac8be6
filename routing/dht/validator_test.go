package dht_test

import (
	"bytes"
	"context"
	"crypto/sha256"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/libp2p/go-libp2p/core/crypto"
	"github.com/libp2p/go-libp2p/core/peer"

	"github.com/goipns/ipns"
	"github.com/goipns/ipns/routing"
	"github.com/goipns/ipns/routing/dht"
)

// signer makes records of one name.
type signer struct {
	t    *testing.T
	priv crypto.PrivKey
	name ipns.Name
}

// newSigner has, of Ed25519, the same keys in every run of a test: what servers are near a name
// decides much of what a simulation comes to.
func newSigner(t *testing.T, typ ipns.KeyType) *signer {
	t.Helper()
	var priv crypto.PrivKey
	var err error
	if typ == ipns.Ed25519 {
		seed := sha256.Sum256(fmt.Appendf(nil, "%s %d", t.Name(), keyNumber(t)))
		priv, _, err = crypto.GenerateEd25519Key(bytes.NewReader(seed[:]))
	} else {
		priv, err = ipns.GenerateKey(typ, 0)
	}
	if err != nil {
		t.Fatal(err)
	}
	name, err := ipns.NameOf(priv.GetPublic())
	if err != nil {
		t.Fatal(err)
	}
	return &signer{t, priv, name}
}

// keysOf counts the keys of running tests, by their names.
var keysOf sync.Map

func keyNumber(t *testing.T) int64 {
	n, known := keysOf.LoadOrStore(t.Name(), new(atomic.Int64))
	if !known {
		t.Cleanup(func() { keysOf.Delete(t.Name()) })
	}
	return n.(*atomic.Int64).Add(1)
}

// seededSigner has the same key in every run, so that a simulation of its name is
// repeatable.
func seededSigner(t *testing.T, seed byte) *signer {
	t.Helper()
	priv, _, err := crypto.GenerateEd25519Key(bytes.NewReader(bytes.Repeat([]byte{seed + 1}, 32)))
	if err != nil {
		t.Fatal(err)
	}
	name, err := ipns.NameOf(priv.GetPublic())
	if err != nil {
		t.Fatal(err)
	}
	return &signer{t, priv, name}
}

// record signs a record with the given sequence and EOL.
func (s *signer) record(seq uint64, eol time.Time) *ipns.Record {
	s.t.Helper()
	rec, err := ipns.Sign(context.Background(), ipns.NewSigner(s.priv), ipns.Fields{
		Value:    "/ipfs/bafkqabtimvwgy3yk",
		Sequence: seq,
		EOL:      eol,
		TTL:      time.Minute,
	}, ipns.V1V2)
	if err != nil {
		s.t.Fatal(err)
	}
	return rec
}

// T-2, T-3
func TestValidator(t *testing.T) {
	now := time.Date(2026, 11, 1, 12, 0, 0, 0, time.UTC)
	v := dht.Validator(&routing.Opener{Now: func() time.Time { return now }})
	s := newSigner(t, ipns.Ed25519)
	key := string(s.name.RoutingKey())
	old := s.record(1, now.Add(time.Hour)).Raw()
	recent := s.record(2, now.Add(time.Hour)).Raw()
	expired := s.record(3, now.Add(-time.Hour)).Raw()
	forged := bytes.Clone(recent)
	forged[len(forged)-1] ^= 1

	for _, c := range []struct {
		what   string
		values [][]byte
		best   int
	}{
		{"higher sequence", [][]byte{old, recent}, 1},
		{"order does not matter", [][]byte{recent, old}, 0},
		{"identical: the one just put", [][]byte{old, old}, 0},
		{"expired takes no part", [][]byte{expired, old, recent}, 2},
		{"expired loses to an older one", [][]byte{old, expired}, 0},
		{"forged takes no part", [][]byte{forged, old}, 1},
		{"garbage takes no part", [][]byte{nil, []byte("x"), old}, 2},
	} {
		if got, err := v.Select(key, c.values); err != nil || got != c.best {
			t.Errorf("%s: Select = %d, %v, want %d", c.what, got, err, c.best)
		}
	}
	if _, err := v.Select(key, [][]byte{expired, forged}); err == nil {
		t.Error("a best record was found where none is valid")
	}

	pub, err := ipns.MarshalPublicKey(s.priv.GetPublic())
	if err != nil {
		t.Fatal(err)
	}
	id, err := peer.IDFromPublicKey(s.priv.GetPublic())
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		what, key string
		value     []byte
		ok        bool
	}{
		{"a record", key, recent, true},
		{"an expired one", key, expired, false},
		{"a forged one", key, forged, false},
		{"bytes after the name", key + "x", recent, false},
		{"no name", "/ipns/", recent, false},
		{"another name's key", string(newSigner(t, ipns.Ed25519).name.RoutingKey()), recent, false},
		{"a public key", "/pk/" + string(id), pub, true},
		{"another's public key", "/pk/" + string(newSigner(t, ipns.Ed25519).name.Binary()), pub, false},
		{"another namespace", "/txt/" + string(id), []byte("x"), false},
		{"no namespace", string(id), recent, false},
	} {
		if err := v.Validate(c.key, c.value); (err == nil) != c.ok {
			t.Errorf("%s: Validate = %v", c.what, err)
		}
	}
}
