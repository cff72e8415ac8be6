package ipns

import (
	"bytes"
	"crypto/rand"
	"errors"
	"fmt"

	"github.com/decred/dcrd/dcrec/secp256k1/v4"
	"github.com/libp2p/go-libp2p/core/crypto"

	"github.com/goipns/ipns/internal/wire"
)

// KeyType is the algorithm of a key, numbered as in a serialized key. Section Key
// Types.
type KeyType int

// The key types. All four verify; new names should use Ed25519.
const (
	RSA       KeyType = crypto.RSA
	Ed25519   KeyType = crypto.Ed25519
	Secp256k1 KeyType = crypto.Secp256k1
	ECDSA     KeyType = crypto.ECDSA
)

// String returns the name of the type as users type it: "ed25519".
func (t KeyType) String() string {
	switch t {
	case RSA:
		return "rsa"
	case Ed25519:
		return "ed25519"
	case Secp256k1:
		return "secp256k1"
	case ECDSA:
		return "ecdsa"
	}
	return fmt.Sprintf("key type %d", int(t))
}

const (
	// MinRSABits and MaxRSABits bound RSA keys: smaller ones are weak, larger
	// ones cost others too much to verify.
	MinRSABits = 2048
	MaxRSABits = 8192

	// maxInlineKey is the longest serialized public key that becomes part of
	// the name instead of being hashed.
	maxInlineKey = 42

	ed25519KeyLen   = 32
	secp256k1KeyLen = 33
)

// The beginnings of the serialized keys that names contain: type and length.
var (
	ed25519Head   = [...]byte{0x08, 0x01, 0x12, ed25519KeyLen}
	secp256k1Head = [...]byte{0x08, 0x02, 0x12, secp256k1KeyLen}
)

// MarshalPublicKey returns the canonical serialization of a key: the protobuf
// message PublicKey of libp2p. Errors wrap [ErrKeyInvalid]. Section Key
// Serialization Format.
func MarshalPublicKey(pub crypto.PubKey) ([]byte, error) {
	if pub == nil {
		return nil, fmt.Errorf("%w: no key", ErrKeyInvalid)
	}
	data, err := pub.Raw()
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrKeyInvalid, err)
	}
	b := marshalKey(KeyType(pub.Type()), data)
	if _, err := ParsePublicKey(b); err != nil {
		return nil, err
	}
	return b, nil
}

// marshalKey writes a PublicKey or PrivateKey message: they look the same.
func marshalKey(t KeyType, data []byte) []byte {
	b := make([]byte, 0, wire.SizeVarint(uint64(t))+wire.SizeBytes(len(data)))
	return wire.AppendBytes(wire.AppendVarint(b, 1, uint64(t)), 2, data)
}

// ParsePublicKey parses a serialized public key. It accepts only the canonical form, so
// that a key has one name: it rejects fields in another order, extra or missing fields,
// longer varints and uncompressed points. It also rejects RSA keys outside MinRSABits
// and MaxRSABits, and Ed25519 keys of low order. Errors wrap [ErrKeyInvalid].
func ParsePublicKey(b []byte) (crypto.PubKey, error) {
	pub, err := parsePublicKey(b)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrKeyInvalid, err)
	}
	return pub, nil
}

func parsePublicKey(b []byte) (crypto.PubKey, error) {
	t, data, err := splitKey(b)
	if err != nil {
		return nil, err
	}
	var pub crypto.PubKey
	switch t {
	case Ed25519:
		if len(data) != ed25519KeyLen {
			return nil, fmt.Errorf("ed25519 key has %d bytes, want %d", len(data), ed25519KeyLen)
		}
		if weakEd25519([ed25519KeyLen]byte(data)) {
			return nil, errWeakKey
		}
		pub, err = crypto.UnmarshalEd25519PublicKey(bytes.Clone(data))
	case Secp256k1:
		if len(data) != secp256k1KeyLen {
			return nil, fmt.Errorf("secp256k1 key has %d bytes, want %d", len(data), secp256k1KeyLen)
		}
		pub, err = crypto.UnmarshalSecp256k1PublicKey(data)
	case RSA:
		if _, err = parseRSA(data); err == nil {
			pub, err = crypto.UnmarshalRsaPublicKey(data)
		}
	case ECDSA:
		if _, err = parseECDSA(data); err == nil {
			pub, err = crypto.UnmarshalECDSAPublicKey(data)
		}
	default:
		return nil, fmt.Errorf("unknown %v", t)
	}
	if err != nil {
		return nil, err
	}
	again, err := pub.Raw()
	if err != nil {
		return nil, err
	}
	if !bytes.Equal(again, data) {
		return nil, errors.New("key is not in its canonical form")
	}
	return pub, nil
}

// splitKey splits a PublicKey or PrivateKey message in canonical form.
func splitKey(b []byte) (KeyType, []byte, error) {
	if len(b) < 4 || b[0] != 0x08 || b[1] > byte(ECDSA) || b[2] != 0x12 {
		return 0, nil, errors.New("not a serialized key")
	}
	rest := b[3:]
	size, n := 0, 0
	for n < 3 && n < len(rest) {
		c := rest[n]
		size |= int(c&0x7f) << (7 * n)
		n++
		if c < 0x80 {
			break
		}
	}
	if n != wire.SizeUvarint(uint64(size)) || size != len(rest)-n {
		return 0, nil, errors.New("serialized key has a wrong length")
	}
	return KeyType(b[1]), rest[n:], nil
}

// checkInlineKey checks the serialized key in a name: the type, the length, and for
// secp256k1 that it is a point. Whether an Ed25519 key can sign is checked with the
// record, not with the name.
func checkInlineKey(b []byte) error {
	switch {
	case len(b) == len(ed25519Head)+ed25519KeyLen && bytes.HasPrefix(b, ed25519Head[:]):
		return nil
	case len(b) == len(secp256k1Head)+secp256k1KeyLen && bytes.HasPrefix(b, secp256k1Head[:]):
		_, err := secp256k1.ParsePubKey(b[len(secp256k1Head):])
		return err
	}
	return errors.New("identity multihash does not contain a public key")
}

// GenerateKey makes a new key of type Ed25519, Secp256k1 or RSA with bits bits.
// bits is for RSA only; 0 is 2048.
func GenerateKey(t KeyType, bits int) (crypto.PrivKey, error) {
	var priv crypto.PrivKey
	var err error
	switch t {
	case Ed25519:
		priv, _, err = crypto.GenerateEd25519Key(rand.Reader)
	case Secp256k1:
		priv, _, err = crypto.GenerateSecp256k1Key(rand.Reader)
	case RSA:
		if bits == 0 {
			bits = MinRSABits
		}
		if bits < MinRSABits || bits > MaxRSABits {
			return nil, fmt.Errorf("rsa keys must have %d to %d bits, not %d", MinRSABits, MaxRSABits, bits)
		}
		priv, _, err = crypto.GenerateRSAKeyPair(bits, rand.Reader)
	default:
		return nil, fmt.Errorf("unrecognized key type: %v", t)
	}
	return priv, err
}
