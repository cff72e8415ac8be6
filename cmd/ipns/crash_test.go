package main

import (
	"flag"
	"fmt"
	"math/rand/v2"
	"net/url"
	"slices"
	"sync"
	"testing"
	"time"
)

var crashRounds = flag.Int("crash-rounds", 100, "how often TestKilledDaemonLosesNoAcknowledgedPublish kills the daemon")

// history is what the clients of a daemon were told about one name.
type history struct {
	mu    sync.Mutex     // guards all below
	key   string         // fixed
	acked publishAnswer  // the last that was acknowledged
	tried map[string]int // values sent since then, of which no answer came: they may be stored or not
	acks  int
}

// TestKilledDaemonLosesNoAcknowledgedPublish kills the daemon again and again while
// clients publish. What was acknowledged must be there after the restart, and no name
// may go back. R1.
func TestKilledDaemonLosesNoAcknowledgedPublish(t *testing.T) {
	t.Parallel() // it waits for other processes
	const (
		nameCount   = 20
		clientCount = 4
	)
	rounds := *crashRounds
	if testing.Short() {
		rounds = 5
	}
	repo := t.TempDir()
	runIpns(t, repo, "init", "--profile", "test")
	names := make([]*history, nameCount)
	d := startDaemon(t, repo)
	for i := range names {
		names[i] = &history{key: fmt.Sprintf("name%d", i), tried: map[string]int{}}
		if err := d.call(&struct{}{}, "key/gen", url.Values{"arg": {names[i].key}}); err != nil {
			d.kill()
			t.Fatal(err)
		}
	}
	seed := uint64(time.Now().UnixNano())
	t.Logf("seed %d", seed)
	random := rand.New(rand.NewPCG(seed, 1))
	var restarts []time.Duration
	for round := range rounds {
		publishUntilKilled(t, d, names, clientCount, round, 50+time.Duration(random.IntN(350)))
		begin := time.Now()
		d = startDaemon(t, repo)
		restarts = append(restarts, time.Since(begin))
		for _, h := range names {
			h.check(t, d)
		}
		if t.Failed() {
			break
		}
	}
	d.kill()
	total := 0
	for _, h := range names {
		total += h.acks
	}
	slices.Sort(restarts)
	t.Logf("%d kills, %d publishes acknowledged, restart to ready: median %v, longest %v",
		len(restarts), total, restarts[len(restarts)/2].Round(time.Millisecond), restarts[len(restarts)-1].Round(time.Millisecond))
	if total < rounds {
		t.Errorf("only %d publishes in %d rounds: the test shows nothing", total, rounds)
	}
}

// publishUntilKilled has the clients publish until the daemon is killed, after
// so many milliseconds.
func publishUntilKilled(t *testing.T, d *daemonProcess, names []*history, clients, round int, ms time.Duration) {
	var wg sync.WaitGroup
	for c := range clients {
		wg.Go(func() {
			for i := 0; ; i++ {
				h := names[(i*clients+c)%len(names)] // one client a name at a time: its order is known
				value := fmt.Sprintf("/ipfs/bafkqaaa/%d/%d/%d", round, c, i)
				h.mu.Lock()
				h.tried[value]++
				answer, err := d.publish(h.key, value)
				if err != nil {
					h.mu.Unlock()
					return // killed
				}
				if h.acks > 0 && answer.Sequence <= h.acked.Sequence {
					t.Errorf("%s: sequence %d acknowledged after %d", h.key, answer.Sequence, h.acked.Sequence)
				}
				if answer.Value != value || !answer.Stored {
					t.Errorf("%s: asked for %s, told %+v", h.key, value, answer)
				}
				h.acked = answer
				h.acks++
				clear(h.tried)
				h.mu.Unlock()
			}
		})
	}
	time.Sleep(ms * time.Millisecond)
	d.kill()
	wg.Wait()
}

// check asks the daemon for the name and compares with what was acknowledged.
func (h *history) check(t *testing.T, d *daemonProcess) {
	t.Helper()
	if h.acks == 0 {
		return
	}
	var status publishAnswer
	if err := d.call(&status, "name/status", url.Values{"arg": {h.acked.Name}}); err != nil {
		t.Errorf("%s: acknowledged with sequence %d, now: %v", h.key, h.acked.Sequence, err)
		return
	}
	var resolved struct{ Path string }
	if err := d.call(&resolved, "name/resolve", url.Values{"arg": {h.acked.Name}, "recursive": {"false"}}); err != nil {
		t.Errorf("%s: %v", h.key, err)
		return
	}
	switch {
	case resolved.Path != status.Value:
		t.Errorf("%s: resolves to %s, status says %s", h.key, resolved.Path, status.Value)
	case status.Sequence < h.acked.Sequence:
		t.Errorf("%s: sequence %d was acknowledged, now it is %d", h.key, h.acked.Sequence, status.Sequence)
	case status.Sequence == h.acked.Sequence && status.Value != h.acked.Value:
		t.Errorf("%s: sequence %d was acknowledged as %s, now it is %s", h.key, h.acked.Sequence, h.acked.Value, status.Value)
	case status.Sequence > h.acked.Sequence && h.tried[status.Value] == 0:
		t.Errorf("%s: now %s with sequence %d, which nobody asked for", h.key, status.Value, status.Sequence)
	}
	// What was in flight and came through is the state to go on from.
	h.acked.Sequence, h.acked.Value = status.Sequence, status.Value
	clear(h.tried)
}
