package recordstoretest

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/goipns/ipns"
	"github.com/goipns/ipns/recordstore"
)

// Loader is a store into which many names can be written at once.
type Loader interface {
	Store
	recordstore.Loader
}

// RunLoads runs the contract of recordstore.Loader. open returns an empty store each time.
func RunLoads(t *testing.T, open func(t *testing.T) Loader) {
	for name, test := range map[string]func(*testing.T, Loader){
		"AsSwapped": testLoad, "ThereAlready": testLoadThere, "AllOrNothing": testLoadNothing, "Limits": testLoadLimits,
	} {
		t.Run(name, func(t *testing.T) {
			s := open(t)
			defer s.Close()
			test(t, s)
		})
	}
}

// whole returns a name with n older versions and upkeep.
func whole(t testing.TB, k Key, n int, origin recordstore.Origin) recordstore.Whole {
	w := recordstore.Whole{Entry: k.Entry(t, uint64(n+1), Value(n+1), origin)}
	w.Entry.Version = uint64(n + 1)
	for i := range n {
		w.Past = append(w.Past, recordstore.Past{Record: k.Record(t, uint64(i+1), Value(i+1), Epoch.Add(time.Minute)), At: Epoch.Add(time.Duration(i))})
	}
	w.Upkeep = recordstore.Upkeep{Name: k.Name, Due: Epoch.Add(time.Hour), LastPut: Epoch, Holders: n + 3}
	return w
}

// What was loaded is as if it had been swapped in: entry, history, upkeep and changes.
func testLoad(t *testing.T, s Loader) {
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	began, told := make(chan struct{}), make(chan ipns.Name, 8)
	done := make(chan struct{})
	go func() {
		defer close(done)
		for c, err := range s.Changes(ctx, "") {
			switch {
			case err != nil:
				return
			case c.Entry.Name.IsZero():
				close(began)
			default:
				told <- c.Entry.Name
			}
		}
	}()
	<-began
	own, hosted := KeyFromSeed(t, 1), KeyFromSeed(t, 2)
	const versions = 2 * recordstore.HostedHistory
	list := []recordstore.Whole{whole(t, own, versions, recordstore.Own), whole(t, hosted, versions, recordstore.Hosted)}
	if there, err := s.Load(t.Context(), list); err != nil || len(there) > 0 {
		t.Fatalf("%v %v", there, err)
	}
	changed := map[ipns.Name]bool{<-told: true, <-told: true}
	cancel()
	<-done
	for i, k := range []Key{own, hosted} {
		want := list[i]
		got, err := s.Get(t.Context(), k.Name)
		if err != nil || Equal(got, want.Entry) != "" || !changed[k.Name] {
			t.Fatalf("%v %s, change seen: %v", err, Equal(got, want.Entry), changed[k.Name])
		}
		u, err := s.Upkeep(t.Context(), k.Name)
		if err != nil || !u.Due.Equal(want.Upkeep.Due) || u.Holders != want.Upkeep.Holders {
			t.Fatalf("upkeep %+v, %v", u, err)
		}
		kept := versions + 1
		if want.Entry.Origin == recordstore.Hosted {
			kept = recordstore.HostedHistory
		}
		next := uint64(versions + 1)
		for p, err := range s.History(t.Context(), k.Name) {
			if err != nil || p.Record.Sequence() != next {
				t.Fatalf("history has %v in place of %d: %v", p.Record, next, err)
			}
			next--
			kept--
		}
		if kept != 0 {
			t.Fatalf("history lacks %d versions", kept)
		}
		// It goes on from there.
		e := k.Entry(t, versions+2, Value(versions+2), want.Entry.Origin)
		if e.Version = got.Version; mustSwap(t, s, e).Version <= got.Version {
			t.Fatal("the version went back")
		}
	}
}

// A name that is there stays as it is, and is named.
func testLoadThere(t *testing.T, s Loader) {
	k, other := KeyFromSeed(t, 1), KeyFromSeed(t, 2)
	stored := mustSwap(t, s, k.Entry(t, 9, Value(9), recordstore.Own))
	list := []recordstore.Whole{whole(t, k, 2, recordstore.Own), whole(t, other, 2, recordstore.Own)}
	for i := range 2 { // also when it is repeated
		there, err := s.Load(t.Context(), list)
		if err != nil || len(there) != i+1 || i == 0 && there[0] != k.Name {
			t.Fatalf("%v %v", there, err)
		}
	}
	if got, err := s.Get(t.Context(), k.Name); err != nil || Equal(got, stored) != "" {
		t.Fatalf("%v %s", err, Equal(got, stored))
	}
	if got, err := s.Get(t.Context(), other.Name); err != nil || Equal(got, list[1].Entry) != "" {
		t.Fatalf("%v %s", err, Equal(got, list[1].Entry))
	}
	// Upkeep that was noted after a name was forgotten is not that of the name loaded now.
	bare := KeyFromSeed(t, 3)
	if err := s.SetUpkeep(t.Context(), recordstore.Upkeep{Name: bare.Name, Due: Epoch.Add(time.Hour), LastPut: Epoch}); err != nil {
		t.Fatal(err)
	}
	if _, err := s.Load(t.Context(), []recordstore.Whole{{Entry: bare.Entry(t, 1, Value(1), recordstore.Own)}}); err != nil {
		t.Fatal(err)
	}
	if u, err := s.Upkeep(t.Context(), bare.Name); err != nil || !u.Due.IsZero() {
		t.Errorf("upkeep of a name that was loaded without any: %+v, %v", u, err)
	}
}

// A load that is refused stores nothing.
func testLoadNothing(t *testing.T, s Loader) {
	k, other := KeyFromSeed(t, 1), KeyFromSeed(t, 2)
	good := whole(t, k, 1, recordstore.Own)
	for what, bad := range map[string]recordstore.Whole{
		"twice":               good,
		"no name":             {Entry: recordstore.Entry{Origin: recordstore.Own}},
		"only seen":           whole(t, other, 1, recordstore.Seen),
		"history of another":  {Entry: other.Entry(t, 1, Value(1), recordstore.Own), Past: good.Past},
		"record of another":   {Entry: recordstore.Entry{Name: other.Name, Origin: recordstore.Own, Record: good.Entry.Record}},
		"version without any": {Entry: other.Entry(t, 1, Value(1), recordstore.Own), Past: []recordstore.Past{{}}},
	} {
		if _, err := s.Load(t.Context(), []recordstore.Whole{good, bad}); err == nil {
			t.Errorf("%s: loaded", what)
		}
		if _, err := s.Get(t.Context(), k.Name); !errors.Is(err, recordstore.ErrNotFound) {
			t.Errorf("%s: the other is stored: %v", what, err)
		}
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := s.Load(ctx, []recordstore.Whole{good}); !errors.Is(err, context.Canceled) {
		t.Errorf("Load after the end of its context: %v", err)
	}
}

func testLoadLimits(t *testing.T, s Loader) {
	if there, err := s.Load(t.Context(), nil); err != nil || len(there) > 0 {
		t.Errorf("nothing: %v %v", there, err)
	}
	if _, err := s.Load(t.Context(), make([]recordstore.Whole, recordstore.MaxLoad+1)); err == nil {
		t.Error("more than MaxLoad names were loaded")
	}
}
