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

// ParsePath returns the path /ipns/… that a text asks to resolve: a path of that
// kind, a name or a domain with or without more behind it, or an ipns: URI, in
// which the case of the scheme is free and the rest is kept byte for byte.
// Errors wrap ErrPath.
func ParsePath(text string) (string, error) {
	path := ipns.PathFromURI(text)
	if !strings.HasPrefix(path, "/") {
		path = namespace + path
	}
	root, ok := strings.CutPrefix(path, namespace)
	if !ok || root == "" || root[0] == '/' {
		return "", fmt.Errorf("%q is %w", text, ErrPath)
	}
	clean, err := ipns.ParsePath(path)
	if err != nil {
		return "", fmt.Errorf("%q is %w: %w", text, ErrPath, err)
	}
	if !mutable(clean) {
		return "", fmt.Errorf("%q is %w", text, ErrPath)
	}
	return clean, nil
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
	base, err := ipns.ParsePath(hop.Value)
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
	domain := strings.ToLower(strings.TrimSuffix(s, "."))
	if strings.ContainsFunc(domain, func(r rune) bool { return r >= utf8.RuneSelf }) {
		ascii, err := idna.Lookup.ToASCII(domain)
		if err != nil {
			return "", fmt.Errorf("not a valid domain name: %w", err)
		}
		domain = ascii
	}
	if !ipns.IsDomainName(domain) || strings.ContainsFunc(domain, notInHost) {
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
		if static[key], err = ipns.ParsePath(value); err != nil {
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
