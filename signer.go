package ipns

import (
	"bytes"
	"context"
	stdcrypto "crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"errors"
	"fmt"

	"github.com/libp2p/go-libp2p/core/crypto"
)

// Signer signs for one name. The key may be elsewhere, such as in a token or on another
// machine. Signatures are verified before they are used, except those of Ed25519 keys
// in memory.
type Signer interface {
	// Public returns the public key. It is the same at every call.
	Public() crypto.PubKey

	// Sign signs msg, not a hash of it, in the way libp2p does for the type of
	// the key: Ed25519 over msg; RSA PKCS #1 v1.5 or ECDSA in DER over the
	// SHA-256 of msg. It must not keep or change msg.
	Sign(ctx context.Context, msg []byte) ([]byte, error)
}

// NewSigner returns a Signer for a key in memory.
func NewSigner(priv crypto.PrivKey) Signer {
	s := &memorySigner{priv: priv, pub: priv.GetPublic()}
	if KeyType(priv.Type()) == Ed25519 {
		if raw, err := priv.Raw(); err == nil && checkEd25519(raw) == nil {
			s.ed25519 = raw
		}
	}
	return s
}

type memorySigner struct {
	priv    crypto.PrivKey
	pub     crypto.PubKey
	ed25519 ed25519.PrivateKey // nil for other types, and where its halves do not fit
}

// checkEd25519 checks that a private key ends with its own public key. Otherwise its
// signatures would not verify, and would reveal the secret.
func checkEd25519(priv []byte) error {
	if len(priv) != ed25519.PrivateKeySize {
		return fmt.Errorf("ed25519 private key has %d bytes, want %d", len(priv), ed25519.PrivateKeySize)
	}
	if !bytes.Equal(ed25519.NewKeyFromSeed(priv[:ed25519.SeedSize]), priv) {
		return errors.New("ed25519 private key does not belong to its public key")
	}
	return nil
}

// appendPublicKey appends the serialized public key of signer to dst, which
// saves an allocation for Ed25519 keys in memory.
func appendPublicKey(dst []byte, signer Signer) ([]byte, error) {
	if s, ok := signer.(*memorySigner); ok && s.ed25519 != nil {
		dst = append(dst, ed25519Head[:]...)
		return append(dst, s.ed25519[ed25519.SeedSize:]...), nil
	}
	return MarshalPublicKey(signer.Public())
}

func (s *memorySigner) Public() crypto.PubKey { return s.pub }

func (s *memorySigner) Sign(_ context.Context, msg []byte) ([]byte, error) {
	if s.ed25519 != nil {
		return ed25519.Sign(s.ed25519, msg), nil
	}
	return s.priv.Sign(msg)
}

// NewCryptoSigner adapts a signer of the standard library, as libraries for KMS and
// PKCS #11 offer them. Its public key must be an [ed25519.PublicKey], an
// [*rsa.PublicKey] or an [*ecdsa.PublicKey]; other errors wrap [ErrKeyInvalid].
// secp256k1 needs a Signer of its own.
func NewCryptoSigner(signer stdcrypto.Signer) (Signer, error) {
	pub, err := publicFromStd(signer.Public())
	if err != nil {
		return nil, err
	}
	return &cryptoSigner{signer: signer, pub: pub}, nil
}

func publicFromStd(pub stdcrypto.PublicKey) (crypto.PubKey, error) {
	switch k := pub.(type) {
	case ed25519.PublicKey:
		return ParsePublicKey(marshalKey(Ed25519, k))
	case *rsa.PublicKey:
		return publicFromPKIX(RSA, k)
	case *ecdsa.PublicKey:
		return publicFromPKIX(ECDSA, k)
	}
	return nil, fmt.Errorf("%w: type %T", ErrKeyInvalid, pub)
}

func publicFromPKIX(t KeyType, pub any) (crypto.PubKey, error) {
	der, err := x509.MarshalPKIXPublicKey(pub)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrKeyInvalid, err)
	}
	return ParsePublicKey(marshalKey(t, der))
}

type cryptoSigner struct {
	signer stdcrypto.Signer
	pub    crypto.PubKey
}

func (s *cryptoSigner) Public() crypto.PubKey { return s.pub }

func (s *cryptoSigner) Sign(ctx context.Context, msg []byte) ([]byte, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	if KeyType(s.pub.Type()) == Ed25519 {
		return s.signer.Sign(rand.Reader, msg, stdcrypto.Hash(0))
	}
	digest := sha256.Sum256(msg)
	return s.signer.Sign(rand.Reader, digest[:], stdcrypto.SHA256)
}
