package republisher_test

import (
	"testing"
	"testing/synctest"
	"time"

	"github.com/goipns/ipns"
	"github.com/goipns/ipns/names"
	"github.com/goipns/ipns/recordstore"
	"github.com/goipns/ipns/recordstore/recordstoretest"
)

// TestRenewalsLastAsLongAsTheRecordWasSignedFor: a record signed here is renewed for its
// own lifetime, however often, and one that another holder of the key signed for the
// configured one, never for what was left of it.
func TestRenewalsLastAsLongAsTheRecordWasSignedFor(t *testing.T) {
	const configured = 36 * time.Hour
	for what, tt := range map[string]struct {
		life  time.Duration // of the first record
		here  bool          // signed here
		renew time.Duration // of its renewals
	}{
		"signed here":           {80 * time.Hour, true, 80 * time.Hour},
		"signed here, short":    {20 * time.Hour, true, 20 * time.Hour},
		"signed elsewhere":      {12 * time.Hour, false, configured},
		"elsewhere, for longer": {200 * time.Hour, false, configured},
	} {
		t.Run(what, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := newSite(t, 20)
				s.Lifetime = configured
				k := recordstoretest.KeyFromSeed(t, 1)
				s.keys[k.Name] = k
				rec, err := ipns.Sign(t.Context(), k.Signer, ipns.Fields{Value: "/ipfs/bafkqaaa", EOL: s.Now().Add(tt.life)}, ipns.V2Only)
				if err != nil {
					t.Fatal(err)
				}
				if tt.here {
					s.enter(t, rec)
				} else if _, err := s.Book.Take(t.Context(), rec, names.Entrance{Origin: recordstore.Own}); err != nil {
					t.Fatal(err)
				}
				defer s.run(t)()
				renewals, last := 0, rec
				for range 14 * 24 * 6 {
					time.Sleep(10 * time.Minute) // renewals are hours apart
					e := s.entry(t, k.Name)
					if e.Record == last {
						continue
					}
					renewals++
					if last = e.Record; e.Span != tt.renew || e.Record.EOL().Sub(e.Changed).Round(time.Second) != tt.renew {
						t.Fatalf("renewal %d lasts %v, noted as %v, want %v", renewals, e.Record.EOL().Sub(e.Changed), e.Span, tt.renew)
					}
				}
				if renewals < 3 {
					t.Fatalf("%d renewals in two weeks", renewals)
				}
			})
		})
	}
}
