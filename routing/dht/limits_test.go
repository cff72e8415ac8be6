package dht

import (
	"runtime"
	"testing"
	"testing/synctest"
	"time"

	kaddht "github.com/libp2p/go-libp2p-kad-dht"

	"github.com/goipns/ipns/internal/keyspace"
	"github.com/goipns/ipns/internal/simnet"
)

// After a walk through the whole network, only a bounded number of streams is left, and
// no goroutine.
func TestLimits(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		net := simnet.New(simnet.Config{Servers: 2000, Profile: simnet.Ideal, Seed: 1})
		defer net.Close()
		h, err := net.NewHost("client")
		if err != nil {
			t.Fatal(err)
		}
		kad, err := kaddht.New(h, kaddht.Mode(kaddht.ModeClient), kaddht.ProtocolPrefix("/goipns"),
			kaddht.V1ProtocolOverride(ProtocolWAN), kaddht.Validator(Validator(nil)), kaddht.DisableAutoRefresh())
		if err != nil {
			t.Fatal(err)
		}
		defer kad.Close()
		for _, p := range net.Bootstrap(6) {
			if err := h.Connect(t.Context(), p); err != nil {
				t.Fatal(err)
			}
		}
		time.Sleep(time.Second)
		r := NewRouter(kad, RouterConfig{})
		synctest.Wait()
		before := runtime.NumGoroutine()
		e, err := r.Explore(t.Context(), keyspace.Region{}, 256)
		if err != nil {
			t.Fatal(err)
		}
		synctest.Wait()
		r.sender.mu.Lock()
		idle, links := len(r.sender.idle), len(r.sender.links)
		r.sender.mu.Unlock()
		t.Logf("%d servers asked: %d streams kept, %d goroutines before, %d after", e.Requests, idle, before, runtime.NumGoroutine())
		if idle != maxIdleStreams || links != idle {
			t.Errorf("%d streams of %d links are kept, want %d", idle, links, maxIdleStreams)
		}
		if after := runtime.NumGoroutine(); after > before+10 {
			t.Errorf("%d goroutines before, %d after", before, after)
		}
		if err := r.Close(); err != nil {
			t.Error(err)
		}
		if len(r.sender.links) > 0 {
			t.Errorf("%d links outlive the router", len(r.sender.links))
		}
	})
}
