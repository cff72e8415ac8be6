package node

import (
	"sync"
	"testing"
	"time"

	"github.com/goipns/ipns"
	"github.com/goipns/ipns/check"
	"github.com/goipns/ipns/internal/host"
	"github.com/goipns/ipns/internal/testnet"
	"github.com/goipns/ipns/publisher"
)

// TestThirdOfTheServersDies takes a third of the servers away while a record is
// being announced: those that are left must hold it in the end, and a check from
// outside must say so.
func TestThirdOfTheServersDies(t *testing.T) {
	nw := testnet.ForTest(t, 30)
	n := start(t, newRepo(t), Config{Bootstrap: nw.Addrs()[:1]})
	for !n.DHT.LAN.Joined() {
		time.Sleep(20 * time.Millisecond)
	}
	near := nw.Closest(n.Name)
	var killed sync.WaitGroup
	kill := sync.OnceFunc(func() {
		for i := range 10 { // of the 20 closest every other
			killed.Go(func() { _ = near[2*i].Kill() })
		}
	})
	res, err := n.Publisher.Publish(t.Context(), ipns.NewSigner(n.Key), publisher.Request{
		Value: "/ipfs/bafkqaaa", Wait: publisher.WaitAll,
		OnProgress: func(publisher.Result) { kill() },
	})
	killed.Wait()
	alive := near[:0:0]
	for i, s := range near {
		if i >= 20 || i%2 == 1 {
			alive = append(alive, s)
		}
	}
	if len(alive) != 20 {
		t.Fatalf("%d servers are alive", len(alive))
	}
	held := 0
	for deadline := time.Now().Add(readyTimeout); held < 18 && time.Now().Before(deadline); time.Sleep(100 * time.Millisecond) {
		held = 0
		for _, s := range alive {
			if s.Record(n.Name) != nil {
				held++
			}
		}
	}
	announced, of := res.Receipt.Announced()
	t.Logf("told: announced to %d of %d (%v); in the end %d of the 20 that live hold it", announced, of, err, held)
	if held < 18 {
		t.Errorf("only %d of the 20 servers that are left hold the record", held)
	}
	peers, err := host.ParseBootstrap([]string{alive[0].Addr()})
	if err != nil {
		t.Fatal(err)
	}
	sources, err := check.Ask(t.Context(), check.Request{Name: n.Name, Peers: peers})
	if report := check.Judge(n.Name, sources); err != nil || !report.OK {
		t.Errorf("check from outside: %s, %v", report.Verdict, err)
	}
}

// readyTimeout is how long the servers may take to hold a record: the next
// attempt comes 15 s after the first.
const readyTimeout = 3 * time.Minute
