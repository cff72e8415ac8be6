package ipns

import (
	"bytes"
	"encoding/base64"
	"encoding/pem"
	"fmt"

	"github.com/libp2p/go-libp2p/core/crypto"
)

// Formats of private keys that [RecognizeKey] reads beside those of [ImportKey].
const (
	// KeyFormatBase64 is the serialized PrivateKey of libp2p in base64, as JavaScript
	// programs, Kubo's config and Filebase write it.
	KeyFormatBase64 = "libp2p-protobuf-base64"
	// KeyFormatRaw is an Ed25519 key as 64 bytes, the seed and the public key.
	KeyFormatRaw = "ed25519-raw"
)

// maxKeyText is longer than the largest key in any format.
const maxKeyText = 64 << 10

// RecognizeKey reads a private key in any format that programs for IPNS write, and returns
// which one it is. Line ends after a key and in base64 are ignored. A key that reads as none
// is an error, which never contains any part of it.
func RecognizeKey(data []byte) (priv crypto.PrivKey, format string, err error) {
	if len(data) > maxKeyText {
		return nil, "", fmt.Errorf("%d bytes are more than any private key has", len(data))
	}
	if block, _ := pem.Decode(data); block != nil {
		priv, err = importPEM(data)
		return priv, KeyFormatPEM, err
	}
	priv, err = ParsePrivateKey(data)
	if err == nil {
		return priv, KeyFormatProtobuf, nil
	}
	// The message says how long it is: what follows is no part of it.
	if priv, lineErr := ParsePrivateKey(bytes.TrimRight(data, "\r\n")); lineErr == nil {
		return priv, KeyFormatProtobuf, nil
	}
	if text, ok := decodeBase64(data); ok {
		if priv, textErr := ParsePrivateKey(text); textErr == nil {
			return priv, KeyFormatBase64, nil
		}
		if priv, rawErr := parseRawKey(text); rawErr == nil {
			return priv, KeyFormatRaw, nil
		}
	}
	if priv, rawErr := parseRawKey(data); rawErr == nil {
		return priv, KeyFormatRaw, nil
	}
	return nil, "", fmt.Errorf("unable to unmarshall format=%s: %w; it is no other format of a key that is known either", KeyFormatProtobuf, err)
}

// parseRawKey reads the seed and the public key of an Ed25519 key, which must match.
func parseRawKey(b []byte) (crypto.PrivKey, error) {
	if len(b) != 2*ed25519KeyLen {
		return nil, fmt.Errorf("a raw key has %d bytes", 2*ed25519KeyLen)
	}
	return ParsePrivateKey(marshalKey(Ed25519, b))
}

// decodeBase64 decodes base64 of either alphabet, padded or not, in any number of lines, with
// or without the letter by which multibase names it.
func decodeBase64(data []byte) ([]byte, bool) {
	text := make([]byte, 0, len(data))
	for _, c := range data {
		switch c {
		case ' ', '\t', '\r', '\n', '=':
		case '-':
			text = append(text, '+')
		case '_':
			text = append(text, '/')
		default:
			text = append(text, c)
		}
	}
	if len(text) == 0 {
		return nil, false
	}
	b := make([]byte, base64.RawStdEncoding.DecodedLen(len(text)))
	n, err := base64.RawStdEncoding.Decode(b, text)
	// A serialized key begins with 0x08, in base64 with C.
	if bytes.IndexByte([]byte("mMuU"), text[0]) >= 0 && len(text) > 1 && text[1] == 'C' {
		n, err = base64.RawStdEncoding.Decode(b, text[1:])
	}
	return b[:n], err == nil
}
