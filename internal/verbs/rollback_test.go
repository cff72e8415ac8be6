package verbs

import (
	"testing"
	"time"

	"github.com/ipfs/go-cid"

	"github.com/goipns/ipns"
	"github.com/goipns/ipns/api"
	"github.com/goipns/ipns/content"
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

// A rollback keeps its value for the name if the name's values are kept, whether or not it was said how many. A value
// that is another name is none that could be kept.
func TestRollbackKeepsItsValueIfThoseOfTheNameAreKept(t *testing.T) {
	n := start(t, newRepo(t), node.Config{Offline: true})
	to := Mux(n)
	put := func(path string, keep *int) {
		t.Helper()
		req := rpc.New[api.PublishRequest]()
		req.Path, req.AllowOffline, req.Resolve, req.Keep = path, true, false, keep
		if _, err := rpc.Do(t.Context(), to, api.NamePublish, req); err != nil {
			t.Fatal(err)
		}
	}
	back := func(value string) {
		t.Helper()
		req := rpc.New[api.RollbackRequest]()
		req.Name, req.To, req.AllowOffline = "self", value, true
		if _, err := rpc.Do(t.Context(), to, api.NameRollback, req); err != nil {
			t.Fatalf("back to %s: %v", value, err)
		}
	}
	root := func(text string) cid.Cid {
		c, err := cid.Decode(add(t, to, text))
		if err == nil {
			err = n.Content.Unpin(t.Context(), c, content.Recursive) // it is pinned for the name, or not
		}
		if err != nil {
			t.Fatal(err)
		}
		return c
	}
	asLastTime, three := 0, 3
	one, two := root("one"), root("two")
	put("/ipfs/"+one.String(), nil)
	put("/ipfs/"+two.String(), &asLastTime)
	back("0")
	if p, err := n.Content.PinOf(t.Context(), one, content.Recursive); err != nil {
		t.Errorf("the value that it is back at is not pinned: %v", err)
	} else if _, ok := p.KeptBy(); !ok {
		t.Errorf("it is pinned as %q", p.Name)
	}
	put("/ipns/k51qzi5uqu5dkna9kqbg1ratyu45c9vua5aucc3y3i8r9duuhqfwjsfjv2d7u0", nil)
	put("/ipfs/"+two.String(), &three)
	back("3")
}
