package node

import (
	"io"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/libp2p/go-libp2p/core/peer"

	"github.com/goipns/ipns"
	"github.com/goipns/ipns/names"
	"github.com/goipns/ipns/publisher"
	"github.com/goipns/ipns/resolver"
	"github.com/goipns/ipns/routing"
	"github.com/goipns/ipns/routing/pubsub"
	"github.com/goipns/ipns/routing/routingtest"
)

// startPubsub starts a node whose names travel by pubsub.
func startPubsub(t *testing.T) *Node {
	t.Helper()
	return start(t, newRepo(t), Config{Pubsub: new(true)})
}

// T-24, T-31: what comes by pubsub is in the Book, the cache and with those who watch, at
// once; and receipts name who took it.
func TestWhatComesByPubsubIsShownAtOnce(t *testing.T) {
	a, b := startPubsub(t), startPubsub(t)
	if err := b.Host.Connect(t.Context(), peer.AddrInfo{ID: a.Host.ID(), Addrs: a.Host.Addrs()}); err != nil {
		t.Fatal(err)
	}
	publish := func(value string) publisher.Result {
		t.Helper()
		res, err := a.Publish(t.Context(), "", publisher.Request{Value: value})
		if err != nil {
			t.Fatal(err)
		}
		return res
	}
	publish("/ipfs/bafkqaaa/1")
	if res, err := b.Resolver.Resolve(t.Context(), a.Name.String(), resolver.Options{}); err != nil || res.Path != "/ipfs/bafkqaaa/1" {
		t.Fatalf("%+v, %v", res, err)
	}
	changes := make(chan names.Change, 16)
	defer b.Book.Subscribe(func(c names.Change) { changes <- c })()
	res := publish("/ipfs/bafkqaaa/2")
	// The publish need not have waited for those who do not count, nor have known of b.
	eventually(t, "b takes it by pubsub", func() bool {
		receipt, err := routing.Collect(a.Pubsub.Put(t.Context(), res.Record, routing.Look{}))
		return err == nil && receipt.Took(pubsub.Network) == 1
	})
	for c := range changes {
		if c.Entry.Record.Sequence() == res.Record.Sequence() {
			break
		}
	}
	hop, err := b.Resolver.Lookup(t.Context(), a.Name, resolver.Options{})
	if err != nil || hop.Value != "/ipfs/bafkqaaa/2" {
		t.Errorf("a lookup says %+v, %v", hop, err)
	}
	if mark, err := b.Book.Seen(t.Context(), a.Name); err != nil || mark.Sequence != res.Record.Sequence() {
		t.Errorf("the Book's mark is %+v, %v", mark, err)
	}

	// A name that is kept here is kept at what came.
	key := routingtest.NewKey(t)
	hosted := routingtest.Sign(t, key, ipns.Fields{Value: "/ipfs/bafkqaaa/1", Sequence: 1})
	if _, err := b.Put(t.Context(), hosted); err != nil {
		t.Fatal(err)
	}
	newer := routingtest.Sign(t, key, ipns.Fields{Value: "/ipfs/bafkqaaa/2", Sequence: 2})
	if _, err := a.Put(t.Context(), newer); err != nil {
		t.Fatal(err)
	}
	for c := range changes {
		if c.Entry.Name == hosted.Name() && c.Entry.Record.Sequence() == 2 {
			break
		}
	}
	if e, err := b.Book.Get(t.Context(), hosted.Name()); err != nil || e.Record.Sequence() != 2 {
		t.Errorf("the entry is %+v, %v", e, err)
	}
	if subs := b.Pubsub.Subscriptions(); !slices.Contains(subs, hosted.Name()) || !slices.Contains(subs, a.Name) {
		t.Errorf("subscriptions: %v", subs)
	}

	w := httptest.NewRecorder()
	b.Metrics.Handler().ServeHTTP(w, httptest.NewRequest("GET", "/metrics", nil))
	body, err := io.ReadAll(w.Body)
	if err != nil {
		t.Fatal(err)
	}
	for _, line := range []string{"ipns_pubsub_subscriptions 2\n", "ipns_pubsub_peers 1\n", `ipns_pubsub_records_in_total{result="taken"} `} {
		if !strings.Contains(string(body), line) {
			t.Errorf("no %q in the metrics", line)
		}
	}
}

// A record that another holder of a key publishes reaches a node by pubsub, which sees
// the rival.
func TestARivalIsSeenByPubsub(t *testing.T) {
	a, b := startPubsub(t), startPubsub(t)
	if err := b.Host.Connect(t.Context(), peer.AddrInfo{ID: a.Host.ID(), Addrs: a.Host.Addrs()}); err != nil {
		t.Fatal(err)
	}
	res, err := a.Publish(t.Context(), "", publisher.Request{Value: "/ipfs/bafkqaaa/1"})
	if err != nil {
		t.Fatal(err)
	}
	changes := make(chan names.Change, 16)
	defer a.Book.Subscribe(func(c names.Change) { changes <- c })()
	rival := routingtest.Sign(t, a.Key, ipns.Fields{Value: "/ipfs/bafkqaaa/other", Sequence: res.Record.Sequence() + 1})
	if _, err := b.Put(t.Context(), rival); err != nil {
		t.Fatal(err)
	}
	select {
	case c := <-changes:
		if c.Entry.Rival == nil || c.Entry.Rival.Sequence() != rival.Sequence() {
			t.Errorf("the change is %+v", c)
		}
	case <-time.After(2 * time.Minute):
		t.Fatal("nothing came")
	}
}
