package folder

import (
	"os"
	"path/filepath"
	"slices"
	"testing"
)

func TestRulesLeaveOutByName(t *testing.T) {
	root := tree(t, "a.txt", "b.log", "sub/c.log", "sub/keep.log", "tmp/x")
	file := filepath.Join(t.TempDir(), "rules")
	if err := os.WriteFile(file, []byte("*.log\n!keep.log\n# a comment\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	rules, err := Rules(file, []string{"tmp"})
	if err != nil {
		t.Fatal(err)
	}
	got, left, err := walk(root, Options{Ignore: rules})
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"site/b.log", "site/sub/c.log", "site/tmp"} {
		if !slices.Contains(left, name+": "+Ignored) {
			t.Errorf("%s is not left out: %q of %q", name, left, got)
		}
	}
	if len(left) != 3 {
		t.Errorf("left out: %q", left)
	}
	if _, err := Rules(filepath.Join(root, "none"), nil); err == nil {
		t.Error("rules of a missing file")
	}
}
