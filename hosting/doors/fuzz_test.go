package doors

import (
	"errors"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"

	"github.com/goipns/ipns"
	"github.com/goipns/ipns/hosting/pins"
)

// FuzzBodies has the decoders of all doors read anything: they end with a value that is within its limits, or
// with an error that is 400 or 413.
func FuzzBodies(f *testing.F) {
	for _, s := range []string{
		`{"cid":"bafkqaaa","name":"n","meta":{"a":"b"},"origins":["/ip4/1.2.3.4/tcp/1/p2p/12D3KooWEUQ6yLT5ys6sBNEsSCWvsuYGHyPYnZCcvpcXMwCP2mUZ"]}`,
		`{"label":"l","cid":"/ipfs/bafkqaaa","network_private_key":"CAES","enabled":true}`, `{"cid":"` + strings.Repeat("Q", 100) + `"}`,
		`[]`, `null`, `{}{}`, `{"cid":null,"meta":{"a":{}}}`, "\xff", `{"enabled":"x"}`, strings.Repeat("[", 20_000), "CiQAAA==", "",
	} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, body string) {
		refused := func(err error) {
			t.Helper()
			var b *errBody
			if err != nil && (!errors.As(err, &b) || b.status != 400 && b.status != 413 || b.text == "") {
				t.Errorf("%v", err)
			}
		}
		request := func() *http.Request { return httptest.NewRequest("POST", "/", strings.NewReader(body)) }
		w := httptest.NewRecorder()
		p, err := readPin(w, request(), true)
		if refused(err); err == nil && (!p.CID.Defined() || len(p.Origins) > pins.MaxOrigins) {
			t.Errorf("%+v", p)
		}
		var n nameRequest
		err = decode(w, request(), maxNameBody, &n)
		if refused(err); err == nil {
			value, err := valueOf(n.CID)
			if refused(err); err == nil {
				if _, err := ipns.ParsePath(value); err != nil {
					t.Errorf("%q: %v", value, err)
				}
			}
			if n.Key != "" {
				_, err := importedKey(n.Key)
				if refused(err); err != nil && len(n.Key) > 8 && strings.Contains(err.Error(), n.Key) {
					t.Errorf("the key is in %q", err)
				}
			}
		}
		if raw, err := decodeBase64([]byte(body)); err == nil && (len(raw) == 0 || len(raw) > len(body)) {
			t.Errorf("%d bytes of %d", len(raw), len(body))
		}
	})
}

// FuzzQuery has the query of a list of pins be anything.
func FuzzQuery(f *testing.F) {
	for _, s := range []string{
		"cid=bafkqaaa,bafkqaaa&name=x&match=ipartial&status=queued,pinned&before=2020-01-01T00:00:00Z&limit=10&meta=%7B%22a%22%3A%22b%22%7D",
		"limit=-1", "limit=99999999999999999999", "before=x", "meta=1", "status=,", "match=EXACT", "cid=" + strings.Repeat("bafkqaaa,", 30),
	} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, text string) {
		v, err := url.ParseQuery(text)
		if err != nil {
			return
		}
		q, err := parseQuery(v)
		if err == nil && (q.Limit < 1 || q.Limit > maxLimit || len(q.CIDs) > maxPinCIDs || len(q.Name) > pins.MaxName || len(q.Statuses) == 0) {
			t.Errorf("%+v", q)
		}
	})
}
