package check

import (
	"testing"
	"time"

	"github.com/goipns/ipns"
	"github.com/goipns/ipns/routing/routingtest"
)

// TestHoldersAreCountedByValue: a server with another value under the same sequence does
// not count; one with the same value does, renewed or not.
func TestHoldersAreCountedByValue(t *testing.T) {
	key := routingtest.NewKey(t)
	sign := func(sequence uint64, value string, life time.Duration) *ipns.Record {
		t.Helper()
		return routingtest.Sign(t, key, ipns.Fields{Value: value, Sequence: sequence, EOL: time.Now().Add(life)})
	}
	older := sign(2, "/ipfs/bafkqaaa/older", time.Hour)
	mine, renewed := sign(3, "/ipfs/bafkqaaa/mine", time.Hour), sign(3, "/ipfs/bafkqaaa/mine", 3*time.Hour)
	rival := sign(3, "/ipfs/bafkqaaa/rival", 2*time.Hour)
	var sources []Source
	for _, rec := range []*ipns.Record{mine, mine, renewed, rival, rival, rival, older} {
		sources = append(sources, Source{Network: "wan", Found: rec})
	}
	if got := Judge(mine.Name(), sources).Verdict; got != "3 of the 7 closest servers (wan) hold sequence 3, 3 another value under it, 1 an older record" {
		t.Errorf("check: %s", got)
	}
}
