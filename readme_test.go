package ipns_test

import (
	"fmt"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/goipns/ipns"
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
	_, program, _ := strings.Cut(string(source), "\t// README begins.\n")
	program, _, ok := strings.Cut(program, "\t// README ends.\n")
	if !ok {
		t.Fatal("no program here")
	}
	var shown strings.Builder
	for line := range strings.Lines(program) {
		shown.WriteString(strings.TrimPrefix(line, "\t"))
	}
	if block := "```go\n" + shown.String() + "```\n"; !strings.Contains(string(readme), block) {
		t.Errorf("README.md does not show this program:\n%s", block)
	}
	if err := readmeProgram(nil); err == nil {
		t.Error("no bytes are a record")
	}
}
