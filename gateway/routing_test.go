package gateway

import (
	"net/http"
	"testing"
)

// Paths below /routing/v1 are served on the gateway's own hosts, and never hide a path of
// a site.
func TestRoutingIsServedBesideTheSites(t *testing.T) {
	routing := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { w.WriteHeader(http.StatusTeapot) })
	w := newWorld(t, Options{Routing: routing, Headers: map[string][]string{"X-Of-The-Operator": {"yes"}}, Hosts: map[string]*Host{
		"paths.example": {Paths: []string{"/ipns/"}},
	}})
	for url, status := range map[string]int{
		"http://127.0.0.1:8080/routing/v1/ipns/x":                           http.StatusTeapot,
		"http://localhost:8080/routing/v1/ipns/x":                           http.StatusTeapot,
		"http://paths.example/routing/v1/ipns/x":                            http.StatusNotFound,
		"http://127.0.0.1:8080/routing/v2/ipns/x":                           http.StatusNotFound,
		"http://" + w.name.String() + ".ipns.localhost:8080/routing/v1/x":   http.StatusNotFound,
		"http://" + w.name.String() + ".ipns.localhost:8080/notes/list.txt": http.StatusOK,
	} {
		resp := w.get(url)
		if resp.StatusCode != status {
			t.Errorf("%s: %d, want %d", url, resp.StatusCode, status)
		}
		if status == http.StatusTeapot && resp.Header.Get("X-Of-The-Operator") == "" {
			t.Errorf("%s: without the headers of the config", url)
		}
	}
	if resp := newWorld(t, Options{}).get("http://127.0.0.1:8080/routing/v1/ipns/x"); resp.StatusCode != http.StatusNotFound {
		t.Errorf("where nothing serves it: %d", resp.StatusCode)
	}
}
