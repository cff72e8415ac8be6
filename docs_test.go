package ipns_test

import (
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// TestEveryPackageSaysWhatItIs wants a package comment in every folder with Go
// files, nested modules included.
func TestEveryPackageSaysWhatItIs(t *testing.T) {
	commented := map[string]bool{}
	err := filepath.WalkDir(".", func(file string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		name := d.Name()
		if d.IsDir() && file != "." && (name == "testdata" || name == "node_modules" || name[0] == '.') {
			return fs.SkipDir
		}
		if !strings.HasSuffix(file, ".go") || strings.HasSuffix(file, "_test.go") {
			return nil
		}
		parsed, err := parser.ParseFile(token.NewFileSet(), file, nil, parser.PackageClauseOnly|parser.ParseComments)
		if err != nil {
			return err
		}
		dir := filepath.Dir(file)
		commented[dir] = commented[dir] || parsed.Doc != nil
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	for dir, ok := range commented {
		if !ok {
			t.Errorf("%s: no package comment", dir)
		}
	}
}

// TestNoReplace keeps go.mod free of replace lines: they are ignored for
// everyone who requires this module.
func TestNoReplace(t *testing.T) {
	mod, err := os.ReadFile("go.mod")
	if err != nil {
		t.Fatal(err)
	}
	if strings.Contains(string(mod), "replace ") || strings.Contains(string(mod), "replace(") {
		t.Error("go.mod has a replace line")
	}
}

// TestTermsLiveWhereTheySay wants every place that docs/terms.md names to exist: a
// package, or what one declares.
func TestTermsLiveWhereTheySay(t *testing.T) {
	page, err := os.ReadFile("docs/terms.md")
	if err != nil {
		t.Fatal(err)
	}
	places := regexp.MustCompile("\\(`([a-z/]+)(?:\\.([A-Z]\\w*))?`\\)").FindAllStringSubmatch(string(page), -1)
	if len(places) < 40 {
		t.Errorf("only %d places found", len(places))
	}
	for _, place := range places {
		dir, name := strings.TrimPrefix(place[1], "ipns"), place[2]
		files, err := filepath.Glob(filepath.Join(".", dir, "*.go"))
		if err != nil || len(files) == 0 {
			t.Errorf("%s is no package", place[1])
			continue
		}
		declared := regexp.MustCompile(`(?m)^(?:(?:type|func|var|const) |\t)` + name + `\b`)
		if !slices.ContainsFunc(files, func(file string) bool {
			source, err := os.ReadFile(file)
			return err == nil && declared.Match(source)
		}) {
			t.Errorf("%s does not declare %s", place[1], name)
		}
	}
}

// TestSecurityNamesTestsThatExist wants each line of the table in SECURITY.md to name tests that exist,
// or to say that nothing protects.
func TestSecurityNamesTestsThatExist(t *testing.T) {
	page, err := os.ReadFile("SECURITY.md")
	if err != nil {
		t.Fatal(err)
	}
	_, table, ok := strings.Cut(string(page), "\n|---|---|---|---|\n")
	if !ok {
		t.Fatal("there is no table")
	}
	exist := map[string]bool{}
	testFiles(t, func(_, source string) {
		for _, m := range regexp.MustCompile(`(?m)^func (Test\w+)\(`).FindAllStringSubmatch(source, -1) {
			exist[m[1]] = true
		}
	})
	var from []string
	lines := 0
	for line := range strings.Lines(table) {
		cells := strings.Split(strings.Trim(strings.TrimSpace(line), "|"), " | ")
		if !strings.HasPrefix(line, "|") {
			break
		}
		if lines++; len(cells) != 4 {
			t.Errorf("%d cells: %s", len(cells), line)
			continue
		}
		if who := strings.TrimSpace(cells[0]); who != "" {
			from = append(from, who)
		}
		named := regexp.MustCompile("`(Test\\w+)`").FindAllStringSubmatch(cells[3], -1)
		for _, m := range named {
			if !exist[m[1]] {
				t.Errorf("there is no %s: %s", m[1], line)
			}
		}
		if not := strings.TrimSpace(cells[3]) == "not"; len(named) == 0 && !not || not && !strings.Contains(cells[2], "**not**") {
			t.Errorf("neither a test nor \"not\": %s", line)
		}
	}
	for _, who := range []string{"disk", "another user", "backup", "memory", "API", "DHT"} {
		if !slices.ContainsFunc(from, func(f string) bool { return strings.Contains(f, who) }) {
			t.Errorf("nothing is said of %s", who)
		}
	}
	if lines < 20 {
		t.Errorf("only %d lines", lines)
	}
}

// TestDocsAreInTheIndex wants every document in docs/README.md, which is what the site of them has, but for
// those that are about working on this repository.
func TestDocsAreInTheIndex(t *testing.T) {
	index, err := os.ReadFile("docs/README.md")
	if err != nil {
		t.Fatal(err)
	}
	guides, err := filepath.Glob("docs/guides/*.md")
	if err != nil {
		t.Fatal(err)
	}
	others, err := filepath.Glob("docs/*.md")
	if err != nil {
		t.Fatal(err)
	}
	for _, file := range append(guides, others...) {
		file = strings.TrimPrefix(filepath.ToSlash(file), "docs/")
		if file != "README.md" && file != "requirements.md" && !strings.Contains(string(index), "]("+file+")") {
			t.Errorf("docs/README.md does not lead to %s", file)
		}
	}
	if len(guides) < 9 {
		t.Errorf("only %d guides", len(guides))
	}
}

// TestDocsGuidesAreTyped wants a test that types the commands of each guide that has some.
func TestDocsGuidesAreTyped(t *testing.T) {
	guides, err := filepath.Glob("docs/guides/*.md")
	if err != nil {
		t.Fatal(err)
	}
	var tests strings.Builder
	testFiles(t, func(_, source string) { tests.WriteString(source) })
	for _, file := range guides {
		page, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		for i, block := range strings.Split(string(page), "```") {
			if i%2 == 0 {
				continue
			}
			kind, text, _ := strings.Cut(block, "\n")
			if kind == "sh" && !strings.Contains(tests.String(), `"../../`+filepath.ToSlash(file)+`"`) {
				t.Errorf("no test types %s", file)
				break
			}
			if kind != "sh" && kind != "text" && regexp.MustCompile(`(?m)^ *(\$ )?(ipns|curl) `).MatchString(text) {
				t.Errorf("%s: these lines are not typed, for the block is not sh:\n%s", file, text)
			}
		}
	}
}
