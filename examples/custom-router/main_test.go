package main

import (
	"bytes"
	"path/filepath"
	"strings"
	"testing"

	"github.com/goipns/ipns/routing"
	"github.com/goipns/ipns/routing/routingtest"
)

func TestAFolderIsARouter(t *testing.T) {
	routingtest.TestRouter(t, func(t *testing.T) routing.Router { return &folder{dir: t.TempDir()} })
}

// What one node publishes another one resolves, by way of the folder alone.
func TestTwoNodesShareAFolder(t *testing.T) {
	shared := t.TempDir()
	var first, second bytes.Buffer
	if err := run(t.Context(), filepath.Join(t.TempDir(), "repo"), shared, []string{"/ipfs/bafkqaaa"}, &first); err != nil {
		t.Fatal(err)
	}
	if err := run(t.Context(), filepath.Join(t.TempDir(), "repo"), shared, nil, &second); err != nil {
		t.Fatal(err)
	}
	if !strings.HasPrefix(second.String(), "k51") || !strings.HasSuffix(second.String(), " /ipfs/bafkqaaa\n") {
		t.Errorf("published %q, resolved %q", first.String(), second.String())
	}
}
