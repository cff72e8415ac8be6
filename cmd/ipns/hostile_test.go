package main

import (
	"encoding/json"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/spf13/cobra"

	"github.com/goipns/ipns/internal/display"
)

// evil is a value that commands a terminal and forges a line.
const evil = "x\x1b[31m\x1b]0;t\x07\r\nFORGED \u009b31m\u202e\u2028\x7f"

// hostileAPI answers every request with values that are evil, as a success or as
// an error.
func hostileAPI(t *testing.T, status int) string {
	keys := []map[string]string{{"Name": evil, "Id": evil}}
	reply := map[string]any{
		"Keys": keys, "Path": evil, "Name": evil, "Value": evil, "ID": evil, "Version": evil, "AgentVersion": evil, "Message": evil,
		"Type": evil, "Was": evil, "Now": evil, "Id": evil, "Cid": evil, "Hash": evil, "Addresses": []string{evil}, "Strings": []string{evil},
		"Peers": []any{map[string]string{"Addr": evil, "Peer": evil}}, "Pins": []string{evil}, "Addrs": map[string][]string{evil: {evil}},
		"Entries": []any{map[string]string{"Value": evil}}, "Warnings": []string{evil}, "LastError": evil, "AtRisk": []any{map[string]string{"Name": evil}},
		"Failures": map[string]int{evil: 1}, "OtherWriters": []string{evil}, "Networks": []any{map[string]any{"Network": evil, "Refused": []any{map[string]string{"Reason": evil}}}},
	}
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		w.WriteHeader(status)
		_ = json.NewEncoder(w).Encode(reply)
	}))
	t.Cleanup(s.Close)
	return s.URL
}

func obeys(text string) bool {
	for line := range strings.Lines(text) {
		if !display.IsPlain(strings.ReplaceAll(strings.TrimSuffix(line, "\n"), "\t", "")) || strings.HasPrefix(line, "FORGED") {
			return true
		}
	}
	return false
}

// leaves are the command lines of all commands, without their arguments.
func leaves(cmd *cobra.Command, path []string) [][]string {
	var all [][]string
	for _, sub := range cmd.Commands() {
		all = append(all, leaves(sub, append(slices.Clone(path), sub.Name()))...)
	}
	if cmd.RunE != nil && len(path) > 0 {
		all = append(all, path)
	}
	return all
}

// bytesOf are the commands that print bytes as they are.
var bytesOf = []string{
	"cat", "get", "name get", "name request", "name sign", "routing get", "block get", "dag get", "dag export",
	"multibase encode", "multibase decode", "multibase transcode", "host export", "host tenant export", "repo dump",
}

// perLine are the commands that take each line of the input as an argument of its own,
// and begin what they say of it with it, as Kubo does.
var perLine = []string{"cid format", "cid base32"}

// Whatever an API answers, no command writes what a terminal obeys, nor a line
// that is not its own; nor does it for what it was given itself.
func TestNoCommandObeysWhatItIsToldToPrint(t *testing.T) {
	t.Setenv("IPNS_PATH", filepath.Join(t.TempDir(), "none"))
	t.Chdir(t.TempDir()) // 'diag profile' makes a file
	root := (&cli{}).root()
	statuses := []int{http.StatusOK, http.StatusInternalServerError, http.StatusBadRequest}
	if testing.Short() {
		statuses = statuses[:2]
	}
	for _, status := range statuses {
		api := hostileAPI(t, status)
		for _, path := range leaves(root, nil) {
			name := strings.Join(path, " ")
			if slices.Contains([]string{"daemon", "testnet", "up", "init"}, name) || strings.HasPrefix(name, "completion") {
				continue // those that would run, or make something
			}
			for _, args := range [][]string{{}, {evil}, {evil, evil}, {evil, evil, evil}, {"--no\x1b[31m"}, {"--json", evil}} {
				var out, errOut strings.Builder
				input := evil
				if slices.Contains(perLine, name) {
					input = strings.ReplaceAll(evil, "\r\n", "\r")
				}
				run(t.Context(), append(append([]string{"--api", api, "--timeout", "5s"}, path...), args...), strings.NewReader(input), &out, &errOut)
				if status == http.StatusOK && slices.Contains(bytesOf, name) {
					out.Reset()
				}
				if obeys(out.String()) || obeys(errOut.String()) {
					t.Errorf("%s %q, status %d:\n%q\n%q", name, args, status, out.String(), errOut.String())
				}
			}
		}
	}
	for _, args := range [][]string{{evil}, {"--repo-dir", "/nowhere/" + evil, "id"}, {"--api", "/x" + evil, "id"}, {"add", "/nowhere/" + evil}, {"up", "/nowhere/" + evil}, {"name", "inspect", "/nowhere/" + evil}, {"--enc", evil, "id"}} {
		var out, errOut strings.Builder
		if code := run(t.Context(), args, strings.NewReader(""), &out, &errOut); code == 0 || obeys(out.String()) || obeys(errOut.String()) {
			t.Errorf("%q: %d %q %q", args, code, out.String(), errOut.String())
		}
	}
}

// Where a script reads a value, it gets it or an error; JSON has it exactly.
func TestAValueIsPrintedExactlyOrNotAtAll(t *testing.T) {
	api := hostileAPI(t, http.StatusOK)
	var out, errOut strings.Builder
	if code := run(t.Context(), []string{"--api", api, "name", "resolve", "x"}, nil, &out, &errOut); code == 0 || out.Len() > 0 || !strings.Contains(errOut.String(), "--json prints it escaped") {
		t.Errorf("%d %q %q", code, out.String(), errOut.String())
	}
	out.Reset()
	if code := run(t.Context(), []string{"--api", api, "name", "resolve", "--json", "x"}, nil, &out, &errOut); code != 0 {
		t.Errorf("--json: %d %q", code, errOut.String())
	}
	var got struct{ Path string }
	if err := json.Unmarshal([]byte(out.String()), &got); err != nil || got.Path != evil {
		t.Errorf("--json: %q, %v", out.String(), err)
	}
}

// What people read goes by way of package display.
func TestNothingIsPrintedPastTheDisplay(t *testing.T) {
	var files []string
	for _, glob := range []string{"*.go", "../../api/*.go", "../../check/*.go", "../../rpc/*.go"} {
		found, err := filepath.Glob(glob)
		if err != nil || len(found) == 0 {
			t.Fatalf("%s: %v", glob, err)
		}
		files = append(files, found...)
	}
	set := token.NewFileSet()
	for _, name := range files {
		if strings.HasSuffix(name, "_test.go") {
			continue
		}
		file, err := parser.ParseFile(set, name, nil, 0)
		if err != nil {
			t.Fatal(err)
		}
		for _, d := range file.Decls {
			fn, _ := d.(*ast.FuncDecl)
			ast.Inspect(d, func(n ast.Node) bool {
				sel, ok := n.(*ast.SelectorExpr)
				if !ok {
					return true
				}
				pkg, _ := sel.X.(*ast.Ident)
				if pkg == nil {
					return true
				}
				what := pkg.Name + "." + sel.Sel.Name
				prints := pkg.Name == "fmt" && (strings.HasPrefix(sel.Sel.Name, "Fprint") || strings.HasPrefix(sel.Sel.Name, "Print"))
				in := fn != nil && fn.Name.Name == "Text" && what == "fmt.Sprintf"
				past := (what == "os.Stdout" || what == "os.Stderr") && !(fn != nil && fn.Name.Name == "main")
				if prints || in || past {
					t.Errorf("%s uses %s", fmt.Sprint(set.Position(n.Pos())), what)
				}
				return true
			})
		}
	}
}
