package ipns

import (
	"bytes"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"fmt"
	"strings"

	"github.com/ipfs/go-cid"
	"github.com/libp2p/go-libp2p/core/crypto"
	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/multiformats/go-multibase"
	mh "github.com/multiformats/go-multihash"
)

const (
	namespace    = "/ipns/"
	topicPrefix  = "/record/"
	codecKey     = uint64(cid.Libp2pKey) // 0x72
	digestSHA256 = 32

	// maxNameText bounds the text that ParseName looks at: the longest name in
	// the longest encoding (base2) has 329 characters.
	maxNameText = 512

	// maxNameBytes is the binary length of the longest name, which contains a
	// secp256k1 key: code, length, and a PublicKey of 37 bytes.
	maxNameBytes = 2 + 37
)

// Name is an IPNS name: the multihash of a serialized public key. Names are comparable
// with ==, whatever text they were parsed from, and can be map keys. The zero Name is
// not a name; see [Name.IsZero]. Section IPNS Name.
type Name struct {
	n uint8 // length of the multihash in b
	b [maxNameBytes]byte
}

// ParseName parses the text form of a name: a CIDv1 with codec libp2p-key in any
// multibase (k51…, bafz…), or a bare base58btc multihash (12D3Koo…, Qm…), each
// with or without one leading "/ipns/". It refuses everything else, in
// particular a name that contains something other than a public key in its
// canonical form. Errors wrap [ErrName]. Section String Representation.
func ParseName(s string) (Name, error) {
	text := strings.TrimPrefix(s, namespace)
	n, err := parseName(text)
	if err != nil {
		return Name{}, fmt.Errorf("%w: %q: %w", ErrName, shorten(s), err)
	}
	return n, nil
}

func parseName(s string) (Name, error) {
	switch {
	case s == "":
		return Name{}, errors.New("empty")
	case len(s) > maxNameText:
		return Name{}, fmt.Errorf("longer than %d characters", maxNameText)
	case strings.ContainsFunc(s, notInName), strings.Contains(s, "/") && !isBase64(s):
		return Name{}, errors.New("contains a slash, a number sign, white space or a control character")
	case strings.HasPrefix(s, "1"), strings.HasPrefix(s, "Qm"):
		_, b, err := multibase.Decode("z" + s)
		if err != nil {
			return Name{}, err
		}
		return nameFromMultihash(b)
	}
	_, b, err := multibase.Decode(s)
	if err != nil {
		return Name{}, err
	}
	return nameFromCID(b)
}

// notInName reports whether r cannot be part of a name. Some decoders would skip
// line breaks.
func notInName(r rune) bool { return r <= ' ' || r == 0x7f || r == '#' }

// isBase64 reports whether s claims to be in the one alphabet that has a slash.
func isBase64(s string) bool { return s[0] == multibase.Base64 || s[0] == multibase.Base64pad }

// nameFromCID returns the name in a binary CIDv1 with codec libp2p-key.
func nameFromCID(b []byte) (Name, error) {
	n, c, err := cid.CidFromBytes(b)
	if err != nil {
		return Name{}, err
	}
	switch {
	case n != len(b):
		return Name{}, errors.New("bytes after the end of the CID")
	case c.Version() != 1:
		return Name{}, errors.New("not a CIDv1")
	case c.Type() != codecKey:
		return Name{}, wrongCodec(c)
	}
	return nameFromMultihash(c.Hash())
}

// wrongCodec returns the error for a CID that would be a name with another codec, with
// a hint at what the caller may have meant.
func wrongCodec(c cid.Cid) error {
	meant := cid.NewCidV1(codecKey, c.Hash())
	return fmt.Errorf("peer ID represented as CIDv1 require libp2p-key multicodec: retry with /ipns/%s", meant)
}

// NameFromBinary returns the name with a raw multihash, as it follows "/ipns/" in a
// routing key. Errors wrap [ErrName].
func NameFromBinary(multihash []byte) (Name, error) {
	n, err := nameFromMultihash(multihash)
	if err != nil {
		return Name{}, fmt.Errorf("%w: %w", ErrName, err)
	}
	return n, nil
}

// nameFromMultihash holds the rules for binary names: an identity multihash of
// a public key that is inlined in names, or a SHA2-256 multihash. Both have
// length and code below 128, so each is one byte.
func nameFromMultihash(b []byte) (Name, error) {
	if len(b) < 2 || len(b) > maxNameBytes {
		return Name{}, fmt.Errorf("multihash has %d bytes", len(b))
	}
	if int(b[1]) != len(b)-2 {
		return Name{}, errors.New("multihash length is wrong")
	}
	switch b[0] {
	case mh.SHA2_256:
		if len(b)-2 != digestSHA256 {
			return Name{}, errors.New("SHA2-256 digest does not have 32 bytes")
		}
	case mh.IDENTITY:
		if err := checkInlineKey(b[2:]); err != nil {
			return Name{}, err
		}
	default:
		return Name{}, fmt.Errorf("multihash code 0x%x is neither identity nor SHA2-256", b[0])
	}
	n := Name{n: uint8(len(b))}
	copy(n.b[:], b)
	return n, nil
}

// NameFromRoutingKey returns the name in a routing key: "/ipns/" and the binary name.
// Errors wrap [ErrName].
func NameFromRoutingKey(key []byte) (Name, error) {
	multihash, ok := bytes.CutPrefix(key, []byte(namespace))
	if !ok {
		return Name{}, fmt.Errorf("%w: routing key does not start with %s", ErrName, namespace)
	}
	return NameFromBinary(multihash)
}

// NameFromPeerID returns the name with the same key as a peer ID. Errors wrap
// [ErrName].
func NameFromPeerID(id peer.ID) (Name, error) { return NameFromBinary([]byte(id)) }

// NameOf returns the name of a public key. Errors wrap [ErrKeyInvalid].
func NameOf(pub crypto.PubKey) (Name, error) {
	b, err := MarshalPublicKey(pub)
	if err != nil {
		return Name{}, err
	}
	return nameOfSerialized(b), nil
}

// nameOfSerialized returns the name of a canonical PublicKey.
func nameOfSerialized(pub []byte) Name {
	var n Name
	if len(pub) <= maxInlineKey {
		n.b[0], n.b[1] = mh.IDENTITY, byte(len(pub))
		n.n = uint8(2 + copy(n.b[2:], pub))
		return n
	}
	n.b[0], n.b[1] = mh.SHA2_256, digestSHA256
	sum := sha256.Sum256(pub)
	n.n = uint8(2 + copy(n.b[2:], sum[:]))
	return n
}

// IsZero reports whether n is the zero Name, which is no name.
func (n Name) IsZero() bool { return n.n == 0 }

// Binary returns the multihash. It is empty for the zero Name.
func (n Name) Binary() []byte { return bytes.Clone(n.b[:n.n]) }

// String returns the canonical text: the CID in lower-case base36, k51… for an
// Ed25519 key. It is empty for the zero Name.
func (n Name) String() string {
	if n.IsZero() {
		return ""
	}
	s, err := multibase.Encode(multibase.Base36, n.appendCID(nil))
	if err != nil {
		panic(err) // base36 is a known encoding
	}
	return s
}

// Encode returns the name in the base that a user asks for: "b58mh" or "v0" for
// the bare base58btc multihash (12D3Koo…, Qm…), else the name or the code letter
// of a multibase encoding, such as "base36", "k", "base32" or "b". The zero Name
// gives empty text.
func (n Name) Encode(base string) (string, error) {
	if base == "b58mh" || base == "v0" {
		return n.PeerID().String(), nil
	}
	enc, err := multibase.EncoderByName(base)
	if err != nil || enc.Encoding() == multibase.Identity {
		return "", fmt.Errorf("unknown base %q for names", shorten(base))
	}
	if n.IsZero() {
		return "", nil
	}
	return enc.Encode(n.appendCID(nil)), nil
}

// appendCID appends the binary CIDv1.
func (n Name) appendCID(dst []byte) []byte {
	return append(append(dst, 1, byte(codecKey)), n.b[:n.n]...)
}

// Path returns "/ipns/" and [Name.String].
func (n Name) Path() string { return namespace + n.String() }

// CID returns the CIDv1 with codec libp2p-key, [cid.Undef] for the zero Name.
func (n Name) CID() cid.Cid {
	if n.IsZero() {
		return cid.Undef
	}
	return cid.NewCidV1(codecKey, n.Binary())
}

// PeerID returns the libp2p peer ID with the same key. Its String is the
// base58btc form.
func (n Name) PeerID() peer.ID { return peer.ID(n.b[:n.n]) }

// RoutingKey returns the key of the name in routing systems: "/ipns/" and the
// binary name. Section Routing Record.
func (n Name) RoutingKey() []byte {
	return append([]byte(namespace), n.b[:n.n]...)
}

// Topic returns the pubsub topic of the name: "/record/" and the routing key in
// base64url without padding. Specification IPNS PubSub Router.
func (n Name) Topic() string {
	return topicPrefix + base64.RawURLEncoding.EncodeToString(n.RoutingKey())
}

// Kad returns the Kademlia identifier of the name: the SHA-256 of its routing key.
func (n Name) Kad() [32]byte {
	var buf [len(namespace) + maxNameBytes]byte
	copy(buf[:], namespace)
	return sha256.Sum256(buf[:len(namespace)+copy(buf[len(namespace):], n.b[:n.n])])
}

// PublicKey returns the key contained in the name. For names of RSA and ECDSA keys,
// which contain only a hash, it returns [ErrNoPublicKey]; for a key of low order, which
// cannot sign, [ErrKeyInvalid].
func (n Name) PublicKey() (crypto.PubKey, error) {
	b, ok := n.inlineKey()
	if !ok {
		return nil, ErrNoPublicKey
	}
	return ParsePublicKey(b)
}

// inlineKey returns the serialized key that the name contains.
func (n *Name) inlineKey() ([]byte, bool) {
	if n.n < 2 || n.b[0] != mh.IDENTITY {
		return nil, false
	}
	return n.b[2:n.n], true
}

// MarshalText returns the canonical text, and nothing for the zero Name.
func (n Name) MarshalText() ([]byte, error) { return []byte(n.String()), nil }

// UnmarshalText is [ParseName]. Empty text gives the zero Name.
func (n *Name) UnmarshalText(text []byte) error {
	if len(text) == 0 {
		*n = Name{}
		return nil
	}
	parsed, err := ParseName(string(text))
	if err != nil {
		return err
	}
	*n = parsed
	return nil
}

// shorten cuts text from outside for an error message.
func shorten(s string) string {
	const most = 80
	if len(s) <= most {
		return s
	}
	return s[:most] + "…"
}
