package daemon

import (
	"sync"
	"testing"
	"time"

	"github.com/goipns/ipns/rpc"
)

// TestThirdOfTheServersDies takes a third of the servers away while a record is
// being announced: those that are left must hold it in the end, and a check from
// outside must say so.
func TestThirdOfTheServersDies(t *testing.T) {
	nw := servers(t, 30)
	n := start(t, newRepo(t), Options{Bootstrap: nw.Addrs()[:1]})
	n.waitForPeers(t.Context())
	req := rpc.PublishRequest{}
	rpc.SetDefaults(&req)
	req.Path, req.Resolve, req.Progress, req.Wait = "/ipfs/bafkqaaa", false, true, "all"
	near := nw.Closest(n.name)
	var killed sync.WaitGroup
	var last rpc.Published
	first := true
	for p, err := range n.NamePublish(t.Context(), req) {
		last = p
		if err != nil {
			break // not all took it: that is what it should say
		}
		if first {
			for i := range 10 { // of the 20 closest every other
				killed.Go(func() { _ = near[2*i].Kill() })
			}
			first = false
		}
	}
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
			if s.Record(n.name) != nil {
				held++
			}
		}
	}
	t.Logf("told: announced to %d of %d; in the end %d of the 20 that live hold it", last.Announced, last.Of, held)
	if held < 18 {
		t.Errorf("only %d of the 20 servers that are left hold the record", held)
	}
	report, err := Check(t.Context(), CheckRequest{Name: n.name, Peers: []string{alive[0].Addr()}})
	if err != nil || !report.OK {
		t.Errorf("check from outside: %s, %v", report.Verdict, err)
	}
}

// readyTimeout is how long the servers may take to hold a record: the next
// attempt comes 15 s after the first.
const readyTimeout = time.Minute
