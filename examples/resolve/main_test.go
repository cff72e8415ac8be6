package main

import (
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"github.com/goipns/ipns/node"
	"github.com/goipns/ipns/publisher"
)

// TestMain has this program be the example when the test below starts it.
func TestMain(m *testing.M) {
	if os.Getenv("EXAMPLE") != "" {
		main()
		return
	}
	os.Exit(m.Run())
}

func TestResolvePrintsWhatANameLeadsTo(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "repo")
	n, err := node.Open(t.Context(), node.Config{Dir: dir, Profile: "test", Offline: true})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := n.Publish(t.Context(), "self", publisher.Request{Value: "/ipfs/bafkqaaa"}); err != nil {
		t.Fatal(err)
	}
	if err := n.Close(); err != nil {
		t.Fatal(err)
	}
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.CommandContext(t.Context(), self, n.Name.String())
	cmd.Env = append(os.Environ(), "EXAMPLE=1", "IPNS_PATH="+dir)
	out, err := cmd.Output()
	if err != nil || string(out) != "/ipfs/bafkqaaa\n" {
		t.Errorf("printed %q, %v", out, err)
	}
}
