// Package contenthash translates between IPNS names and the contenthash field of
// an ENS name (ENSIP-7).
//
// A contenthash is a protocol code as a varint, 0xe5 for ipns-ns and 0xe3 for
// ipfs-ns, and a value, which for these two is a binary CIDv1. What this package
// writes for a name is the same bytes whatever text the name came from: codec
// libp2p-key and the multihash of the name.
//
// Nothing here talks to a blockchain: the text that [Hex] gives is what a wallet
// or a script hands to setContenthash.
package contenthash

import (
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"strings"

	"github.com/ipfs/go-cid"
	mh "github.com/multiformats/go-multihash"

	"github.com/goipns/ipns"
)

// Protocol codes, as varints.
const (
	ipfsNS = "\xe3\x01"
	ipnsNS = "\xe5\x01"
)

const (
	// maxLen bounds a contenthash, in bytes. The longest this package writes for
	// a name has 43; a CID of ipfs-ns may carry a longer hash.
	maxLen = 256

	// maxCIDText bounds the text of a CID: in base58 and base36 it is read in time
	// by the square of the length.
	maxCIDText = 512

	cidV1    = 1
	codecPB  = cid.DagProtobuf
	codecKey = cid.Libp2pKey
)

// ErrNotSupported: the contenthash is of a protocol other than IPNS and IPFS.
var ErrNotSupported = errors.New("contenthash is not of IPNS or IPFS")

// Content is what a contenthash points to. One of its fields is set.
type Content struct {
	Name ipns.Name // ipns-ns
	CID  cid.Cid   // ipfs-ns

	// Domain is a DNSLink domain in a contenthash of ipns-ns, which old tools
	// wrote. It is deprecated: this package reads it and does not write it.
	Domain string
}

// Encode returns the contenthash of a name. It is nil for the zero Name.
func Encode(name ipns.Name) []byte {
	if name.IsZero() {
		return nil
	}
	return append([]byte(ipnsNS), name.CID().Bytes()...)
}

// EncodeCID returns the contenthash of immutable content. A CIDv0 becomes the
// CIDv1 that means the same.
func EncodeCID(c cid.Cid) []byte {
	if !c.Defined() {
		return nil
	}
	if c.Version() == 0 {
		c = cid.NewCidV1(codecPB, c.Hash())
	}
	return append([]byte(ipfsNS), c.Bytes()...)
}

// EncodeText is [Encode] or [EncodeCID] for text as people have it. A name has any form that [ipns.ParseName] takes,
// with or without /ipns/ or ipns:// before it; a CID has /ipfs/ or ipfs:// before it, or nothing if it is no name, as
// "Qm…" alone always is. Refused are CIDs with a path behind them, for which a contenthash has no room, and, with an error
// that wraps [ipns.ErrName], DNSLink domains and hashes that do not come from a public key.
func EncodeText(text string) ([]byte, error) {
	path := strings.TrimSuffix(ipns.PathFromURI(text), "/")
	if c, ok := strings.CutPrefix(path, "/ipfs/"); ok {
		return encodeCIDText(c)
	}
	name, err := ipns.ParseName(path)
	if err == nil {
		return Encode(name), nil
	}
	if c, _, _ := strings.Cut(path, "/"); len(c) <= maxCIDText {
		if c, err := cid.Decode(c); err == nil && c.Type() != codecKey {
			return encodeCIDText(path)
		}
	}
	return nil, fmt.Errorf("contenthash: ipns-ns allows only valid cryptographic libp2p-key identifiers, "+
		"try using ED25519 pubkey instead: %w", err)
}

// encodeCIDText encodes the CID that is all of the text.
func encodeCIDText(text string) ([]byte, error) {
	root, path, below := strings.Cut(text, "/")
	if len(root) > maxCIDText {
		return nil, fmt.Errorf("contenthash: a CID of more than %d characters", maxCIDText)
	}
	c, err := cid.Decode(root)
	switch {
	case err != nil:
		return nil, fmt.Errorf("contenthash: %q is no CID: %w", root, err)
	case below:
		return nil, fmt.Errorf("contenthash: it has no room for the path %q: give the CID of what is there", path)
	case c.Type() == codecKey:
		return nil, fmt.Errorf("contenthash: %s is a name, not content: write ipns://%s", root, root)
	}
	b := EncodeCID(c)
	if len(b) > maxLen {
		return nil, fmt.Errorf("contenthash: longer than %d bytes", maxLen)
	}
	return b, nil
}

// Decode takes a contenthash apart. It accepts the codec dag-pb for names, which
// old tools wrote instead of libp2p-key, and refuses everything after the CID.
// The error is [ErrNotSupported] for other protocols; for names that are none it
// wraps [ipns.ErrName].
func Decode(b []byte) (Content, error) {
	if len(b) > maxLen {
		return Content{}, fmt.Errorf("contenthash: longer than %d bytes", maxLen)
	}
	switch s := string(b); {
	case strings.HasPrefix(s, ipnsNS):
		return decodeIPNS(b[len(ipnsNS):])
	case strings.HasPrefix(s, ipfsNS):
		c, err := cid.Cast(b[len(ipfsNS):])
		if err != nil {
			return Content{}, fmt.Errorf("contenthash: %w", err)
		}
		if c.Version() != cidV1 {
			return Content{}, errors.New("contenthash: not a CIDv1")
		}
		return Content{CID: c}, nil
	case len(b) == 0:
		return Content{}, errors.New("contenthash: empty")
	}
	return Content{}, otherProtocol(b)
}

// protocols are those that contenthashes of ENS names are found to have, beside IPNS and
// IPFS, by their codes in the table of multicodecs.
var protocols = map[uint64]string{
	0x35:     "DNS (dns)",
	0xe1:     "a path (path-ns)",
	0xe2:     "IPLD (ipld-ns)",
	0xe4:     "Swarm (swarm-ns)",
	0xe6:     "ZeroNet (zeronet)",
	0xe8:     "DNSLink (dnslink)",
	0x01bc:   "a Tor onion service of version 2 (onion)",
	0x01bd:   "a Tor onion service (onion3)",
	0xb19910: "Skynet (skynet-ns)",
	0xb29910: "Arweave (arweave-ns)",
	0xb39910: "Subspace (subspace-ns)",
	0xb49910: "Kumandra (kumandra-ns)",
}

// otherProtocol names the protocol of a contenthash that is not of ours.
func otherProtocol(b []byte) error {
	code, n := binary.Uvarint(b)
	if n <= 0 {
		return fmt.Errorf("%w: it begins with no protocol code", ErrNotSupported)
	}
	if name, ok := protocols[code]; ok {
		return fmt.Errorf("%w but of %s", ErrNotSupported, name)
	}
	return fmt.Errorf("%w: it has the unknown protocol code %#x", ErrNotSupported, code)
}

func decodeIPNS(b []byte) (Content, error) {
	if len(b) < 2 || b[0] != cidV1 || b[1] != codecKey && b[1] != codecPB {
		return Content{}, fmt.Errorf("contenthash: %w: not a CIDv1 with codec libp2p-key", ipns.ErrName)
	}
	multihash := b[2:]
	name, err := ipns.NameFromBinary(multihash)
	if err == nil {
		return Content{Name: name}, nil
	}
	if domain, ok := legacyDomain(multihash); ok {
		return Content{Domain: domain}, nil
	}
	return Content{}, fmt.Errorf("contenthash: %w", err)
}

// legacyDomain reads a domain name in an identity multihash. To be a domain it
// needs a dot, so that a broken key does not pass for one.
func legacyDomain(multihash []byte) (string, bool) {
	if len(multihash) < 2 || multihash[0] != mh.IDENTITY || int(multihash[1]) != len(multihash)-2 {
		return "", false
	}
	domain := string(multihash[2:])
	return domain, strings.Contains(domain, ".") && isASCII(domain) && ipns.IsDomainName(domain)
}

func isASCII(s string) bool {
	for i := range len(s) {
		if s[i] >= 0x80 {
			return false
		}
	}
	return true
}

// Hex returns b as Ethereum tools write bytes: 0x and lower-case hex.
func Hex(b []byte) string { return "0x" + hex.EncodeToString(b) }

// ParseHex reads hex with or without 0x before it.
func ParseHex(s string) ([]byte, error) {
	digits := strings.TrimPrefix(strings.TrimPrefix(s, "0x"), "0X")
	if len(digits) > 2*maxLen {
		return nil, fmt.Errorf("contenthash: longer than %d bytes", maxLen)
	}
	b, err := hex.DecodeString(digits)
	if err != nil {
		return nil, fmt.Errorf("contenthash: %w", err)
	}
	return b, nil
}

// String returns the canonical text: a name in base36, a CID, or a domain.
func (c Content) String() string {
	switch {
	case !c.Name.IsZero():
		return c.Name.String()
	case c.CID.Defined():
		return c.CID.String()
	}
	return c.Domain
}

// URI returns the native URI: ipns://… or ipfs://….
func (c Content) URI() string {
	if c.CID.Defined() {
		return "ipfs://" + c.CID.String()
	}
	return "ipns://" + c.String()
}
