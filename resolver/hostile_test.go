package resolver

import (
	"context"
	"encoding/json"
	"os"
	"path/filepath"
	"testing"
	"testing/synctest"
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

// slow is a store of this process whose disk is slow.
type slow struct {
	*recordstore.Memory
	wait time.Duration
}

func (s slow) Get(ctx context.Context, name ipns.Name) (recordstore.Entry, error) {
	select {
	case <-time.After(s.wait):
		return s.Memory.Get(ctx, name)
	case <-ctx.Done():
		return recordstore.Entry{}, ctx.Err()
	}
}

// However slow the disk is, what was shown before counts: nothing else knows it after a
// restart.
func TestASlowDiskDoesNotBringAnOlderRecordBack(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f, n := newFixture(t), newName(t)
		newer, older := n.record(5, pathA), n.record(4, pathB)
		hold(newer, f.net.Servers...)
		f.leads(newer.Name(), Options{Confidence: All}, pathA)
		f.restart()
		f.Book.Store = slow{f.store, 3 * storeLimit}
		hold(older, f.net.Servers...)
		f.fails(older.Name().String(), Options{Confidence: All, NoCache: true}, nil)
	})
}
