package hosting

import (
	"fmt"
	"testing"
	"time"

	"github.com/goipns/ipns"
	"github.com/goipns/ipns/names"
	"github.com/goipns/ipns/recordstore"
	"github.com/goipns/ipns/routing"
)

// Whoever is refused for a quota leaves nothing in memory.
func TestARefusedAddressLeavesNothingBehind(t *testing.T) {
	h := &Host{Book: &names.Book{Store: recordstore.NewMemory()}, Rows: &recordstore.MemoryRows{}}
	h.Set(Settings{Policy: Open, Address: Quota{Bytes: 1}})
	for i := range 100 {
		if _, err := h.reserve(t.Context(), fmt.Sprintf("%s8.8.8.%d", addressTenant, i), ipns.Name{}, 100); Of(err).Why != OverQuota {
			t.Fatal(err)
		}
	}
	if n := len(h.usage.reserved) + len(h.usage.tenants); n != 0 {
		t.Errorf("%d are left", n)
	}
}

// The greater of two values with one sequence is announced as a newer one is.
func TestTheGreaterOfTwoValuesIsAnnounced(t *testing.T) {
	h := &Host{Book: &names.Book{Store: recordstore.NewMemory()}, Rows: &recordstore.MemoryRows{}, Opener: &routing.Opener{}}
	h.Set(Settings{Policy: Token})
	key, err := ipns.GenerateKey(ipns.Ed25519, 0)
	if err != nil {
		t.Fatal(err)
	}
	for i, value := range []string{"/ipfs/bafkqaaa", "/ipfs/bafkqaaa/other"} {
		f := ipns.Fields{Value: value, Sequence: 1, EOL: time.Now().Add(time.Duration(48+i) * time.Hour)}
		rec, err := ipns.Sign(t.Context(), ipns.NewSigner(key), f, ipns.V1V2)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := h.Put(t.Context(), Operator("a"), rec.Name(), rec.Raw()); err != nil {
			t.Fatal(err)
		}
		if h.announce.total != i+1 {
			t.Errorf("%d names wait to be announced after %d puts", h.announce.total, i+1)
		}
	}
}
