package dnslink_test

import (
	"context"
	"errors"
	"net"
	"strings"
	"testing"
	"time"

	"golang.org/x/net/dns/dnsmessage"

	"github.com/goipns/ipns"
	"github.com/goipns/ipns/internal/dnslink"
)

const name = "k51qzi5uqu5dmjvg4gg3bvyr71v8q5pyj9tz1yaqzhx36yqhjw9nlk5zqxdusz"

// source answers from TXT records by host; "!" stands for a failure.
func source(called string, ttl time.Duration, zone map[string][]string) dnslink.Source {
	return dnslink.Source{Name: called, Lookup: func(_ context.Context, host string) ([]string, time.Duration, error) {
		txt, ok := zone[strings.TrimSuffix(host, ".")]
		switch {
		case !ok:
			return nil, 0, &net.DNSError{Err: "no such host", Name: host, IsNotFound: true}
		case txt[0] == "!":
			return nil, 0, errors.New("server misbehaving")
		}
		return txt, ttl, nil
	}}
}

func zone(txt ...string) map[string][]string { return map[string][]string{"_dnslink.a.example": txt} }

func TestCheckNamesWhatIsWrong(t *testing.T) {
	right, other := "dnslink=/ipns/"+name, "dnslink=/ipfs/bafkqaaa"
	for _, test := range []struct {
		name    string
		sources []dnslink.Source
		wanted  bool
		value   string
		finding string // part of one of them; empty: there is none
	}{
		{"right", []dnslink.Source{source("a", 0, zone(right)), source("b", time.Minute, zone("v=spf1", right))}, true, "/ipns/" + name, ""},
		{"another spelling of the name", []dnslink.Source{source("a", 0, zone("dnslink=/ipns/bafzaajaiaejcbrpyuwylhtpa2iidtoiyqmamqgxbdvbf3xknbyuhxvqs2vbuxkyj"))}, false, "/ipns/bafzaajaiaejcbrpyuwylhtpa2iidtoiyqmamqgxbdvbf3xknbyuhxvqs2vbuxkyj", ""},
		{"content", []dnslink.Source{source("a", 0, zone(other))}, false, "/ipfs/bafkqaaa", ""},
		{"content instead of the name", []dnslink.Source{source("a", 0, zone(other))}, true, "/ipfs/bafkqaaa", "points to /ipfs/bafkqaaa and not to"},
		{"none", []dnslink.Source{source("a", 0, nil)}, true, "", "a: _dnslink.a.example has no DNSLink"},
		{"at the domain itself", []dnslink.Source{source("a", 0, map[string][]string{"a.example": {right}})}, true, "", "where it is not read: move it to _dnslink.a.example"},
		{"a URI", []dnslink.Source{source("a", 0, zone("dnslink=ipns://"+name))}, true, "", "is no DNSLink: write dnslink="},
		{"quotes", []dnslink.Source{source("a", 0, zone(`dnslink="/ipns/x"`))}, true, "", "is no DNSLink: write dnslink="},
		{"two", []dnslink.Source{source("a", 0, zone(right, other))}, true, "", "more than one"},
		{"a failure", []dnslink.Source{source("a", 0, zone("!")), source("b", 0, zone(right))}, true, "/ipns/" + name, "a: server misbehaving"},
		{"old and new", []dnslink.Source{source("a", 0, zone(other)), source("b", 0, zone(right))}, true, "", "do not agree"},
		{"new to one", []dnslink.Source{source("a", 0, nil), source("b", 0, zone(right))}, true, "", "do not agree"},
		{"a long TTL", []dnslink.Source{source("a", 48*time.Hour, zone(right))}, true, "/ipns/" + name, "the TTL is 48h0m0s"},
	} {
		t.Run(test.name, func(t *testing.T) {
			var want ipns.Name
			if test.wanted {
				var err error
				if want, err = ipns.ParseName(name); err != nil {
					t.Fatal(err)
				}
			}
			r, err := dnslink.Check(t.Context(), "a.example", want, test.sources)
			if err != nil {
				t.Fatal(err)
			}
			all := strings.Join(r.Findings, "\n")
			if r.Value != test.value || (test.finding == "") != (all == "") || !strings.Contains(all, test.finding) {
				t.Errorf("%q, findings:\n%s\nwant %q and %q", r.Value, all, test.value, test.finding)
			}
			if test.wanted && r.Record != `_dnslink.a.example. 300 IN TXT "dnslink=/ipns/`+name+`"` {
				t.Errorf("the record to set is %s", r.Record)
			}
		})
	}
}

func TestCheckTakesADomain(t *testing.T) {
	for _, domain := range []string{"", "a b", "http://a.example", "a..example", strings.Repeat("a", 300) + ".example"} {
		if r, err := dnslink.Check(t.Context(), domain, ipns.Name{}, nil); err == nil {
			t.Errorf("%q: %+v", domain, r)
		}
	}
	for _, domain := range []string{"a.example", "a.example.", "_dnslink.a.example"} {
		if r, err := dnslink.Check(t.Context(), domain, ipns.Name{}, nil); err != nil || r.Host != "_dnslink.a.example" {
			t.Errorf("%q: %+v, %v", domain, r, err)
		}
	}
}

// The TTL of an answer that came over UDP is known, whoever asked for it.
func TestTTLIsThatOfTheShortestRecord(t *testing.T) {
	conn, err := net.ListenPacket("udp4", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ended := make(chan struct{})
	go func() { // ends with conn
		defer close(ended)
		b := make([]byte, 1500)
		for {
			n, from, err := conn.ReadFrom(b)
			if err != nil {
				return
			}
			var m dnsmessage.Message
			if m.Unpack(b[:n]) != nil || len(m.Questions) != 1 {
				continue
			}
			m.Response, m.Additionals = true, nil
			for i, ttl := range []uint32{300, 120} {
				m.Answers = append(m.Answers, dnsmessage.Resource{
					Header: dnsmessage.ResourceHeader{Name: m.Questions[0].Name, Class: dnsmessage.ClassINET, TTL: ttl},
					Body:   &dnsmessage.TXTResource{TXT: []string{strings.Repeat("x", i+1)}},
				})
			}
			if out, err := m.Pack(); err == nil {
				_, _ = conn.WriteTo(out, from)
			}
		}
	}()
	defer func() {
		conn.Close()
		<-ended
	}()
	s, err := dnslink.Server(conn.LocalAddr().String())
	if err != nil {
		t.Fatal(err)
	}
	txt, ttl, err := s.Lookup(t.Context(), "_dnslink.example.com.")
	if err != nil || len(txt) != 2 || ttl != 2*time.Minute {
		t.Errorf("%q, %v, %v", txt, ttl, err)
	}
}
