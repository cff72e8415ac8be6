package provide

import (
	"context"
	"errors"
	"log/slog"
	"sync"
	"testing"
	"time"

	"github.com/ipfs/go-cid"
	"github.com/ipfs/go-datastore"
	dssync "github.com/ipfs/go-datastore/sync"
	"github.com/libp2p/go-libp2p"
	"github.com/libp2p/go-libp2p/core/peer"
	mh "github.com/multiformats/go-multihash"

	"github.com/goipns/ipns/internal/repo"
	"github.com/goipns/ipns/routing/dht"
)

// router remembers what is announced.
type router struct {
	mu   sync.Mutex
	told map[string]int
}

func (r *router) Provide(_ context.Context, c cid.Cid, _ bool) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.told[string(c.Hash())]++
	return nil
}

func (r *router) FindProvidersAsync(context.Context, cid.Cid, int) <-chan peer.AddrInfo { return nil }

func (r *router) times(k mh.Multihash) int {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.told[string(k)]
}

func key(t *testing.T, text string) mh.Multihash {
	t.Helper()
	k, err := mh.Sum([]byte(text), mh.SHA2_256, -1)
	if err != nil {
		t.Fatal(err)
	}
	return k
}

func options(r *router) Options {
	return Options{Router: r, Store: dssync.MutexWrap(datastore.NewMapDatastore()), Log: slog.New(slog.DiscardHandler)}
}

// Without a DHT, or without the sweep, each CID is announced by itself, and all again.
func TestEachKeyIsAnnouncedByItself(t *testing.T) {
	r := &router{told: map[string]int{}}
	c := repo.Config{Routing: repo.Routing{Type: "custom"}}
	p, err := Open(&c, options(r))
	if err != nil {
		t.Fatal(err)
	}
	defer p.Close()
	once, again := key(t, "once"), key(t, "again")
	p.Run(t.Context(), func(context.Context) (<-chan cid.Cid, error) {
		list := make(chan cid.Cid, 1)
		list <- cid.NewCidV1(cid.Raw, again)
		close(list)
		return list, nil
	})
	if err := p.ProvideOnce(once); err != nil {
		t.Fatal(err)
	}
	if err := p.Reprovide(t.Context()); err != nil {
		t.Fatal(err)
	}
	for r.times(once) == 0 || r.times(again) == 0 {
		time.Sleep(time.Millisecond)
	}
	if _, legacy, err := p.Stats(t.Context(), false); err != nil || legacy == nil || legacy.TotalReprovides != 1 {
		t.Errorf("stats %+v, %v", legacy, err)
	}
}

// A node that announces nothing takes all calls.
func TestNothingIsAnnouncedIfTheConfigSaysSo(t *testing.T) {
	r := &router{told: map[string]int{}}
	c := repo.Config{Routing: repo.Routing{Type: "custom"}, Provide: repo.Provide{Enabled: new(false)}}
	p, err := Open(&c, options(r))
	if err != nil {
		t.Fatal(err)
	}
	k := key(t, "x")
	if err := errors.Join(p.StartProviding(true, k), p.ProvideOnce(k), p.Close()); err != nil || p.Clear() != 0 || r.times(k) != 0 {
		t.Errorf("announced %d times, %v", r.times(k), err)
	}
}

// newDHT returns a DHT of a host that nobody reaches.
func newDHT(t *testing.T) *dht.DHT {
	t.Helper()
	h, err := libp2p.New(libp2p.NoListenAddrs)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { h.Close() })
	d, err := dht.New(h, dht.Config{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { d.Close() })
	return d
}

// Close ends a sweep whose list of keys is still being made.
func TestCloseEndsWhatIsBeingScheduled(t *testing.T) {
	o := options(nil)
	o.DHT = newDHT(t)
	for range 20 { // where it ends is chance
		p, err := Open(&repo.Config{}, o)
		if err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithCancel(t.Context())
		ended := make(chan struct{})
		go func() {
			defer close(ended)
			p.Run(ctx, func(ctx context.Context) (<-chan cid.Cid, error) {
				list := make(chan cid.Cid)
				go func() { <-ctx.Done(); close(list) }()
				return list, nil
			})
		}()
		if err := p.StartProviding(false, key(t, "new")); err != nil {
			t.Error(err)
		}
		cancel()
		if err := p.Close(); err != nil {
			t.Error(err)
		}
		<-ended
	}
}

// full is a store to which nothing can be written.
type full struct{ datastore.Batching }

var errFull = errors.New("no space")

func (full) Put(context.Context, datastore.Key, []byte) error { return errFull }

// A node on a full disk opens, and may read: so what announces must not stand in the way.
func TestAFullDiskDoesNotKeepANodeFromOpening(t *testing.T) {
	o := options(nil)
	o.DHT, o.Store = newDHT(t), full{o.Store}
	p, err := Open(&repo.Config{}, o)
	if err != nil {
		t.Fatal(err)
	}
	if err := p.Close(); !errors.Is(err, errFull) {
		t.Errorf("closed with %v", err)
	}
}

func TestAnotherPeerDoesNotGoOnWithWhatWasAnnounced(t *testing.T) {
	store := options(nil).Store
	for i, step := range []struct {
		id   peer.ID
		same bool
	}{{"one", true}, {"one", true}, {"other", false}, {"other", true}, {"one", false}} {
		if same, err := samePeer(store, step.id); same != step.same || err != nil {
			t.Errorf("step %d: %v, %v", i, same, err)
		}
	}
}
