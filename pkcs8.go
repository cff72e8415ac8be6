package ipns

import (
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/rsa"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"errors"
	"fmt"

	"github.com/decred/dcrd/dcrec/secp256k1/v4"
	"github.com/libp2p/go-libp2p/core/crypto"
)

const secp256k1ScalarLen = 32

var (
	oidECPublicKey = asn1.ObjectIdentifier{1, 2, 840, 10045, 2, 1}
	oidSecp256k1   = asn1.ObjectIdentifier{1, 3, 132, 0, 10}
)

// pkcs8 is PrivateKeyInfo of RFC 5208. Attributes and later fields are skipped.
type pkcs8 struct {
	Version    int
	Algorithm  pkix.AlgorithmIdentifier
	PrivateKey []byte
}

// ecPrivateKey is ECPrivateKey of RFC 5915.
type ecPrivateKey struct {
	Version    int
	PrivateKey []byte
	Curve      asn1.ObjectIdentifier `asn1:"optional,explicit,tag:0"`
	PublicKey  asn1.BitString        `asn1:"optional,explicit,tag:1"`
}

// marshalPKCS8 writes PKCS #8. The standard library does it for all types but
// secp256k1.
func marshalPKCS8(priv crypto.PrivKey) ([]byte, error) {
	raw, err := priv.Raw()
	if err != nil {
		return nil, fmt.Errorf("serializing private key: %w", err)
	}
	switch t := KeyType(priv.Type()); t {
	case Ed25519:
		return x509.MarshalPKCS8PrivateKey(ed25519.PrivateKey(raw))
	case RSA:
		key, err := x509.ParsePKCS1PrivateKey(raw)
		if err != nil {
			return nil, err
		}
		return x509.MarshalPKCS8PrivateKey(key)
	case ECDSA:
		key, err := x509.ParseECPrivateKey(raw)
		if err != nil {
			return nil, err
		}
		return x509.MarshalPKCS8PrivateKey(key)
	case Secp256k1:
		return marshalSecp256k1(raw)
	default:
		return nil, fmt.Errorf("cannot export %v", t)
	}
}

func marshalSecp256k1(scalar []byte) ([]byte, error) {
	pub := secp256k1.PrivKeyFromBytes(scalar).PubKey().SerializeUncompressed()
	inner, err := asn1.Marshal(ecPrivateKey{
		Version:    1,
		PrivateKey: scalar,
		PublicKey:  asn1.BitString{Bytes: pub, BitLength: 8 * len(pub)},
	})
	if err != nil {
		return nil, err
	}
	curve, err := asn1.Marshal(oidSecp256k1)
	if err != nil {
		return nil, err
	}
	return asn1.Marshal(pkcs8{
		Algorithm:  pkix.AlgorithmIdentifier{Algorithm: oidECPublicKey, Parameters: asn1.RawValue{FullBytes: curve}},
		PrivateKey: inner,
	})
}

// parsePKCS8 reads PKCS #8.
func parsePKCS8(der []byte) (crypto.PrivKey, error) {
	if priv, ok, err := parseSecp256k1(der); ok {
		return priv, err
	}
	key, err := x509.ParsePKCS8PrivateKey(der)
	if err != nil {
		return nil, err
	}
	switch k := key.(type) {
	case ed25519.PrivateKey:
		return ParsePrivateKey(marshalKey(Ed25519, k))
	case *rsa.PrivateKey:
		return ParsePrivateKey(marshalKey(RSA, x509.MarshalPKCS1PrivateKey(k)))
	case *ecdsa.PrivateKey:
		raw, err := x509.MarshalECPrivateKey(k)
		if err != nil {
			return nil, err
		}
		return ParsePrivateKey(marshalKey(ECDSA, raw))
	}
	return nil, fmt.Errorf("keys of type %T are not supported", key)
}

// parseSecp256k1 reads PKCS #8 of a secp256k1 key. ok is false if der holds
// another kind of key, or none.
func parseSecp256k1(der []byte) (priv crypto.PrivKey, ok bool, err error) {
	var outer pkcs8
	if rest, err := asn1.Unmarshal(der, &outer); err != nil || len(rest) > 0 || !outer.Algorithm.Algorithm.Equal(oidECPublicKey) {
		return nil, false, nil
	}
	var curve asn1.ObjectIdentifier
	if rest, err := asn1.Unmarshal(outer.Algorithm.Parameters.FullBytes, &curve); err != nil || len(rest) > 0 || !curve.Equal(oidSecp256k1) {
		return nil, false, nil
	}
	var inner ecPrivateKey
	switch rest, err := asn1.Unmarshal(outer.PrivateKey, &inner); {
	case err != nil:
		return nil, true, err
	case len(rest) > 0:
		return nil, true, errors.New("bytes after the secp256k1 key")
	case inner.Version != 1:
		return nil, true, fmt.Errorf("secp256k1 key has version %d, want 1", inner.Version)
	case len(inner.Curve) > 0 && !inner.Curve.Equal(oidSecp256k1):
		return nil, true, errors.New("secp256k1 key names another curve inside")
	}
	priv, err = unmarshalSecp256k1(inner.PrivateKey)
	return priv, true, err
}
