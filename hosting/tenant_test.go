package hosting_test

import (
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/goipns/ipns/hosting"
	"github.com/goipns/ipns/names"
	"github.com/goipns/ipns/recordstore"
)

// Wrong, expired and revoked tokens are refused with the reason; a rotated one is good until
// its overlap ends. None of them is stored.
func TestTokensEnd(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, hosting.Settings{Policy: hosting.Token})
		token, info, err := w.NewToken(t.Context(), "a", nil, time.Hour)
		if err != nil {
			t.Fatal(err)
		}
		check := func(what, token, want string) {
			t.Helper()
			_, err := w.admit(token, "")
			if want == "" && err != nil || want != "" && (why(err) != hosting.Unauthorized || !strings.Contains(err.Error(), want)) {
				t.Errorf("%s: %v, want %q", what, err, want)
			}
		}
		check("valid", token, "")
		check("another", token+"x", "not known")
		check("none", "", "needed")
		rotated, next, err := w.RotateToken(t.Context(), info.ID, time.Minute)
		if err != nil {
			t.Fatal(err)
		}
		check("the old one", token, "")
		check("the new one", rotated, "")
		time.Sleep(time.Minute)
		check("the old one after the overlap", token, "expired")
		if err := w.RevokeToken(t.Context(), next.ID); err != nil {
			t.Fatal(err)
		}
		check("revoked", rotated, "revoked")
		if _, _, err := w.RotateToken(t.Context(), next.ID, 0); err == nil {
			t.Error("a revoked token was rotated")
		}
		late, _, err := w.NewToken(t.Context(), "a", nil, time.Hour)
		if err != nil {
			t.Fatal(err)
		}
		time.Sleep(time.Hour)
		check("expired", late, "expired")
		for _, table := range []string{"hosting/token", "hosting/audit", "hosting/tenant"} {
			for r, err := range w.rows.Range(t.Context(), table, "", "") {
				if err != nil || strings.Contains(string(r.Value)+r.Key, token[6:]) || strings.Contains(string(r.Value), "ipnsh_") {
					t.Errorf("%s has a secret: %s, %v", table, r.Value, err)
				}
			}
		}
	})
}

// Who guesses tokens waits, and from elsewhere a good token is still good.
func TestWhoGuessesTokensWaits(t *testing.T) {
	w := newWorld(t, hosting.Settings{Policy: hosting.Token})
	token, _, err := w.NewToken(t.Context(), "a", nil, 0)
	if err != nil {
		t.Fatal(err)
	}
	limited := false
	for i := range 100 {
		_, err := w.admit(fmt.Sprint("guess", i), "8.8.8.8")
		limited = limited || why(err) == hosting.TooMany && hosting.Of(err).RetryAfter > 0
	}
	if !limited {
		t.Error("100 guesses are not too many")
	}
	if _, err := w.admit(token, "8.8.4.4"); err != nil {
		t.Error("from another address:", err)
	}
}

// Quotas hold exactly, also when puts are concurrent, after a restart, after names were
// removed, replaced, or dropped by their end.
func TestQuotasFollowFromWhatIsKept(t *testing.T) {
	const quota, tries = 8, 40
	w := newWorld(t, hosting.Settings{Policy: hosting.Token, Tenant: hosting.Quota{Names: quota, PutsPerMinute: 6000}})
	c := w.caller(t, "a")
	var authors []author
	for range tries {
		authors = append(authors, newAuthor(t))
	}
	var puts sync.WaitGroup
	var mu sync.Mutex
	var taken []author
	over := 0
	for _, a := range authors {
		puts.Go(func() {
			_, err := w.Put(t.Context(), c, a.name, a.record(t, 1, 48*time.Hour).Raw())
			mu.Lock()
			defer mu.Unlock()
			switch why(err) {
			case 0:
				taken = append(taken, a)
			case hosting.OverQuota:
				if over++; hosting.Of(err).RetryAfter == 0 {
					t.Error("nothing says when to try again")
				}
			default:
				t.Error(err)
			}
		})
	}
	puts.Wait()
	if len(taken) != quota || over != tries-quota {
		t.Fatalf("%d of %d were taken, the quota is %d", len(taken), tries, quota)
	}
	check := func(h *hosting.Host, names int) {
		t.Helper()
		u, err := h.Usage(t.Context(), "a")
		if err != nil || u.Names != names || (u.Bytes > 0) != (names > 0) {
			t.Errorf("the tenant has %+v, %v, want %d names", u, err, names)
		}
	}
	check(w.Host, quota)
	check(w.restarted(w.Settings()), quota)
	if _, err := w.Put(t.Context(), c, taken[0].name, taken[0].record(t, 2, 48*time.Hour).Raw()); err != nil {
		t.Error("a newer record of a name that is kept:", err)
	}
	if _, err := w.Remove(t.Context(), c, taken[0].name); err != nil {
		t.Fatal(err)
	}
	check(w.Host, quota-1)
	// As the republisher does when the record has ended.
	e, err := w.Book.Get(t.Context(), taken[1].name)
	if err == nil {
		err = w.Book.Forget(t.Context(), e, recordstore.Lease{})
	}
	if err != nil {
		t.Fatal(err)
	}
	check(w.Host, quota-2)
	other := newAuthor(t)
	if _, err := w.Put(t.Context(), c, other.name, other.record(t, 1, 48*time.Hour).Raw()); err != nil {
		t.Error("after names were removed:", err)
	}
	check(w.Host, quota-1)
	check(w.restarted(w.Settings()), quota-1)
}

// Bytes are limited as names are, and who has no token has what its address has.
func TestBytesAndAddressesHaveQuotas(t *testing.T) {
	w := newWorld(t, hosting.Settings{Policy: hosting.Open, Tenant: hosting.Quota{Bytes: 500}, Address: hosting.Quota{Names: 1}})
	c := w.caller(t, "a")
	for i, want := range []hosting.Why{0, hosting.OverQuota} {
		a := newAuthor(t)
		if _, err := w.Put(t.Context(), c, a.name, a.record(t, 1, 48*time.Hour).Raw()); why(err) != want {
			t.Errorf("record %d: %v, want %v", i, err, want)
		}
	}
	for _, from := range []struct {
		address string
		want    hosting.Why
	}{{"8.8.8.8", 0}, {"8.8.8.8", hosting.OverQuota}, {"8.8.4.4", 0}, {"[2001:db8::1]", 0}, {"[2001:db8::2]", hosting.OverQuota}, {"[2001:db8:0:1::2]", 0}} {
		a := newAuthor(t)
		c, err := w.admit("", from.address)
		if err == nil {
			_, err = w.Put(t.Context(), c, a.name, a.record(t, 1, 48*time.Hour).Raw())
		}
		if why(err) != from.want {
			t.Errorf("from %s: %v, want %v", from.address, err, from.want)
		}
	}
}

// A tenant that puts too much is told when to go on, and another puts meanwhile.
func TestRatesOfATenantAreItsOwn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, hosting.Settings{Policy: hosting.Token, Tenant: hosting.Quota{PutsPerMinute: 60, Names: 1000}})
		a, b := w.caller(t, "a"), w.caller(t, "b")
		who := newAuthor(t)
		rec := who.record(t, 1, 48*time.Hour).Raw()
		var last error
		for range 100 {
			_, last = w.Put(t.Context(), a, who.name, rec)
		}
		r := hosting.Of(last)
		if r.Why != hosting.TooMany || r.RetryAfter <= 0 || r.RetryAfter > time.Minute {
			t.Fatalf("%v, retry after %s", last, r.RetryAfter)
		}
		if _, err := w.Put(t.Context(), b, who.name, rec); err != nil {
			t.Error("another tenant:", err)
		}
		time.Sleep(r.RetryAfter)
		if _, err := w.Put(t.Context(), a, who.name, rec); err != nil {
			t.Error("after the pause:", err)
		}
		if got := refused(w.Host, "too-many"); got == 0 {
			t.Error("refusals are not counted")
		}
	})
}

// A name is its tenant's until another brings a newer record; an older one changes nothing.
func TestWhoBringsTheNewerRecordKeepsTheName(t *testing.T) {
	w := newWorld(t, hosting.Settings{Policy: hosting.Open})
	a, b := w.caller(t, "a"), w.caller(t, "b")
	nobody, err := w.admit("", "8.8.8.8")
	if err != nil {
		t.Fatal(err)
	}
	who := newAuthor(t)
	for i, put := range []struct {
		by   hosting.Caller
		seq  uint64
		want string
	}{{a, 1, "a"}, {nobody, 2, "a"}, {b, 2, "a"}, {b, 3, "b"}, {a, 2, "b"}} {
		_, _ = w.Put(t.Context(), put.by, who.name, who.record(t, put.seq, 48*time.Hour).Raw())
		if e, err := w.Book.Get(t.Context(), who.name); err != nil || e.Tenant != put.want && put.seq != 2 {
			t.Errorf("put %d: the name is %s's, %v, want %s", i, e.Tenant, err, put.want)
		}
	}
	if _, err := w.Remove(t.Context(), a, who.name); !errors.Is(err, hosting.ErrOthers) || why(err) != hosting.Forbidden {
		t.Errorf("removed by another: %v", err)
	}
	if u, err := w.Usage(t.Context(), "a"); err != nil || u.Names != 0 {
		t.Errorf("a has %+v, %v", u, err)
	}
}

// A name that was removed does not go back: an older record is refused afterwards.
func TestARemovedNameDoesNotGoBack(t *testing.T) {
	w := newWorld(t, hosting.Settings{Policy: hosting.Token})
	c := w.caller(t, "a")
	a := newAuthor(t)
	if _, err := w.Put(t.Context(), c, a.name, a.record(t, 5, 48*time.Hour).Raw()); err != nil {
		t.Fatal(err)
	}
	if _, err := w.Remove(t.Context(), c, a.name); err != nil {
		t.Fatal(err)
	}
	if _, err := w.Put(t.Context(), c, a.name, a.record(t, 4, 48*time.Hour).Raw()); why(err) != hosting.Outdated {
		t.Errorf("an older one afterwards: %v", err)
	}
	if _, err := w.Remove(t.Context(), c, a.name); !errors.Is(err, recordstore.ErrNotFound) {
		t.Errorf("removed again: %v", err)
	}
}

// What is denied is neither taken nor kept, and a denied tenant is nobody.
func TestWhatIsDeniedIsNotKept(t *testing.T) {
	w := newWorld(t, hosting.Settings{Policy: hosting.Token})
	c := w.caller(t, "a")
	a := newAuthor(t)
	rec := a.record(t, 1, 48*time.Hour).Raw()
	if _, err := w.Put(t.Context(), c, a.name, rec); err != nil {
		t.Fatal(err)
	}
	if _, err := w.Deny(t.Context(), a.name.String(), "spam"); err != nil {
		t.Fatal(err)
	}
	if _, err := w.Book.Get(t.Context(), a.name); !errors.Is(err, recordstore.ErrNotFound) {
		t.Errorf("a denied name is kept: %v", err)
	}
	if _, err := w.Put(t.Context(), c, a.name, rec); why(err) != hosting.Denied || !strings.Contains(err.Error(), "spam") {
		t.Errorf("a denied name: %v", err)
	}
	if _, err := w.Deny(t.Context(), "a", ""); err != nil {
		t.Fatal(err)
	}
	b := newAuthor(t)
	if _, err := w.Put(t.Context(), c, b.name, b.record(t, 1, 48*time.Hour).Raw()); why(err) != hosting.Denied {
		t.Errorf("a denied tenant: %v", err)
	}
	if was, err := w.Undeny(t.Context(), a.name.String()); err != nil || !was {
		t.Errorf("undeny: %v, %v", was, err)
	}
}

// An own name is never touched on behalf of a tenant.
func TestOwnNamesAreNeverATenants(t *testing.T) {
	w := newWorld(t, hosting.Settings{Policy: hosting.Open})
	a := newAuthor(t)
	if _, err := w.Book.Take(t.Context(), a.record(t, 1, 48*time.Hour), names.Entrance{Origin: recordstore.Own}); err != nil {
		t.Fatal(err)
	}
	for _, c := range []hosting.Caller{w.caller(t, "a"), hosting.Operator("a"), hosting.Operator("")} {
		if _, err := w.Put(t.Context(), c, a.name, a.record(t, 2, 48*time.Hour).Raw()); why(err) != hosting.Forbidden {
			t.Errorf("put: %v", err)
		}
		if _, err := w.Remove(t.Context(), c, a.name); !errors.Is(err, recordstore.ErrNotFound) {
			t.Errorf("remove: %v", err)
		}
	}
	if _, err := w.Deny(t.Context(), a.name.String(), ""); err != nil {
		t.Error(err)
	}
	if e, err := w.Book.Get(t.Context(), a.name); err != nil || e.Record.Sequence() != 1 {
		t.Errorf("the own name is %+v, %v", e, err)
	}
}
