package republisher_test

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"math/rand/v2"
	"testing"
	"testing/synctest"
	"time"

	"github.com/goipns/ipns"
	"github.com/goipns/ipns/recordstore"
	"github.com/goipns/ipns/recordstore/recordstoretest"
	"github.com/goipns/ipns/routing"
)

var long = flag.Bool("long", false, "run the tests at full length")

// trouble is when the network of TestNamesNeverExpire is away, in hours since the start: now
// and then for twelve hours, and once for half a lifetime.
var trouble = [][2]int{{100, 112}, {300, 312}, {500, 524}, {900, 912}, {1300, 1312}, {1800, 1812}}

func away(since time.Duration) bool {
	for _, t := range trouble {
		if since >= time.Duration(t[0])*time.Hour && since < time.Duration(t[1])*time.Hour {
			return true
		}
	}
	return false
}

// firstHours are the hours in which all names are announced for the first time.
const firstHours = 2

// TestNamesNeverExpire keeps names alive for 90 days. The network is slow, one put in ten
// fails, and at times it is away; one key is broken, and one name is refused by every
// server. R6.
func TestNamesNeverExpire(t *testing.T) {
	count, days := 150, 90
	switch {
	case *long:
		count = 10_000
	case testing.Short():
		count, days = 30, 30
	}
	synctest.Test(t, func(t *testing.T) {
		s := newSite(t, 0)
		net := newCloud(t, s)
		s.Router = onlyPut{net}
		s.Concurrency = 200
		rng := rand.New(rand.NewPCG(6, 6))
		begin := time.Now()
		failing := map[ipns.Name]bool{} // the puts in progress
		var keys []recordstoretest.Key
		for i := range count {
			keys = append(keys, recordstoretest.KeyFromSeed(t, uint64(i)))
			s.add(t, keys[i], ipns.Fields{Value: "/ipfs/bafkqaaa", Sequence: uint64(i)}, ipns.V2Only, recordstore.Own)
		}
		broken, refused := keys[0].Name, keys[1].Name
		s.Signers = func(ctx context.Context, name ipns.Name) (ipns.Signer, error) {
			if name == broken {
				return nil, errors.New("the key file is damaged")
			}
			return s.signer(ctx, name)
		}
		net.delay = func(name ipns.Name) time.Duration {
			net.mu.Lock()
			defer net.mu.Unlock()
			failing[name] = rng.IntN(10) == 0
			return 5*time.Second + time.Duration(rng.IntN(55))*time.Second
		}
		net.misbehave = func(name ipns.Name, _ int) error {
			net.mu.Lock()
			defer net.mu.Unlock()
			switch {
			case away(time.Since(begin)):
				return routing.ErrNoTargets
			case name == refused || failing[name]:
				return errRefused
			}
			return nil
		}
		defer s.run(t)()

		expired, missed, worst := 0, 0, 48*time.Hour
		for hour := 1; hour <= days*24; hour++ {
			time.Sleep(time.Hour)
			now := s.Now()
			listed := map[ipns.Name]bool{}
			for _, a := range s.Status().AtRisk {
				listed[a.Name] = true
			}
			for _, k := range keys {
				rec := s.entry(t, k.Name).Record
				// Names at risk may go unnoticed for a minute.
				if rec.EOL().Sub(now) < 12*time.Hour-time.Minute && !listed[k.Name] {
					missed++
				}
				if k.Name == broken || k.Name == refused || hour <= firstHours {
					continue
				}
				best := net.best(k.Name)
				switch {
				case best == nil || best.Expired(now) || rec.Expired(now):
					if expired++; expired <= 5 {
						t.Errorf("hour %d: here until %v, on the network %v; %+v", hour, rec.EOL().Sub(now), best, s.upkeep(t, k.Name))
					}
				case best.EOL().Sub(now) < worst:
					worst = best.EOL().Sub(now)
				}
			}
		}
		st := s.Status()
		puts, _ := net.seen()
		t.Logf("%d names, %d days: %d expired, worst had %v left; %d puts, %d of %d acks failed, %d renewed; late now %d, at risk now %d, not listed in time %d",
			count, days, expired, worst.Round(time.Minute), puts, st.FailedAcks, st.Acks+st.FailedAcks, st.Renewed, st.Late, st.AtRiskCount, missed)
		if expired > 0 || missed > 0 {
			t.Errorf("%d names had expired, %d at risk were not listed within a minute", expired, missed)
		}
		if rec := s.entry(t, refused).Record; rec.Expired(s.Now()) {
			t.Error("the name that nobody takes is not renewed any more")
		}
		if st.Late > 2 {
			t.Errorf("%d names are late", st.Late)
		}
		if st.Failures["refused"] == 0 {
			t.Errorf("failures are not reported: %v", st.Failures)
		}
	})
}

// TestOneBadKeyDelaysNobody: keys fail in every way at the same time. P-44, V3, F4.
func TestOneBadKeyDelaysNobody(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newSite(t, 0)
		newCloud(t, s)
		var keys []recordstoretest.Key
		for i := range 40 {
			keys = append(keys, recordstoretest.KeyFromSeed(t, uint64(i)))
			s.add(t, keys[i], ipns.Fields{Value: "/ipfs/bafkqaaa"}, ipns.V1V2, recordstore.Own)
		}
		s.Signers = func(ctx context.Context, name ipns.Name) (ipns.Signer, error) {
			switch name {
			case keys[0].Name:
				return nil, errors.New("key file is empty")
			case keys[1].Name:
				return keys[2].Signer, nil // the key of another name
			case keys[3].Name:
				<-ctx.Done() // never answers
				return nil, ctx.Err()
			}
			return s.signer(ctx, name)
		}
		defer s.run(t)()
		time.Sleep(72 * time.Hour)
		for i, k := range keys {
			e := s.entry(t, k.Name)
			bad := i == 0 || i == 1 || i == 3
			if e.Record.Expired(s.Now()) != bad {
				t.Errorf("name %d: EOL %v at %v", i, e.Record.EOL(), s.Now())
			}
			if left := e.Record.EOL().Sub(s.Now()); !bad && left < 24*time.Hour {
				t.Errorf("name %d was delayed: EOL in %v", i, left)
			}
			if u := s.upkeep(t, k.Name); bad != (u.LastErr != "") {
				t.Errorf("name %d: noted %q", i, u.LastErr)
			}
		}
		if st := s.Status(); st.AtRiskCount != 3 || st.Expired != 3 || st.RenewalsFailed < 10 {
			t.Errorf("status %+v", st)
		}
	})
}

// TestRepublishChangesOnlyTheEOL republishes records of every kind for a hundred turns,
// with a slow signer. Everything that their owners signed stays, including the lifetime.
// P-42, P-43, P-45, P-46, P-47, V2, F8, R7.
func TestRepublishChangesOnlyTheEOL(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newSite(t, 0)
		net := newCloud(t, s)
		s.Signers = func(ctx context.Context, name ipns.Name) (ipns.Signer, error) {
			time.Sleep(7 * time.Second)
			return s.signer(ctx, name)
		}
		type kind struct {
			first *ipns.Record
			life  time.Duration
		}
		var kinds []kind
		seed := uint64(0)
		for _, form := range []ipns.Form{ipns.V1V2, ipns.V2Only} {
			for _, meta := range []ipns.Metadata{nil, {"_a": "x", "_b": int64(-3), "_c": []byte{0, 1}, "_d": true}} {
				for _, life := range []time.Duration{9 * time.Hour, 48 * time.Hour, 30 * 24 * time.Hour, 100*24*time.Hour + 17*time.Minute} {
					for _, origin := range []recordstore.Origin{recordstore.Own, recordstore.Hosted} {
						seed++
						rec := s.add(t, recordstoretest.KeyFromSeed(t, seed), ipns.Fields{
							Value: fmt.Sprintf("/ipns/example.com/%d/", seed), Sequence: seed, TTL: time.Duration(seed) * time.Minute,
							EOL: s.Now().Add(life), Metadata: meta,
						}, form, origin)
						kinds = append(kinds, kind{rec, life})
					}
				}
			}
		}
		defer s.run(t)()
		time.Sleep(100 * 4 * time.Hour)
		puts, put := net.seen()
		renewed := 0
		for _, k := range kinds {
			if s.keys[k.first.Name()].Signer == nil && k.first.Expired(s.Now()) {
				if _, err := s.Book.Get(t.Context(), k.first.Name()); !errors.Is(err, recordstore.ErrNotFound) {
					t.Errorf("an expired hosted record: %v", err)
				}
				continue
			}
			e := s.entry(t, k.first.Name())
			r, f := e.Record, k.first
			if r.Value() != f.Value() || r.Sequence() != f.Sequence() || r.TTL() != f.TTL() || r.Form() != f.Form() ||
				fmt.Sprint(r.Metadata()) != fmt.Sprint(f.Metadata()) {
				t.Errorf("%v became %v", f, r)
			}
			if e.Origin == recordstore.Hosted && r.Hash() != f.Hash() {
				t.Error("a hosted record was changed")
			}
			if e.Origin == recordstore.Own {
				// 7 s for signing, and up to a minute of rounding.
				if life := r.EOL().Sub(e.Changed); life < k.life-10*time.Second || life > k.life+time.Minute {
					t.Errorf("lived for %v and lives for %v", k.life, life)
				}
				if r.Expired(s.Now()) {
					t.Errorf("expired: %v", r)
				}
				if r.Hash() != f.Hash() {
					renewed++
				}
			}
			if best := net.best(f.Name()); best == nil || best.Hash() != r.Hash() {
				t.Errorf("the network has %v instead of %v", best, r)
			}
		}
		t.Logf("%d kinds of records, 100 turns: %d puts of %d different records, %d of %d own ones renewed", len(kinds), puts, len(put), renewed, len(kinds)/2)
		if renewed != len(kinds)/2-4 {
			t.Errorf("%d were renewed: all own ones but those that live for a hundred days should be", renewed)
		}
	})
}

// TestPartialAnnounceIsCompleted: none to all of twenty servers take a name, and then all
// of them work. R16.
func TestPartialAnnounceIsCompleted(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newSite(t, 0)
		net := newCloud(t, s)
		s.Router = onlyPut{net}
		healed := false
		takers := map[ipns.Name]int{}
		var records []*ipns.Record
		for k := range 21 {
			rec := s.add(t, recordstoretest.KeyFromSeed(t, uint64(k)), ipns.Fields{Value: "/ipfs/bafkqaaa"}, ipns.V2Only, recordstore.Hosted)
			takers[rec.Name()] = k
			records = append(records, rec)
		}
		net.delay = func(ipns.Name) time.Duration { return 3 * time.Second }
		net.misbehave = func(name ipns.Name, server int) error {
			net.mu.Lock()
			defer net.mu.Unlock()
			if server < takers[name] || healed {
				return nil
			}
			return errRefused
		}
		defer s.run(t)()
		time.Sleep(2 * time.Hour)
		for k, rec := range records {
			u := s.upkeep(t, rec.Name())
			if u.Holders != k || (u.LastErr != "") != (k < 15) {
				t.Errorf("%d servers took it: noted %d and %q", k, u.Holders, u.LastErr)
			}
		}
		if st := s.Status(); st.AtRiskCount != 10 {
			t.Errorf("%d at risk, want those with 0 to 9 holders", st.AtRiskCount)
		}
		net.mu.Lock()
		healed = true
		net.mu.Unlock()
		time.Sleep(10 * time.Minute)
		for k, rec := range records {
			if n := net.holders(rec); n < 15 {
				t.Errorf("10 minutes after healing %d hold what %d held", n, k)
			}
		}
		before, _ := net.seen()
		time.Sleep(time.Hour)
		if after, _ := net.seen(); after-before > len(records) {
			t.Errorf("%d puts in an hour of names with enough holders", after-before)
		}
	})
}
