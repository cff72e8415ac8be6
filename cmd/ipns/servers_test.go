package main

import (
	"encoding/hex"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"

	"github.com/rogpeppe/go-internal/testscript"
	"golang.org/x/net/dns/dnsmessage"

	"github.com/goipns/ipns/internal/ens"
)

// ethereum starts an Ethereum node on a chain, where one ENS name has a resolver and, there,
// a contenthash, in hex; or none.
func ethereum(ts *testscript.TestScript, _ bool, args []string) {
	chain, name, hash := args[1], args[2], strings.TrimPrefix(args[3], "0x")
	node := ens.Node(name)
	at := hex.EncodeToString(node[:])
	resolver := strings.Repeat("0", 24) + "4976fb03c32e5b8cfe2b6ccb31c09ba78ebaba41"
	found := fmt.Sprintf("%064x%064x%s", 32, len(hash)/2, hash) + strings.Repeat("0", (64-len(hash)%64)%64)
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		if err != nil {
			return
		}
		result := ""
		switch q := string(body); {
		case strings.Contains(q, "eth_chainId"):
			result = chain
		case strings.Contains(q, "0178b8bf"+at): // resolver(node)
			result = resolver
		case strings.Contains(q, "0178b8bf"):
			result = strings.Repeat("0", 64)
		case strings.Contains(q, "bc1c58d1"+at): // contenthash(node)
			result = found
		}
		fmt.Fprintf(w, `{"jsonrpc":"2.0","id":1,"result":"0x%s"}`, result)
	}))
	ts.Defer(s.Close)
	ts.Setenv(args[0], s.URL)
}

// dnsServer starts a DNS server with one TXT record.
func dnsServer(ts *testscript.TestScript, _ bool, args []string) {
	conn, err := net.ListenPacket("udp4", "127.0.0.1:0")
	ts.Check(err)
	ended := make(chan struct{})
	ts.Defer(func() {
		conn.Close()
		<-ended
	})
	go func() {
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
			q := m.Questions[0]
			reply := dnsmessage.Message{Header: dnsmessage.Header{ID: m.ID, Response: true, RecursionAvailable: true}, Questions: m.Questions}
			if q.Name.String() == args[1]+"." && q.Type == dnsmessage.TypeTXT {
				reply.Answers = []dnsmessage.Resource{{
					Header: dnsmessage.ResourceHeader{Name: q.Name, Class: q.Class, TTL: 60},
					Body:   &dnsmessage.TXTResource{TXT: []string{args[2]}},
				}}
			} else {
				reply.RCode = dnsmessage.RCodeNameError
			}
			if out, err := reply.Pack(); err == nil {
				conn.WriteTo(out, from)
			}
		}
	}()
	ts.Setenv(args[0], conn.LocalAddr().String())
}

// pinService starts a pinning service whose requests go to pins.log.
func pinService(ts *testscript.TestScript, _ bool, args []string) {
	s := httptest.NewServer(pinsAt(ts.MkAbs("pins.log")))
	ts.Defer(s.Close)
	ts.Setenv(args[0], s.URL)
}

// pinsAt is a pinning service that at first says that a pin is queued, and then that it is
// pinned. The last request for one is in the file log, until it is removed.
func pinsAt(log string) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("Authorization") != "Bearer key" {
			w.WriteHeader(http.StatusUnauthorized)
			return
		}
		status := "pinned"
		switch {
		case r.Method == http.MethodDelete:
			if os.Remove(log) == nil {
				w.WriteHeader(http.StatusAccepted)
			}
			return
		case r.Method == http.MethodGet && r.URL.Query().Has("cid"):
			asked := r.URL.Query().Get("cid")
			if b, err := os.ReadFile(log); err != nil || !strings.Contains(string(b), asked) {
				fmt.Fprint(w, `{"count":0,"results":[]}`)
				return
			}
			fmt.Fprintf(w, `{"count":1,"results":[{"requestid":"1","status":"pinned","created":"2026-11-28T00:00:00Z","pin":{"cid":%q},"delegates":[]}]}`, asked)
			return
		case r.Method == http.MethodPost:
			status = "queued"
			body, err := io.ReadAll(io.LimitReader(r.Body, 1<<16))
			if err == nil {
				err = os.WriteFile(log, body, 0o600)
			}
			if err != nil {
				w.WriteHeader(http.StatusInternalServerError)
				return
			}
			w.WriteHeader(http.StatusAccepted)
		}
		fmt.Fprintf(w, `{"requestid":"1","status":%q,"created":"2026-11-28T00:00:00Z","pin":{"cid":"x"},"delegates":[]}`, status)
	}
}
