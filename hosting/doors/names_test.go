package doors

import (
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/goipns/ipns"
	"github.com/goipns/ipns/hosting"
	"github.com/goipns/ipns/keystore"
	"github.com/goipns/ipns/names"
	"github.com/goipns/ipns/publisher"
	"github.com/goipns/ipns/recordstore"
	"github.com/goipns/ipns/republisher"
)

const (
	oneCID   = "bafkqaaa"
	otherCID = "bafkreigzutdgo2tczm5yzifyiwnlgqmdptn2qvbtc3efos2fjtgcjvggsa"
)

// made makes a name of ann.
func (d *stand) made(label string) hostedName {
	d.Helper()
	got := d.send("POST", "/v1/names", d.token, nameRequest{Label: label, CID: oneCID})
	if got.status != http.StatusOK {
		d.Fatalf("create %s: %d %s", label, got.status, got.body)
	}
	var o hostedName
	got.into(d.T, &o)
	return o
}

// shown is what ann is told of a name.
func (d *stand) shown(label string) (o hostedName) {
	d.Helper()
	d.send("GET", "/v1/names/"+label, d.token, nil).into(d.T, &o)
	return o
}

func TestANameIsMadePublishedStoppedAndRemoved(t *testing.T) {
	d := newStand(t, hosting.Settings{})
	o := d.made("blog")
	name, err := ipns.ParseName(o.NetworkKey)
	must(t, err)
	if o.Label != "blog" || *o.CID != oneCID || *o.Sequence != 0 || !o.Enabled || o.PublishedAt == nil {
		t.Errorf("%+v", o)
	}
	e, err := d.host.Book.Get(t.Context(), name)
	must(t, err)
	if e.Origin != recordstore.Own || e.Record.Value() != "/ipfs/"+oneCID {
		t.Errorf("%s of origin %s", e.Record.Value(), e.Origin)
	}
	if got := d.send("PUT", "/v1/names/blog", d.token, map[string]any{"cid": otherCID}); got.status != http.StatusOK {
		t.Errorf("update: %d %s", got.status, got.body)
	}
	if o = d.shown("blog"); *o.CID != otherCID || *o.Sequence != 1 {
		t.Errorf("%+v", o)
	}
	if _, err := d.host.Signer(t.Context(), name); err != nil {
		t.Errorf("it is not renewed: %v", err)
	}

	// Stopped it is not renewed, and a new value waits.
	d.send("PUT", "/v1/names/blog", d.token, map[string]any{"enabled": false})
	d.send("PUT", "/v1/names/blog", d.token, map[string]any{"cid": oneCID})
	if o = d.shown("blog"); o.Enabled || *o.CID != oneCID || *o.Sequence != 1 {
		t.Errorf("stopped: %+v", o)
	}
	if _, err := d.host.Signer(t.Context(), name); !errors.Is(err, republisher.ErrStopped) {
		t.Errorf("stopped, its signer says %v", err)
	}
	d.send("PUT", "/v1/names/blog", d.token, map[string]any{"enabled": true})
	if o = d.shown("blog"); !o.Enabled || *o.CID != oneCID || *o.Sequence != 2 {
		t.Errorf("continued: %+v", o)
	}

	var list []hostedName
	d.made("a b.c")
	d.send("GET", "/v1/names", d.token, nil).into(t, &list)
	if len(list) != 2 || list[0].Label != "a b.c" {
		t.Errorf("%+v", list)
	}

	if got := d.send("DELETE", "/v1/names/blog", d.token, nil); got.status != http.StatusNoContent || len(got.body) != 0 {
		t.Errorf("delete: %d %s", got.status, got.body)
	}
	for method, body := range map[string]any{"GET": nil, "PUT": map[string]any{"cid": oneCID}, "DELETE": nil} {
		if got := d.send(method, "/v1/names/blog", d.token, body); got.status != http.StatusNotFound {
			t.Errorf("%s after the delete: %d %s", method, got.status, got.body)
		}
	}
	if _, err := d.keys.Of(name); !errors.Is(err, keystore.ErrNotFound) {
		t.Errorf("its key: %v", err)
	}
	if _, err := d.host.Signer(t.Context(), name); !errors.Is(err, republisher.ErrStopped) {
		t.Errorf("removed, its signer says %v", err)
	}
	if mark, err := d.host.Book.Seen(t.Context(), name); err != nil || mark.Sequence != 2 {
		t.Errorf("its mark: %+v, %v", mark, err)
	}
}

func TestAKeyIsImported(t *testing.T) {
	d := newStand(t, hosting.Settings{})
	key, name := privateKey(t)
	req := nameRequest{Label: "mine", CID: oneCID, Key: key}
	got := d.send("POST", "/v1/names", d.token, req)
	var o hostedName
	got.into(t, &o)
	if got.status != http.StatusOK || o.NetworkKey != name.String() || *o.CID != oneCID {
		t.Errorf("%d %s", got.status, got.body)
	}
	for label, want := range map[string]int{"mine": 409, "again": 403} {
		req.Label = label
		if got := d.send("POST", "/v1/names", d.token, req); got.status != want || strings.Contains(string(got.body), req.Key) {
			t.Errorf("the same key as %s: %d %s", label, got.status, got.body)
		}
	}
	req.Label, req.Key = "bad", "c2VjcmV0IHRoYXQgaXMgbm8ga2V5"
	if got := d.send("POST", "/v1/names", d.token, req); got.status != 400 || strings.Contains(string(got.body), req.Key) {
		t.Errorf("%d %s", got.status, got.body)
	}
}

// A publish that fails leaves nothing, so that the same request can be sent again.
func TestANameThatCannotBePublishedIsNotMade(t *testing.T) {
	d := newStand(t, hosting.Settings{})
	d.host.Publisher.Router = nil // offline, what was published before is not known
	key, _ := privateKey(t)
	req := nameRequest{Label: "mine", CID: oneCID, Key: key}
	got := d.send("POST", "/v1/names", d.token, req)
	if got.status != http.StatusServiceUnavailable || got.head.Get("Retry-After") == "" {
		t.Errorf("%d %s", got.status, got.body)
	}
	if got := d.send("GET", "/v1/names/mine", d.token, nil); got.status != http.StatusNotFound {
		t.Errorf("%d %s", got.status, got.body)
	}
	if all, err := d.keys.List(); err != nil || len(all) != 1 {
		t.Errorf("keys: %v, %v", all, err)
	}
	if u, err := d.host.Usage(t.Context(), "ann"); err != nil || u.Custodial != 0 {
		t.Errorf("%+v, %v", u, err)
	}
}

func TestTheNamesAPIRefuses(t *testing.T) {
	d := newStand(t, hosting.Settings{})
	d.made("blog")
	label, long := d.newToken("ann", hosting.ScopePublish+"blog"), strings.Repeat("l", 65)
	read, bob := d.newToken("ann", hosting.ScopeRead), d.newToken("bob", hosting.ScopePublish+"*")
	must(t, d.host.SetTenant(t.Context(), "bob", hosting.Quota{Names: 1}))
	d.send("POST", "/v1/names", bob, nameRequest{Label: "one", CID: oneCID})
	for what, c := range map[string]struct {
		method, path, token string
		body                any
		want                int
	}{
		"no token":              {"GET", "/v1/names", "", nil, 401},
		"a wrong token":         {"GET", "/v1/names", "ipnsh_x", nil, 401},
		"a token that reads":    {"POST", "/v1/names", read, nameRequest{Label: "x", CID: oneCID}, 403},
		"another label":         {"POST", "/v1/names", label, nameRequest{Label: "x", CID: oneCID}, 403},
		"its own label":         {"PUT", "/v1/names/blog", label, map[string]any{"cid": otherCID}, 200},
		"to delete another":     {"DELETE", "/v1/names/other", label, nil, 403},
		"the label is taken":    {"POST", "/v1/names", d.token, nameRequest{Label: "blog", CID: oneCID}, 409},
		"another's name":        {"GET", "/v1/names/blog", bob, nil, 404},
		"a name too many":       {"POST", "/v1/names", bob, nameRequest{Label: "two", CID: oneCID}, 429},
		"no label":              {"POST", "/v1/names", d.token, nameRequest{CID: oneCID}, 400},
		"a long label":          {"POST", "/v1/names", d.token, nameRequest{Label: long, CID: oneCID}, 400},
		"a slash":               {"POST", "/v1/names", d.token, nameRequest{Label: "a/b", CID: oneCID}, 400},
		"a line break":          {"POST", "/v1/names", d.token, nameRequest{Label: "a\nb", CID: oneCID}, 400},
		"no CID":                {"POST", "/v1/names", d.token, nameRequest{Label: "x"}, 400},
		"another path":          {"POST", "/v1/names", d.token, nameRequest{Label: "x", CID: "/ipns/example.com"}, 400},
		"nothing to change":     {"PUT", "/v1/names/blog", d.token, map[string]any{}, 400},
		"a wrong type":          {"PUT", "/v1/names/blog", d.token, `{"enabled":"yes"}`, 400},
		"half a body":           {"POST", "/v1/names", d.token, `{"label":"x","ci`, 400},
		"two bodies":            {"POST", "/v1/names", d.token, `{"label":"x","cid":"bafkqaaa"}{}`, 400},
		"no object":             {"POST", "/v1/names", d.token, `[]`, 400},
		"a huge body":           {"POST", "/v1/names", d.token, `{"label":"` + strings.Repeat("x", 1<<20) + `"}`, 413},
		"unknown fields":        {"POST", "/v1/names", d.token, `{"label":"more","cid":"bafkqaaa","bucket":"b"}`, 200},
		"a label with a point":  {"GET", "/v1/names/..%2F..%2Fx", d.token, nil, 404},
		"what does not exist":   {"PATCH", "/v1/names/blog", d.token, nil, 405},
		"a tenant with a slash": {"GET", "/v1/names/x%00y", d.token, nil, 404},
	} {
		got := d.send(c.method, c.path, c.token, c.body)
		if got.status != c.want {
			t.Errorf("%s: %d %s, want %d", what, got.status, got.body, c.want)
		}
		if c.want >= 400 && c.want != 405 {
			var f failure
			got.into(t, &f)
			if f.Error.Reason == "" || f.Error.Details == "" {
				t.Errorf("%s: it does not say why: %s", what, got.body)
			}
		}
	}
}

// Keys of tenants are kept only where keys are encrypted.
func TestNoKeyIsKeptInClear(t *testing.T) {
	d := newStand(t, hosting.Settings{})
	d.host.Encrypted = func() bool { return false }
	if got := d.send("POST", "/v1/names", d.token, nameRequest{Label: "x", CID: oneCID}); got.status != http.StatusForbidden {
		t.Errorf("%d %s", got.status, got.body)
	}
	if all, err := d.keys.List(); err != nil || len(all) != 1 {
		t.Errorf("%v, %v", all, err)
	}
}

// A key that is here without its row, after a crash or after rows from an older backup, is taken up.
func TestAKeyWithoutANameIsNeverDestroyed(t *testing.T) {
	d := newStand(t, hosting.Settings{})
	left, err := d.keys.Create(t.Context(), "hosted@ann@blog", ipns.Ed25519, 0)
	must(t, err)
	there := func(when string) {
		t.Helper()
		if key, err := d.keys.Of(left.Name); err != nil || key.Label != "hosted@ann@blog" {
			t.Fatalf("%s: the key: %+v, %v", when, key, err)
		}
	}
	other, _ := privateKey(t)
	got := d.send("POST", "/v1/names", d.token, nameRequest{Label: "blog", CID: oneCID, Key: other})
	if got.status != http.StatusForbidden || !strings.Contains(string(got.body), "ipns key rename") {
		t.Errorf("another key: %d %s", got.status, got.body)
	}
	there("another key was brought")
	must(t, d.host.SetTenant(t.Context(), "ann", hosting.Quota{Names: 1}))
	d.made("one")
	if got := d.send("POST", "/v1/names", d.token, nameRequest{Label: "blog", CID: oneCID}); got.status != http.StatusTooManyRequests {
		t.Errorf("over quota: %d %s", got.status, got.body)
	}
	there("over quota")
	must(t, d.host.SetTenant(t.Context(), "ann", hosting.Quota{Names: 9}))
	works := d.host.Publisher
	d.host.Publisher = &publisher.Publisher{Book: &names.Book{Store: recordstore.NewMemory()}} // it can't know the last sequence
	if got := d.send("POST", "/v1/names", d.token, nameRequest{Label: "blog", CID: oneCID}); got.status < 500 {
		t.Errorf("not published: %d %s", got.status, got.body)
	}
	must(t, d.host.Publisher.Close(t.Context()))
	d.host.Publisher = works
	there("not published")
	if o := d.made("blog"); o.NetworkKey != left.Name.String() || *o.CID != oneCID {
		t.Errorf("%+v", o)
	}
	// The operator's keys are nobody's.
	if _, err := d.keys.Create(t.Context(), "mine", ipns.Ed25519, 0); err != nil {
		t.Fatal(err)
	}
	if got := d.send("GET", "/v1/names/mine", d.token, nil); got.status != http.StatusNotFound {
		t.Errorf("%d %s", got.status, got.body)
	}
}

// deleting calls f whenever a row is about to be deleted.
type deleting struct {
	recordstore.Rows
	f func()
}

func (r deleting) Swap(ctx context.Context, row recordstore.Row) (recordstore.Row, error) {
	was, err := r.Rows.Swap(ctx, row)
	if row.Value == nil {
		r.f()
	}
	return was, err
}

// While a name is removed its label is not free yet: the key of the next one would go with it.
func TestANameMadeDuringARemoveKeepsItsKey(t *testing.T) {
	d := newStand(t, hosting.Settings{})
	d.made("blog")
	again := make(chan reply, 1)
	d.host.Rows = deleting{d.host.Rows, func() {
		go func() { again <- d.send("POST", "/v1/names", d.token, nameRequest{Label: "blog", CID: oneCID}) }()
		time.Sleep(50 * time.Millisecond) // in which it would be made, were there no lock
	}}
	if got := d.send("DELETE", "/v1/names/blog", d.token, nil); got.status != http.StatusNoContent {
		t.Fatalf("%d %s", got.status, got.body)
	}
	got := <-again
	var o hostedName
	got.into(t, &o)
	if got.status != http.StatusOK {
		t.Fatalf("%d %s", got.status, got.body)
	}
	name, err := ipns.ParseName(o.NetworkKey)
	must(t, err)
	if _, err := d.keys.Of(name); err != nil {
		t.Errorf("its key: %v", err)
	}
}

// privateKey makes a key, and returns it in base64.
func privateKey(t *testing.T) (text string, name ipns.Name) {
	t.Helper()
	key, err := ipns.GenerateKey(ipns.Ed25519, 0)
	must(t, err)
	b, err := ipns.MarshalPrivateKey(key)
	must(t, err)
	name, err = ipns.NameOf(key.GetPublic())
	must(t, err)
	return base64.StdEncoding.EncodeToString(b), name
}

// The client of Filebase sends base64 of KEY:SECRET as its token.
func TestFilebaseTokensAreRead(t *testing.T) {
	d := newStand(t, hosting.Settings{})
	for _, text := range []string{"ann:" + d.token, "ann:" + d.token + ":bucket"} {
		if got := d.send("GET", "/v1/names", base64.StdEncoding.EncodeToString([]byte(text)), nil); got.status != http.StatusOK {
			t.Errorf("%d %s", got.status, got.body)
		}
	}
}

// lateRows lets the custody table be changed late, by chance.
type lateRows struct{ recordstore.Rows }

func (l lateRows) Get(ctx context.Context, table, key string) (recordstore.Row, error) {
	if strings.HasSuffix(table, "custody") {
		time.Sleep(time.Duration(rand.IntN(3)) * time.Millisecond)
	}
	return l.Rows.Get(ctx, table, key)
}

// Of changes that come at once, the one that is published last is the one that the name's row
// keeps: it is what a name gets that continues later.
func TestChangesAtOnceLeaveWhatWasPublishedLast(t *testing.T) {
	d := newStand(t, hosting.Settings{Tenant: hosting.Quota{PutsPerMinute: 1_000_000}})
	o := d.made("blog")
	d.host.Rows = lateRows{d.host.Rows}
	name, err := ipns.ParseName(o.NetworkKey)
	must(t, err)
	caller := hosting.Operator("ann")
	for round := range 20 {
		var changes sync.WaitGroup
		for i := range 8 {
			changes.Go(func() {
				if _, err := d.host.ChangeCustodial(t.Context(), caller, "blog", fmt.Sprintf("/ipfs/%s/%d-%d", oneCID, round, i), nil); err != nil {
					t.Error(err)
				}
			})
		}
		changes.Wait()
		row, err := d.host.Custodial(t.Context(), "ann", "blog")
		must(t, err)
		e, err := d.host.Book.Get(t.Context(), name)
		must(t, err)
		if row.Value != e.Record.Value() {
			t.Fatalf("round %d: the row has %s, published is %s", round, row.Value, e.Record.Value())
		}
	}
}
