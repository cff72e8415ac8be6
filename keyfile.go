package ipns

import (
	"encoding/pem"
	"errors"
	"fmt"

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

// ParsePrivateKey parses a serialized private key. RSA keys outside of
// MinRSABits and MaxRSABits are refused.
func ParsePrivateKey(b []byte) (crypto.PrivKey, error) {
	priv, err := crypto.UnmarshalPrivateKey(b)
	if err != nil {
		return nil, err
	}
	if _, err := MarshalPublicKey(priv.GetPublic()); err != nil {
		return nil, err
	}
	return priv, nil
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

// ImportKey reads a private key from the contents of a key file. Its errors
// never contain any part of them. A caller that wants Kubo's rules refuses
// ECDSA keys unless the user insists.
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
