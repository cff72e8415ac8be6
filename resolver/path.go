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

// maxRoot bounds a root, in bytes: reading a longer one would take the time of
// its square, and no CID, name or domain is as long.
const maxRoot = 1024

// ParsePath returns the path /ipns/… that a text asks to resolve: a path of that
// kind, a name or a domain with or without more behind it, or an ipns: URI, in
// which the case of the scheme is free and the rest is kept byte for byte.
// Errors wrap ErrPath.
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
	clean, err := parsePath(path)
	if err != nil {
		return "", fmt.Errorf("%w: %w", ErrPath, err)
	}
	if !mutable(clean) {
		return "", fmt.Errorf("%q is %w", text, ErrPath)
	}
	return clean, nil
}

// parsePath is ipns.ParsePath within the limits of a Resolver.
func parsePath(path string) (string, error) {
	if len(path) > MaxPathLength {
		return "", fmt.Errorf("%w: path of %d bytes", ipns.ErrValue, len(path))
	}
	parts := strings.SplitN(path, "/", 4)
	if len(parts) > 2 && len(parts[2]) > maxRoot {
		return "", fmt.Errorf("%w: root of %d bytes", ipns.ErrValue, len(parts[2]))
	}
	return ipns.ParsePath(path)
}

// split cuts a path /ipns/root/rest in two. The rest begins with its slash.
func split(path string) (root, rest string) {
	path = strings.TrimPrefix(path, namespace)
	if i := strings.IndexByte(path, '/'); i >= 0 {
		return path[:i], path[i:]
	}
	return path, ""
}

// join appends the rest of the path that was resolved to where its root leads. A
// final slash of the rest is kept.
func join(hop Hop, rest string) (string, error) {
	base, err := parsePath(hop.Value)
	if err == nil && hop.Record != nil {
		_, err = hop.Record.ContentPath() // an empty value is shown as a path, and is none
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

// parseRoot tells what the root of a path /ipns/… is: a name if it can be read
// as one, else a domain.
func parseRoot(root string) (name ipns.Name, domain string, err error) {
	if len(root) > maxRoot {
		return ipns.Name{}, "", fmt.Errorf("%w: root of %d bytes", ErrPath, len(root))
	}
	name, err = ipns.ParseName(root)
	if err == nil {
		return name, "", nil
	}
	// A CID of another kind is nobody's domain: say what is wrong with it.
	if c, cidErr := cid.Decode(root); cidErr == nil && c.Defined() {
		return ipns.Name{}, "", fmt.Errorf("%q is %w: %w", root, ErrPath, err)
	}
	domain, err = parseDomain(root)
	if err != nil {
		return ipns.Name{}, "", fmt.Errorf("%q is %w: %w", root, ErrPath, err)
	}
	return ipns.Name{}, domain, nil
}

// parseDomain returns a domain as it is asked for and cached: in lower case and
// A-labels, without a final dot.
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

// notInHost reports what no label may contain; underscores are usual in TXT.
func notInHost(r rune) bool {
	return (r < 'a' || r > 'z') && (r < '0' || r > '9') && r != '-' && r != '_' && r != '.'
}

// ParseStatic reads the form of the environment variable IPFS_NS_MAP:
// name:path pairs between commas, as in "example.com:/ipfs/bafk…,k51…:/ipns/…".
func ParseStatic(text string) (map[string]string, error) {
	static := map[string]string{}
	for pair := range strings.SplitSeq(text, ",") {
		if pair == "" {
			continue
		}
		root, value, ok := strings.Cut(pair, ":")
		if !ok {
			return nil, fmt.Errorf("%q is not a name and a path with a colon between", pair)
		}
		key, err := rootKey(root)
		if err != nil {
			return nil, err
		}
		if static[key], err = parsePath(value); err != nil {
			return nil, fmt.Errorf("what %s means: %w", root, err)
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
