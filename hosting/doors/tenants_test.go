package doors

import (
	"encoding/base64"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/goipns/ipns"
	"github.com/goipns/ipns/hosting"
)

// Whatever token is shown at whatever route: what ann has is neither shown nor changed by any but hers, and
// by hers only as far as each allows. A route that is not in the table fails it.
func TestATokenReachesOnlyWhatIsItsTenants(t *testing.T) {
	d := newStand(t, hosting.Settings{})
	d.shelf.have(oneCID)
	d.shelf.have(otherCID)
	custodial := d.made("blog")
	pin := d.pinned("/pins", pinObject{CID: oneCID, Name: "ann's"})
	a, b := newAuthor(t), newAuthor(t)
	kept := a.record(t, 5, "/ipfs/"+oneCID, 48*time.Hour)
	d.send("POST", "/name/"+a.name.String(), d.token, base64.StdEncoding.EncodeToString(kept))
	must(t, d.host.SetTenant(t.Context(), "bob", hosting.Quota{PinnedBytes: 1 << 20}))

	all := []hosting.Scope{hosting.ScopePut, hosting.ScopePublish + "*"}
	expired, _, err := d.host.NewToken(t.Context(), "ann", all, time.Nanosecond)
	must(t, err)
	revoked, info, err := d.host.NewToken(t.Context(), "ann", all, 0)
	must(t, err)
	must(t, d.host.RevokeToken(t.Context(), info.ID))
	tokens := []string{
		"", "ipnsh_guessed", expired, revoked,
		d.newToken("ann", hosting.ScopeRead), d.newToken("ann", hosting.ScopePublish+"other"), d.newToken("bob", all...),
	}
	// What each of them is answered, in this order.
	type row struct {
		path string
		body any
		want [7]int
	}
	unsigned := base64.StdEncoding.EncodeToString(b.record(t, 9, "/ipfs/"+otherCID, 48*time.Hour)) // by another key
	change, create := map[string]any{"cid": otherCID, "enabled": false}, nameRequest{Label: "his", CID: otherCID}
	open := [7]int{200, 200, 200, 200, 200, 200, 200}
	rows := map[string]row{
		"/routing/v1/":                  {}, // no method
		"GET /.well-known/ipns-hosting": {"/.well-known/ipns-hosting", nil, open},
		"GET /.well-known/security.txt": {"/.well-known/security.txt", nil, [7]int{404, 404, 404, 404, 404, 404, 404}},
		"GET /{$}":                      {"/", nil, open},
		"GET /openapi.json":             {"/openapi.json", nil, open},
		"GET /name/{key}":               {"/name/" + a.name.String(), nil, open},                           // records are for everybody
		"GET /name/{key}/watch":         {"/name/*/watch", nil, [7]int{400, 400, 400, 400, 400, 400, 400}}, // TestATenantWatchesItsOwnNames
		"GET /v1/watch":                 {"/v1/watch", nil, [7]int{401, 401, 401, 401, 400, 400, 400}},     // nobody watches all
		"POST /name/{key}":              {"/name/" + a.name.String(), unsigned, [7]int{401, 401, 401, 401, 403, 403, 400}},
		"/routing/v1/ipns/{name}":       {"/routing/v1/ipns/" + a.name.String(), []byte(unsigned), [7]int{401, 401, 401, 401, 403, 403, 400}},
		"GET /v1/names":                 {"/v1/names", nil, [7]int{401, 401, 401, 401, 200, 200, 200}},
		"POST /v1/names":                {"/v1/names", create, [7]int{401, 401, 401, 401, 403, 403, 200}},
		"GET /v1/names/{label}":         {"/v1/names/blog", nil, [7]int{401, 401, 401, 401, 200, 200, 404}},
		"PUT /v1/names/{label}":         {"/v1/names/blog", change, [7]int{401, 401, 401, 401, 403, 403, 404}},
		"DELETE /v1/names/{label}":      {"/v1/names/blog", nil, [7]int{401, 401, 401, 401, 403, 403, 404}},
		"GET /pins":                     {"/pins", nil, [7]int{401, 401, 401, 401, 200, 200, 200}},
		"POST /pins":                    {"/pins", pinObject{CID: otherCID}, [7]int{401, 401, 401, 401, 403, 403, 202}},
		"GET /pins/{requestid}":         {"/pins/" + pin.RequestID, nil, [7]int{401, 401, 401, 401, 200, 200, 404}},
		"POST /pins/{requestid}":        {"/pins/" + pin.RequestID, pinObject{CID: otherCID}, [7]int{401, 401, 401, 401, 403, 403, 404}},
		"DELETE /pins/{requestid}":      {"/pins/" + pin.RequestID, nil, [7]int{401, 401, 401, 401, 403, 403, 404}},
	}
	settings := d.options.Host.Settings()
	settings.Address.PutsPerMinute = 100_000 // wrong tokens here are not guesses
	d.options.Host.Set(settings)
	before := d.everything(a.name)
	for _, pattern := range (&doors{d.options}).mux().patterns {
		r, ok := rows[strings.Replace(pattern, " /v1/ipfs/pins", " /pins", 1)]
		if !ok {
			t.Errorf("%s is not in the table", pattern)
			continue
		}
		if r.path == "" {
			continue
		}
		method, at, found := strings.Cut(pattern, " ")
		var heads []string
		if !found {
			method, heads = "PUT", []string{"Content-Type", ipns.RecordMediaType}
		} else if strings.HasPrefix(at, "/v1/ipfs") {
			r.path = "/v1/ipfs" + r.path
		}
		for i, token := range tokens {
			got := d.send(method, r.path, token, r.body, heads...)
			if got.status != r.want[i] {
				t.Errorf("%s with token %d: %d %s, want %d", pattern, i, got.status, got.body, r.want[i])
			}
			for _, secret := range []string{custodial.NetworkKey, pin.RequestID, "ann's"} {
				if !slices.Contains([]int{4, 5}, i) && strings.Contains(string(got.body), secret) {
					t.Errorf("%s with token %d shows %s", pattern, i, secret)
				}
			}
		}
	}
	if after := d.everything(a.name); after != before {
		t.Errorf("ann had\n%s\nand has\n%s", before, after)
	}
}

// everything is what ann sees of what she has, and of a record.
func (d *stand) everything(name ipns.Name) string {
	d.Helper()
	var all strings.Builder
	for _, path := range []string{"/v1/names", "/pins?status=queued,pinning,pinned,failed", "/name/" + name.String()} {
		got := d.send("GET", path, d.token, nil)
		if got.status != 200 {
			d.Fatalf("%s: %d %s", path, got.status, got.body)
		}
		all.Write(got.body)
	}
	return all.String()
}

// A tenant that watches * gets its own names, with their keys here or without, and no others.
func TestATenantWatchesItsOwnNames(t *testing.T) {
	d := newStand(t, hosting.Settings{})
	bob := d.newToken("bob", hosting.ScopePut, hosting.ScopePublish+"*")
	next, status := d.watching("*", bob)
	if status != 101 {
		t.Fatal(status)
	}
	d.made("hers")
	a, b := newAuthor(t), newAuthor(t)
	d.send("POST", "/name/"+a.name.String(), d.token, base64.StdEncoding.EncodeToString(a.record(t, 1, "/ipfs/"+oneCID, 48*time.Hour)))
	var his hostedName
	d.send("POST", "/v1/names", bob, nameRequest{Label: "his", CID: oneCID}).into(t, &his)
	if got := next(); got.Key != his.NetworkKey {
		t.Errorf("%+v, want the name %s", got, his.NetworkKey)
	}
	d.send("POST", "/name/"+b.name.String(), bob, base64.StdEncoding.EncodeToString(b.record(t, 1, "/ipfs/"+oneCID, 48*time.Hour)))
	if got := next(); got.Key != b.name.String() {
		t.Errorf("%+v, want the name %s", got, b.name)
	}
}
