package hosting_test

import (
	"strings"
	"testing"
	"time"

	"github.com/goipns/ipns/hosting"
	"github.com/goipns/ipns/recordstore"
)

// An import that a quota ends goes on where it was, as one does that was killed: what is
// here already is neither verified nor logged again.
func TestAnImportGoesOnWhereItWas(t *testing.T) {
	w := newWorld(t, hosting.Settings{})
	if err := w.SetTenant(t.Context(), "a", hosting.Quota{Names: 30}); err != nil {
		t.Fatal(err)
	}
	entries := func(yield func(recordstore.Entry, error) bool) {
		for range 50 {
			a := newAuthor(t)
			if !yield(recordstore.Entry{Name: a.name, Record: a.record(t, 1, 48*time.Hour)}, nil) {
				return
			}
		}
	}
	for _, format := range []string{hosting.NDJSON, hosting.Tar} {
		var out strings.Builder
		if err := hosting.Export(&out, format, entries); err != nil {
			t.Fatal(err)
		}
		run := func() (last hosting.Imported, err error) {
			for i, e := range w.Import(t.Context(), strings.NewReader(out.String()), "a") {
				if e != nil {
					return last, e
				}
				last = i
			}
			return last, nil
		}
		first, err := run()
		if why(err) != hosting.OverQuota || first.Taken != 30 || first.Done || first.Refused["over-quota"] == 0 {
			t.Fatalf("%s: %+v, %v", format, first, err)
		}
		if err := w.SetTenant(t.Context(), "a", hosting.Quota{Names: 100}); err != nil {
			t.Fatal(err)
		}
		second, err := run()
		if err != nil || second.Taken != 20 || second.Same != 30 || !second.Done {
			t.Errorf("%s: again: %+v, %v", format, second, err)
		}
		if n, err := w.RemoveTenant(t.Context(), "a"); n != 50 || err != nil {
			t.Fatalf("removed %d, %v", n, err)
		}
		if err := w.SetTenant(t.Context(), "a", hosting.Quota{Names: 30}); err != nil {
			t.Fatal(err)
		}
	}
}
