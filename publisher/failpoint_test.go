package publisher_test

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/goipns/ipns"
	"github.com/goipns/ipns/names"
	"github.com/goipns/ipns/publisher"
	"github.com/goipns/ipns/recordstore"
	"github.com/goipns/ipns/recordstore/recordstoretest"
	"github.com/goipns/ipns/routing/routingtest"
)

// remote is a signer for which sequences are reserved first.
type remote struct{ ipns.Signer }

func (remote) Remote() bool { return true }

// process is a publisher that can end at any step, as with kill -9: its store remains,
// everything else is gone.
type process struct {
	*publisher.Publisher
	dead atomic.Bool
}

func newProcess(store recordstore.Store, net *routingtest.Network) *process {
	begin := time.Now()
	now := func() time.Time { return epoch.Add(time.Since(begin)) }
	return &process{Publisher: &publisher.Publisher{Book: &names.Book{Store: store, Now: now}, Router: net, Now: now}}
}

// TestCrashAtAnyStepLeavesOldOrNew makes a publish fail at each of its steps: by the end
// of the process, an error, or a delay. Afterwards the name has the old or the new record,
// never both, and the stored one is announced within 5 s of the next start, byte for byte.
// R4.
func TestCrashAtAnyStepLeavesOldOrNew(t *testing.T) {
	outcome := map[string]int{}
	var slowest time.Duration
	for _, step := range publisher.Steps {
		for _, fault := range []string{"end", "error", "delay"} {
			synctest.Test(t, func(t *testing.T) {
				stored, took := failAt(t, step, fault)
				slowest = max(slowest, took)
				what := "old"
				if stored {
					what = "new"
				}
				outcome[what]++
			})
			if t.Failed() {
				t.Fatalf("%s at step %q", fault, step)
			}
		}
	}
	t.Logf("%d cases: %d with the old record, %d with the new one; announced within %v of the next start",
		len(publisher.Steps)*3, outcome["old"], outcome["new"], slowest)
	if outcome["old"] == 0 || outcome["new"] == 0 {
		t.Error("the faults did not hit the publish")
	}
}

var errFault = errors.New("fault")

func failAt(t *testing.T, step, fault string) (stored bool, took time.Duration) {
	key := recordstoretest.KeyFromSeed(t, 4)
	store, net := recordstore.NewMemory(), routingtest.New(20)
	net.Now = func() time.Time { return epoch }
	first := newProcess(store, net)
	if err := first.Book.Create(t.Context(), key.Name); err != nil {
		t.Fatal(err)
	}
	old, err := first.Publish(t.Context(), remote{key.Signer}, publisher.Request{Value: "/ipfs/bafkqaaa/old", Wait: publisher.WaitAll})
	if err != nil {
		t.Fatal(err)
	}
	var once atomic.Bool
	first.SetStep(func(s string) error {
		if first.dead.Load() {
			runtime.Goexit()
		}
		if s != step || once.Swap(true) {
			return nil
		}
		switch fault {
		case "end":
			first.dead.Store(true)
			runtime.Goexit()
		case "error":
			return errFault
		}
		time.Sleep(10 * time.Second)
		return nil
	})
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
	res, answered, err := publishIn(ctx, first, remote{key.Signer}, "/ipfs/bafkqaaa/new")
	cancel()
	first.dead.Store(true)
	over, end := context.WithCancel(t.Context())
	end()
	first.Close(over)

	second := newProcess(store, net)
	run, stop := context.WithCancel(t.Context())
	finished := make(chan struct{})
	go func() { second.Run(run); close(finished) }()
	start := time.Now()
	e, err2 := store.Get(t.Context(), key.Name)
	if err2 != nil {
		t.Fatal(err2)
	}
	for net.Holders(e.Record) < 20 {
		if time.Since(start) > 5*time.Second {
			t.Fatalf("%d of 20 servers hold the stored record 5 s after the start", net.Holders(e.Record))
		}
		time.Sleep(10 * time.Millisecond)
	}
	took = time.Since(start)
	stop()
	<-finished

	switch value := e.Record.Value(); {
	case value == "/ipfs/bafkqaaa/old" && answered && err == nil:
		t.Error("the answer was that the new record is published, but it is gone")
	case value == "/ipfs/bafkqaaa/old" && e.Record.Hash() != old.Record.Hash():
		t.Error("the old record was signed again")
	case value == "/ipfs/bafkqaaa/new" && answered && res.Record != nil && res.Record.Hash() != e.Record.Hash():
		t.Error("the stored record is not the one of the answer")
	case value != "/ipfs/bafkqaaa/old" && value != "/ipfs/bafkqaaa/new" || len(e.Rivals) > 0:
		t.Errorf("the name has %s and %d rivals", value, len(e.Rivals))
	}
	third := newProcess(store, net)
	defer third.Close(t.Context())
	next, err := third.Publish(t.Context(), remote{key.Signer}, publisher.Request{Value: "/ipfs/bafkqaaa/next", Wait: publisher.WaitAll})
	if err != nil || next.Record.Sequence() < e.Next || next.Record.Sequence() <= e.Record.Sequence() {
		t.Errorf("the next publish: sequence %d after %d, reserved up to %d: %v", next.Record.Sequence(), e.Record.Sequence(), e.Next, err)
	}
	return e.Record.Value() == "/ipfs/bafkqaaa/new", took
}

// publishIn publishes in a goroutine that may end without an answer.
func publishIn(ctx context.Context, p *process, s ipns.Signer, value string) (res publisher.Result, answered bool, err error) {
	done := make(chan struct{})
	go func() {
		defer close(done)
		res, err = p.Publish(ctx, s, publisher.Request{Value: value})
		answered = true
	}()
	<-done
	if answered && err == nil && res.Record == nil {
		err = fmt.Errorf("an answer without a record")
	}
	return res, answered, err
}
