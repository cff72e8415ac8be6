package verbs

import (
	"bytes"
	"crypto/rand"
	"encoding/base64"
	"encoding/json"
	"errors"
	"io"
	"strings"
	"testing"
	"testing/iotest"

	"github.com/libp2p/go-libp2p/core/crypto"

	"github.com/goipns/ipns/internal/repo"
)

func TestSecretsOfReposAreNotAdded(t *testing.T) {
	priv, _, err := crypto.GenerateEd25519Key(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	key, err := crypto.MarshalPrivateKey(priv)
	if err != nil {
		t.Fatal(err)
	}
	config, err := json.MarshalIndent(repo.NewConfig(repo.Identity{PeerID: "12D3", PrivKey: base64.StdEncoding.EncodeToString(key)}), "", "  ")
	if err != nil {
		t.Fatal(err)
	}
	var fields map[string]any // marshalled, its keys are sorted
	if err := json.Unmarshal(config, &fields); err != nil {
		t.Fatal(err)
	}
	sorted, err := json.Marshal(fields)
	if err != nil {
		t.Fatal(err)
	}
	public := bytes.ReplaceAll(config, []byte("PrivKey"), []byte("Key"))
	var guard secretGuard
	for _, tt := range []struct {
		name   string
		body   []byte
		secret bool
	}{
		{"site/data/config", config, true},
		{"site/notes.txt", config, true},
		{"site/config.bak", sorted, true},
		{"site/config", append([]byte("\n"), config...), true},
		{"site/config", public, false},
		{"site/config", []byte(`{"Identity":{"PrivKey":"none"}}`), false},
		{"site/page.html", append([]byte("<pre>"), config...), false},
		{"site/keystore/key_mjwg6zy", key, true},
		{"site/keystore/blog", key, true},
		{"site/keys/key_mjwg6zy", key, true},
		{"key_mjwg6zy", key, true},
		{".tmp-123", key, true},
		{"site/testdata/ed25519.key", key, false},
		{"site/keystore/readme", []byte("no key"), false},
		{"site/keystore/empty", nil, false},
		{"site/large", bytes.Repeat([]byte("x"), 3*fileHead), false},
	} {
		r, err := guard.check(tt.name, bytes.NewReader(tt.body))
		if (err != nil) != tt.secret {
			t.Errorf("%s: %v", tt.name, err)
		}
		if err != nil {
			if !strings.Contains(err.Error(), tt.name+" holds the private key") {
				t.Errorf("%s: %v", tt.name, err)
			}
			continue
		}
		if got, err := io.ReadAll(r); err != nil || !bytes.Equal(got, tt.body) {
			t.Errorf("%s: %d bytes come out of %d, %v", tt.name, len(got), len(tt.body), err)
		}
	}
}

// A read error is not the end of a file.
func TestGuardPassesErrorsOn(t *testing.T) {
	broken := errors.New("disk on fire")
	for _, n := range []int{0, 10, 2 * fileHead} {
		var guard secretGuard
		r, err := guard.check("f", io.MultiReader(bytes.NewReader(make([]byte, n)), iotest.ErrReader(broken)))
		if err != nil {
			t.Fatal(err)
		}
		if got, err := io.ReadAll(r); len(got) != n || !errors.Is(err, broken) {
			t.Errorf("%d bytes, %v; want %d", len(got), err, n)
		}
	}
}
