package verbs

import (
	"testing"
	"time"

	"github.com/goipns/ipns"
	"github.com/goipns/ipns/api"
	"github.com/goipns/ipns/names"
	"github.com/goipns/ipns/node"
	"github.com/goipns/ipns/recordstore"
	"github.com/goipns/ipns/rpc"
)

// A rollback replaces the record that its caller has seen, and finds a value whose sequence
// a rival had, too.
func TestRollbackReplacesNothingUnseenAndFindsValuesOfRivals(t *testing.T) {
	n := start(t, newRepo(t), node.Config{Offline: true})
	to := Mux(n)
	req := rpc.New[api.PublishRequest]()
	req.AllowOffline, req.Resolve = true, false
	for _, req.Path = range []string{"/ipfs/bafkqaaa", "/ipfs/bafkqaaa/a"} {
		if _, err := rpc.Do(t.Context(), to, api.NamePublish, req); err != nil {
			t.Fatal(err)
		}
	}
	const rival = "/ipfs/bafkqaaa/b"
	rec, err := ipns.Sign(t.Context(), ipns.NewSigner(n.Key), ipns.Fields{Value: rival, Sequence: 1, EOL: time.Now().Add(96 * time.Hour)}, ipns.V2Only)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := n.Book.Take(t.Context(), rec, names.Entrance{Origin: recordstore.Own}); err != nil {
		t.Fatal(err)
	}
	past, err := rpc.Do(t.Context(), to, api.NameLog, api.LogRequest{})
	if err != nil || len(past.Entries) != 3 {
		t.Fatalf("%+v, %v", past, err)
	}
	now := ""
	for _, e := range past.Entries {
		if e.Current {
			now = e.Value
		}
	}
	back := rpc.New[api.RollbackRequest]()
	back.Name, back.To, back.AllowOffline, back.Force = "self", "1", true, true
	seen := uint64(0)
	back.IfSequence = &seen
	if p, err := rpc.Do(t.Context(), to, api.NameRollback, back); !rpc.HasReason(err, api.ReasonConflict) {
		t.Errorf("over an unseen record: %+v, %v", p, err)
	}
	seen = 1
	p, err := rpc.Do(t.Context(), to, api.NameRollback, back)
	if err != nil || p.Sequence != 2 || p.Value == now || p.Value != rival && p.Value != "/ipfs/bafkqaaa/a" {
		t.Errorf("back from %s: %+v, %v", now, p, err)
	}
}
