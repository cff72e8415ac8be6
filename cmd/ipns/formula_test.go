package main

import (
	"os"
	"regexp"
	"testing"
)

// The formula for Homebrew runs the program: what it calls must exist.
func TestTheFormulaCallsCommandsThatExist(t *testing.T) {
	b, err := os.ReadFile("../../packaging/homebrew/ipns.rb")
	if err != nil {
		t.Fatal(err)
	}
	calls := regexp.MustCompile(`bin/"ipns"((?:, "[a-z]+")+)`).FindAllSubmatch(b, -1)
	if len(calls) < 3 {
		t.Fatalf("the formula calls the program as this test does not know: %q", calls)
	}
	for _, call := range calls {
		var words []string
		for _, w := range regexp.MustCompile(`[a-z]+`).FindAll(call[1], -1) {
			words = append(words, string(w))
		}
		cmd, rest, err := (&cli{}).root().Find(words)
		if err != nil || !cmd.HasParent() || len(rest) > 0 {
			t.Errorf("there is no command %q: %v", words, err)
		}
	}
}
