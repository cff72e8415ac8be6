package gateway

import (
	"testing"
	"time"

	"github.com/goipns/ipns"
)

func TestRecord(t *testing.T) {
	w := newWorld(t, Options{})
	key := w.name.String()
	url := at + "/ipns/" + key

	r := w.get(url + "?format=ipns-record")
	check(t, r, 200, "Content-Type", ipns.RecordMediaType, "X-Content-Type-Options", "nosniff",
		"Cache-Control", "public, max-age=600", "Content-Location", "", "Last-Modified", "",
		"Content-Disposition", `attachment; filename="`+key+`.ipns-record"; filename*=UTF-8''`+key+`.ipns-record`)
	if bodyOf(t, r) != string(w.raw) {
		t.Error("not the record")
	}
	etag := r.Header.Get("Etag")
	if len(etag) < 10 || etag[0] != '"' || etag[len(etag)-1] != '"' {
		t.Errorf("Etag %s is not quoted", etag)
	}

	for _, match := range []string{etag, "W/" + etag, `"other", ` + etag, "*"} {
		r := w.get(url+"?format=ipns-record", "If-None-Match", match)
		check(t, r, 304, "Etag", etag, "Cache-Control", "public, max-age=600")
		if b := bodyOf(t, r); b != "" {
			t.Errorf("304 with body %q", b)
		}
	}
	check(t, w.get(url+"?format=ipns-record", "If-None-Match", `"other"`), 200)

	check(t, w.get(url+"/?format=ipns-record&filename=testтест.ipns-record"), 200, "Content-Disposition",
		`attachment; filename="test____.ipns-record"; filename*=UTF-8''test%D1%82%D0%B5%D1%81%D1%82.ipns-record`)
	check(t, w.get(url, "Accept", ipns.RecordMediaType), 200, "Content-Type", ipns.RecordMediaType,
		"Content-Location", "/ipns/"+key+"?format=ipns-record")
	check(t, w.get(url+"?format=unheard-of", "Accept", "text/html, "+ipns.RecordMediaType+";q=0.1"), 200,
		"Content-Type", ipns.RecordMediaType)
	check(t, w.get(url+"/index.html?format=raw", "Accept", ipns.RecordMediaType), 200, "Content-Type", "application/vnd.ipld.raw")
}

func TestRecordRefused(t *testing.T) {
	w := newWorld(t, Options{})
	const format = "?format=ipns-record"
	check(t, w.get(at+"/ipns/"+w.name.String()+"/index.html"+format), 400)
	check(t, w.get(at+"/ipfs/"+w.root+format), 400)
	check(t, w.get(at+"/ipns/example.com"+format), 400)
	check(t, w.get(at+"/ipns/"+w.name.PeerID().String()+format), 302, "Location", "/ipns/"+w.name.String()+format)
	check(t, w.get(at+"/ipns/k51qzi5uqu5dlvj2baxnqndepeb86cbk3ng7n3i46uzyxzyqj2xjonzllnv0v8"+format), 500)
}

// A cache must not keep a record beyond its EOL, and an expired record is not served.
func TestRecordNearItsEnd(t *testing.T) {
	w := newWorld(t, Options{})
	url := at + "/ipns/" + w.name.String() + "?format=ipns-record"
	w.now = epoch.Add(time.Hour - 30500*time.Millisecond)
	check(t, w.get(url), 200, "Cache-Control", "public, max-age=30")
	w.now = epoch.Add(time.Hour)
	check(t, w.get(url), 500, "Cache-Control", "", "Etag", "")
}
