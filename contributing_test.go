package ipns_test

import (
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// The command that CONTRIBUTING.md adds as an example compiles, if it is put
// where the page says.
func TestContributingAddsACommandThatCompiles(t *testing.T) {
	page, err := os.ReadFile("CONTRIBUTING.md")
	if err != nil {
		t.Fatal(err)
	}
	edited := map[string]string{}
	for _, block := range regexp.MustCompile("(?s)```go\n// In (\\S+):\n(.*?)```").FindAllStringSubmatch(string(page), -1) {
		source, err := os.ReadFile(block[1])
		if err != nil {
			t.Fatal(err)
		}
		edited[block[1]] = string(source) + block[2]
	}
	insert := func(file, after, line string) {
		if !strings.Contains(string(page), "`"+line+"`") || strings.Count(edited[file], after) != 1 {
			t.Fatalf("CONTRIBUTING.md does not say %q, or %s lacks %q", line, file, after)
		}
		edited[file] = strings.Replace(edited[file], after, after+line, 1)
	}
	insert("api/name.go", "var nameCommands = []rpc.Spec{", "NameDial")
	edited["api/name.go"] = strings.Replace(edited["api/name.go"], "{NameDial", "{NameDial, ", 1)
	insert("internal/verbs/name.go", "func (n *verbs) handleNames(m *rpc.Mux) {\n", "rpc.Handle(m, api.NameDial, rpc.One(n.nameDial))")
	edited["internal/verbs/name.go"] = strings.Replace(edited["internal/verbs/name.go"], "rpc.One(n.nameDial))", "rpc.One(n.nameDial))\n", 1)

	dir := t.TempDir()
	replace := map[string]string{}
	for file, source := range edited {
		real, err := filepath.Abs(file)
		if err != nil {
			t.Fatal(err)
		}
		replace[real] = filepath.Join(dir, strings.ReplaceAll(file, "/", "_"))
		if err := os.WriteFile(replace[real], []byte(source), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	overlay, err := json.Marshal(map[string]any{"Replace": replace})
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, "overlay.json"), overlay, 0o600); err != nil {
		t.Fatal(err)
	}
	// Without optimizing, which finds no errors and takes as long as all else.
	cmd := exec.Command("go", "build", "-gcflags=-N -l", "-overlay", filepath.Join(dir, "overlay.json"), "./api", "./internal/verbs")
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Errorf("%v\n%s", err, out)
	}
}
