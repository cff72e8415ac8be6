package delegated_test

import (
	"context"
	"errors"
	"iter"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"github.com/goipns/ipns"
	"github.com/goipns/ipns/routing"
	"github.com/goipns/ipns/routing/delegated"
	"github.com/goipns/ipns/routing/routingtest"
)

func TestClientIsARouter(t *testing.T) {
	routingtest.TestRouter(t, func(t *testing.T) routing.Router {
		return client(t, server(t, (&archive{records: map[ipns.Name]*ipns.Record{}}).handler()).URL)
	})
}

// A server that takes its time is as good as another.
func TestClientOfASlowServerIsARouter(t *testing.T) {
	routingtest.TestRouter(t, func(t *testing.T) routing.Router {
		h := (&archive{records: map[ipns.Name]*ipns.Record{}}).handler()
		return client(t, server(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			select {
			case <-time.After(50 * time.Millisecond):
				h.ServeHTTP(w, r)
			case <-r.Context().Done():
			}
		})).URL)
	})
}

// T-60: what a server says is believed only if it is a valid record of the name.
func TestALyingServerIsNotBelieved(t *testing.T) {
	routingtest.TestLies(t, func(t *testing.T, lie []byte) routing.Router {
		return client(t, server(t, http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", ipns.RecordMediaType)
			_, _ = w.Write(lie)
		})).URL)
	})
}

// named gives a Router another name of its network.
type named struct {
	*delegated.Client
	network string
}

func (n named) rename(err error) error {
	if errors.Is(err, routing.ErrAway) {
		return &routing.AwayError{Network: n.network}
	}
	return err
}

func (n named) Search(ctx context.Context, name ipns.Name) iter.Seq2[routing.Answer, error] {
	return func(yield func(routing.Answer, error) bool) {
		for a, err := range n.Client.Search(ctx, name) {
			if a.Network = n.network; !yield(a, n.rename(err)) {
				return
			}
		}
	}
}

func (n named) Put(ctx context.Context, rec *ipns.Record, look routing.Look) iter.Seq2[routing.Ack, error] {
	return func(yield func(routing.Ack, error) bool) {
		for a, err := range n.Client.Put(ctx, rec, look) {
			if a.Network = n.network; !yield(a, n.rename(err)) {
				return
			}
		}
	}
}

// A server that is away, one that takes nothing, whatever it says to that, and one that
// has nothing differ.
func TestAServerThatIsAwayAndOneThatRefusesDiffer(t *testing.T) {
	for what, refusal := range map[string]error{
		"403": delegated.ErrRefused,
		"409": &delegated.NewerError{},
		"429": &delegated.LimitError{RetryAfter: time.Minute, Err: errors.New("too many")},
		"500": errors.New("the disk is full"),
	} {
		t.Run(what, func(t *testing.T) { testPresence(t, refusal) })
	}
}

// testPresence is TestPresence with servers that refuse by an error.
func testPresence(t *testing.T, refusal error) {
	routingtest.TestPresence(t, func(t *testing.T, network string, p routingtest.Presence) routing.Router {
		h := (&archive{records: map[ipns.Name]*ipns.Record{}}).handler()
		s := httptest.NewServer(h)
		t.Cleanup(s.Close)
		switch p {
		case routingtest.NeverMeant: // there is no such server
			return routing.Parallel{}
		case routingtest.Away:
			s.Close()
		case routingtest.RefusingAll:
			h.Take = func(*http.Request, *ipns.Record) error { return refusal }
		}
		return named{client(t, s.URL), network}
	})
}
