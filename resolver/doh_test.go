package resolver

import (
	"context"
	"encoding/base64"
	"errors"
	"net"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"time"

	"golang.org/x/net/dns/dnsmessage"
)

// rr makes a resource record.
func rr(owner string, ttl uint32, body dnsmessage.ResourceBody) dnsmessage.Resource {
	h := dnsmessage.ResourceHeader{Name: dnsmessage.MustNewName(owner), Class: dnsmessage.ClassINET, TTL: ttl}
	return dnsmessage.Resource{Header: h, Body: body}
}

func cname(to string) dnsmessage.ResourceBody {
	return &dnsmessage.CNAMEResource{CNAME: dnsmessage.MustNewName(to)}
}

func txt(strings ...string) dnsmessage.ResourceBody {
	return &dnsmessage.TXTResource{TXT: strings}
}

// dohServer answers with the message for the domain in the query.
func dohServer(t *testing.T, answers map[string]dnsmessage.Message) *httptest.Server {
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		packed, err := base64.RawURLEncoding.DecodeString(req.URL.Query().Get("dns"))
		var m dnsmessage.Message
		if err == nil {
			err = m.Unpack(packed)
		}
		if err != nil || len(m.Questions) != 1 || m.Questions[0].Type != dnsmessage.TypeTXT || req.URL.Query().Get("key") != "x" {
			http.Error(w, "bad query", http.StatusBadRequest)
			return
		}
		domain := m.Questions[0].Name.String()
		reply, ok := answers[domain]
		switch {
		case domain == "elsewhere.test.":
			http.Redirect(w, req, "http://elsewhere.invalid/", http.StatusFound)
			return
		case domain == "html.test.":
			return
		case domain == "huge.test.":
			w.Header().Set("Content-Type", dnsMediaType)
			w.Write(make([]byte, maxDNSReply+1))
			return
		case !ok:
			reply.RCode = dnsmessage.RCodeNameError
		}
		reply.Response, reply.Questions = true, m.Questions
		out, err := reply.Pack()
		if err != nil {
			t.Error(err)
		}
		w.Header().Set("Content-Type", dnsMediaType)
		w.Write(out)
	}))
	t.Cleanup(s.Close)
	return s
}

func TestDoH(t *testing.T) { // D-4, D-10, D-13, D-14
	chain := func(n int) (list []dnsmessage.Resource) {
		for i := range n {
			list = append(list, rr(strings.Repeat("x", i+1)+".test.", 100, cname(strings.Repeat("x", i+2)+".test.")))
		}
		return append(list, rr(strings.Repeat("x", n+1)+".test.", 90, txt("end")))
	}
	s := dohServer(t, map[string]dnsmessage.Message{
		"a.test.":      {Answers: []dnsmessage.Resource{rr("a.test.", 60, txt("dnslink=/ip", "fs/bafkqaaa")), rr("A.test.", 50, txt("other"))}},
		"alias.test.":  {Answers: []dnsmessage.Resource{rr("b.test.", 300, txt("x")), rr("alias.test.", 20, cname("b.test.")), rr("c.test.", 1, txt("not asked for"))}},
		"loop.test.":   {Answers: []dnsmessage.Resource{rr("loop.test.", 20, cname("pool.test.")), rr("pool.test.", 20, cname("loop.test."))}},
		"x.test.":      {Answers: chain(maxCNAMEs)},
		"nodata.test.": {},
		"fail.test.":   {Header: dnsmessage.Header{RCode: dnsmessage.RCodeServerFailure}},
		"year.test.":   {Answers: []dnsmessage.Resource{rr("year.test.", 365*24*3600, txt("x"))}},
	})
	d := &DoH{Servers: map[string]string{"test.": s.URL + "/dns-query?key=x"}}
	for _, tc := range []struct {
		domain   string
		want     []string
		ttl      time.Duration
		notFound bool
		err      string
	}{
		{domain: "A.TEST", want: []string{"dnslink=/ipfs/bafkqaaa", "other"}, ttl: 50 * time.Second},
		{domain: "alias.test.", want: []string{"x"}, ttl: 20 * time.Second},
		{domain: "x.test.", want: []string{"end"}, ttl: 90 * time.Second},
		{domain: "year.test.", want: []string{"x"}, ttl: maxLinkTTL},
		{domain: "loop.test.", err: "CNAMEs"},
		{domain: "nodata.test.", notFound: true, err: "no such host"},
		{domain: "nothing.test.", notFound: true, err: "no such host"},
		{domain: "fail.test.", err: "RCodeServerFailure"},
		{domain: "elsewhere.test.", err: "redirected elsewhere"},
		{domain: "html.test.", err: "server answered with"},
		{domain: "huge.test.", err: "larger than"},
	} {
		got, ttl, err := d.LookupTXT(t.Context(), tc.domain)
		if !slices.Equal(got, tc.want) || ttl != tc.ttl || (err == nil) != (tc.err == "") {
			t.Errorf("%s: %q, %v, %v", tc.domain, got, ttl, err)
			continue
		}
		var dnsErr *net.DNSError
		if err != nil && (!strings.Contains(err.Error(), tc.err) || (errors.As(err, &dnsErr) && dnsErr.IsNotFound) != tc.notFound) {
			t.Errorf("%s: %v", tc.domain, err)
		}
	}
}

func TestErrorsOfADoHServerKeepItsSecrets(t *testing.T) {
	s := dohServer(t, nil)
	d := &DoH{Servers: map[string]string{
		"gone.":   "http://user:SECRET@127.0.0.1:1/dns-query?key=SECRET",
		"refuse.": strings.Replace(s.URL, "http://", "http://user:SECRET@", 1) + "/dns-query?key=SECRET",
		"wrong.":  "http://user:SECRET@127.0.0.1:port/",
		"scheme.": "none://user:SECRET@127.0.0.1/?key=SECRET",
	}}
	for _, domain := range []string{"a.gone", "elsewhere.refuse", "html.refuse", "a.wrong", "a.scheme"} {
		if _, _, err := d.LookupTXT(t.Context(), domain); err == nil || strings.Contains(err.Error(), "SECRET") {
			t.Errorf("%s: %v", domain, err)
		}
	}
}

func TestDoHServerByLongestSuffix(t *testing.T) {
	other := errors.New("the other one")
	d := &DoH{
		Servers: map[string]string{"eth.": "e", "a.eth.": "ae"},
		Other:   func(context.Context, string) ([]string, time.Duration, error) { return nil, 0, other },
	}
	for domain, want := range map[string]string{"x.a.eth.": "ae", "a.eth.": "ae", "ba.eth.": "e", "eth.": "e", "_dnslink.b.eth.": "e", "meth.": "", "test.": ""} {
		if got := d.server(domain); got != want {
			t.Errorf("%s: %q, want %q", domain, got, want)
		}
	}
	if _, _, err := d.LookupTXT(t.Context(), "example.com"); !errors.Is(err, other) {
		t.Error(err)
	}
	d.Servers["."] = "all"
	if got := d.server("example.com."); got != "all" {
		t.Errorf("%q", got)
	}
}

func FuzzReadTXT(f *testing.F) {
	m := dnsmessage.Message{Header: dnsmessage.Header{Response: true}, Answers: []dnsmessage.Resource{rr("a.test.", 60, txt("x", "y")), rr("b.test.", 5, cname("a.test."))}}
	packed, err := m.Pack()
	if err != nil {
		f.Fatal(err)
	}
	f.Add(packed)
	f.Fuzz(func(t *testing.T, reply []byte) {
		got, ttl, err := readTXT("b.test.", reply)
		if err == nil && (len(got) == 0 || ttl < 0 || ttl > maxLinkTTL) {
			t.Fatalf("%q, %v", got, ttl)
		}
	})
}
