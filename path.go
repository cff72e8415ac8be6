package ipns

import (
	"fmt"
	"path"
	"strings"

	"github.com/ipfs/go-cid"
)

// emptyValue is what an empty value means: an empty block.
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
	if c, err := cid.Decode(string(v)); err == nil {
		return "/ipfs/" + c.String()
	}
	return string(v)
}

// ContentPath returns the value as a path that can be followed: Value, cleaned
// as [ParsePath] does. Errors wrap [ErrValue].
func (r *Record) ContentPath() (string, error) { return ParsePath(r.Value()) }

// ParsePath parses a content path, /ipfs/…, /ipns/… or /ipld/…, and returns it
// cleaned: "." and ".." and repeated slashes are gone, a final slash stays. The
// root of /ipfs and /ipld must be a CID. Errors wrap [ErrValue].
func ParsePath(s string) (string, error) {
	cleaned := path.Clean(s)
	if strings.HasSuffix(s, "/") && cleaned != "/" {
		cleaned += "/"
	}
	if err := checkPath(cleaned); err != nil {
		return "", err
	}
	return cleaned, nil
}

func checkPath(s string) error {
	parts := strings.SplitN(s, "/", 4)
	if len(parts) < 3 || parts[0] != "" || parts[2] == "" {
		return fmt.Errorf("%w: invalid path %q: path does not have enough components", ErrValue, shorten(s))
	}
	switch parts[1] {
	case "ipfs", "ipld":
		if _, err := cid.Decode(parts[2]); err != nil {
			return fmt.Errorf("%w: invalid path %q: %w", ErrValue, shorten(s), err)
		}
	case "ipns":
	default:
		return fmt.Errorf("%w: invalid path %q: unknown namespace: %q", ErrValue, shorten(s), parts[1])
	}
	if strings.ContainsRune(s, 0) {
		return fmt.Errorf("%w: invalid path %q: NUL", ErrValue, shorten(s))
	}
	return nil
}
