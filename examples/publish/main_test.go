package main

import (
	"bytes"
	"strings"
	"testing"

	"github.com/goipns/ipns/internal/testnet"
	"github.com/goipns/ipns/node"
)

// It publishes under the same name again, with the next sequence.
func TestPublishAnnouncesUnderAKeyOfItsOwn(t *testing.T) {
	nw := testnet.ForTest(t, 25)
	c := node.Config{Dir: t.TempDir(), Profile: "test", Bootstrap: nw.Addrs()[:1]}
	var out bytes.Buffer
	for _, path := range []string{"/ipfs/bafkqaaa", "/ipfs/bafkqaaa/b"} {
		if err := run(t.Context(), c, "blog", path, &out); err != nil {
			t.Fatal(err)
		}
	}
	lines := strings.Split(out.String(), "\n")
	name, first, _ := strings.Cut(lines[0], " ")
	again, second, _ := strings.Cut(lines[1], " ")
	if name != again || !strings.HasPrefix(first, "is /ipfs/bafkqaaa, sequence 0, announced to ") || !strings.HasPrefix(second, "is /ipfs/bafkqaaa/b, sequence 1, ") {
		t.Errorf("%s", out.String())
	}
}
