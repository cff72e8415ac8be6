package republisher_test

import (
	"context"
	"errors"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/goipns/ipns"
	"github.com/goipns/ipns/recordstore"
	"github.com/goipns/ipns/recordstore/recordstoretest"
)

// elsewhere makes the keys of some names be elsewhere: what asks for their signers goes to ask.
func (s *site) elsewhere(keys []recordstoretest.Key, ask func(context.Context, recordstoretest.Key) (ipns.Signer, error)) {
	by := map[ipns.Name]recordstoretest.Key{}
	for _, k := range keys {
		by[k.Name] = k
	}
	s.Ready = func(name ipns.Name) bool { _, away := by[name]; return !away }
	s.Signers = func(ctx context.Context, name ipns.Name) (ipns.Signer, error) {
		if k, away := by[name]; away {
			return ask(ctx, k)
		}
		return s.signer(ctx, name)
	}
}

// TestASignerThatIsAwayIsAtRiskLongBefore has one that is there at first, goes, and comes back.
func TestASignerThatIsAwayIsAtRiskLongBefore(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newSite(t, 20)
		k, here := recordstoretest.KeyFromSeed(t, 1), recordstoretest.KeyFromSeed(t, 2)
		var gone atomic.Bool
		var asked atomic.Int64
		s.elsewhere([]recordstoretest.Key{k}, func(context.Context, recordstoretest.Key) (ipns.Signer, error) {
			asked.Add(1)
			if gone.Load() {
				return nil, errors.New("no one listens")
			}
			return k.Signer, nil
		})
		for _, k := range []recordstoretest.Key{k, here} {
			s.add(t, k, ipns.Fields{Value: "/ipfs/bafkqaaa"}, ipns.V2Only, recordstore.Own)
		}
		defer s.run(t)()
		time.Sleep(20 * time.Minute)
		if st := s.Status(); st.AtRiskCount != 0 || st.Unready != 0 || asked.Load() != 1 {
			t.Fatalf("while it is there: %d at risk, %d unready, asked %d times", st.AtRiskCount, st.Unready, asked.Load())
		}
		gone.Store(true)
		time.Sleep(4 * time.Hour) // one period
		st := s.Status()
		if st.AtRiskCount != 1 || st.Unready != 1 || st.AtRisk[0].Name != k.Name || st.AtRisk[0].Reason != "its key cannot sign: no one listens" {
			t.Fatalf("when it has gone: %+v", st.AtRisk)
		}
		if left := st.AtRisk[0].EOL.Sub(s.Now()); left < 40*time.Hour {
			t.Errorf("only %v before its end", left)
		}
		if err := s.Unready(k.Name); err == nil || s.Unready(here.Name) != nil {
			t.Errorf("unready: %v, %v", err, s.Unready(here.Name))
		}
		time.Sleep(20 * time.Hour) // a renewal has failed, too
		if st := s.Status(); st.AtRiskCount != 1 || st.RenewalsFailed == 0 || st.AtRisk[0].Signer == nil || !strings.Contains(st.AtRisk[0].Reason, "no one listens") {
			t.Errorf("when a renewal was due: %+v", st.AtRisk)
		}
		gone.Store(false)
		time.Sleep(65 * time.Minute)
		if st := s.Status(); st.AtRiskCount != 0 || st.Unready != 0 {
			t.Errorf("when it is back: %+v", st.AtRisk)
		}
		if left := s.entry(t, k.Name).Record.EOL().Sub(s.Now()); left < 40*time.Hour {
			t.Errorf("it was not renewed, %v are left", left)
		}
	})
}

// TestASignerThatHangsDelaysNoOtherName has many names whose signer answers to nothing, beside
// names whose keys are here and one with another signer.
func TestASignerThatHangsDelaysNoOtherName(t *testing.T) {
	for what, hang := range map[string]func(context.Context, recordstoretest.Key) (ipns.Signer, error){
		"no answer": func(ctx context.Context, _ recordstoretest.Key) (ipns.Signer, error) {
			<-ctx.Done()
			return nil, ctx.Err()
		},
		"no signature": func(_ context.Context, k recordstoretest.Key) (ipns.Signer, error) { return hanging{k.Signer}, nil },
		"garbage":      func(_ context.Context, k recordstoretest.Key) (ipns.Signer, error) { return lying{k.Signer}, nil },
	} {
		t.Run(what, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				const many, few = 300, 20
				s := newSite(t, 20)
				var bad, good, all []recordstoretest.Key
				for i := range uint64(many + few) {
					k := recordstoretest.KeyFromSeed(t, i)
					if all = append(all, k); i < many {
						bad = append(bad, k)
					} else {
						good = append(good, k)
					}
				}
				other := good[0]
				s.elsewhere(append(bad, other), func(ctx context.Context, k recordstoretest.Key) (ipns.Signer, error) {
					if k.Name == other.Name {
						return k.Signer, nil
					}
					return hang(ctx, k)
				})
				for _, k := range all {
					s.add(t, k, ipns.Fields{Value: "/ipfs/bafkqaaa", EOL: s.Now().Add(4 * time.Hour)}, ipns.V2Only, recordstore.Own)
				}
				// All are due for a renewal at once.
				time.Sleep(2*time.Hour + 40*time.Minute)
				stop := s.run(t)
				defer stop()
				time.Sleep(2 * time.Minute)
				for _, k := range good {
					if left := s.entry(t, k.Name).Record.EOL().Sub(s.Now()); left < 3*time.Hour && k.Name != other.Name {
						t.Fatalf("a name with its key here was not renewed: %v are left", left)
					}
				}
				time.Sleep(5 * time.Minute)
				if left := s.entry(t, other.Name).Record.EOL().Sub(s.Now()); left < 3*time.Hour {
					t.Errorf("a name with another signer was not renewed: %v are left", left)
				}
				time.Sleep(10 * time.Minute)
				if st := s.Status(); st.Unready != many {
					t.Errorf("%d of %d names are known not to be signed for", st.Unready, many)
				}
			})
		})
	}
}

// hanging never signs.
type hanging struct{ ipns.Signer }

func (hanging) Sign(ctx context.Context, _ []byte) ([]byte, error) {
	<-ctx.Done()
	return nil, ctx.Err()
}

// lying signs with nothing.
type lying struct{ ipns.Signer }

func (lying) Sign(context.Context, []byte) ([]byte, error) { return make([]byte, 64), nil }
