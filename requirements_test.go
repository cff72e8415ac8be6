package ipns_test

import (
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"
)

var (
	requirementID    = regexp.MustCompile(`\b(?:[ACDENPRTV]-V?|[FRV])[0-9]+\b`)
	requirementRange = regexp.MustCompile(`\b([ACDENPRTV]-V?|[FRV])([0-9]+) to ([ACDENPRTV]-V?|[FRV])([0-9]+)\b`)
	// notRequirements are the curves that look like ids.
	notRequirements = regexp.MustCompile(`\bP-(?:224|256|384|521)\b`)
)

// requirementsIn lists the ids in a text, those between the ends of "N-20 to N-22"
// included.
func requirementsIn(text string) []string {
	text = notRequirements.ReplaceAllString(text, "")
	ids := requirementID.FindAllString(text, -1)
	for _, m := range requirementRange.FindAllStringSubmatch(text, -1) {
		first, _ := strconv.Atoi(m[2])
		last, _ := strconv.Atoi(m[4])
		for n := first; m[1] == m[3] && n <= last; n++ {
			ids = append(ids, fmt.Sprint(m[1], n))
		}
	}
	return ids
}

// testFiles calls f with every test file of the repository, nested modules included.
func testFiles(t *testing.T, f func(file, source string)) {
	t.Helper()
	err := filepath.WalkDir(".", func(file string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if name := d.Name(); d.IsDir() && file != "." && (name == "testdata" || name == "node_modules" || name[0] == '.') {
			return fs.SkipDir
		}
		if !strings.HasSuffix(file, "_test.go") {
			return nil
		}
		source, err := os.ReadFile(file)
		if err == nil {
			f(file, string(source))
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
}

// TestRequirementsAreListed wants docs/requirements.md to explain, once, every id in
// a comment of a test.
func TestRequirementsAreListed(t *testing.T) {
	page, err := os.ReadFile("docs/requirements.md")
	if err != nil {
		t.Fatal(err)
	}
	explained := map[string]bool{}
	for _, m := range regexp.MustCompile("(?m)^- `([^`]+)` .+").FindAllStringSubmatch(string(page), -1) {
		if explained[m[1]] {
			t.Errorf("docs/requirements.md explains %s twice", m[1])
		}
		explained[m[1]] = true
	}
	found := 0
	testFiles(t, func(file, source string) {
		for i, line := range strings.Split(source, "\n") {
			_, comment, _ := strings.Cut(line, "//")
			for _, id := range requirementsIn(comment) {
				found++
				if !explained[id] {
					t.Errorf("%s:%d: docs/requirements.md does not explain %s", file, i+1, id)
				}
			}
		}
	})
	if found < 200 {
		t.Errorf("only %d ids found: the test looks in the wrong place", found)
	}
}

// TestNoTestIsNamedByAnID wants ids in comments and sentences in names.
func TestNoTestIsNamedByAnID(t *testing.T) {
	byID := regexp.MustCompile(`(?m)^func (?:Test|Fuzz|Benchmark)[FRV][0-9]+\w*`)
	testFiles(t, func(file, source string) {
		for _, name := range byID.FindAllString(source, -1) {
			t.Errorf("%s: %s: name it by a sentence, and put the id in a comment", file, name)
		}
	})
}
