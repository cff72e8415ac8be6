package ipns

import (
	"bytes"
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"errors"
	"fmt"

	"github.com/decred/dcrd/dcrec/secp256k1/v4"
	secp256k1ecdsa "github.com/decred/dcrd/dcrec/secp256k1/v4/ecdsa"
)

// verifySignature checks sig over msg with a serialized public key. It rejects the keys
// that ParsePublicKey rejects.
func verifySignature(key, msg, sig []byte) error {
	t, data, err := splitKey(key)
	if err != nil {
		return fmt.Errorf("%w: %w", ErrKeyInvalid, err)
	}
	var ok bool
	switch t {
	case Ed25519:
		if len(data) != ed25519KeyLen {
			return fmt.Errorf("%w: ed25519 key has %d bytes", ErrKeyInvalid, len(data))
		}
		if weakEd25519([ed25519KeyLen]byte(data)) {
			return fmt.Errorf("%w: %w", ErrKeyInvalid, errWeakKey)
		}
		ok = ed25519.Verify(data, msg, sig)
	case Secp256k1:
		ok, err = verifySecp256k1(data, msg, sig)
	case RSA:
		ok, err = verifyRSA(data, msg, sig)
	case ECDSA:
		ok, err = verifyECDSA(data, msg, sig)
	}
	if err != nil {
		return fmt.Errorf("%w: %w", ErrKeyInvalid, err)
	}
	if !ok {
		return ErrSignature
	}
	return nil
}

func verifySecp256k1(key, msg, sig []byte) (bool, error) {
	if len(key) != secp256k1KeyLen {
		return false, fmt.Errorf("secp256k1 key has %d bytes, want %d", len(key), secp256k1KeyLen)
	}
	pub, err := secp256k1.ParsePubKey(key)
	if err != nil {
		return false, err
	}
	parsed, err := secp256k1ecdsa.ParseDERSignature(sig)
	if err != nil {
		return false, nil
	}
	digest := sha256.Sum256(msg)
	return parsed.Verify(digest[:], pub), nil
}

func verifyRSA(der, msg, sig []byte) (bool, error) {
	pub, err := parseRSA(der)
	if err != nil {
		return false, err
	}
	digest := sha256.Sum256(msg)
	return rsa.VerifyPKCS1v15(pub, crypto.SHA256, digest[:], sig) == nil, nil
}

func verifyECDSA(der, msg, sig []byte) (bool, error) {
	pub, err := parseECDSA(der)
	if err != nil {
		return false, err
	}
	digest := sha256.Sum256(msg)
	return ecdsa.VerifyASN1(pub, digest[:], sig), nil
}

// With an unusually large exponent, a large key would take more than a millisecond to
// verify.
const (
	commonExponent     = 65537
	maxOddExponentBits = 4096
)

// parseRSA parses the canonical SubjectPublicKeyInfo of an RSA key of allowed size.
func parseRSA(der []byte) (*rsa.PublicKey, error) {
	parsed, err := parsePKIX(der)
	if err != nil {
		return nil, err
	}
	pub, ok := parsed.(*rsa.PublicKey)
	if !ok {
		return nil, errors.New("not an RSA key")
	}
	switch bits := pub.N.BitLen(); {
	case bits < MinRSABits:
		return nil, fmt.Errorf("rsa keys must be >= %d bits to be useful", MinRSABits)
	case bits > MaxRSABits:
		return nil, fmt.Errorf("rsa keys must be <= %d bits", MaxRSABits)
	case pub.E < 3 || pub.E%2 == 0:
		return nil, errors.New("rsa public exponent must be odd and at least 3")
	case pub.E > commonExponent && bits > maxOddExponentBits:
		return nil, fmt.Errorf("rsa keys of more than %d bits must have an exponent <= %d", maxOddExponentBits, commonExponent)
	}
	return pub, nil
}

// parseECDSA parses the canonical SubjectPublicKeyInfo of an ECDSA key.
func parseECDSA(der []byte) (*ecdsa.PublicKey, error) {
	parsed, err := parsePKIX(der)
	if err != nil {
		return nil, err
	}
	pub, ok := parsed.(*ecdsa.PublicKey)
	if !ok {
		return nil, errors.New("not an ECDSA key")
	}
	return pub, nil
}

func parsePKIX(der []byte) (any, error) {
	pub, err := x509.ParsePKIXPublicKey(der)
	if err != nil {
		return nil, err
	}
	again, err := x509.MarshalPKIXPublicKey(pub)
	if err != nil {
		return nil, err
	}
	if !bytes.Equal(der, again) {
		return nil, errors.New("key is not in its canonical form")
	}
	return pub, nil
}
