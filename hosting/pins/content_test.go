package pins

import (
	"strings"
	"testing"
	"time"

	"github.com/ipfs/go-cid"

	"github.com/goipns/ipns/content"
	"github.com/goipns/ipns/content/contenttest"
	"github.com/goipns/ipns/recordstore"
)

// ended waits until a request is pinned or has failed.
func ended(t *testing.T, p *Pins, tenant, id string) Pin {
	t.Helper()
	for {
		pin, err := p.Get(t.Context(), tenant, id)
		if err != nil {
			t.Fatal(err)
		}
		if pin.Status == Pinned || pin.Status == Failed {
			return pin
		}
		time.Sleep(time.Millisecond)
	}
}

func collected(t *testing.T, s *content.Store, p *Pins) {
	t.Helper()
	for g := range s.Collect(t.Context(), p.Roots(t.Context()), content.Leave{}) {
		if g.Err != nil {
			t.Fatal(g.Err)
		}
	}
}

// With a real store: what tenants need survives a collection of garbage, and nothing else does; of two
// fetches that would each fit, one exceeds the quota.
func TestGarbageAndQuotaOfARealStore(t *testing.T) {
	s := contenttest.Open(t)
	p := &Pins{Rows: &recordstore.MemoryRows{}, Content: s, Limit: allow(500_000)}
	defer start(t, p)()
	big, other, third := contenttest.Add(t, s, strings.Repeat("a", 300_000)), contenttest.Add(t, s, strings.Repeat("b", 300_000)), contenttest.Add(t, s, "c")
	one, two := mustAdd(t, p, "ann", Request{CID: big}), mustAdd(t, p, "ann", Request{CID: other})
	first, second := ended(t, p, "ann", one.ID), ended(t, p, "ann", two.ID)
	if (first.Status == Pinned) == (second.Status == Pinned) {
		t.Fatalf("%+v\n%+v", first, second)
	}
	kept, refused := first, second
	if second.Status == Pinned {
		kept, refused = second, first
	}
	if !strings.Contains(refused.Why, "quota") || kept.Size < 300_000 || kept.Size > 310_000 {
		t.Errorf("%+v\n%+v", kept, refused)
	}
	small := mustAdd(t, p, "ann", Request{CID: third})
	if got := ended(t, p, "ann", small.ID); got.Status != Pinned {
		t.Errorf("what fits: %+v", got)
	}
	if pin, err := s.PinOf(t.Context(), kept.CID, content.Recursive); err != nil || pin.Name != "hosted:ann" {
		t.Errorf("%+v, %v", pin, err)
	}

	// The operator's hand does not take what a tenant needs.
	if err := s.Unpin(t.Context(), kept.CID, content.Recursive); err != nil {
		t.Fatal(err)
	}
	collected(t, s, p)
	for c, want := range map[cid.Cid]bool{kept.CID: true, refused.CID: false, third: true} {
		if _, all, err := s.Local(t.Context(), c); err != nil || all != want {
			t.Errorf("%s is here: %v, %v", c, all, err)
		}
	}
	if err := p.Remove(t.Context(), "ann", kept.ID); err != nil {
		t.Fatal(err)
	}
	collected(t, s, p)
	if _, all, err := s.Local(t.Context(), kept.CID); err != nil || all {
		t.Errorf("what nobody needs is here: %v", err)
	}
}

func TestContentThatIsDeniedOrNowhereFails(t *testing.T) {
	p := &Pins{Rows: &recordstore.MemoryRows{}, Content: contenttest.Open(t)}
	defer start(t, p)()
	pin := mustAdd(t, p, "ann", Request{CID: cidOf("nowhere")})
	if got := ended(t, p, "ann", pin.ID); got.Status != Failed || got.Why == "" {
		t.Errorf("offline: %+v", got)
	}
}
