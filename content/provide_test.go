package content

import (
	"context"
	"errors"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/ipfs/go-cid"
	"github.com/libp2p/go-libp2p"
	"github.com/libp2p/go-libp2p/core/host"
	"github.com/libp2p/go-libp2p/core/peer"
)

// directory is a content router in memory: it stores who announced what.
type directory struct {
	mu    sync.Mutex
	has   map[cid.Cid][]peer.AddrInfo
	calls []time.Time
	down  bool
}

// view is one node's access to the directory.
type view struct {
	*directory
	self peer.AddrInfo
}

func (v view) Provide(_ context.Context, c cid.Cid, _ bool) error {
	v.mu.Lock()
	defer v.mu.Unlock()
	v.calls = append(v.calls, time.Now())
	if v.down {
		return errors.New("no nodes known")
	}
	if v.has == nil {
		v.has = make(map[cid.Cid][]peer.AddrInfo)
	}
	v.has[c] = append(v.has[c], v.self)
	return nil
}

func (v view) FindProvidersAsync(_ context.Context, c cid.Cid, _ int) <-chan peer.AddrInfo {
	v.mu.Lock()
	defer v.mu.Unlock()
	out := make(chan peer.AddrInfo, len(v.has[c]))
	for _, p := range v.has[c] {
		out <- p
	}
	close(out)
	return out
}

// counting is a view that counts announcements.
type counting struct{ view }

func (counting) Announce(context.Context, cid.Cid) (took, asked int, err error) { return 18, 20, nil }

func newHost(t testing.TB) host.Host {
	t.Helper()
	h, err := libp2p.New(libp2p.ListenAddrStrings("/ip4/127.0.0.1/tcp/0"), libp2p.DisableRelay())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { h.Close() })
	return h
}

func onlineStore(t testing.TB, d *directory) *Store {
	t.Helper()
	h := newHost(t)
	self := peer.AddrInfo{ID: h.ID(), Addrs: h.Addrs()}
	return openStore(t, Options{DB: openDB(t, vfs.NewMem()), Host: h, Router: view{d, self}, Reprovide: -1})
}

// One node adds and announces; another finds it, reads and pins; a third finds the second after the first has stopped.
func TestExchange(t *testing.T) {
	var d directory
	first, second, third := onlineStore(t, &d), onlineStore(t, &d), onlineStore(t, &d)
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()

	body := string(slices.Repeat([]byte("0123456789"), 100_000))
	root := rootOf(t, add(t, first, entries(file("d/big", body), file("d/small", "s")), AddOptions{CIDVersion: 1})).CID
	got, err := first.Provide(ctx, root)
	if err != nil || got.Known {
		t.Fatalf("provide: %v, %v", got, err)
	}
	if cat(t, second, root.String()+"/big") != body {
		t.Error("the second node reads something else")
	}
	if err := second.Pin(ctx, root, Recursive, ""); err != nil {
		t.Fatal(err)
	}
	d.mu.Lock()
	clear(d.has)
	d.mu.Unlock()
	if _, err := second.Provide(ctx, root); err != nil {
		t.Fatal(err)
	}
	if cat(t, third, root.String()+"/small") != "s" {
		t.Error("the third node reads something else")
	}
}

func TestProvideCountsAndOffline(t *testing.T) {
	s := offlineStore(t)
	c := mustCID(t, absent)
	if _, err := s.Provide(t.Context(), c); !errors.Is(err, ErrOffline) {
		t.Errorf("offline: %v", err)
	}
	s.router = counting{}
	if got, err := s.Provide(t.Context(), c); err != nil || got != (Announced{Took: 18, Asked: 20, Known: true}) {
		t.Errorf("counted: %v, %v", got, err)
	}
}

// Roots are announced a minute after the start and every 22 hours, and sooner after failures.
func TestReprovide(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := offlineStore(t)
		add(t, s, entries(file("a", "1"), file("b", "2")), AddOptions{Pin: true})
		add(t, s, entries(file("c", "not pinned")), AddOptions{})
		v := view{directory: &directory{down: true}}
		s.router = v
		ctx, cancel := context.WithCancel(t.Context())
		begin := time.Now()
		s.startProviding(ctx, 0)

		time.Sleep(reprovideFirst + reprovideRetry/2)
		v.mu.Lock()
		v.down = false
		v.mu.Unlock()
		time.Sleep(48 * time.Hour)
		cancel()
		s.announcing.Wait()
		var rounds []time.Duration
		for _, at := range v.calls {
			rounds = append(rounds, at.Sub(begin))
		}
		ok := reprovideFirst + reprovideRetry
		want := []time.Duration{reprovideFirst, ok, ok + reprovideEvery, ok + 2*reprovideEvery}
		if got := slices.Compact(slices.Clone(rounds)); !slices.Equal(got, want) || len(rounds) != 2*len(want) {
			t.Errorf("announcements of 2 roots at %v, want 2 each at %v", rounds, want)
		}
	})
}

// A root is announced as soon as it is pinned, and again every minute until a node takes it.
func TestProvideNew(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := offlineStore(t)
		v := view{directory: &directory{down: true}}
		s.router = v
		ctx, cancel := context.WithCancel(t.Context())
		s.startProviding(ctx, 1000*time.Hour)
		defer s.announcing.Wait()
		defer cancel()
		announced := func() int {
			synctest.Wait()
			v.mu.Lock()
			defer v.mu.Unlock()
			return len(v.has)
		}

		add(t, s, entries(file("a", "1")), AddOptions{Pin: true})
		time.Sleep(reprovideFirst + newRootRetry/2) // the next round is not before reprovideRetry
		if n := announced(); n != 0 {
			t.Fatalf("%d roots announced without a network", n)
		}
		v.mu.Lock()
		v.down = false
		v.mu.Unlock()
		time.Sleep(newRootRetry)
		if n := announced(); n != 1 {
			t.Errorf("%d roots announced after the network came, want 1", n)
		}
		c := rootOf(t, add(t, s, entries(file("b", "2")), AddOptions{})).CID
		if n := announced(); n != 1 {
			t.Errorf("%d roots announced after adding without a pin, want 1", n)
		}
		if err := s.Pin(ctx, c, Recursive, ""); err != nil {
			t.Fatal(err)
		}
		if n := announced(); n != 2 {
			t.Errorf("%d roots announced after the pin, want 2", n)
		}
	})
}
