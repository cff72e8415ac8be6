package daemon

import (
	"strings"
	"testing"
	"time"

	"github.com/goipns/ipns"
	"github.com/goipns/ipns/names"
	"github.com/goipns/ipns/recordstore"
	"github.com/goipns/ipns/routing"
	"github.com/goipns/ipns/routing/routingtest"
	"github.com/goipns/ipns/rpc"
)

// signed signs a record of the node's own name.
func (n *Node) signed(t *testing.T, sequence uint64, value string, life time.Duration) *ipns.Record {
	t.Helper()
	rec, err := ipns.Sign(t.Context(), ipns.NewSigner(n.priv), ipns.Fields{
		Value: value, Sequence: sequence, EOL: time.Now().Add(life),
	}, ipns.V2Only)
	if err != nil {
		t.Fatal(err)
	}
	return rec
}

func status(t *testing.T, n *Node) rpc.Status {
	t.Helper()
	s, err := n.NameStatus(t.Context(), rpc.StatusRequest{Name: "self"})
	if err != nil {
		t.Fatal(err)
	}
	return *s.One
}

// TestStatusShowsNoOtherRecordsReceipt shows what was noted of a record for as long as
// it is the newest: who took it has taken no other one.
func TestStatusShowsNoOtherRecordsReceipt(t *testing.T) {
	n := start(t, newRepo(t), Options{Offline: true})
	first := n.signed(t, 1, "/ipfs/bafkqaaa/1", time.Hour)
	if _, err := n.book.Take(t.Context(), first, names.Entrance{Origin: recordstore.Own}); err != nil {
		t.Fatal(err)
	}
	var receipt routing.Receipt
	receipt.Add(routing.Ack{Name: n.name, Target: "a", Network: "wan", Of: 1})
	u := recordstore.Upkeep{Name: n.name, LastPut: time.Now(), Announced: first.Hash(), Holders: 1, LastErr: "1 of 1", Receipt: receipt}
	note := func() {
		t.Helper()
		if err := n.book.Note(t.Context(), u); err != nil {
			t.Fatal(err)
		}
	}
	note()
	if s := status(t, n); s.Holders != 1 || s.Announced != 1 || s.Of != 1 || s.LastAnnounced == nil || s.LastError != "1 of 1" || len(s.Networks) != 1 {
		t.Fatalf("of the announced record: %+v", s)
	}
	for what, rec := range map[string]*ipns.Record{
		"a rival under the same sequence": n.signed(t, 1, "/ipfs/bafkqaaa/2", 2*time.Hour),
		"the next record":                 n.signed(t, 2, "/ipfs/bafkqaaa/3", time.Hour),
	} {
		if _, err := n.book.Take(t.Context(), rec, names.Entrance{}); err != nil {
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

// TestHoldersAreCountedByValue tells servers that have another value under the same
// sequence from those that have the value, renewed or not.
func TestHoldersAreCountedByValue(t *testing.T) {
	n := start(t, newRepo(t), Options{})
	older := n.signed(t, 2, "/ipfs/bafkqaaa/older", time.Hour)
	mine, renewed := n.signed(t, 3, "/ipfs/bafkqaaa/mine", time.Hour), n.signed(t, 3, "/ipfs/bafkqaaa/mine", 3*time.Hour)
	rival := n.signed(t, 3, "/ipfs/bafkqaaa/rival", 2*time.Hour)
	if _, err := n.book.Take(t.Context(), mine, names.Entrance{Origin: recordstore.Own}); err != nil {
		t.Fatal(err)
	}
	net := routingtest.New(20)
	held := func(list ...*ipns.Record) {
		for i, s := range net.Servers {
			if s.Hold(n.name, nil); i < len(list) {
				s.Hold(n.name, list[i].Raw())
			}
		}
	}
	n.router = net
	var sources []CheckedSource
	for _, rec := range []*ipns.Record{mine, mine, renewed, rival, rival, rival, older} {
		sources = append(sources, CheckedSource{Network: "wan", rec: rec})
	}
	if got := judge(n.name, sources).Verdict; got != "3 of the 7 closest servers (wan) hold sequence 3, 3 another value under it, 1 an older record" {
		t.Errorf("check: %s", got)
	}
	held(mine, mine, renewed, rival, rival, rival, older)
	s := status(t, n)
	if h := s.Network; h == nil || h.Holders != 3 || h.Other != 3 || h.Older != 1 || h.Answered != 20 || h.Value != mine.Value() {
		t.Fatalf("%+v", s.Network)
	}
	if text := (rpc.StatusRequest{}).Text(rpc.Statuses{One: &s}); !strings.Contains(text, "3 of 20 servers have sequence 3, 3 another value under it, 1 an older one") {
		t.Error(text)
	}
	// What the network has is newer: then the status is that of the newer one.
	newer := n.signed(t, 9, "/ipfs/bafkqaaa/newer", time.Hour)
	held(newer, newer)
	if s = status(t, n); s.Sequence != 9 || s.Network.Holders != 2 || s.Value != s.Network.Value {
		t.Errorf("%+v, %+v", s, s.Network)
	}
	// And where it has only what came before, nobody has it.
	held(older, older)
	s = status(t, n)
	if text := (rpc.StatusRequest{}).Text(rpc.Statuses{One: &s}); !strings.Contains(text, "none of 20 servers has it, 2 have sequence 2") {
		t.Error(text)
	}
}
