package hosting_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/goipns/ipns"
	"github.com/goipns/ipns/hosting"
	"github.com/goipns/ipns/names"
	"github.com/goipns/ipns/recordstore"
	"github.com/goipns/ipns/routing"
)

// haltedStore stores nothing any more once it is halted, as after the end of a process.
type haltedStore struct {
	*recordstore.Memory
	halted bool
}

var errHalted = errors.New("halted")

func (s *haltedStore) Swap(ctx context.Context, e recordstore.Entry, l recordstore.Lease) (recordstore.Entry, error) {
	if s.halted {
		return recordstore.Entry{}, errHalted
	}
	return s.Memory.Swap(ctx, e, l)
}

// haltedRows stores nothing while it is halted.
type haltedRows struct {
	*recordstore.MemoryRows
	halted bool
}

func (r *haltedRows) Swap(ctx context.Context, row recordstore.Row) (recordstore.Row, error) {
	if r.halted {
		return recordstore.Row{}, errHalted
	}
	return r.MemoryRows.Swap(ctx, row)
}

// Wherever a crash comes between the record and its line in the audit log, the log says of
// each record that is kept who put it, and of each that is gone who removed it.
func TestNoRecordIsKeptOfWhichTheAuditLogDoesNotSayWhoPutIt(t *testing.T) {
	store := &haltedStore{Memory: recordstore.NewMemory()}
	rows := &haltedRows{MemoryRows: &recordstore.MemoryRows{}}
	h := &hosting.Host{Book: &names.Book{Store: store}, Rows: rows, Opener: &routing.Opener{}}
	h.Book.Forgotten = h.Forgotten
	h.Set(hosting.Settings{Policy: hosting.Token})
	a := newAuthor(t)
	rec := a.record(t, 3, 48*time.Hour)
	kept := func() bool {
		e, err := h.Book.Get(t.Context(), a.name)
		return err == nil && e.Record != nil
	}
	logged := func(what string) (n int) {
		for l, err := range h.AuditLog(t.Context(), true) {
			if err != nil {
				t.Fatal(err)
			}
			if l.What == what && l.Tenant == "a" && l.Name == a.name.String() {
				n++
			}
		}
		return n
	}
	put := func() error {
		_, err := h.Put(t.Context(), hosting.Operator("a"), a.name, rec.Raw())
		return err
	}
	rows.halted = true // before the line is written
	if err := put(); err == nil || kept() {
		t.Errorf("without a line: kept %v, %v", kept(), err)
	}
	rows.halted, store.halted = false, true // after it, before the record is
	if err := put(); err == nil || kept() || logged("put") != 1 || logged("put-failed") != 1 {
		t.Errorf("without the record: kept %v, %v, %d put, %d failed", kept(), err, logged("put"), logged("put-failed"))
	}
	store.halted = false
	if err := put(); err != nil || !kept() || logged("put") != 2 {
		t.Errorf("at last: kept %v, %v, %d lines", kept(), err, logged("put"))
	}
	rows.halted = true
	if _, err := h.Remove(t.Context(), hosting.Operator("a"), a.name); err == nil || !kept() {
		t.Errorf("removed without a line: kept %v, %v", kept(), err)
	}
	rows.halted = false
	if _, err := h.Remove(t.Context(), hosting.Operator("a"), a.name); err != nil || kept() || logged("remove") != 1 {
		t.Errorf("removed: kept %v, %v, %d lines", kept(), err, logged("remove"))
	}
}

// No tenant is called "": to remove that one would remove the tokens of all.
func TestRemovingTheTenantWithoutANameRemovesNothing(t *testing.T) {
	w := newWorld(t, hosting.Settings{Policy: hosting.Token})
	token, _, err := w.NewToken(t.Context(), "a", nil, 0)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := w.RemoveTenant(t.Context(), ""); err == nil {
		t.Error("a tenant without a name was removed")
	}
	if _, err := w.admit(token, ""); err != nil {
		t.Errorf("the token of a is gone: %v", err)
	}
}

// Behind a proxy on this machine that is not trusted everybody comes from this machine: they
// share the quota of one address.
func TestThisMachineIsOneAddress(t *testing.T) {
	w := newWorld(t, hosting.Settings{Policy: hosting.Open, Address: hosting.Quota{PutsPerMinute: 30}})
	limited := false
	for range 50 {
		c, err := w.admit("", "127.0.0.1")
		if err != nil {
			t.Fatal(err)
		}
		_, err = w.Put(t.Context(), c, newAuthor(t).name, []byte("junk"))
		limited = limited || why(err) == hosting.TooMany
	}
	if !limited {
		t.Error("50 puts in no time were not too many")
	}
}

// Who sends wrong tokens waits, and does not keep out who has one and shares the address.
func TestGuessingTokensKeepsNobodyElseOut(t *testing.T) {
	w := newWorld(t, hosting.Settings{Policy: hosting.Token})
	token, _, err := w.NewToken(t.Context(), "a", nil, 0)
	if err != nil {
		t.Fatal(err)
	}
	for _, from := range []string{"8.8.8.8", "127.0.0.1"} {
		last := error(nil)
		for i := range 50 {
			_, last = w.admit(fmt.Sprintf("wrong%d", i), from)
		}
		if why(last) != hosting.TooMany || hosting.Of(last).RetryAfter <= 0 {
			t.Errorf("%s: the 50th wrong token: %v", from, last)
		}
		if _, err := w.admit(token, from); err != nil {
			t.Errorf("%s: the right token: %v", from, err)
		}
	}
}

// A host that is full takes newer records of the names that it has, from whatever tenant.
func TestAFullHostTakesNewerRecordsOfItsNames(t *testing.T) {
	w := newWorld(t, hosting.Settings{Policy: hosting.Token, MaxNames: 1})
	a, b := newAuthor(t), newAuthor(t)
	if _, err := w.Put(t.Context(), w.caller(t, "a"), a.name, a.record(t, 1, 48*time.Hour).Raw()); err != nil {
		t.Fatal(err)
	}
	c := w.caller(t, "c")
	if _, err := w.Put(t.Context(), c, b.name, b.record(t, 1, 48*time.Hour).Raw()); why(err) != hosting.OverQuota {
		t.Errorf("a second name: %v", err)
	}
	if _, err := w.Put(t.Context(), c, a.name, a.record(t, 2, 48*time.Hour).Raw()); err != nil {
		t.Errorf("a newer record of the one that is here: %v", err)
	}
}

// What was refused of tenants that are not counted one by one is not lost when there are
// many to be shown.
func TestFiguresOfManyTenantsHaveEachPutOnce(t *testing.T) {
	const tenants = 5000
	w := newWorld(t, hosting.Settings{Policy: hosting.Token})
	for i := range tenants {
		c := hosting.Caller{Tenant: fmt.Sprintf("t%d", i)} // without a scope
		if _, err := w.Put(t.Context(), c, ipns.Name{}, nil); why(err) != hosting.Forbidden {
			t.Fatal(err)
		}
	}
	if n := refused(w.Host, "forbidden"); n != tenants {
		t.Errorf("%d of %d were counted", n, tenants)
	}
}

// An import that ends because something is wrong here does not say that a quota was met.
func TestAnImportSaysWhyItEnded(t *testing.T) {
	rows := &haltedRows{MemoryRows: &recordstore.MemoryRows{}, halted: true}
	h := &hosting.Host{Book: &names.Book{Store: recordstore.NewMemory()}, Rows: rows, Opener: &routing.Opener{}}
	h.Set(hosting.Settings{Policy: hosting.Token})
	a := newAuthor(t)
	var out strings.Builder
	entry := recordstore.Entry{Name: a.name, Tenant: "a", Record: a.record(t, 1, 48*time.Hour)}
	err := hosting.Export(&out, hosting.NDJSON, func(yield func(recordstore.Entry, error) bool) { yield(entry, nil) })
	if err != nil {
		t.Fatal(err)
	}
	for _, err = range h.Import(t.Context(), strings.NewReader(out.String()), "") {
	}
	if !errors.Is(err, errHalted) || strings.Contains(err.Error(), "Give more") {
		t.Errorf("it ended with: %v", err)
	}
}
