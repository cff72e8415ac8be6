package check

import (
	"context"
	"errors"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/goipns/ipns"
	"github.com/goipns/ipns/routing/delegated"
	"github.com/goipns/ipns/routing/routingtest"
)

// Routers and gateways are asked over HTTP, in the order of the request. One has the
// newest record, one an older one, one none, and one returns an error.
func TestHTTPSourcesAreAsked(t *testing.T) {
	key := routingtest.NewKey(t)
	older := routingtest.Sign(t, key, ipns.Fields{Value: "/ipfs/bafkqaaa", Sequence: 1})
	newer := routingtest.Sign(t, key, ipns.Fields{Value: "/ipfs/bafkqaaa", Sequence: 2})
	name := newer.Name()
	router := func(rec *ipns.Record) string {
		s := httptest.NewServer(&delegated.Handler{Find: func(context.Context, ipns.Name) (*ipns.Record, time.Time, error) {
			if rec == nil {
				return nil, time.Time{}, delegated.ErrNotFound
			}
			return rec, time.Now(), nil
		}})
		t.Cleanup(s.Close)
		return s.URL
	}
	gateway := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == name.Path() && r.URL.Query().Get("format") == "ipns-record" {
			w.Header().Set("Content-Type", ipns.RecordMediaType)
			_, _ = w.Write(newer.Raw())
		}
	}))
	defer gateway.Close()
	gone := httptest.NewServer(http.NotFoundHandler())
	gone.Close()

	all := []string{router(newer), router(older), router(nil) + "/routing/v1/ipns"}
	sources, err := Ask(t.Context(), Request{Name: name, Routers: all, Gateways: []string{gateway.URL, gone.URL}})
	if err != nil || len(sources) != 5 {
		t.Fatalf("%+v, %v", sources, err)
	}
	for i, want := range []struct {
		network, source string
		sequence        int // -1: none
		fails           bool
	}{
		{Router, all[0], 2, false},
		{Router, all[1], 1, false},
		{Router, all[2], -1, false},
		{Gateway, gateway.URL, 2, false},
		{Gateway, gone.URL, -1, true},
	} {
		s, sequence := sources[i], -1
		if s.Record != nil {
			sequence = int(s.Record.Sequence)
		}
		if s.Network != want.network || s.Source != want.source || sequence != want.sequence || (s.Error != "") != want.fails {
			t.Errorf("%d: %+v, want %+v", i, s, want)
		}
	}
	if r := Judge(name, sources); r.OK || r.Newest.Sequence != 2 || r.Verdict != "2 of 5 routers and gateways have it" {
		t.Errorf("%+v", r)
	}
	if r := Judge(name, sources[2:3]); r.OK || r.Newest != nil || r.Verdict != "nobody has it" {
		t.Errorf("%+v", r)
	}
	if r := Judge(name, sources[4:]); !strings.HasPrefix(r.Verdict, "nobody who answered") {
		t.Errorf("%+v", r)
	}
	if _, err := Ask(t.Context(), Request{Name: name}); !errors.Is(err, ErrNobody) {
		t.Errorf("a request that names nobody: %v", err)
	}
}
