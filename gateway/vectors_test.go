package gateway

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/goipns/ipns"
	"github.com/goipns/ipns/names"
	"github.com/goipns/ipns/recordstore"
)

// The records of the IPNS specification, each under its own name: valid ones are served, invalid ones are errors of
// the server.
func TestSpecificationRecords(t *testing.T) {
	dir := os.Getenv("IPNS_VECTORS")
	if dir == "" {
		t.Skip("IPNS_VECTORS does not name the folder with the fixtures of other projects")
	}
	w := newWorld(t, Options{})
	want := map[string]string{ // by the fault of the record; no body: status 500
		"v1":                        "",
		"v1-v2":                     "v1+v2 record",
		"v1-v2-broken-v1-value":     "",
		"v1-v2-broken-signature-v2": "",
		"v1-v2-broken-signature-v1": "v1+v2 with broken signature v1",
		"v2":                        "v2-only record",
	}
	files, err := filepath.Glob(filepath.Join(dir, "gateway-conformance/ipns_records/*.ipns-record"))
	if err != nil || len(files) != len(want) {
		t.Fatalf("%d records in %s, want %d: %v", len(files), dir, len(want), err)
	}
	for _, f := range files {
		key, kind, _ := strings.Cut(strings.TrimSuffix(filepath.Base(f), ".ipns-record"), "_")
		raw, err := os.ReadFile(f)
		if err != nil {
			t.Fatal(err)
		}
		name, err := ipns.ParseName(key)
		if err != nil {
			t.Fatal(err)
		}
		if rec, err := ipns.Open(name, raw, w.now); err == nil {
			if _, err := w.Book.Take(t.Context(), rec, names.Entrance{Origin: recordstore.Hosted}); err != nil {
				t.Fatal(err)
			}
		}
		t.Run(kind, func(t *testing.T) {
			path, record := w.get(at+"/ipns/"+key), w.get(at+"/ipns/"+key+"?format=ipns-record")
			if want[kind] == "" {
				check(t, path, 500)
				check(t, record, 500)
				return
			}
			check(t, path, 200, "Cache-Control", "public, max-age=1800")
			if got := bodyOf(t, path); got != want[kind] {
				t.Errorf("content %q, want %q", got, want[kind])
			}
			check(t, record, 200, "Cache-Control", "public, max-age=1800")
			if bodyOf(t, record) != string(raw) {
				t.Error("the record is not served as it came")
			}
		})
	}
}
