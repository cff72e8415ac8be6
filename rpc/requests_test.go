package rpc

import (
	"fmt"
	"net/url"
	"strings"
	"testing"
)

// Requests of any size leave little behind, and only the last ones.
func TestWhatIsRememberedOfRequestsIsSmall(t *testing.T) {
	var m Mux
	long := strings.Repeat("x", 1<<20)
	q := url.Values{"arg": {long, "secret"}, long: {long}}
	for i := range 1000 {
		q[fmt.Sprint(i)] = []string{long}
	}
	for range maxServed + 10 {
		m.requests.begin("cat", q)()
	}
	active := m.requests.begin("id", nil)
	list := m.Served()
	if len(list) != maxServed {
		t.Errorf("%d requests are remembered, want %d", len(list), maxServed)
	}
	for _, s := range list {
		size := 0
		for k, v := range s.Options {
			size += len(k) + len(v.(string))
		}
		if len(s.Options) > maxServedOptions || size > 2*maxServedOptions*maxServedText || s.Active != (s.Command == "id") {
			t.Fatalf("%s: %d options of %d bytes, active %t", s.Command, len(s.Options), size, s.Active)
		}
		if s.Command == "cat" && (len(s.Args) != 1 || len(s.Args[0]) != maxServedText) {
			t.Fatalf("%d arguments, the first of %d bytes", len(s.Args), len(s.Args[0]))
		}
	}
	active()
}
