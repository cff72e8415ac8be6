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
	// fileHead is how many bytes of each file are checked. In a config, the identity is
	// near the start, even if the keys are sorted.
	fileHead = 64 << 10
	// maxKeyFile bounds the files that may be keys, in bytes.
	maxKeyFile = 16 << 10
)

// secretGuard keeps private keys in repos from being added, since anyone with the CID
// could fetch them forever. It recognizes the configs and key files of any repo,
// including Kubo's, by their content.
type secretGuard struct{ buf *bufio.Reader }

// check checks the start of a file. It returns a reader for the whole file, which is
// valid until the next call.
func (g *secretGuard) check(name string, body io.Reader) (io.Reader, error) {
	if g.buf == nil {
		g.buf = bufio.NewReaderSize(nil, fileHead)
	}
	g.buf.Reset(body)
	head, err := g.buf.Peek(fileHead)
	if err != nil && err != io.EOF {
		return io.MultiReader(bytes.NewReader(head), failing{err}), nil // the reader of the file reports where
	}
	ended := err == io.EOF
	if hasIdentity(head) || ended && isKeyFile(name, head) {
		if name == "" {
			name = "the file"
		}
		return nil, fmt.Errorf("%s holds the private key of a node, which everyone could then read: leave it out", name)
	}
	return g.buf, nil
}

// failing is the end of a file that could not be read.
type failing struct{ err error }

func (f failing) Read([]byte) (int, error) { return 0, f.err }

var privKey = regexp.MustCompile(`"PrivKey"\s*:\s*"([A-Za-z0-9+/=]+)"`)

// hasIdentity reports whether a file starts like a config with the identity of a node.
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

// isKeyFile reports whether a file is a key file of a keystore, encrypted or in clear, by its
// name or folder and its content. Other keys are up to their owner.
func isKeyFile(name string, b []byte) bool {
	dir, base := path.Split(name)
	named := strings.HasPrefix(base, "key_") || strings.HasPrefix(base, ".tmp-") || path.Base(dir) == "keystore"
	sealed := (named || base == "identity.age") && bytes.HasPrefix(b, []byte("age-encryption.org/"))
	return sealed || named && len(b) <= maxKeyFile && isKey(b)
}

func isKey(b []byte) bool {
	_, err := crypto.UnmarshalPrivateKey(b)
	return err == nil
}
