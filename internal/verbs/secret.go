package verbs

import (
	"bufio"
	"bytes"
	"encoding/base64"
	"fmt"
	"io"
	"path"
	"regexp"
	"strings"

	"github.com/libp2p/go-libp2p/core/crypto"
)

const (
	// fileHead is how much of each file is looked at, in bytes. In a config the
	// identity is near the beginning, also where the keys are sorted.
	fileHead = 64 << 10
	// maxKeyFile bounds the files that may be keys, in bytes.
	maxKeyFile = 16 << 10
)

// secretGuard keeps what is secret in a repo from being added, as whoever has the
// CID could fetch it for ever. It knows the configs and key files of repos, this
// node's and others, Kubo's too, by what is in them.
type secretGuard struct{ buf *bufio.Reader }

// check looks at the beginning of a file. It returns a reader of the whole file,
// good until the next check.
func (g *secretGuard) check(name string, body io.Reader) (io.Reader, error) {
	if g.buf == nil {
		g.buf = bufio.NewReaderSize(nil, fileHead)
	}
	g.buf.Reset(body)
	head, err := g.buf.Peek(fileHead)
	if err != nil && err != io.EOF {
		return io.MultiReader(bytes.NewReader(head), failing{err}), nil // whoever reads says where
	}
	ended := err == io.EOF
	if hasIdentity(head) || ended && isKeyFile(name, head) {
		if name == "" {
			name = "the file"
		}
		return nil, fmt.Errorf("%s holds the private key of a node, which everybody could read then: leave it out", name)
	}
	return g.buf, nil
}

// failing is the end of what could not be read.
type failing struct{ err error }

func (f failing) Read([]byte) (int, error) { return 0, f.err }

var privKey = regexp.MustCompile(`"PrivKey"\s*:\s*"([A-Za-z0-9+/=]+)"`)

// hasIdentity reports whether a file begins as a config with the identity of a
// node does.
func hasIdentity(head []byte) bool {
	if !bytes.HasPrefix(bytes.TrimSpace(head), []byte("{")) {
		return false
	}
	for _, m := range privKey.FindAllSubmatch(head, -1) {
		if b, err := base64.StdEncoding.DecodeString(string(m[1])); err == nil && isKey(b) {
			return true
		}
	}
	return false
}

// isKeyFile reports whether a file is one of a keystore, by its name or its
// folder, and holds a key. Other keys are their owner's business.
func isKeyFile(name string, b []byte) bool {
	dir, base := path.Split(name)
	named := strings.HasPrefix(base, "key_") || strings.HasPrefix(base, ".tmp-") || path.Base(dir) == "keystore"
	return named && len(b) <= maxKeyFile && isKey(b)
}

func isKey(b []byte) bool {
	_, err := crypto.UnmarshalPrivateKey(b)
	return err == nil
}
