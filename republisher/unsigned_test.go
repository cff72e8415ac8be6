package republisher_test

import (
	"context"
	"errors"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/goipns/ipns"
	"github.com/goipns/ipns/recordstore"
	"github.com/goipns/ipns/recordstore/recordstoretest"
)

// TestANameWhoseSignerFailsStaysAtRisk has a signer that always fails, until somebody
// publishes with the key elsewhere.
func TestANameWhoseSignerFailsStaysAtRisk(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newSite(t, 20)
		s.Signers = func(context.Context, ipns.Name) (ipns.Signer, error) { return nil, errors.New("locked") }
		k := recordstoretest.KeyFromSeed(t, 1)
		s.add(t, k, ipns.Fields{Value: "/ipfs/bafkqaaa"}, ipns.V2Only, recordstore.Own)
		defer s.run(t)()
		risk := func() string {
			st, err := s.Look(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			if st.AtRiskCount == 0 {
				return ""
			}
			return st.AtRisk[0].Reason
		}
		at, rest := time.Duration(0), 34*time.Hour
		for ; at < rest && risk() == ""; at += 10 * time.Minute {
			time.Sleep(10 * time.Minute)
		}
		if at > rest-10*time.Hour || !strings.Contains(risk(), "locked") {
			t.Fatalf("after %v: %q", at, risk())
		}
		for ; at < rest; at += 10 * time.Minute {
			if time.Sleep(10 * time.Minute); !strings.Contains(risk(), "locked") {
				t.Fatalf("after %v: %q", at, risk())
			}
		}
		rec, err := ipns.Sign(t.Context(), k.Signer, ipns.Fields{Value: "/ipfs/bafkqaaa", Sequence: 1, EOL: s.Now().Add(48 * time.Hour)}, ipns.V2Only)
		if err != nil {
			t.Fatal(err)
		}
		s.enter(t, rec)
		time.Sleep(10 * time.Minute)
		if why := risk(); why != "" {
			t.Errorf("after a publish: %q", why)
		}
	})
}
