package hosting_test

import (
	"bytes"
	"testing"
	"time"

	"github.com/goipns/ipns"
	"github.com/goipns/ipns/hosting"
	"github.com/goipns/ipns/names"
	"github.com/goipns/ipns/recordstore"
)

// Each put has its verdict, and a record that was refused changes nothing.
func TestEveryPutHasItsVerdict(t *testing.T) {
	w := newWorld(t, hosting.Settings{Policy: hosting.Token})
	c := w.caller(t, "a")
	a, b := newAuthor(t), newAuthor(t)
	newer, older := a.record(t, 7, 48*time.Hour), a.record(t, 6, 48*time.Hour)
	if got, err := w.Put(t.Context(), c, a.name, newer.Raw()); err != nil || got.Outcome != names.New || got.Warning != "" {
		t.Fatalf("a new record: %+v, %v", got, err)
	}
	if got, err := w.Put(t.Context(), c, a.name, newer.Raw()); err != nil || got.Outcome != names.Same {
		t.Errorf("the same record: %+v, %v", got, err)
	}
	_, err := w.Put(t.Context(), c, a.name, older.Raw())
	if r := hosting.Of(err); r.Why != hosting.Outdated || r.Current == nil || r.Current.Sequence() != 7 {
		t.Errorf("an older record: %+v", r)
	}
	own := newAuthor(t)
	if err := w.Book.Create(t.Context(), own.name); err != nil {
		t.Fatal(err)
	}
	short := b.record(t, 0, time.Minute)
	for what, put := range map[string]struct {
		of   author
		raw  []byte
		want hosting.Why
	}{
		"another name":  {b, newer.Raw(), hosting.WrongName},
		"junk":          {b, []byte("junk"), hosting.Invalid},
		"nothing":       {b, nil, hosting.Invalid},
		"too long":      {b, make([]byte, 11<<10), hosting.Invalid},
		"expired":       {b, b.record(t, 1, -time.Second).Raw(), hosting.Expired},
		"an own name":   {own, own.record(t, 1, 48*time.Hour).Raw(), hosting.Forbidden},
		"a short life":  {b, short.Raw(), 0},
		"a short life2": {b, short.Raw(), 0},
	} {
		if _, err := w.Put(t.Context(), c, put.of.name, put.raw); why(err) != put.want {
			t.Errorf("%s: %v, want %v", what, err, put.want)
		}
	}
	if got, _ := w.Put(t.Context(), c, b.name, short.Raw()); got.Warning == "" {
		t.Error("a record with little left is taken without a warning")
	}
	w.Set(hosting.Settings{Policy: hosting.Token, RefuseShort: true})
	if _, err := w.Put(t.Context(), c, b.name, b.record(t, 2, time.Minute).Raw()); why(err) != hosting.ShortLived {
		t.Errorf("a record with little left: %v", err)
	}
	e, err := w.Book.Get(t.Context(), a.name)
	if err != nil || e.Tenant != "a" || e.Origin != recordstore.Hosted || !bytes.Equal(e.Record.Raw(), newer.Raw()) {
		t.Errorf("the entry is %+v, %v", e, err)
	}
}

// Who may put is said by the policy and the token.
func TestPolicyAndScopesSayWhoMayPut(t *testing.T) {
	a := newAuthor(t)
	rec := a.record(t, 1, 48*time.Hour).Raw()
	label := hosting.ScopePublish + hosting.Scope(a.name.String())
	for _, c := range []struct {
		what   string
		set    hosting.Settings
		scopes []hosting.Scope // none: no token
		want   hosting.Why
	}{
		{"off", hosting.Settings{}, nil, hosting.Forbidden},
		{"no token", hosting.Settings{Policy: hosting.Token}, nil, hosting.Unauthorized},
		{"put", hosting.Settings{Policy: hosting.Token}, []hosting.Scope{hosting.ScopePut}, 0},
		{"read", hosting.Settings{Policy: hosting.Token}, []hosting.Scope{hosting.ScopeRead}, hosting.Forbidden},
		{"publish this", hosting.Settings{Policy: hosting.Token}, []hosting.Scope{label}, 0},
		{"publish another", hosting.Settings{Policy: hosting.Token}, []hosting.Scope{"publish:blog"}, hosting.Forbidden},
		{"not on the list", hosting.Settings{Policy: hosting.Allow}, nil, hosting.Unauthorized},
		{"open", hosting.Settings{Policy: hosting.Open}, nil, 0},
		{"open, read", hosting.Settings{Policy: hosting.Open}, []hosting.Scope{hosting.ScopeRead}, hosting.Forbidden},
	} {
		w := newWorld(t, c.set)
		token := ""
		if c.scopes != nil {
			var err error
			if token, _, err = w.NewToken(t.Context(), "a", c.scopes, 0); err != nil {
				t.Fatal(err)
			}
		}
		caller, err := w.admit(token, "")
		if err == nil {
			_, err = w.Put(t.Context(), caller, a.name, rec)
		}
		if why(err) != c.want {
			t.Errorf("%s: %v, want %v", c.what, err, c.want)
		}
	}
	w := newWorld(t, hosting.Settings{Policy: hosting.Allow, Allow: map[ipns.Name]bool{a.name: true}})
	caller, err := w.admit("", "")
	if err == nil {
		_, err = w.Put(t.Context(), caller, a.name, rec)
	}
	if err != nil {
		t.Errorf("a name on the list: %v", err)
	}
}
