package ipns

import (
	"context"
	stdcrypto "crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"errors"
	"testing"

	"github.com/libp2p/go-libp2p/core/crypto"
)

// A key of the standard library signs through the adapter, whatever its type.
func TestCryptoSigner(t *testing.T) {
	_, edKey, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	rsaKey, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	signers := []stdcrypto.Signer{edKey, rsaKey}
	for _, curve := range []elliptic.Curve{elliptic.P256(), elliptic.P384(), elliptic.P521()} {
		key, err := ecdsa.GenerateKey(curve, rand.Reader)
		if err != nil {
			t.Fatal(err)
		}
		signers = append(signers, key)
	}
	for _, std := range signers {
		signer, err := NewCryptoSigner(std)
		if err != nil {
			t.Fatalf("%T: %v", std, err)
		}
		for _, form := range []Form{V1V2, V2Only} {
			r, err := Sign(context.Background(), signer, Fields{Value: "/ipfs/bafkqaaa", EOL: testEOL}, form)
			if err != nil {
				t.Fatalf("%T: %v", std, err)
			}
			if _, err := Open(r.Name(), r.Raw(), corpusTime); err != nil {
				t.Errorf("%T: %v", std, err)
			}
			if form == V1V2 {
				if err := VerifyV1(r.Name(), r.Raw()); err != nil {
					t.Errorf("%T: %v", std, err)
				}
			}
		}
		ctx, cancel := context.WithCancel(context.Background())
		cancel()
		if _, err := Sign(ctx, signer, Fields{EOL: testEOL}, V2Only); !errors.Is(err, context.Canceled) {
			t.Errorf("%T: canceled: %v", std, err)
		}
	}
	for _, std := range []stdcrypto.Signer{oddSigner{}, weakRSA(t)} {
		if _, err := NewCryptoSigner(std); !errors.Is(err, ErrKeyInvalid) {
			t.Errorf("%T: %v", std, err)
		}
	}
}

type oddSigner struct{ stdcrypto.Signer }

func (oddSigner) Public() stdcrypto.PublicKey { return "no key" }

func weakRSA(t *testing.T) stdcrypto.Signer {
	t.Helper()
	t.Setenv("GODEBUG", "rsa1024min=0")
	key, err := rsa.GenerateKey(rand.Reader, 1024)
	if err != nil {
		t.Fatal(err)
	}
	return key
}

// brokenSigner returns what it is told to.
type brokenSigner struct {
	pub crypto.PubKey
	sig func(msg []byte) ([]byte, error)
}

func (s brokenSigner) Public() crypto.PubKey { return s.pub }

func (s brokenSigner) Sign(_ context.Context, msg []byte) ([]byte, error) { return s.sig(msg) }

// What a signer of somebody else returns is checked, and cannot change the
// record: neither a wrong or overlong signature nor a changed message.
func TestForeignSigner(t *testing.T) {
	priv := testKey(t, Ed25519)
	errRefused := errors.New("token refused")
	for why, c := range map[string]struct {
		sig  func(msg []byte) ([]byte, error)
		want error
	}{
		"error":  {func([]byte) ([]byte, error) { return nil, errRefused }, errRefused},
		"empty":  {func([]byte) ([]byte, error) { return nil, nil }, ErrSignature},
		"wrong":  {func([]byte) ([]byte, error) { return make([]byte, 64), nil }, ErrSignature},
		"long":   {func([]byte) ([]byte, error) { return make([]byte, 500), nil }, ErrSignature},
		"huge":   {func([]byte) ([]byte, error) { return make([]byte, 20_000), nil }, ErrSize},
		"good":   {priv.Sign, nil},
		"writes": {func(msg []byte) ([]byte, error) { sig, err := priv.Sign(msg); clear(msg); return sig, err }, nil},
	} {
		for _, form := range []Form{V1V2, V2Only} {
			r, err := Sign(context.Background(), brokenSigner{priv.GetPublic(), c.sig}, Fields{Value: "/ipfs/bafkqaaa", EOL: testEOL}, form)
			if !errors.Is(err, c.want) || (r == nil) != (c.want != nil) {
				t.Errorf("%s: %v, %v", why, r, err)
			}
		}
	}
	if _, err := Sign(context.Background(), brokenSigner{nil, priv.Sign}, Fields{EOL: testEOL}, V1V2); !errors.Is(err, ErrKeyInvalid) {
		t.Errorf("no key: %v", err)
	}
}
