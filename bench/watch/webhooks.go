package main

import (
	"context"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"time"

	"github.com/goipns/ipns/watch"
)

// changes is how often each name changes while webhooks are measured.
const changes = 5

// receiver fails half of the requests, and notes what it took.
type receiver struct {
	mu     sync.Mutex
	tries  int
	taken  int
	newest map[string]uint64 // by webhook: its path
	older  int               // that came after something newer
}

func (r *receiver) ServeHTTP(w http.ResponseWriter, req *http.Request) {
	var p watch.Post
	err := json.NewDecoder(req.Body).Decode(&p)
	r.mu.Lock()
	defer r.mu.Unlock()
	r.tries++
	if rand.IntN(2) == 0 || err != nil || p.Data.Sequence == nil {
		http.Error(w, "no", http.StatusInternalServerError)
		return
	}
	r.taken++
	at := req.URL.Path
	if *p.Data.Sequence < r.newest[at] {
		r.older++
	}
	r.newest[at] = *p.Data.Sequence
}

// behind returns how many webhooks have not got the newest of their names.
func (r *receiver) behind(w *world) (n int) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for i := range *hooks {
		k := w.keys[i%len(w.keys)]
		if r.newest[fmt.Sprintf("/%d", i)] != k.sequence-1 {
			n++
		}
	}
	return n
}

func (w *world) measureWebhooks(ctx context.Context) error {
	r := &receiver{newest: map[string]uint64{}}
	s := httptest.NewServer(r)
	defer s.Close()
	h := &watch.Webhooks{Names: &watch.Names{Book: w.book}, Rows: w.rows}
	ctx, cancel := context.WithCancel(ctx)
	over := make(chan error, 1)
	go func() { over <- h.Run(ctx) }()
	defer func() { cancel(); <-over }()
	start := time.Now()
	for i := range *hooks {
		hook := watch.Webhook{URL: fmt.Sprintf("%s/%d", s.URL, i), Private: true, Names: []string{w.keys[i%len(w.keys)].name.String()}}
		if _, err := h.Add(ctx, hook); err != nil {
			return err
		}
	}
	fmt.Printf("%d webhooks added in %s\n", *hooks, time.Since(start).Round(time.Millisecond))
	before := resident()
	start = time.Now()
	for range changes {
		for i := range w.keys {
			if err := w.update(ctx, i); err != nil {
				return err
			}
		}
	}
	made := time.Since(start)
	half := time.Duration(0)
	for n := r.behind(w); n > 0; n = r.behind(w) {
		if n <= *hooks/2 && half == 0 {
			half = time.Since(start)
		}
		if time.Since(start) > 10*time.Minute {
			return fmt.Errorf("%d webhooks are still behind", n)
		}
		time.Sleep(10 * time.Millisecond)
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	fmt.Printf("%d changes of each name, made in %s, at a receiver that fails half of the time: half of the webhooks have the newest after %s, all after %s\n",
		changes, made.Round(time.Millisecond), half.Round(time.Millisecond), time.Since(start).Round(time.Millisecond))
	fmt.Printf("requests %d, taken %d, older after newer %d, lost 0\n", r.tries, r.taken, r.older)
	fmt.Println(strings.TrimSpace(fmt.Sprintf("memory: %.1f KiB a webhook more than before", float64(resident()-before)/float64(*hooks)/1024)))
	return nil
}
