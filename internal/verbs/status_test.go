package verbs

import (
	"strings"
	"testing"
	"time"

	"github.com/goipns/ipns"
	"github.com/goipns/ipns/api"
	"github.com/goipns/ipns/names"
	"github.com/goipns/ipns/node"
	"github.com/goipns/ipns/recordstore"
	"github.com/goipns/ipns/routing"
	"github.com/goipns/ipns/routing/routingtest"
	"github.com/goipns/ipns/rpc"
)

// signed signs a record of the node's own name.
func signed(t *testing.T, n *node.Node, sequence uint64, value string, life time.Duration) *ipns.Record {
	t.Helper()
	rec, err := ipns.Sign(t.Context(), ipns.NewSigner(n.Key), ipns.Fields{
		Value: value, Sequence: sequence, EOL: time.Now().Add(life),
	}, ipns.V2Only)
	if err != nil {
		t.Fatal(err)
	}
	return rec
}

func status(t *testing.T, n *node.Node) api.Status {
	t.Helper()
	s, err := rpc.Do(t.Context(), Mux(n), api.NameStatus, api.StatusRequest{Name: "self"})
	if err != nil {
		t.Fatal(err)
	}
	return *s.One
}

// TestStatusShowsNoOtherRecordsReceipt: upkeep of a record is shown only while that
// record is the newest, since its holders have taken no other.
func TestStatusShowsNoOtherRecordsReceipt(t *testing.T) {
	n := start(t, newRepo(t), node.Config{Offline: true})
	first := signed(t, n, 1, "/ipfs/bafkqaaa/1", time.Hour)
	if _, err := n.Book.Take(t.Context(), first, names.Entrance{Origin: recordstore.Own}); err != nil {
		t.Fatal(err)
	}
	var receipt routing.Receipt
	receipt.Add(routing.Ack{Name: n.Name, Target: "a", Network: "wan", Of: 1})
	u := recordstore.Upkeep{Name: n.Name, LastPut: time.Now(), Announced: first.Hash(), Holders: 1, LastErr: "1 of 1", Receipt: receipt}
	note := func() {
		t.Helper()
		if err := n.Book.Note(t.Context(), u); err != nil {
			t.Fatal(err)
		}
	}
	note()
	if s := status(t, n); s.Holders != 1 || s.Announced != 1 || s.Of != 1 || s.LastAnnounced == nil || s.LastError != "1 of 1" || len(s.Networks) != 1 {
		t.Fatalf("of the announced record: %+v", s)
	}
	for what, rec := range map[string]*ipns.Record{
		"a rival under the same sequence": signed(t, n, 1, "/ipfs/bafkqaaa/2", 2*time.Hour),
		"the next record":                 signed(t, n, 2, "/ipfs/bafkqaaa/3", time.Hour),
	} {
		if _, err := n.Book.Take(t.Context(), rec, names.Entrance{}); err != nil {
			t.Fatal(err)
		}
		if s := status(t, n); s.Holders != 0 || s.Announced != 0 || s.Of != 0 || s.LastAnnounced != nil || s.LastError != "" || s.Networks != nil {
			t.Fatalf("%s has another record's receipt: %+v", what, s)
		}
	}
	u.Announced, u.Holders, u.Receipt, u.LastErr = [32]byte{}, 0, routing.Receipt{}, "it waits"
	note()
	if s := status(t, n); s.LastError != "it waits" {
		t.Fatalf("why it was not announced yet is not said: %+v", s)
	}
}

// TestHoldersAreCountedByValue: servers with another value under the same sequence count
// separately from those with the same value, renewed or not.
func TestHoldersAreCountedByValue(t *testing.T) {
	n := start(t, newRepo(t), node.Config{})
	older := signed(t, n, 2, "/ipfs/bafkqaaa/older", time.Hour)
	mine, renewed := signed(t, n, 3, "/ipfs/bafkqaaa/mine", time.Hour), signed(t, n, 3, "/ipfs/bafkqaaa/mine", 3*time.Hour)
	rival := signed(t, n, 3, "/ipfs/bafkqaaa/rival", 2*time.Hour)
	if _, err := n.Book.Take(t.Context(), mine, names.Entrance{Origin: recordstore.Own}); err != nil {
		t.Fatal(err)
	}
	net := routingtest.New(20)
	held := func(list ...*ipns.Record) {
		for i, s := range net.Servers {
			if s.Hold(n.Name, nil); i < len(list) {
				s.Hold(n.Name, list[i].Raw())
			}
		}
	}
	n.Resolver.Router = net // not used so far
	held(mine, mine, renewed, rival, rival, rival, older)
	s := status(t, n)
	if h := s.Network; h == nil || h.Holders != 3 || h.Other != 3 || h.Older != 1 || h.Answered != 20 || h.Value != mine.Value() {
		t.Fatalf("%+v", s.Network)
	}
	if text := (api.StatusRequest{}).Text(api.Statuses{One: &s}); !strings.Contains(text, "3 of 20 servers have sequence 3, 3 another value under it, 1 an older one") {
		t.Error(text)
	}
	// The network has a newer record: the status is that of the newer one.
	newer := signed(t, n, 9, "/ipfs/bafkqaaa/newer", time.Hour)
	held(newer, newer)
	if s = status(t, n); s.Sequence != 9 || s.Network.Holders != 2 || s.Value != s.Network.Value {
		t.Errorf("%+v, %+v", s, s.Network)
	}
	// The network has only older records: no server holds this one.
	held(older, older)
	s = status(t, n)
	if text := (api.StatusRequest{}).Text(api.Statuses{One: &s}); !strings.Contains(text, "none of 20 servers has it, 2 have sequence 2") {
		t.Error(text)
	}
}
