package resolver

import (
	"fmt"
	"strings"
	"unicode/utf8"

	"github.com/ipfs/go-cid"
	"golang.org/x/net/idna"

	"github.com/goipns/ipns"
)

const namespace = "/ipns/"

// maxRoot bounds a root, in bytes. Parsing takes quadratic time, and no CID, name or
// domain is as long.
const maxRoot = 1024

// ParsePath returns the path /ipns/… for a text: such a path, a name or domain with or
// without a rest, or an ipns: URI. The scheme of a URI is case-insensitive; everything
// after it is kept byte for byte. Errors wrap ErrPath.
func ParsePath(text string) (string, error) {
	if len(text) > MaxPathLength {
		return "", fmt.Errorf("text of %d bytes is %w", len(text), ErrPath)
	}
	path := ipns.PathFromURI(text)
	if !strings.HasPrefix(path, "/") {
		path = namespace + path
	}
	root, ok := strings.CutPrefix(path, namespace)
	if !ok || root == "" || root[0] == '/' {
		return "", fmt.Errorf("%q is %w", text, ErrPath)
	}
	clean, err := parseBounded(path)
	if err != nil {
		return "", fmt.Errorf("%w: %w", ErrPath, err)
	}
	if !mutable(clean) {
		return "", fmt.Errorf("%q is %w", text, ErrPath)
	}
	return clean, nil
}

// parseBounded is ipns.ParsePath within the limits of a Resolver.
func parseBounded(path string) (string, error) {
	if len(path) > MaxPathLength {
		return "", fmt.Errorf("%w: path of %d bytes", ipns.ErrValue, len(path))
	}
	parts := strings.SplitN(path, "/", 4)
	if len(parts) > 2 && len(parts[2]) > maxRoot {
		return "", fmt.Errorf("%w: root of %d bytes", ipns.ErrValue, len(parts[2]))
	}
	return ipns.ParsePath(path)
}

// split splits a path /ipns/root/rest. The rest starts with its slash.
func split(path string) (root, rest string) {
	path = strings.TrimPrefix(path, namespace)
	if i := strings.IndexByte(path, '/'); i >= 0 {
		return path[:i], path[i:]
	}
	return path, ""
}

// appendRest appends the rest of the resolved path to the value of its root. It keeps a final
// slash of the rest.
func appendRest(hop Hop, rest string) (string, error) {
	base, err := parseBounded(hop.Value)
	if err == nil && hop.Record != nil {
		_, err = hop.Record.ContentPath() // an empty value is displayed as a path but is none
	}
	if err != nil {
		return "", fmt.Errorf("could not resolve name: %s: %w", hop.Root, err)
	}
	if rest != "" {
		base = strings.TrimSuffix(base, "/") + rest
	}
	if len(base) > MaxPathLength {
		return "", fmt.Errorf("%w: path of %d bytes", ErrRecursion, len(base))
	}
	return base, nil
}

// parseRoot parses the root of a path /ipns/…: as a name if possible, else as a domain.
func parseRoot(root string) (name ipns.Name, domain string, err error) {
	if len(root) > maxRoot {
		return ipns.Name{}, "", fmt.Errorf("%w: root of %d bytes", ErrPath, len(root))
	}
	name, err = ipns.ParseName(root)
	if err == nil {
		return name, "", nil
	}
	// A CID of another kind is not a domain: return why it is not a name.
	if c, cidErr := cid.Decode(root); cidErr == nil && c.Defined() {
		return ipns.Name{}, "", fmt.Errorf("%q is %w: %w", root, ErrPath, err)
	}
	domain, err = parseDomain(root)
	if err != nil {
		return ipns.Name{}, "", fmt.Errorf("%q is %w: %w", root, ErrPath, err)
	}
	return ipns.Name{}, domain, nil
}

// parseDomain returns a domain in canonical form: lower case, A-labels, no final dot.
func parseDomain(s string) (string, error) {
	domain := strings.ToLower(s)
	if strings.ContainsFunc(domain, func(r rune) bool { return r >= utf8.RuneSelf }) {
		ascii, err := idna.Lookup.ToASCII(domain)
		if err != nil {
			return "", fmt.Errorf("not a valid domain name: %w", err)
		}
		domain = ascii
	}
	domain = strings.TrimSuffix(domain, ".")
	if strings.HasSuffix(domain, ".") || !ipns.IsDomainName(domain) || strings.ContainsFunc(domain, notInHost) {
		return "", fmt.Errorf("not a valid domain name: %q", s)
	}
	return domain, nil
}

// notInHost reports whether r is invalid in a domain; underscores are usual for TXT.
func notInHost(r rune) bool {
	return (r < 'a' || r > 'z') && (r < '0' || r > '9') && r != '-' && r != '_' && r != '.'
}

// ParseStatic parses the format of the environment variable IPFS_NS_MAP:
// comma-separated name:path pairs, as in "example.com:/ipfs/bafk…,k51…:/ipns/…".
func ParseStatic(text string) (map[string]string, error) {
	static := map[string]string{}
	for pair := range strings.SplitSeq(text, ",") {
		if pair == "" {
			continue
		}
		root, value, ok := strings.Cut(pair, ":")
		if !ok {
			return nil, fmt.Errorf("%q is not of the form name:path", pair)
		}
		key, err := rootKey(root)
		if err != nil {
			return nil, err
		}
		if static[key], err = parseBounded(value); err != nil {
			return nil, fmt.Errorf("path of %s: %w", root, err)
		}
	}
	return static, nil
}

// rootKey returns the canonical text of a name or domain.
func rootKey(root string) (string, error) {
	name, domain, err := parseRoot(root)
	if err != nil {
		return "", err
	}
	if domain != "" {
		return domain, nil
	}
	return name.String(), nil
}
