package guard

import (
	"crypto/sha256"
	"crypto/subtle"
	"encoding/base64"
	"errors"
	"fmt"
	"net/http"
	"path"
	"strings"

	"github.com/goipns/ipns/rpc"
)

// Authorization gives those who know a secret access to some paths of an API.
type Authorization struct {
	digest [sha256.Size]byte // of the header Authorization
	paths  []string
}

// NewAuthorization returns the authorization for a secret such as "bearer:TOKEN" or
// "basic:USER:PASSWORD", for the given paths and all below them. "/api/v0" means all
// commands.
func NewAuthorization(secret string, paths []string) (Authorization, error) {
	header, err := Header(secret)
	if err != nil {
		return Authorization{}, err
	}
	a := Authorization{digest: sha256.Sum256([]byte(header))}
	for _, p := range paths {
		if !strings.HasPrefix(p, "/") {
			return Authorization{}, fmt.Errorf("the path %q does not begin with /", p)
		}
		a.paths = append(a.paths, path.Clean(p))
	}
	return a, nil
}

// Header returns the Authorization header for a secret: bearer:TOKEN,
// basic:USER:PASSWORD, basic:BASE64, or only a bearer token.
func Header(secret string) (string, error) {
	kind, value, found := strings.Cut(secret, ":")
	if !found {
		kind, value = "bearer", secret
	}
	if value == "" || strings.ContainsFunc(value, func(r rune) bool { return r < ' ' || r == 0x7f }) {
		return "", errors.New("the secret is empty or has control characters")
	}
	switch {
	case kind == "bearer":
		return "Bearer " + value, nil
	case kind == "basic" && strings.Contains(value, ":"):
		return "Basic " + base64.StdEncoding.EncodeToString([]byte(value)), nil
	case kind == "basic":
		return "Basic " + value, nil
	}
	return "", errors.New("the secret is neither bearer:TOKEN nor basic:USER:PASSWORD")
}

// dumpPath shows all that is stored of names, with the secrets of hooks and the marks of
// tokens. So it needs all commands, or itself by name: api/v0/repo is not enough.
const dumpPath = rpc.Prefix + "repo/dump"

// versionPath is open to anyone who knows any of the secrets.
const versionPath = rpc.Prefix + "version"

// authorized reports whether the request has a secret for its path. All secrets are
// compared, each in constant time.
func authorized(all []Authorization, r *http.Request) bool {
	header := r.Header.Get("Authorization")
	if kind, value, ok := strings.Cut(header, " "); ok {
		switch strings.ToLower(kind) { // schemes ignore case
		case "bearer":
			header = "Bearer " + value
		case "basic":
			header = "Basic " + value
		}
	}
	digest := sha256.Sum256([]byte(header))
	found := false
	for _, a := range all {
		if subtle.ConstantTimeCompare(a.digest[:], digest[:]) == 1 && a.covers(r.URL.Path) {
			found = true
		}
	}
	return found
}

// covers compares whole segments: /api/v0/name does not cover /api/v0/names.
func (a Authorization) covers(asked string) bool {
	if asked == versionPath {
		return true
	}
	if clean := path.Clean(asked); clean != strings.TrimSuffix(asked, "/") && asked != "/" {
		return false // the server would serve another path
	}
	for _, p := range a.paths {
		if strings.HasPrefix(asked+"/", dumpPath+"/") && p == path.Dir(dumpPath) {
			continue
		}
		if p == "/" || asked == p || strings.HasPrefix(asked, p+"/") {
			return true
		}
	}
	return false
}
