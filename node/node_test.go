package node

import (
	"errors"
	"path/filepath"
	"testing"

	"github.com/goipns/ipns/internal/repo"
	"github.com/goipns/ipns/publisher"
	"github.com/goipns/ipns/recordstore"
	"github.com/goipns/ipns/routing/routingtest"

	"github.com/goipns/ipns"
)

// Open makes the repo, keeps others from it while the node is open, and finds the same
// name there the next time.
func TestOpenMakesARepoAndLocksIt(t *testing.T) {
	c := Config{Dir: filepath.Join(t.TempDir(), "repo"), Profile: "test", Offline: true}
	n, err := Open(t.Context(), c)
	if err != nil {
		t.Fatal(err)
	}
	if n.Host != nil || n.DHT != nil || n.Router != nil {
		t.Error("an offline node has a host")
	}
	if _, err := Open(t.Context(), c); !errors.Is(err, repo.ErrLocked) {
		t.Errorf("opened twice: %v", err)
	}
	if err := n.Close(); err != nil {
		t.Fatal(err)
	}
	again, err := Open(t.Context(), c)
	if err != nil {
		t.Fatal(err)
	}
	defer again.Close()
	if again.Name != n.Name {
		t.Errorf("the name was %s and is %s", n.Name, again.Name)
	}
	if _, err := Open(t.Context(), Config{Dir: t.TempDir(), Profile: "nope"}); err == nil {
		t.Error("there is no such profile")
	}
}

// What is published or put is what a resolve leads to and what a watcher is shown.
func TestWhatIsPublishedAndPutIsResolvedAndWatched(t *testing.T) {
	n := start(t, newRepo(t), Config{Offline: true})
	res, err := n.Publish(t.Context(), "", publisher.Request{Value: "/ipfs/bafkqaaa"})
	if err != nil {
		t.Fatal(err)
	}
	foreign := routingtest.Sign(t, routingtest.NewKey(t), ipns.Fields{Value: "/ipns/" + n.Name.String()})
	if _, err := n.Put(t.Context(), foreign); err != nil {
		t.Fatal(err)
	}
	var path string
	for answer, err := range n.Resolve(t.Context(), foreign.Name().String()) {
		if err != nil {
			t.Fatal(err)
		}
		path = answer.Path
	}
	if path != "/ipfs/bafkqaaa" || res.Record.Name() != n.Name {
		t.Errorf("%s leads to %q", foreign.Name(), path)
	}
	for _, err := range n.Resolve(t.Context(), "no name") {
		if err == nil {
			t.Error("resolved what is no name")
		}
	}
	var since recordstore.Position
	changed := 0
	for c, err := range n.Watch(t.Context(), since) {
		if err != nil {
			t.Fatal(err)
		}
		if c.Entry.Record == nil { // the position alone: what follows is new
			if _, err := n.Publish(t.Context(), "self", publisher.Request{Value: "/ipfs/bafkqaaa/b"}); err != nil {
				t.Fatal(err)
			}
			continue
		}
		if changed++; c.Entry.Record.Value() != "/ipfs/bafkqaaa/b" {
			t.Errorf("the change is %s", c.Entry.Record.Value())
		}
		break
	}
	if changed != 1 {
		t.Errorf("%d changes", changed)
	}
	if _, err := n.Publish(t.Context(), "no key", publisher.Request{Value: "/ipfs/bafkqaaa"}); err == nil {
		t.Error("published with a key that is not here")
	}
}
