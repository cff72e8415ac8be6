package ipns

import (
	"bytes"
	"encoding/pem"
	"errors"
	"fmt"

	"github.com/decred/dcrd/dcrec/secp256k1/v4"
	"github.com/libp2p/go-libp2p/core/crypto"
)

// Formats of key files, with the names that Kubo's flags have.
const (
	// KeyFormatProtobuf is the serialized PrivateKey of libp2p, file suffix .key.
	KeyFormatProtobuf = "libp2p-protobuf-cleartext"
	// KeyFormatPEM is PKCS #8 in PEM, as openssl writes it, file suffix .pem.
	KeyFormatPEM = "pem-pkcs8-cleartext"
)

const pemType = "PRIVATE KEY"

// MarshalPrivateKey returns the serialization of a private key: the protobuf
// message PrivateKey of libp2p.
func MarshalPrivateKey(priv crypto.PrivKey) ([]byte, error) {
	data, err := priv.Raw()
	if err != nil {
		return nil, fmt.Errorf("serializing private key: %w", err)
	}
	return marshalKey(KeyType(priv.Type()), data), nil
}

// ParsePrivateKey parses a serialized private key, for Ed25519 also in the old form of
// 96 bytes. It rejects keys whose public key [ParsePublicKey] would reject, and Ed25519
// keys whose halves do not match.
func ParsePrivateKey(b []byte) (crypto.PrivKey, error) {
	t, data, err := splitKey(b)
	if err != nil {
		return nil, err
	}
	priv, err := unmarshalPrivate(t, data)
	if err != nil {
		return nil, err
	}
	if _, err := MarshalPublicKey(priv.GetPublic()); err != nil {
		return nil, err
	}
	return priv, nil
}

func unmarshalPrivate(t KeyType, data []byte) (crypto.PrivKey, error) {
	switch t {
	case Ed25519:
		priv, err := crypto.UnmarshalEd25519PrivateKey(bytes.Clone(data))
		if err != nil {
			return nil, err
		}
		raw, err := priv.Raw()
		if err != nil {
			return nil, err
		}
		return priv, checkEd25519(raw)
	case Secp256k1:
		return unmarshalSecp256k1(data)
	case RSA:
		return crypto.UnmarshalRsaPrivateKey(data)
	default:
		return crypto.UnmarshalECDSAPrivateKey(data)
	}
}

// unmarshalSecp256k1 reads a scalar of up to 32 bytes. libp2p would reduce one that is
// too large.
func unmarshalSecp256k1(data []byte) (crypto.PrivKey, error) {
	if len(data) > secp256k1ScalarLen {
		return nil, fmt.Errorf("secp256k1 scalar has %d bytes, want %d", len(data), secp256k1ScalarLen)
	}
	var scalar secp256k1.ModNScalar
	if overflow := scalar.SetByteSlice(data); overflow || scalar.IsZero() {
		return nil, errors.New("secp256k1 scalar is out of range")
	}
	padded := scalar.Bytes()
	return crypto.UnmarshalSecp256k1PrivateKey(padded[:])
}

// ExportKey writes a private key as the contents of a key file.
func ExportKey(priv crypto.PrivKey, format string) ([]byte, error) {
	switch format {
	case KeyFormatProtobuf:
		return MarshalPrivateKey(priv)
	case KeyFormatPEM:
		der, err := marshalPKCS8(priv)
		if err != nil {
			return nil, err
		}
		return pem.EncodeToMemory(&pem.Block{Type: pemType, Bytes: der}), nil
	}
	return nil, fmt.Errorf("unrecognized export format: %s", format)
}

// ImportKey reads a private key from the contents of a key file. Its errors never
// contain any part of them. To follow Kubo's rules, a caller rejects ECDSA keys unless
// the user insists.
func ImportKey(data []byte, format string) (crypto.PrivKey, error) {
	switch format {
	case KeyFormatProtobuf:
		return importProtobuf(data)
	case KeyFormatPEM:
		return importPEM(data)
	}
	return nil, fmt.Errorf("unrecognized import format: %s", format)
}

func importProtobuf(data []byte) (crypto.PrivKey, error) {
	priv, err := ParsePrivateKey(data)
	if err == nil {
		return priv, nil
	}
	if block, _ := pem.Decode(data); block != nil {
		return nil, fmt.Errorf("unexpected PEM block for format=%s: try again with format=%s",
			KeyFormatProtobuf, KeyFormatPEM)
	}
	return nil, fmt.Errorf("unable to unmarshall format=%s: %w", KeyFormatProtobuf, err)
}

func importPEM(data []byte) (crypto.PrivKey, error) {
	block, _ := pem.Decode(data)
	if block == nil {
		return nil, errors.New("PEM block not found in input data")
	}
	if block.Type != pemType {
		return nil, fmt.Errorf("expected %s type in PEM block but got: %s", pemType, block.Type)
	}
	priv, err := parsePKCS8(block.Bytes)
	if err != nil {
		return nil, fmt.Errorf("parsing PKCS8 format: %w", err)
	}
	return priv, nil
}
