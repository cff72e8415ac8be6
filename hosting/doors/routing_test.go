package doors_test

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/goipns/ipns"
	"github.com/goipns/ipns/hosting"
	"github.com/goipns/ipns/hosting/doors"
	"github.com/goipns/ipns/names"
	"github.com/goipns/ipns/recordstore"
	"github.com/goipns/ipns/recordstore/recordstoretest"
	"github.com/goipns/ipns/routing"
)

// newHost returns a Host on stores in memory.
func newHost(s hosting.Settings) *hosting.Host {
	h := &hosting.Host{Book: &names.Book{Store: recordstore.NewMemory()}, Rows: new(recordstore.MemoryRows), Opener: new(routing.Opener)}
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
	rec, err := ipns.Sign(context.Background(), a.signer, ipns.Fields{Value: "/ipfs/bafkqaaa", Sequence: seq, EOL: time.Now().Add(life)}, ipns.V1V2)
	if err != nil {
		t.Fatal(err)
	}
	return rec
}

func ask(h http.Handler, method, path string, body []byte, headers ...string) *httptest.ResponseRecorder {
	r := httptest.NewRequest(method, path, bytes.NewReader(body))
	for i := 0; i < len(headers); i += 2 {
		r.Header.Add(headers[i], headers[i+1])
	}
	w := httptest.NewRecorder()
	h.ServeHTTP(w, r)
	return w
}

// A PUT of a record has its status, and a refusal says what to do.
func TestEveryPutOfARecordHasItsStatus(t *testing.T) {
	h := newHost(hosting.Settings{Policy: hosting.Token})
	server := doors.New(doors.Options{Host: h})
	token, info, err := h.NewToken(t.Context(), "a", nil, 0)
	if err != nil {
		t.Fatal(err)
	}
	reads, _, err := h.NewToken(t.Context(), "a", []hosting.Scope{hosting.ScopeRead}, 0)
	if err != nil {
		t.Fatal(err)
	}
	a, b := newAuthor(t), newAuthor(t)
	newer := a.record(t, 7, 48*time.Hour)
	const kind = ipns.RecordMediaType
	path := func(of author) string { return "/routing/v1/ipns/" + of.name.String() }
	denied := newAuthor(t)
	if _, err := h.Deny(t.Context(), denied.name.String(), "spam"); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		what, path string
		body       []byte
		kind       string
		token      string
		status     int
		text       string
	}{
		{"new", path(a), newer.Raw(), kind, token, 200, ""},
		{"the same", path(a), newer.Raw(), kind, token, 200, ""},
		{"older", path(a), a.record(t, 6, 48*time.Hour).Raw(), kind, token, 409, string(newer.Raw())},
		{"of another name", path(b), newer.Raw(), kind, token, 400, "the key of "},
		{"expired", path(b), b.record(t, 1, -time.Second).Raw(), kind, token, 400, ""},
		{"junk", path(b), []byte("junk"), kind, token, 400, ""},
		{"too long", path(b), make([]byte, ipns.MaxRecordSize+1), kind, token, 413, ""},
		{"without its type", path(b), newer.Raw(), "", token, 406, ""},
		{"of no name", "/routing/v1/ipns/nope", newer.Raw(), kind, token, 400, "unable to parse name"},
		{"without a token", path(a), newer.Raw(), kind, "", 401, "a token is needed"},
		{"with a wrong token", path(a), newer.Raw(), kind, "x", 401, "the token is not known"},
		{"with a token that only reads", path(a), newer.Raw(), kind, reads, 403, "the token does not allow"},
		{"denied", path(denied), denied.record(t, 1, 48*time.Hour).Raw(), kind, token, 403, "this node does not host"},
	} {
		headers := []string{"Content-Type", c.kind}
		if c.token != "" {
			headers = append(headers, "Authorization", "Bearer "+c.token)
		}
		w := ask(server, "PUT", c.path, c.body, headers...)
		if w.Code != c.status || !strings.HasPrefix(w.Body.String(), c.text) {
			t.Errorf("%s: %d %q, want %d %q", c.what, w.Code, w.Body, c.status, c.text)
		}
		if w.Code == 401 && w.Header().Get("WWW-Authenticate") == "" || w.Header().Get("Access-Control-Allow-Origin") != "*" {
			t.Errorf("%s: headers %v", c.what, w.Header())
		}
	}
	if w := ask(server, "GET", path(a), nil); w.Code != 200 || w.Body.String() != string(newer.Raw()) {
		t.Errorf("get: %d %q", w.Code, w.Body)
	}
	if w := ask(server, "GET", path(denied), nil); w.Code != http.StatusGone {
		t.Errorf("get what is denied: %d", w.Code)
	}
	short := b.record(t, 1, time.Minute)
	if w := ask(server, "PUT", path(b), short.Raw(), "Content-Type", kind, "Authorization", "Bearer "+token); w.Code != 200 || !strings.Contains(w.Header().Get("Warning"), "cannot be renewed") {
		t.Errorf("a short life: %d %v", w.Code, w.Header())
	}
	if err := h.RevokeToken(t.Context(), info.ID); err != nil {
		t.Fatal(err)
	}
	if w := ask(server, "PUT", path(a), newer.Raw(), "Content-Type", kind, "Authorization", "Bearer "+token); w.Code != 401 || !strings.Contains(w.Body.String(), "revoked") {
		t.Errorf("revoked: %d %q", w.Code, w.Body)
	}
	// The preflight of a page that puts with a token.
	if w := ask(server, "OPTIONS", path(a), nil, "Access-Control-Request-Method", "PUT"); w.Code != 204 || !strings.Contains(w.Header().Get("Access-Control-Allow-Headers"), "Authorization") {
		t.Errorf("preflight: %d %v", w.Code, w.Header())
	}
}

// Whoever puts too much is told when to go on.
func TestTooManyPutsAreToldWhenToGoOn(t *testing.T) {
	h := newHost(hosting.Settings{Policy: hosting.Token, Tenant: hosting.Quota{PutsPerMinute: 60, Names: 3}})
	server := doors.New(doors.Options{Host: h})
	token, _, err := h.NewToken(t.Context(), "a", nil, 0)
	if err != nil {
		t.Fatal(err)
	}
	seen := map[int]int{}
	for range 30 {
		a := newAuthor(t)
		w := ask(server, "PUT", "/routing/v1/ipns/"+a.name.String(), a.record(t, 1, 48*time.Hour).Raw(), "Content-Type", ipns.RecordMediaType, "Authorization", "Bearer "+token)
		seen[w.Code]++
		if w.Code == http.StatusTooManyRequests && w.Header().Get("Retry-After") == "" {
			t.Errorf("no Retry-After: %q", w.Body)
		}
	}
	if seen[200] != 3 || seen[429] != 27 {
		t.Errorf("the answers are %v", seen)
	}
	if c := h.Figures(); len(c) != 1 || c[0].Refused["over-quota"] == 0 || c[0].Refused["too-many"] == 0 || c[0].Taken != 3 {
		t.Errorf("counted %+v", c)
	}
}

// Whom to write to about abuse stands where it is looked for.
func TestTheAbuseContactIsShown(t *testing.T) {
	for contact, want := range map[string]string{"abuse@example.com": "mailto:abuse@example.com", "https://example.com/abuse": "https://example.com/abuse"} {
		server := doors.New(doors.Options{Host: newHost(hosting.Settings{Policy: hosting.Open, Contact: contact})})
		for path, want := range map[string]string{
			"/": "Abuse: " + want, "/.well-known/security.txt": "Contact: " + want,
			"/.well-known/ipns-hosting": fmt.Sprintf("{\"policy\":\"open\",\"abuse\":%q}", contact),
		} {
			if w := ask(server, "GET", path, nil); w.Code != 200 || !strings.Contains(w.Body.String(), want) {
				t.Errorf("%s: %d %q, want %q", path, w.Code, w.Body, want)
			}
		}
	}
	server := doors.New(doors.Options{Host: newHost(hosting.Settings{Policy: hosting.Open})})
	if w := ask(server, "GET", "/.well-known/security.txt", nil); w.Code != 404 {
		t.Errorf("without a contact: %d", w.Code)
	}
}

// A body of unknown length is cut off at the limit.
func TestABodyOfUnknownLengthEndsAtTheLimit(t *testing.T) {
	h := newHost(hosting.Settings{Policy: hosting.Open})
	a := newAuthor(t)
	r := httptest.NewRequest("PUT", "/routing/v1/ipns/"+a.name.String(), io.MultiReader(strings.NewReader(strings.Repeat("x", 1<<20))))
	r.ContentLength = -1
	r.Header.Set("Content-Type", ipns.RecordMediaType)
	w := httptest.NewRecorder()
	doors.New(doors.Options{Host: h}).ServeHTTP(w, r)
	if w.Code != http.StatusRequestEntityTooLarge {
		t.Errorf("%d %q", w.Code, w.Body)
	}
}
