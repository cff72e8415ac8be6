package publisher

import (
	"log/slog"
	"strings"
	"testing"
	"time"

	"github.com/goipns/ipns"
	"github.com/goipns/ipns/names"
	"github.com/goipns/ipns/recordstore"
	"github.com/goipns/ipns/recordstore/recordstoretest"
	"github.com/goipns/ipns/routing/routingtest"
)

// While the queue of announcements is full, those that must be retried later do not fill
// the log.
func TestAFullQueueIsNoErrorOfEachName(t *testing.T) {
	var log strings.Builder
	p := &Publisher{
		Book: &names.Book{Store: recordstore.NewMemory()}, Router: routingtest.New(1),
		Log: slog.New(slog.NewTextHandler(&log, nil)),
	}
	p.init()
	for i := range maxQueued {
		p.announce[recordstoretest.KeyFromSeed(t, uint64(i)).Name] = &announcement{}
	}
	for i := range 50 {
		k := recordstoretest.KeyFromSeed(t, uint64(maxQueued+i))
		rec, err := ipns.Sign(t.Context(), k.Signer, ipns.Fields{Value: "/ipfs/bafkqaaa", EOL: p.now().Add(time.Hour)}, ipns.V2Only)
		if err != nil {
			t.Fatal(err)
		}
		if err := p.Book.Create(t.Context(), k.Name); err != nil {
			t.Fatal(err)
		}
		e, err := p.Book.Get(t.Context(), k.Name)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := p.Book.Enter(t.Context(), e, rec, names.Entrance{}); err != nil {
			t.Fatal(err)
		}
		p.retries[k.Name] = retry{at: p.now()}
	}
	for range 3 {
		p.retryDue(t.Context())
	}
	if log.Len() > 0 {
		t.Errorf("the log has\n%s", log.String())
	}
}
