package recordstoretest

import (
	"context"
	"crypto/ed25519"
	"crypto/rand"
	"fmt"
	"testing"
	"time"

	"github.com/libp2p/go-libp2p/core/crypto"

	"github.com/goipns/ipns"
	"github.com/goipns/ipns/recordstore"
)

// Epoch is the time at which the records of the test are signed.
var Epoch = time.Date(2026, 11, 20, 12, 0, 0, 123456789, time.UTC)

// Key is a name and its signer.
type Key struct {
	Name   ipns.Name
	Signer ipns.Signer
}

// NewKey makes an Ed25519 key.
func NewKey(t testing.TB) Key {
	t.Helper()
	priv, pub, err := crypto.GenerateEd25519Key(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return newKey(t, priv, pub)
}

// KeyFromSeed returns the Ed25519 key for a number, the same on every run.
func KeyFromSeed(t testing.TB, seed uint64) Key {
	t.Helper()
	var b [ed25519.SeedSize]byte
	copy(b[:], fmt.Sprintf("seed %d", seed))
	priv, err := crypto.UnmarshalEd25519PrivateKey(ed25519.NewKeyFromSeed(b[:]))
	if err != nil {
		t.Fatal(err)
	}
	return newKey(t, priv, priv.GetPublic())
}

func newKey(t testing.TB, priv crypto.PrivKey, pub crypto.PubKey) Key {
	t.Helper()
	name, err := ipns.NameOf(pub)
	if err != nil {
		t.Fatal(err)
	}
	return Key{Name: name, Signer: ipns.NewSigner(priv)}
}

// Record signs a record with a lifetime of one hour, which ends at eol.
func (k Key) Record(t testing.TB, seq uint64, value string, eol time.Time) *ipns.Record {
	t.Helper()
	rec, err := ipns.Sign(context.Background(), k.Signer, ipns.Fields{
		Value: value, Sequence: seq, EOL: eol, TTL: time.Minute, HighSequence: true,
	}, ipns.V2Only)
	if err != nil {
		t.Fatal(err)
	}
	return rec
}

// Value returns a content path for a number.
func Value(n int) string { return fmt.Sprintf("/ipns/example.com/%d", n) }

// Entry returns the entry that a record makes.
func (k Key) Entry(t testing.TB, seq uint64, value string, origin recordstore.Origin) recordstore.Entry {
	t.Helper()
	rec := k.Record(t, seq, value, Epoch.Add(time.Hour))
	return recordstore.Entry{
		Name: k.Name, Record: rec, Mark: recordstore.MarkOf(rec), Next: seq + 1, Origin: origin, Changed: Epoch,
	}
}

// Equal reports how two entries differ; "" if they do not.
func Equal(a, b recordstore.Entry) string {
	raw := func(list ...*ipns.Record) string {
		s := ""
		for _, r := range list {
			if r != nil {
				s += fmt.Sprintf("%x;", r.Raw())
			}
		}
		return s
	}
	flat := func(e recordstore.Entry) string {
		return fmt.Sprintf("%v|%s|%s|%s|%d|%d %d %x|%d|%v|%q|%x|%x|%d|%s|%s|%d|%d", e.Name, raw(e.Record), raw(e.Rivals...), raw(e.Staged...),
			e.Forks, e.Mark.Sequence, e.Mark.EOL.UnixNano(), e.Mark.Hash, e.Next, e.Origin, e.Tenant, e.Known, e.Entered, e.Span, raw(e.Rival), raw(e.Pending), e.Changed.UnixNano(), e.Version)
	}
	if x, y := flat(a), flat(b); x != y {
		return fmt.Sprintf("\n %s\n %s", x, y)
	}
	return ""
}
