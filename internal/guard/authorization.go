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

// Authorization lets those who know a secret use some paths of an API.
type Authorization struct {
	digest [sha256.Size]byte // of the header Authorization
	paths  []string
}

// NewAuthorization makes an authorization of a secret such as "bearer:TOKEN" or
// "basic:USER:PASSWORD", for the given paths and all below them. "/api/v0" is
// all commands.
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

// Header returns the header Authorization that proves a secret:
// bearer:TOKEN, basic:USER:PASSWORD, basic:BASE64, or a bearer token alone.
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

// versionPath is open to everybody who knows any of the secrets.
const versionPath = rpc.Prefix + "version"

// authorized reports whether the request proves a secret that covers its path.
// All secrets are compared, each in constant time.
func authorized(all []Authorization, r *http.Request) bool {
	header := r.Header.Get("Authorization")
	if kind, value, ok := strings.Cut(header, " "); ok {
		switch strings.ToLower(kind) { // a scheme has no case
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

// covers compares by whole segments: /api/v0/name is not /api/v0/names.
func (a Authorization) covers(asked string) bool {
	if asked == versionPath {
		return true
	}
	if clean := path.Clean(asked); clean != strings.TrimSuffix(asked, "/") && asked != "/" {
		return false // the path that is served in the end is another one
	}
	for _, p := range a.paths {
		if p == "/" || asked == p || strings.HasPrefix(asked, p+"/") {
			return true
		}
	}
	return false
}
