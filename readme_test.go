package ipns_test

import (
	"context"
	"fmt"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/goipns/ipns"
	"github.com/goipns/ipns/node"
	"github.com/goipns/ipns/publisher"
)

// readmeProgram is what README.md shows of a Go program.
func readmeProgram(raw []byte) error {
	// README begins.
	name, err := ipns.ParseName("k51qzi5uqu5dhrbpjfgh5d6d235k38v5v6knmpewszaxgeqo0t8z1q0kl6vhcy")
	if err != nil {
		return err
	}
	record, err := ipns.Open(name, raw, time.Now()) // parses, and verifies everything
	if err != nil {
		return err // signature, expiry, another key …: the error says which
	}
	fmt.Println(record.Value(), record.Sequence(), record.EOL())
	// README ends.
	return nil
}

// readmeNode is what README.md shows of a node in a Go program.
func readmeNode(ctx context.Context) error {
	// README node begins.
	n, err := node.Open(ctx, node.Config{}) // makes ~/.ipns if there is none, and joins the network
	if err != nil {
		return err
	}
	defer n.Close()
	res, err := n.Publish(ctx, "self", publisher.Request{Value: "/ipfs/bafkqaaa"})
	if err != nil {
		return err // stored but announced to too few is a *publisher.NotAnnouncedError
	}
	for answer, err := range n.Resolve(ctx, res.Record.Name().String()) { // newer answers follow the first
		fmt.Println(answer.Path, err)
	}
	// README node ends.
	return nil
}

// TestReadmeCompiles shows that the program in README.md is the one above, which
// the compiler has seen.
func TestReadmeCompiles(t *testing.T) {
	source, err := os.ReadFile("readme_test.go")
	if err != nil {
		t.Fatal(err)
	}
	readme, err := os.ReadFile("README.md")
	if err != nil {
		t.Fatal(err)
	}
	for _, what := range []string{"README", "README node"} {
		_, program, _ := strings.Cut(string(source), "\t// "+what+" begins.\n")
		program, _, ok := strings.Cut(program, "\t// "+what+" ends.\n")
		if !ok {
			t.Fatalf("no program %q here", what)
		}
		var shown strings.Builder
		for line := range strings.Lines(program) {
			shown.WriteString(strings.TrimPrefix(line, "\t"))
		}
		if block := "```go\n" + shown.String() + "```\n"; !strings.Contains(string(readme), block) {
			t.Errorf("README.md does not show this program:\n%s", block)
		}
	}
	_ = readmeNode // it would join the public network
	if err := readmeProgram(nil); err == nil {
		t.Error("no bytes are a record")
	}
}
