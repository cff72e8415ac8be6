package hosting_test

import (
	"net/http/httptest"
	"testing"
	"time"

	"github.com/goipns/ipns"
	"github.com/goipns/ipns/hosting"
	"github.com/goipns/ipns/names"
	"github.com/goipns/ipns/recordstore"
	"github.com/goipns/ipns/recordstore/recordstoretest"
	"github.com/goipns/ipns/routing"
)

// A world is a Host on a store in memory.
type world struct {
	*hosting.Host
	store *recordstore.Memory
	rows  recordstore.MemoryRows
}

func newWorld(t *testing.T, s hosting.Settings) *world {
	t.Helper()
	store := recordstore.NewMemory()
	w := &world{store: store}
	w.Host = w.restarted(s)
	return w
}

// restarted returns a Host on the same store, as after a restart.
func (w *world) restarted(s hosting.Settings) *hosting.Host {
	h := &hosting.Host{Book: &names.Book{Store: w.store}, Rows: &w.rows, Opener: &routing.Opener{}}
	h.Book.Forgotten = h.Forgotten
	h.Set(s)
	return h
}

// author makes records of one name.
type author struct {
	signer ipns.Signer
	name   ipns.Name
}

func newAuthor(t testing.TB) author {
	t.Helper()
	k := recordstoretest.NewKey(t)
	return author{k.Signer, k.Name}
}

func (a author) record(t testing.TB, seq uint64, life time.Duration) *ipns.Record {
	t.Helper()
	rec, err := ipns.Sign(t.Context(), a.signer, ipns.Fields{Value: "/ipfs/bafkqaaa", Sequence: seq, EOL: time.Now().Add(life)}, ipns.V1V2)
	if err != nil {
		t.Fatal(err)
	}
	return rec
}

// caller makes a tenant's token with scopes, and admits a request with it.
func (w *world) caller(t testing.TB, tenant string, scopes ...hosting.Scope) hosting.Caller {
	t.Helper()
	token, _, err := w.NewToken(t.Context(), tenant, scopes, 0)
	if err != nil {
		t.Fatal(err)
	}
	c, err := w.admit(token, "")
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// admit admits a request with a token from an address.
func (w *world) admit(token, from string) (hosting.Caller, error) {
	r := httptest.NewRequest("PUT", "/", nil)
	r.RemoteAddr = "127.0.0.1:1"
	if from != "" {
		r.RemoteAddr = from + ":1"
	}
	if token != "" {
		r.Header.Set("Authorization", "Bearer "+token)
	}
	return w.Admit(r)
}

func why(err error) hosting.Why {
	if err == nil {
		return 0
	}
	return hosting.Of(err).Why
}

// refused is how many requests of all tenants were refused for a reason.
func refused(h *hosting.Host, why string) (n uint64) {
	for _, f := range h.Figures() {
		n += f.Refused[why]
	}
	return n
}
