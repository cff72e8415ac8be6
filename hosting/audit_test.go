package hosting_test

import (
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/goipns/ipns/hosting"
	"github.com/goipns/ipns/recordstore"
)

// The audit log has every put, and shows when a line was changed or removed.
func TestTheAuditLogShowsWhatWasChangedInIt(t *testing.T) {
	w := newWorld(t, hosting.Settings{Policy: hosting.Token, Tenant: hosting.Quota{PutsPerMinute: 6000}})
	c := w.caller(t, "a")
	var puts sync.WaitGroup
	for range 20 {
		puts.Go(func() {
			a := newAuthor(t)
			if _, err := w.Put(t.Context(), c, a.name, a.record(t, 1, 48*time.Hour).Raw()); err != nil {
				t.Error(err)
			}
		})
	}
	puts.Wait()
	h := w.restarted(w.Settings())
	if _, err := h.Deny(t.Context(), "b", ""); err != nil { // a line of another run
		t.Fatal(err)
	}
	lines, put := 0, 0
	for l, err := range h.AuditLog(t.Context(), true) {
		if err != nil {
			t.Fatal(err)
		}
		if lines++; l.What == "put" && l.Tenant == "a" && l.Token == c.Token && l.Name != "" {
			put++
		}
	}
	if lines != 22 || put != 20 {
		t.Errorf("%d lines, %d of them puts", lines, put)
	}
	var rows []recordstore.Row
	for r, err := range w.rows.Range(t.Context(), "hosting/audit", "", "") {
		if err != nil {
			t.Fatal(err)
		}
		rows = append(rows, r)
	}
	broken := func() bool {
		for _, err := range h.AuditLog(t.Context(), true) {
			if err != nil {
				return true
			}
		}
		return false
	}
	for what, value := range map[string][]byte{"removed": nil, "changed": []byte(strings.Replace(string(rows[1].Value), `"put"`, `"pat"`, 1))} {
		r := rows[1]
		r.Value = value
		stored, err := w.rows.Swap(t.Context(), r)
		if err != nil {
			t.Fatal(err)
		}
		if !broken() {
			t.Errorf("a line was %s and nobody sees it", what)
		}
		r.Value, r.Version = rows[1].Value, stored.Version
		if rows[1], err = w.rows.Swap(t.Context(), r); err != nil {
			t.Fatal(err)
		}
	}
	if broken() {
		t.Error("the log is broken though all is as it was")
	}
}
