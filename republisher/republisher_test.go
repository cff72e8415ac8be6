package republisher_test

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"github.com/goipns/ipns"
	"github.com/goipns/ipns/names"
	"github.com/goipns/ipns/recordstore"
	"github.com/goipns/ipns/recordstore/recordstoretest"
	"github.com/goipns/ipns/republisher"
	"github.com/goipns/ipns/routing/routingtest"
)

var epoch = recordstoretest.Epoch

// site is a republisher with its own network, in virtual time that starts at epoch.
type site struct {
	*republisher.Republisher
	net   *routingtest.Network
	store *recordstore.Memory
	keys  map[ipns.Name]recordstoretest.Key
}

// newSite makes a site that does not run yet.
func newSite(t *testing.T, servers int) *site {
	t.Helper()
	begin := time.Now()
	now := func() time.Time { return epoch.Add(time.Since(begin)) }
	s := &site{net: routingtest.New(servers), store: recordstore.NewMemory(), keys: map[ipns.Name]recordstoretest.Key{}}
	s.net.Now = now
	s.Republisher = &republisher.Republisher{
		Book: &names.Book{Store: s.store, Now: now}, Router: s.net, Now: now, Signers: s.signer,
	}
	return s
}

func (s *site) signer(_ context.Context, name ipns.Name) (ipns.Signer, error) {
	k, ok := s.keys[name]
	if !ok {
		return nil, errors.New("no such key")
	}
	return k.Signer, nil
}

// crowd makes count keys, and returns in how many of the 64 sectors their names are.
// Under -short, of many keys it leaves out all but those in the first eighth of the key
// space, where they are as close together as before.
func crowd(t *testing.T, count int) (keys []recordstoretest.Key, sectors int) {
	t.Helper()
	sectors = 64
	if testing.Short() && count > 1000 {
		sectors = 8
	}
	for i := range count {
		if k := recordstoretest.KeyFromSeed(t, uint64(i)); int(k.Name.Kad()[0]>>2) < sectors {
			keys = append(keys, k)
		}
	}
	return keys, sectors
}

// run runs the republisher until stop is called.
func (s *site) run(t *testing.T) (stop func()) {
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan struct{})
	go func() {
		defer close(done)
		if err := s.Run(ctx); err != nil {
			t.Error(err)
		}
	}()
	return func() { cancel(); <-done }
}

// add enters a record that this node has signed but not announced.
func (s *site) add(t testing.TB, k recordstoretest.Key, f ipns.Fields, form ipns.Form, origin recordstore.Origin) *ipns.Record {
	t.Helper()
	if f.EOL.IsZero() {
		f.EOL = s.Now().Add(48 * time.Hour)
	}
	rec, err := ipns.Sign(t.Context(), k.Signer, f, form)
	if err != nil {
		t.Fatal(err)
	}
	if origin == recordstore.Own {
		s.keys[k.Name] = k
		s.enter(t, rec)
		return rec
	}
	if _, err := s.Book.Take(t.Context(), rec, names.Entrance{Origin: origin}); err != nil {
		t.Fatal(err)
	}
	return rec
}

// enter enters a record that was signed here.
func (s *site) enter(t testing.TB, rec *ipns.Record) {
	t.Helper()
	if err := s.Book.Create(t.Context(), rec.Name()); err != nil && !errors.Is(err, names.ErrExists) {
		t.Fatal(err)
	}
	e := s.entry(t, rec.Name())
	e.Span = rec.EOL().Sub(s.Now()) // as its publisher does
	if _, err := s.Book.Enter(t.Context(), e, rec, names.Entrance{}); err != nil {
		t.Fatal(err)
	}
}

func (s *site) entry(t testing.TB, name ipns.Name) recordstore.Entry {
	t.Helper()
	e, err := s.Book.Get(t.Context(), name)
	if err != nil {
		t.Fatal(err)
	}
	return e
}

func (s *site) upkeep(t testing.TB, name ipns.Name) recordstore.Upkeep {
	t.Helper()
	u, err := s.Book.Upkeep(t.Context(), name)
	if err != nil {
		t.Fatal(err)
	}
	return u
}

// TestRepublish keeps a name alive for a month: the record changes only after half of its
// lifetime, and then only in its EOL.
func TestRepublish(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newSite(t, 20)
		k := recordstoretest.KeyFromSeed(t, 1)
		first := s.add(t, k, ipns.Fields{
			Value: "/ipfs/bafkqaaa", Sequence: 3, TTL: 30 * time.Second, EOL: s.Now().Add(24 * time.Hour),
			Metadata: ipns.Metadata{"_note": "kept"},
		}, ipns.V2Only, recordstore.Own)
		defer s.run(t)()
		distinct := map[[32]byte]bool{}
		for range 30 * 24 {
			time.Sleep(time.Hour)
			rec := s.entry(t, k.Name).Record
			distinct[rec.Hash()] = true
			if left := rec.EOL().Sub(s.Now()); left < 12*time.Hour || left > 24*time.Hour {
				t.Fatalf("%v of its lifetime left", left)
			}
			if rec.Value() != first.Value() || rec.Sequence() != 3 || rec.TTL() != 30*time.Second || rec.Form() != ipns.V2Only || rec.Metadata()["_note"] != "kept" {
				t.Fatalf("republishing changed the record: %v", rec)
			}
			if n := s.net.Holders(rec); n != 20 && s.Now().Sub(s.entry(t, k.Name).Changed) > 10*time.Minute {
				t.Fatalf("%d of 20 hold the record", n)
			}
		}
		puts := s.net.Counts().Puts
		t.Logf("30 days: %d puts, %d renewals", puts, len(distinct)-1)
		if puts < 170 || puts > 185 || len(distinct) > 95 {
			t.Errorf("%d puts of %d records", puts, len(distinct))
		}
	})
}

// TestSweep puts hosted names unchanged, by regions, twice a day, or once where servers
// keep them, and no longer once they have expired.
func TestSweep(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		keys, sectors := crowd(t, 2000)
		count := len(keys)
		s := newSite(t, 20)
		net := newCloud(t, s)
		var records []*ipns.Record
		for i, k := range keys {
			records = append(records, s.add(t, k, ipns.Fields{Value: fmt.Sprintf("/ipfs/bafkqaaa/%d", i), EOL: s.Now().Add(60 * time.Hour)}, ipns.V2Only, recordstore.Hosted))
		}
		defer s.run(t)()
		time.Sleep(10 * time.Minute)
		if st := s.Status(); st.Hosted != count || st.Due != 0 || st.RegionsDone != st.Regions || st.AtRiskCount != 0 || st.Puts != uint64(count) {
			t.Fatalf("after the first sweep: %+v", st)
		}
		time.Sleep(59 * time.Hour)
		_, put := net.seen()
		for _, rec := range records {
			if n := put[rec.Hash()]; n < 3 || n > 7 {
				t.Fatalf("put %d times in 60 hours", n)
			}
		}
		time.Sleep(time.Hour)
		st := s.Status()
		puts, _ := net.seen()
		if st.Hosted != 0 || st.Due != 0 || st.AtRiskCount != 0 {
			t.Fatalf("after the end: %+v", st)
		}
		time.Sleep(24 * time.Hour)
		if n, _ := net.seen(); n != puts {
			t.Fatalf("%d puts of records that have ended", n-puts)
		}
		net.mu.Lock()
		defer net.mu.Unlock()
		t.Logf("%d names: %d sweeps, %d puts in all, survival %.2f from %d samples", count, net.sweeps, puts, st.Survival, st.Samples)
		if net.sweeps > sectors*7 {
			t.Errorf("%d sweeps", net.sweeps)
		}
	})
}
