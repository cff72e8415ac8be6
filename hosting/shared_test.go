package hosting

import (
	"context"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/goipns/ipns"
	"github.com/goipns/ipns/names"
	"github.com/goipns/ipns/recordstore"
	"github.com/goipns/ipns/recordstore/postgres"
	"github.com/goipns/ipns/recordstore/postgres/pgtest"
	"github.com/goipns/ipns/recordstore/recordstoretest"
	"github.com/goipns/ipns/routing"
)

// TestDaemonsShareQuotasAndTokens has a tenant put by two daemons in turn: together they take
// what its quota allows, and a token that one revokes is refused by the other.
func TestDaemonsShareQuotasAndTokens(t *testing.T) {
	url := pgtest.Start(t).Database(t)
	var hosts []*Host
	for range 2 {
		store, err := postgres.Open(t.Context(), url, postgres.Options{})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { store.Close() })
		book := &names.Book{Store: store}
		ctx, cancel := context.WithCancel(context.Background())
		var running sync.WaitGroup
		running.Go(func() { _ = book.Run(ctx) })
		t.Cleanup(func() { cancel(); running.Wait() })
		h := &Host{Book: book, Rows: store.Rows(), Opener: &routing.Opener{}}
		h.Set(Settings{Policy: Token})
		hosts = append(hosts, h)
	}
	const quota = 5
	if err := hosts[0].SetTenant(t.Context(), "ann", Quota{Names: quota}); err != nil {
		t.Fatal(err)
	}
	token, info, err := hosts[0].NewToken(t.Context(), "ann", nil, 0)
	if err != nil {
		t.Fatal(err)
	}
	taken := 0
	for i := range 3 * quota {
		h := hosts[i%2]
		found, err := h.find(t.Context(), token)
		if err != nil {
			t.Fatalf("the token of the other daemon: %v", err)
		}
		k := recordstoretest.KeyFromSeed(t, uint64(i+1))
		rec := k.Record(t, 1, fmt.Sprintf("/ipfs/bafkqaaa/%d", i), time.Now().Add(48*time.Hour))
		_, err = h.Put(t.Context(), Caller{Tenant: found.Tenant, Token: found.ID, Scopes: found.Scopes}, k.Name, rec.Raw())
		switch {
		case err == nil:
			taken++
		case Of(err).Why != OverQuota:
			t.Fatal(err)
		}
	}
	if taken != quota {
		t.Errorf("two daemons took %d names of a tenant who may have %d", taken, quota)
	}
	if err := hosts[1].RevokeToken(t.Context(), info.ID); err != nil {
		t.Fatal(err)
	}
	if _, err := hosts[0].find(t.Context(), token); Of(err).Why != Unauthorized {
		t.Errorf("a token that the other daemon has revoked: %v", err)
	}
}

// Nobody is told of what another daemon forgets. It is found when all is counted again, for
// which no put waits.
func TestWhatAnotherDaemonForgetsIsCountedOut(t *testing.T) {
	store, rows := recordstore.NewMemory(), &recordstore.MemoryRows{}
	h := &Host{Book: &names.Book{Store: store}, Rows: rows, Opener: &routing.Opener{}}
	h.Set(Settings{Policy: Token})
	put := func(seed uint64) ipns.Name {
		t.Helper()
		k := recordstoretest.KeyFromSeed(t, seed)
		rec := k.Record(t, 1, "/ipfs/bafkqaaa", time.Now().Add(48*time.Hour))
		if _, err := h.Put(t.Context(), Caller{Tenant: "ann", Scopes: []Scope{ScopePut}}, k.Name, rec.Raw()); err != nil {
			t.Fatal(err)
		}
		return k.Name
	}
	has := func(names int) {
		t.Helper()
		if u, err := h.Usage(t.Context(), "ann"); err != nil || u.Names != names {
			t.Errorf("the tenant has %+v, %v, want %d names", u, err, names)
		}
	}
	first := put(1)
	put(2)
	other := &names.Book{Store: store}
	e, err := other.Get(t.Context(), first)
	if err == nil {
		err = other.Forget(t.Context(), e, recordstore.Lease{})
	}
	if err != nil {
		t.Fatal(err)
	}
	has(2)
	if err := h.countAgain(&during{t.Context(), func() { has(2); put(3) }}); err != nil {
		t.Fatal(err)
	}
	has(2) // the second and the third
	h.Forgotten(t.Context(), first)
	has(2)
}

// during is a context by which something is done while all is counted.
type during struct {
	context.Context
	do func()
}

func (d *during) Err() error {
	if do := d.do; do != nil {
		d.do = nil
		do()
	}
	return d.Context.Err()
}
