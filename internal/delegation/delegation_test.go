package delegation_test

import (
	"context"
	"strings"
	"testing"
	"time"

	"github.com/goipns/ipns"
	"github.com/goipns/ipns/internal/delegation"
	"github.com/goipns/ipns/names"
	"github.com/goipns/ipns/recordstore"
	"github.com/goipns/ipns/recordstore/recordstoretest"
)

var epoch = recordstoretest.Epoch

func TestTargetIsANameAndNothingElse(t *testing.T) {
	k := recordstoretest.KeyFromSeed(t, 1)
	for value, want := range map[string]bool{
		k.Name.Path(): true, k.Name.Path() + "/a/b": true, "/ipns/" + k.Name.PeerID().String(): true,
		"/ipns/example.com": false, "/ipfs/bafkqaaa": false, "": false, "/ipns/": false, k.Name.String(): false,
	} {
		if name, ok := delegation.Target(value); ok != want || ok && name != k.Name {
			t.Errorf("%q: %v, %v", value, name, ok)
		}
	}
}

// chain makes a Book with names that each lead to the next, the last one to content. Each is
// valid for the given time.
func chain(t *testing.T, lives ...time.Duration) (*names.Book, []recordstoretest.Key) {
	t.Helper()
	b := &names.Book{Store: recordstore.NewMemory(), Now: func() time.Time { return epoch }}
	keys := make([]recordstoretest.Key, len(lives))
	for i := range lives {
		keys[i] = recordstoretest.KeyFromSeed(t, uint64(i))
	}
	for i, life := range lives {
		value := "/ipfs/bafkqaaa"
		if i+1 < len(keys) {
			value = keys[i+1].Name.Path()
		}
		if life == 0 {
			continue // nothing is known of it
		}
		if _, err := b.Take(t.Context(), keys[i].Record(t, 0, value, epoch.Add(life)), names.Entrance{Origin: recordstore.Hosted}); err != nil {
			t.Fatal(err)
		}
	}
	return b, keys
}

func entry(t *testing.T, b *names.Book, k recordstoretest.Key) recordstore.Entry {
	t.Helper()
	e, err := b.Get(t.Context(), k.Name)
	if err != nil {
		t.Fatal(err)
	}
	return e
}

func TestAnAnchorIsAtRiskBeforeANameBehindItEnds(t *testing.T) {
	const day = 24 * time.Hour
	b, keys := chain(t, 365*day, 40*day, 8*day)
	none := func(recordstore.Entry) string { return "" }
	for after, want := range map[time.Duration]string{
		0:                 "",
		5 * day:           "",
		6*day + time.Hour: "it leads to " + keys[2].Name.String() + ", whose record ends ",
		8 * day:           "it leads to " + keys[2].Name.String() + ", whose record expired ",
		31 * day:          "it leads to " + keys[1].Name.String() + ", whose record ends ",
	} {
		got := delegation.Risk(t.Context(), b, entry(t, b, keys[0]), epoch.Add(after), none)
		if want == "" && got != "" || !strings.HasPrefix(got, want) {
			t.Errorf("after %v: %q, want %q", after, got, want)
		}
	}
	// What else is known of a name behind it.
	of := func(e recordstore.Entry) string {
		if e.Name == keys[2].Name {
			return "its ladder ends"
		}
		return ""
	}
	if got := delegation.Risk(t.Context(), b, entry(t, b, keys[0]), epoch, of); got != "it leads to "+keys[2].Name.String()+": its ladder ends" {
		t.Errorf("%q", got)
	}
	// A name that leads to content has nothing behind it.
	if got := delegation.Risk(t.Context(), b, entry(t, b, keys[2]), epoch.Add(9*day), of); got != "" {
		t.Errorf("%q", got)
	}
	// An expired name that is no longer kept is still known to have expired.
	if err := b.Forget(t.Context(), entry(t, b, keys[1]), recordstore.Lease{}); err != nil {
		t.Fatal(err)
	}
	if got := delegation.Risk(t.Context(), b, entry(t, b, keys[0]), epoch.Add(41*day), none); !strings.Contains(got, "expired 2026-12-30") {
		t.Errorf("%q", got)
	}
}

func TestAChainThatComesBackEnds(t *testing.T) {
	b, keys := chain(t, time.Hour, time.Hour, time.Hour)
	back := keys[2].Record(t, 1, keys[1].Name.Path(), epoch.Add(time.Hour))
	if _, err := b.Take(t.Context(), back, names.Entrance{Origin: recordstore.Hosted}); err != nil {
		t.Fatal(err)
	}
	hops, err := delegation.Follow(t.Context(), b, entry(t, b, keys[0]), nil)
	if err != nil || len(hops) != 2 || hops[0].Name != keys[1].Name || hops[1].Name != keys[2].Name {
		t.Errorf("%v, %v", hops, err)
	}
}

func TestOthersAreAskedForWhatIsNotHere(t *testing.T) {
	b, keys := chain(t, time.Hour, 0, time.Hour)
	asked := 0
	find := func(_ context.Context, name ipns.Name) *ipns.Record {
		if asked++; name != keys[1].Name {
			t.Errorf("asked for %s", name)
		}
		return keys[1].Record(t, 0, keys[2].Name.Path(), epoch.Add(time.Hour))
	}
	hops, err := delegation.Follow(t.Context(), b, entry(t, b, keys[0]), find)
	if err != nil || len(hops) != 2 || hops[1].Name != keys[2].Name || asked != 1 {
		t.Errorf("%v, %v, asked %d times", hops, err, asked)
	}
	if hops, err := delegation.Follow(t.Context(), b, entry(t, b, keys[0]), nil); err != nil || len(hops) != 1 || hops[0].Record != nil {
		t.Errorf("%v, %v", hops, err)
	}
}
