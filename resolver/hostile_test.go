package resolver

import (
	"encoding/json"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/goipns/ipns"
	"github.com/goipns/ipns/names"
	"github.com/goipns/ipns/recordstore"
	"github.com/goipns/ipns/routing/routingtest"
)

// TestHostileValues resolves valid records with odd values: a value that is not a path
// must lead nowhere.
func TestHostileValues(t *testing.T) {
	const dir = "../testdata/hostile"
	b, err := os.ReadFile(filepath.Join(dir, "index.json"))
	if err != nil {
		t.Fatal(err)
	}
	var cases []struct{ File, Name, Why, Resolve string }
	if err := json.Unmarshal(b, &cases); err != nil {
		t.Fatal(err)
	}
	followed := 0
	for _, c := range cases {
		if c.Resolve == "" {
			continue
		}
		followed++
		raw, err := os.ReadFile(filepath.Join(dir, c.File))
		if err != nil {
			t.Fatal(err)
		}
		name, err := ipns.ParseName(c.Name)
		if err != nil {
			t.Fatalf("%s: %v", c.File, err)
		}
		rec, err := ipns.Open(name, raw, time.Now())
		if err != nil {
			t.Errorf("%s: %v", c.File, err)
			continue
		}
		book := &names.Book{Store: recordstore.NewMemory()}
		if _, err := book.Take(t.Context(), rec, names.Entrance{Origin: recordstore.Hosted}); err != nil {
			t.Fatalf("%s: %v", c.File, err)
		}
		r := &Resolver{Book: book, Router: routingtest.New(0), LookupTXT: noTXT}
		res, err := r.Resolve(t.Context(), name.Path(), Options{OneHop: true, Offline: true})
		r.Close()
		if got := err == nil; got != (c.Resolve == "ok") {
			t.Errorf("%s (%s): leads to %.60q, %v; want %s", c.File, c.Why, res.Path, err, c.Resolve)
		}
	}
	if followed < 20 {
		t.Fatalf("only %d cases in the index", followed)
	}
}
