package resolver

import (
	"context"
	"testing"
	"testing/synctest"
	"time"

	"github.com/goipns/ipns"
)

func TestKnownIsWhatResolveAnswersAtOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFixture(t)
		n := newName(t)
		rec := n.record(1, pathA)
		name := rec.Name()
		hold(rec, f.net.Servers...)
		path := "/ipns/" + name.String() + "/x"
		began := time.Now()
		if res, known := f.Known(t.Context(), path); known {
			t.Fatalf("known before the search: %+v", res)
		}
		if !time.Now().Equal(began) {
			t.Error("it waited")
		}
		want := f.resolve(path, Options{})
		synctest.Wait()
		time.Sleep(time.Minute)
		res, known := f.Known(t.Context(), path)
		if !known || res.Path != want.Path || res.Path != pathA+"/x" || !res.Final {
			t.Fatalf("%+v, %v; want %+v", res, known, want)
		}
		if res.TTL != 4*time.Minute || res.Hops[0].Root != name.String() {
			t.Errorf("TTL %s, hop %+v", res.TTL, res.Hops[0])
		}
		// After TTL and MaxStale it must be waited for again.
		time.Sleep(time.Hour)
		if _, known := f.Known(t.Context(), path); known {
			t.Error("known after its TTL")
		}
		synctest.Wait()
	})
}

func TestKnownFollowsDomainsOnceTheyAreCached(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFixture(t)
		f.LookupTXT = func(context.Context, string) ([]string, time.Duration, error) {
			return []string{"dnslink=" + pathB}, time.Hour, nil
		}
		if _, known := f.Known(t.Context(), "/ipns/example.com/y"); known {
			t.Fatal("known before the lookup")
		}
		f.resolve("/ipns/example.com/y", Options{})
		if res, known := f.Known(t.Context(), "/ipns/example.com/y"); !known || res.Path != pathB+"/y" {
			t.Errorf("%+v, %v", res, known)
		}
		for _, p := range []string{"", "/ipfs/bafkqaaa", "/ipns/", "/ipns/" + pathA} {
			if res, known := f.Known(t.Context(), p); known {
				t.Errorf("%q leads to %s", p, res.Path)
			}
		}
	})
}

func TestLastIsWhatWasKnownThoughItHasExpired(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFixture(t)
		n := newName(t)
		rec := n.sign(ipns.Fields{Value: pathA, Sequence: 7, EOL: time.Now().Add(time.Hour)})
		hold(rec, f.net.Servers...)
		f.resolve(rec.Name().String(), Options{})
		synctest.Wait()
		time.Sleep(2 * time.Hour)
		_, mark, err := f.Last(t.Context(), rec.Name())
		if err != nil || mark.Sequence != 7 || mark.EOL.After(time.Now()) {
			t.Errorf("%+v, %v", mark, err)
		}
	})
}
