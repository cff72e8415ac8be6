package ipns

import (
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// TestConformance wants every requirement of testdata/conformance.txt to be named
// by a test, or to have a reason why not; and every reason to be needed.
func TestConformance(t *testing.T) {
	named := map[string]bool{}
	id := regexp.MustCompile(`\b[NREV]-V?[0-9]+\b`)
	for _, dir := range []string{".", "internal/wire", "contenthash", "bench/record"} {
		files, err := filepath.Glob(filepath.Join(dir, "*_test.go"))
		if err != nil {
			t.Fatal(err)
		}
		for _, file := range files {
			b, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			for _, line := range strings.Split(string(b), "\n") {
				if !strings.HasPrefix(strings.TrimSpace(line), "//") {
					continue
				}
				for _, s := range id.FindAllString(line, -1) {
					named[s] = true
				}
				// "V-7 to V-10" names what lies between, too.
				for _, m := range regexp.MustCompile(`\b([NREV]-V?)([0-9]+) to ([NREV]-V?)([0-9]+)\b`).FindAllStringSubmatch(line, -1) {
					for n := number([]byte(m[2])); n <= number([]byte(m[4])) && m[1] == m[3]; n++ {
						named[fmt.Sprint(m[1], n)] = true
					}
				}
			}
		}
	}
	listed := map[string]bool{}
	for _, line := range strings.Split(string(readFile(t, "testdata/conformance.txt")), "\n") {
		if line == "" || strings.HasPrefix(line, "#") {
			continue
		}
		name, reason, _ := strings.Cut(line, " ")
		listed[name] = true
		switch {
		case !named[name] && reason == "":
			t.Errorf("%s: no test names it, and there is no reason", name)
		case named[name] && reason != "":
			t.Errorf("%s: a test names it, the reason is stale", name)
		}
	}
	if len(listed) < 90 {
		t.Errorf("only %d requirements are listed", len(listed))
	}
	for name := range named {
		if !listed[name] {
			t.Errorf("%s: a test names it, and it is not listed", name)
		}
	}
}
