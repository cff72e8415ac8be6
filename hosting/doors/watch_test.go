package doors_test

import (
	"bufio"
	"net/http"
	"net/http/httptest"
	"testing"

	"github.com/goipns/ipns"
	"github.com/goipns/ipns/hosting"
	"github.com/goipns/ipns/hosting/doors"
	"github.com/goipns/ipns/names"
	"github.com/goipns/ipns/recordstore"
	"github.com/goipns/ipns/recordstore/recordstoretest"
	"github.com/goipns/ipns/routing"
	"github.com/goipns/ipns/watch"
)

// Who may read may watch, and no one else; names on the deny list are not watched.
func TestChangesAreForThoseWhoAreAdmitted(t *testing.T) {
	book := &names.Book{Store: recordstore.NewMemory()}
	host := &hosting.Host{Book: book, Rows: &recordstore.MemoryRows{}, Opener: &routing.Opener{}}
	host.Set(hosting.Settings{Policy: hosting.Token})
	token, info, err := host.NewToken(t.Context(), "ann", []hosting.Scope{hosting.ScopeRead}, 0)
	if err != nil {
		t.Fatal(err)
	}
	s := httptest.NewServer(doors.New(doors.Options{Host: host, Names: &watch.Names{Book: book}}))
	defer s.Close()
	denied := recordstoretest.NewKey(t).Name
	if _, err := host.Deny(t.Context(), denied.String(), ""); err != nil {
		t.Fatal(err)
	}
	get := func(token string, name ipns.Name) *http.Response {
		t.Helper()
		r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, s.URL+"/v1/watch?name="+name.String(), nil)
		if err != nil {
			t.Fatal(err)
		}
		if token != "" {
			r.Header.Set("Authorization", "Bearer "+token)
		}
		resp, err := http.DefaultClient.Do(r)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { resp.Body.Close() })
		return resp
	}
	name := recordstoretest.NewKey(t).Name
	resp := get(token, name)
	if lines := bufio.NewScanner(resp.Body); resp.StatusCode != http.StatusOK || !lines.Scan() || lines.Text() != "retry: 2000" {
		t.Errorf("with a token: %s, %q", resp.Status, lines.Text())
	}
	resp.Body.Close()
	if resp := get(token, denied); resp.StatusCode != http.StatusForbidden {
		t.Errorf("a name on the deny list: %s", resp.Status)
	}
	if resp := get("", name); resp.StatusCode != http.StatusUnauthorized {
		t.Errorf("without a token: %s", resp.Status)
	}
	if err := host.RevokeToken(t.Context(), info.ID); err != nil {
		t.Fatal(err)
	}
	if resp := get(token, name); resp.StatusCode != http.StatusUnauthorized {
		t.Errorf("with a revoked token: %s", resp.Status)
	}
}
