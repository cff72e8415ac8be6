package ipns

import (
	"encoding/json"
	"os"
	"path/filepath"
	"testing"
	"time"
)

// corpusName is the name that most records of the corpus are for.
const corpusName = "k51qzi5uqu5djmw2yvf8kk5cdjc1ddc00o4d5sjwi6f79xzcay9j3gkddw5uu4"

// corpusTime is a time at which the good records of the corpus are good.
var corpusTime = time.Date(2026, time.November, 20, 12, 0, 0, 0, time.UTC)

func readJSON[T any](t testing.TB, file string) T {
	t.Helper()
	var v T
	b, err := os.ReadFile(file)
	if err == nil {
		err = json.Unmarshal(b, &v)
	}
	if err != nil {
		t.Fatalf("reading %s: %v", file, err)
	}
	return v
}

func readFile(t testing.TB, file string) []byte {
	t.Helper()
	b, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// openVerdict is what a caller with two strings does: parse the name, open the
// record.
func openVerdict(name string, raw []byte, now time.Time) (*Record, error) {
	n, err := ParseName(name)
	if err != nil {
		return nil, err
	}
	return Open(n, raw, now)
}

type hostileRecord struct{ File, Name, Why, Recommend, Resolve string }

func TestHostileRecords(t *testing.T) {
	for _, c := range readJSON[[]hostileRecord](t, "testdata/hostile/index.json") {
		raw := readFile(t, filepath.Join("testdata/hostile", c.File))
		r, err := openVerdict(c.Name, raw, corpusTime)
		if accepted := err == nil; accepted != (c.Recommend == "accept") {
			t.Errorf("%s (%s): want %s, got %v", c.File, c.Why, c.Recommend, err)
		}
		if err != nil || c.Resolve == "" {
			continue
		}
		path, err := r.ContentPath()
		if ok := err == nil; ok != (c.Resolve == "ok") {
			t.Logf("%s (%s): following should be %s: %q, %v", c.File, c.Why, c.Resolve, path, err)
		}
	}
}

func TestHostileSelection(t *testing.T) {
	type set struct {
		ID, Why string
		Files   []string
		Best    int
	}
	for _, c := range readJSON[[]set](t, "testdata/hostile/select.json") {
		var records []*Record
		for _, f := range c.Files {
			raw := readFile(t, filepath.Join("testdata/hostile", f))
			r, err := openVerdict(corpusName, raw, corpusTime)
			if err != nil {
				t.Log(f, err)
			}
			records = append(records, r)
		}
		if got := Best(corpusTime, records...); got == nil || got != records[c.Best] {
			t.Errorf("%s (%s): want %d", c.ID, c.Why, c.Best)
		}
	}
}

func TestHostileNames(t *testing.T) {
	for _, c := range readJSON[[]struct{ Name, Why, Expected string }](t, "testdata/hostile/names.json") {
		n, err := ParseName(c.Name)
		if valid := err == nil; valid != (c.Expected == "valid") {
			t.Errorf("%q (%s): want %s, got %v %v", c.Name, c.Why, c.Expected, n, err)
		}
	}
}
