package ipns

import (
	"encoding/binary"
	"errors"
	"fmt"
	"net/netip"
	"path"
	"strings"
	"unicode"

	"github.com/ipfs/go-cid"
	"github.com/multiformats/go-multibase"
)

// emptyValue is the text of an empty value: the path of an empty block.
const emptyValue = "/ipfs/bafkqaaa"

// Value returns the value as text: the path as it was signed, "/ipfs/bafkqaaa"
// for an empty value, "/ipfs/<cid>" for a binary or textual CID. A value that is
// none of these is returned as it is. The text comes from the signer: escape it
// before it is shown, and use [Record.ContentPath] to follow it.
func (r *Record) Value() string {
	v := r.RawValue()
	switch {
	case len(v) == 0:
		return emptyValue
	case v[0] == '/':
		return string(v)
	}
	if c, err := cid.Cast(v); err == nil {
		return "/ipfs/" + c.String()
	}
	if c, err := decodeCID(string(v)); err == nil {
		return "/ipfs/" + c.String()
	}
	return string(v)
}

// ContentPath returns the value as a path that can be followed: Value, checked and
// cleaned by [ParsePath]. An empty value is an error, since an empty signed value does
// not mean an empty file. Errors wrap [ErrValue].
func (r *Record) ContentPath() (string, error) {
	if len(r.RawValue()) == 0 {
		return "", fmt.Errorf("%w: the value is empty", ErrValue)
	}
	return ParsePath(r.Value())
}

// ParsePath parses a content path, /ipfs/…, /ipns/… or /ipld/…, and returns it
// cleaned: "." and ".." and repeated slashes are gone, a final slash stays.
// Nothing is percent-decoded. The root of /ipfs and /ipld must be a CID, that of
// /ipns a name or a domain name. Native URIs are no paths; see [PathFromURI].
// Errors wrap [ErrValue].
func ParsePath(s string) (string, error) {
	cleaned := path.Clean(s)
	if strings.HasSuffix(s, "/") && cleaned != "/" {
		cleaned += "/"
	}
	if err := checkPath(cleaned); err != nil {
		return "", fmt.Errorf("%w: invalid path %q: %w", ErrValue, shorten(s), err)
	}
	return cleaned, nil
}

func checkPath(s string) error {
	rest, absolute := strings.CutPrefix(s, "/")
	namespace, rest, _ := strings.Cut(rest, "/")
	root, _, _ := strings.Cut(rest, "/")
	if !absolute || root == "" {
		return errors.New("path does not have enough components")
	}
	if strings.IndexByte(s, 0) >= 0 {
		return errors.New("path contains NUL")
	}
	switch namespace {
	case "ipfs", "ipld":
		if isPlainCID(root) {
			return nil
		}
		_, err := decodeCID(root)
		return err
	case "ipns":
		if _, err := parseName(root); err != nil && !IsDomainName(root) {
			return errors.New("root is neither an IPNS name nor a domain name")
		}
		return nil
	default:
		return fmt.Errorf("unknown namespace: %q", shorten(namespace))
	}
}

// maxCIDText bounds the text of a CID, in bytes, in encodings other than base32:
// base58 and base36 take time by the square of the length.
const maxCIDText = 512

func decodeCID(s string) (cid.Cid, error) {
	if len(s) > maxCIDText && s[0] != multibase.Base32 {
		return cid.Undef, fmt.Errorf("cid is longer than %d characters", maxCIDText)
	}
	return cid.Decode(s)
}

// isPlainCID reports whether s is a CID of the common kind, a CIDv1 in base32
// with small numbers. It saves the allocations of [cid.Decode]; false means
// only that this has to decide.
func isPlainCID(s string) bool {
	var room [80]byte
	if len(s) < 2 || s[0] != 'b' || len(s) > len(room) {
		return false
	}
	b, acc, bits := room[:0], uint32(0), 0
	for _, c := range []byte(s[1:]) {
		switch {
		case 'a' <= c && c <= 'z':
			c -= 'a'
		case '2' <= c && c <= '7':
			c -= '2' - 26
		default:
			return false
		}
		acc, bits = acc<<5|uint32(c), bits+5
		if bits >= 8 {
			bits -= 8
			b = append(b, byte(acc>>bits))
		}
	}
	if len(b) < 4 || b[0] != 1 || bits >= 5 {
		return false
	}
	rest := b[1:]
	var number uint64
	for range 3 { // codec, hash function, hash length
		size := 0
		if number, size = binary.Uvarint(rest); size != 1 && (size != 2 || number < 0x80) {
			return false
		}
		rest = rest[size:]
	}
	return number == uint64(len(rest))
}

// PathFromURI rewrites a native URI, such as ipns://name/sub or ipfs:cid, to the
// content path it means. The scheme may be in either case; what follows it is
// kept byte for byte. All other text is returned as it is. Use it where people
// paste text; a record's value and a DNSLink must not be URIs.
func PathFromURI(s string) string {
	scheme, rest, ok := strings.Cut(s, ":")
	if !ok {
		return s
	}
	for _, namespace := range [...]string{"ipfs", "ipns", "ipld"} {
		if strings.EqualFold(scheme, namespace) {
			return "/" + namespace + "/" + strings.TrimPrefix(rest, "//")
		}
	}
	return s
}

// IsDomainName reports whether s may be looked up as a domain name: labels of 1
// to 63 bytes, 253 bytes in all, a final dot allowed, and nothing that belongs to
// a URL, a terminal or an IP address. A single label is enough.
//
// Text that [ParseName] accepts is a name, whatever IsDomainName says: ask
// ParseName first.
func IsDomainName(s string) bool {
	s = strings.TrimSuffix(s, ".")
	if s == "" || len(s) > 253 || strings.ContainsFunc(s, notInDomain) {
		return false
	}
	if _, err := netip.ParseAddr(s); err == nil {
		return false
	}
	for label := range strings.SplitSeq(s, ".") {
		if label == "" || len(label) > 63 {
			return false
		}
	}
	return true
}

func notInDomain(r rune) bool {
	return strings.ContainsRune("#?/:@[]%\\", r) || unicode.IsSpace(r) || !unicode.IsPrint(r)
}
