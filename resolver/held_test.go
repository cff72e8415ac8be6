package resolver_test

import (
	"testing"
	"time"

	"github.com/goipns/ipns"
	"github.com/goipns/ipns/names"
	"github.com/goipns/ipns/recordstore"
	"github.com/goipns/ipns/recordstore/recordstoretest"
	"github.com/goipns/ipns/resolver"
	"github.com/goipns/ipns/routing"
	"github.com/goipns/ipns/routing/routingtest"
)

// Held counts every version that servers hold and passes the newest to the Book.
func TestHeldCountsVersionsAndTakesTheNewest(t *testing.T) {
	const pathA, pathB = "/ipfs/bafkqaaa", "/ipfs/bafkqaaa/b"
	end := time.Now().Add(time.Hour)
	k, net := recordstoretest.NewKey(t), routingtest.New(20)
	book := &names.Book{Store: recordstore.NewMemory()}
	if _, err := book.Take(t.Context(), k.Record(t, 1, pathA, end), names.Entrance{Origin: recordstore.Hosted}); err != nil {
		t.Fatal(err)
	}
	newest, other := k.Record(t, 2, pathB, end), k.Record(t, 2, pathA, end)
	if ipns.Compare(newest, other) < 0 {
		newest, other = other, newest
	}
	for i, rec := range []*ipns.Record{newest, newest, other, k.Record(t, 1, pathA, end)} {
		net.Closest(k.Name)[i].Hold(k.Name, rec.Raw())
	}
	r := &resolver.Resolver{Book: book, Router: net}
	h, err := r.Held(t.Context(), k.Name)
	if err != nil || h.Err != nil {
		t.Fatal(err, h.Err)
	}
	if want := (routing.Spread{Answered: 20, Same: 2, Other: 1, Older: 1}); h.Spread != want || h.Newest.DataHash() != newest.DataHash() {
		t.Errorf("%+v, want %+v", h.Spread, want)
	}
	if e, err := book.Get(t.Context(), k.Name); err != nil || e.Record.Sequence() != 2 {
		t.Errorf("the Book has %v, %v", e.Record, err)
	}
	offline := &resolver.Resolver{Book: book}
	if h, err := offline.Held(t.Context(), k.Name); err != nil || h.Err == nil || h.Answered != 0 {
		t.Errorf("offline: %+v, %v", h, err)
	}
}
