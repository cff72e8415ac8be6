package main

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"

	"github.com/rogpeppe/go-internal/testscript"

	"github.com/goipns/ipns/watch"
)

// webhook starts a receiver of webhooks, which writes what it gets to a log. The first
// request of each event fails.
func webhook(ts *testscript.TestScript, _ bool, args []string) {
	log, err := os.Create(ts.MkAbs(args[1]))
	ts.Check(err)
	failed := map[string]bool{} // requests come one by one
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if id := r.Header.Get("Webhook-Id"); !failed[id] {
			failed[id] = true
			http.Error(w, "not now", http.StatusServiceUnavailable)
			return
		}
		var p watch.Post
		if err := json.NewDecoder(r.Body).Decode(&p); err != nil || p.Data.Sequence == nil {
			http.Error(w, "malformed", http.StatusBadRequest)
			return
		}
		fmt.Fprintln(log, p.Type, p.Data.Name, *p.Data.Sequence, p.Data.Value)
	}))
	p := &process{ended: make(chan struct{})}
	running(ts)[args[1]] = p
	ts.Defer(func() {
		s.Close()
		log.Close()
		close(p.ended)
	})
	ts.Setenv(args[0], s.URL)
}
