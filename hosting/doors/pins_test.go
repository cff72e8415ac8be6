package doors

import (
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/ipfs/go-cid"

	"github.com/goipns/ipns/hosting"
)

// pinned asks for a pin, and returns it when its state is final.
func (d *stand) pinned(path string, o any) pinState {
	d.Helper()
	got := d.send("POST", path, d.token, o)
	if got.status/100 != 2 {
		d.Fatalf("%s: %d %s", path, got.status, got.body)
	}
	var s pinState
	got.into(d.T, &s)
	for s.Status == "queued" || s.Status == "pinning" {
		select {
		case <-d.Context().Done():
			d.Fatal("it is not pinned")
		case <-time.After(5 * time.Millisecond):
		}
		d.send("GET", "/pins/"+s.RequestID, d.token, nil).into(d.T, &s)
	}
	return s
}

func (s *shelf) have(text string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.there[cid.MustParse(text)] = true
}

func TestAPinIsAskedForListedReplacedAndRemoved(t *testing.T) {
	for _, at := range []string{"", "/v1/ipfs"} {
		d := newStand(t, hosting.Settings{})
		d.shelf.have(oneCID)
		d.shelf.have(otherCID)
		s := d.pinned(at+"/pins", pinObject{
			CID: oneCID, Name: "site", Meta: map[string]string{"app": "x"},
			Origins: []string{"/ip4/192.0.2.7/tcp/4001/p2p/12D3KooWEUQ6yLT5ys6sBNEsSCWvsuYGHyPYnZCcvpcXMwCP2mUZ", "nonsense"},
		})
		if s.Status != "pinned" || s.Pin.CID != oneCID || s.Pin.Name != "site" || s.Pin.Meta["app"] != "x" || len(s.Delegates) != 1 || s.Info["dag_size"] == "" {
			t.Errorf("%+v", s)
		}
		list := func(query string) (r pinResults) {
			t.Helper()
			d.send("GET", at+"/pins"+query, d.token, nil).into(t, &r)
			return r
		}
		for query, want := range map[string]int{
			"": 1, "?cid=" + oneCID: 1, "?cid=" + otherCID: 0, "?cid=" + otherCID + "," + oneCID: 1, "?name=site": 1, "?name=SITE": 0,
			"?name=SI&match=ipartial": 1, "?status=queued,pinning,failed": 0, "?status=failed&status=pinned": 1,
			"?before=" + url.QueryEscape(s.Created): 0, "?after=2020-01-01T00:00:00Z": 1, "?meta=" + url.QueryEscape(`{"app":"x"}`): 1,
			"?meta=" + url.QueryEscape(`{"app":"y"}`): 0, "?limit=1000": 1,
		} {
			if r := list(query); r.Count != want || len(r.Results) != want {
				t.Errorf("%s: %+v", query, r)
			}
		}
		next := d.pinned(at+"/pins/"+s.RequestID, pinObject{CID: otherCID})
		if next.Status != "pinned" || next.RequestID == s.RequestID || list("").Count != 1 {
			t.Errorf("%+v", next)
		}
		if got := d.send("DELETE", at+"/pins/"+next.RequestID, d.token, nil); got.status != http.StatusAccepted || len(got.body) != 0 {
			t.Errorf("%d %s", got.status, got.body)
		}
		if got := d.send("GET", at+"/pins/"+next.RequestID, d.token, nil); got.status != http.StatusNotFound || list("").Count != 0 {
			t.Errorf("%d %s", got.status, got.body)
		}
	}
}

// Filebase's client wants 200 where the specification says 202.
func TestReplaceAnswersAsEachClientWants(t *testing.T) {
	d := newStand(t, hosting.Settings{})
	d.shelf.have(oneCID)
	s := d.pinned("/pins", pinObject{CID: oneCID})
	for _, c := range []struct {
		at   string
		want int
	}{{"", 202}, {"/v1/ipfs", 200}} {
		got := d.send("POST", c.at+"/pins/"+s.RequestID, d.token, pinObject{CID: oneCID})
		if got.status != c.want {
			t.Errorf("%d %s", got.status, got.body)
		}
		got.into(t, &s)
	}
}

func TestThePinningServiceRefuses(t *testing.T) {
	d := newStand(t, hosting.Settings{})
	d.shelf.have(oneCID)
	s := d.pinned("/pins", pinObject{CID: oneCID})
	read, bob := d.newToken("ann", hosting.ScopeRead), d.newToken("bob", hosting.ScopePut)
	carl := d.newToken("carl", hosting.ScopePut)
	must(t, d.host.SetTenant(t.Context(), "carl", hosting.Quota{PinnedBytes: 1}))
	many := make([]string, 21)
	for what, c := range map[string]struct {
		method, path, token string
		body                any
		want                int
		reason              string
	}{
		"no token":             {"GET", "/pins", "", nil, 401, "UNAUTHORIZED"},
		"a wrong token":        {"GET", "/pins", "ipnsh_x", nil, 401, "UNAUTHORIZED"},
		"a token that reads":   {"POST", "/pins", read, pinObject{CID: oneCID}, 403, "FORBIDDEN"},
		"to read with it":      {"GET", "/pins", read, nil, 200, ""},
		"a tenant without":     {"POST", "/pins", bob, pinObject{CID: oneCID}, 403, "FORBIDDEN"},
		"another's pin":        {"GET", "/pins/" + s.RequestID, carl, nil, 404, "NOT_FOUND"},
		"to delete another's":  {"DELETE", "/pins/" + s.RequestID, carl, nil, 404, "NOT_FOUND"},
		"to replace another's": {"POST", "/pins/" + s.RequestID, carl, pinObject{CID: oneCID}, 404, "NOT_FOUND"},
		"an unknown id":        {"GET", "/pins/nope", d.token, nil, 404, "NOT_FOUND"},
		"no CID":               {"POST", "/pins", d.token, `{}`, 400, "BAD_REQUEST"},
		"a bad CID":            {"POST", "/pins", d.token, pinObject{CID: "Qm"}, 400, "BAD_REQUEST"},
		"a long name":          {"POST", "/pins", d.token, pinObject{CID: oneCID, Name: strings.Repeat("n", 256)}, 400, "BAD_REQUEST"},
		"many origins":         {"POST", "/pins", d.token, pinObject{CID: oneCID, Origins: many}, 400, "BAD_REQUEST"},
		"meta that is none":    {"POST", "/pins", d.token, `{"cid":"bafkqaaa","meta":{"a":1}}`, 400, "BAD_REQUEST"},
		"half a body":          {"POST", "/pins", d.token, `{"cid":"bafk`, 400, "BAD_REQUEST"},
		"a huge body":          {"POST", "/pins", d.token, `{"cid":"` + strings.Repeat("b", 1<<20), 413, "BAD_REQUEST"},
		"unknown fields":       {"POST", "/pins", d.token, `{"cid":"bafkqaaa","more":{"x":[1]}}`, 202, ""},
		"a bad status":         {"GET", "/pins?status=done", d.token, nil, 400, "BAD_REQUEST"},
		"a bad match":          {"GET", "/pins?match=x", d.token, nil, 400, "BAD_REQUEST"},
		"a bad limit":          {"GET", "/pins?limit=0", d.token, nil, 400, "BAD_REQUEST"},
		"a large limit":        {"GET", "/pins?limit=1001", d.token, nil, 400, "BAD_REQUEST"},
		"a bad time":           {"GET", "/pins?before=yesterday", d.token, nil, 400, "BAD_REQUEST"},
		"bad meta":             {"GET", "/pins?meta=x", d.token, nil, 400, "BAD_REQUEST"},
		"a bad CID in a query": {"GET", "/pins?cid=x", d.token, nil, 400, "BAD_REQUEST"},
		"many CIDs":            {"GET", "/pins?cid=" + strings.Repeat("bafkqaaa,", 11), d.token, nil, 400, "BAD_REQUEST"},
	} {
		got := d.send(c.method, c.path, c.token, c.body)
		if got.status != c.want {
			t.Errorf("%s: %d %s, want %d", what, got.status, got.body, c.want)
		}
		if c.reason != "" {
			var f failure
			got.into(t, &f)
			if f.Error.Reason != c.reason || f.Error.Details == "" {
				t.Errorf("%s: %s", what, got.body)
			}
		}
	}
}

// What a client reads page by page is what there is.
func TestPinsAreReadPageByPage(t *testing.T) {
	d := newStand(t, hosting.Settings{})
	d.shelf.have(oneCID)
	for i := range 13 {
		d.pinned("/pins", pinObject{CID: oneCID, Name: fmt.Sprint(i)})
	}
	seen, query := 0, "/pins"
	for {
		var r pinResults
		d.send("GET", query, d.token, nil).into(t, &r)
		seen += len(r.Results)
		if r.Count <= len(r.Results) {
			break
		}
		query = "/pins?before=" + url.QueryEscape(r.Results[len(r.Results)-1].Created)
	}
	if seen != 13 {
		t.Errorf("%d pins", seen)
	}
}

// A tenant's token does not make this node connect to what only this node can reach.
func TestOriginsArePublicUnlessTheConfigSaysElse(t *testing.T) {
	const id = "/p2p/12D3KooWEUQ6yLT5ys6sBNEsSCWvsuYGHyPYnZCcvpcXMwCP2mUZ"
	for at, public := range map[string]bool{
		"/ip4/1.2.3.4/tcp/4001": true, "/ip6/2606:4700::1/udp/4001/quic-v1": true,
		"/ip4/127.0.0.1/tcp/22": false, "/ip4/10.0.0.1/tcp/4001": false, "/ip4/169.254.169.254/tcp/80": false, "/ip4/0.0.0.0/tcp/1": false,
		"/ip6/::1/tcp/1": false, "/ip6/::ffff:127.0.0.1/tcp/1": false, "/ip6/64:ff9b::7f00:1/tcp/1": false, "/ip6zone/lo/ip6/fe80::1/tcp/1": false,
		"/dns4/localhost/tcp/1": false, "/dns/example.com/tcp/4001": false, "/dnsaddr/example.com": false,
		"/ip4/192.168.1.1/tcp/1/p2p/12D3KooWEUQ6yLT5ys6sBNEsSCWvsuYGHyPYnZCcvpcXMwCP2mUZ/p2p-circuit": false,
	} {
		for _, private := range []bool{false, true} {
			req, err := pinObject{CID: oneCID, Origins: []string{at + id}}.request(private)
			if want := public || private; err != nil || (len(req.Origins) == 1) != want {
				t.Errorf("%s, private %v: %v, %v", at, private, req.Origins, err)
			}
		}
	}
	if req, err := (pinObject{CID: oneCID, Origins: []string{id}}).request(true); err != nil || len(req.Origins) != 0 {
		t.Errorf("without an address: %v, %v", req.Origins, err)
	}
}

func TestPinsCountAsPuts(t *testing.T) {
	d := newStand(t, hosting.Settings{})
	must(t, d.host.SetTenant(t.Context(), "ann", hosting.Quota{PutsPerMinute: 2}))
	var last reply
	for range 20 { // more than a burst
		last = d.send("POST", "/pins", d.token, pinObject{CID: oneCID})
	}
	if last.status != http.StatusTooManyRequests || last.head.Get("Retry-After") == "" {
		t.Errorf("%d %s", last.status, last.body)
	}
	if got := d.send("GET", "/pins", d.token, nil); got.status != http.StatusOK {
		t.Errorf("to read: %d %s", got.status, got.body)
	}
}
