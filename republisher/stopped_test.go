package republisher_test

import (
	"context"
	"testing"
	"testing/synctest"
	"time"

	"github.com/goipns/ipns"
	"github.com/goipns/ipns/recordstore"
	"github.com/goipns/ipns/recordstore/recordstoretest"
	"github.com/goipns/ipns/republisher"
)

// TestANameThatIsStoppedEndsInPeace has a name whose owner does not want it renewed: it is put until its
// EOL, never renewed, and never at risk.
func TestANameThatIsStoppedEndsInPeace(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newSite(t, 20)
		s.Signers = func(context.Context, ipns.Name) (ipns.Signer, error) { return nil, republisher.ErrStopped }
		k := recordstoretest.KeyFromSeed(t, 1)
		rec := s.add(t, k, ipns.Fields{Value: "/ipfs/bafkqaaa"}, ipns.V2Only, recordstore.Own)
		defer s.run(t)()
		for at := time.Duration(0); at < 60*time.Hour; at += time.Hour {
			time.Sleep(time.Hour)
			st, err := s.Look(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			if st.Renewed > 0 || st.RenewalsFailed > 0 {
				t.Fatalf("after %v: %d renewed, %d failed", at, st.Renewed, st.RenewalsFailed)
			}
			// Near the end, before its signer is asked again, and for as long as the record is new.
			if st.AtRiskCount > 0 {
				t.Fatalf("after %v: at risk: %+v", at, st.AtRisk)
			}
		}
		if e, err := s.Book.Get(t.Context(), k.Name); err != nil || e.Record.Hash() != rec.Hash() {
			t.Errorf("%v, %v", e.Record, err)
		}
	})
}
