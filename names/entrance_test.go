package names_test

import (
	"errors"
	"testing"
	"time"

	"github.com/goipns/ipns/names"
	"github.com/goipns/ipns/recordstore"
	"github.com/goipns/ipns/recordstore/recordstoretest"
)

// TestEnterAsksWhetherTheLastSequenceIsKnown: Enter refuses a record made from an entry
// of another generation, unless the user vouches for it, and stores Known as the caller
// says.
func TestEnterAsksWhetherTheLastSequenceIsKnown(t *testing.T) {
	b, k := newBook(), recordstoretest.NewKey(t)
	if err := b.Create(t.Context(), k.Name); err != nil {
		t.Fatal(err)
	}
	e, _ := b.Get(t.Context(), k.Name)
	e.Known[0]++
	rec := k.Record(t, 0, "/ipfs/bafkqaaa", epoch.Add(time.Hour))
	if _, err := b.Enter(t.Context(), e, rec, names.Entrance{Origin: recordstore.Own}); !errors.Is(err, names.ErrUnknownSequence) {
		t.Fatalf("from another generation: %v", err)
	}
	if got, _ := b.Get(t.Context(), k.Name); got.Record != nil {
		t.Fatal("a refused record was stored")
	}
	if outcome, err := b.Enter(t.Context(), e, rec, names.Entrance{Vouched: true}); err != nil || outcome != names.New {
		t.Fatalf("vouched: %v, %v", outcome, err)
	}
	if got, _ := b.Get(t.Context(), k.Name); got.Known != e.Known || got.Origin != recordstore.Own {
		t.Fatalf("stored as %+v", got)
	}
}

// TestTenantComesWithTheOrigin: the tenant changes only when the origin is raised.
func TestTenantComesWithTheOrigin(t *testing.T) {
	b, k := newBook(), recordstoretest.NewKey(t)
	for i, step := range []struct {
		in     names.Entrance
		origin recordstore.Origin
		tenant string
	}{
		{names.Entrance{Origin: recordstore.Hosted, Tenant: "a"}, recordstore.Hosted, "a"},
		{names.Entrance{Origin: recordstore.Hosted, Tenant: "b"}, recordstore.Hosted, "a"},
		{names.Entrance{}, recordstore.Hosted, "a"},
		{names.Entrance{Origin: recordstore.Own}, recordstore.Own, ""},
		{names.Entrance{Origin: recordstore.Hosted, Tenant: "b"}, recordstore.Own, ""},
	} {
		rec := k.Record(t, uint64(i), "/ipfs/bafkqaaa", epoch.Add(time.Hour))
		if _, err := b.Take(t.Context(), rec, step.in); err != nil {
			t.Fatal(err)
		}
		if e, _ := b.Get(t.Context(), k.Name); e.Origin != step.origin || e.Tenant != step.tenant {
			t.Fatalf("after step %d: %v of tenant %q", i, e.Origin, e.Tenant)
		}
	}
}

// TestWhatMayBeAnnounced follows an own and a hosted name through a restore. Their
// records may be announced again once a search has run. Then the own name has a next
// record; a hosted name that becomes own does not have one yet.
func TestWhatMayBeAnnounced(t *testing.T) {
	for _, origin := range []recordstore.Origin{recordstore.Own, recordstore.Hosted} {
		store := recordstore.NewMemory()
		b := &names.Book{Store: store, Now: func() time.Time { return epoch }}
		k := recordstoretest.NewKey(t)
		may := func(announce, next bool) {
			t.Helper()
			e, err := b.Get(t.Context(), k.Name)
			if err != nil {
				t.Fatal(err)
			}
			current, err1 := b.Current(t.Context(), e)
			known, err2 := b.Known(t.Context(), e)
			if err1 != nil || err2 != nil || current != announce || known != next {
				t.Fatalf("%v: announce %v, next %v, want %v and %v; %v, %v", origin, current, known, announce, next, err1, err2)
			}
		}
		take(t, b, k.Record(t, 1, "/ipfs/bafkqaaa", epoch.Add(time.Hour)), origin, names.New)
		may(true, false)
		store.Renew()
		may(false, false)
		e, _ := b.Get(t.Context(), k.Name)
		if _, err := b.Confirm(t.Context(), e, recordstore.Lease{}); err != nil {
			t.Fatal(err)
		}
		may(true, origin == recordstore.Own)
		if _, err := b.Confirm(t.Context(), e, recordstore.Lease{}); !errors.Is(err, recordstore.ErrConflict) {
			t.Fatalf("of an entry that has changed: %v", err)
		}
		store.Renew()
		may(false, false)
		take(t, b, k.Record(t, 2, "/ipfs/bafkqaaa", epoch.Add(time.Hour)), recordstore.Own, names.New)
		may(true, false)
	}
}
