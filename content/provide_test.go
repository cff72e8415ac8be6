package content

import (
	"context"
	"errors"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/ipfs/go-cid"
	"github.com/libp2p/go-libp2p"
	"github.com/libp2p/go-libp2p/core/host"
	"github.com/libp2p/go-libp2p/core/peer"
	mh "github.com/multiformats/go-multihash"
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
	return openStore(t, Options{DB: openDB(t, vfs.NewMem()), Host: h, Router: view{d, self}})
}

// One node adds and announces; another finds it, reads and pins; a third finds the second after the first has stopped.
func TestExchange(t *testing.T) {
	var d directory
	first, second, third := onlineStore(t, &d), onlineStore(t, &d), onlineStore(t, &d)
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()

	body := string(slices.Repeat([]byte("0123456789"), 100_000))
	root := rootOf(t, add(t, first, entries(file("d/big", body), file("d/small", "s")), AddOptions{CIDVersion: 1})).CID
	if err := first.Provide(ctx, root); err != nil {
		t.Fatal(err)
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
	if err := second.Provide(ctx, root); err != nil {
		t.Fatal(err)
	}
	if cat(t, third, root.String()+"/small") != "s" {
		t.Error("the third node reads something else")
	}
}

func TestProvideNeedsARouterThatTakesIt(t *testing.T) {
	s := offlineStore(t)
	c := mustCID(t, absent)
	if err := s.Provide(t.Context(), c); !errors.Is(err, ErrOffline) {
		t.Errorf("offline: %v", err)
	}
	s.router = view{directory: &directory{down: true}}
	if err := s.Provide(t.Context(), c); err == nil || !strings.Contains(err.Error(), c.String()) {
		t.Errorf("nobody took it: %v", err)
	}
}

// queue is a Provider that only remembers.
type queue struct{ keys []string }

func (q *queue) StartProviding(_ bool, keys ...mh.Multihash) error {
	for _, k := range keys {
		q.keys = append(q.keys, string(k))
	}
	return nil
}

func (q *queue) has(c cid.Cid) bool { return slices.Contains(q.keys, string(c.Hash())) }

// Each strategy announces at once what it says, of what is pinned and of what is not, and
// the same again in each round.
func TestEachStrategyAnnouncesItsContent(t *testing.T) {
	big := strings.Repeat("0123456789", 60_000) // several blocks
	for _, c := range []struct {
		name                     string
		strategy                 Strategy
		loose, root, file, chunk bool
	}{
		{name: "all", strategy: Strategy{All: true}, loose: true, root: true, file: true, chunk: true},
		{name: "pinned", strategy: Strategy{Pinned: true}, root: true, file: true, chunk: true},
		{name: "roots", strategy: Strategy{Roots: true}, root: true},
		{name: "mfs"},
	} {
		q := &queue{}
		s := openStore(t, Options{DB: openDB(t, vfs.NewMem()), Provider: q, Strategy: c.strategy})
		loose := rootOf(t, add(t, s, entries(file("x", "not pinned")), AddOptions{})).CID
		root := rootOf(t, add(t, s, entries(file("d/big", big)), AddOptions{Pin: true})).CID
		at, err := s.Resolve(t.Context(), "/ipfs/"+root.String()+"/big")
		if err != nil {
			t.Fatal(err)
		}
		node, err := s.dag.Get(t.Context(), at)
		if err != nil {
			t.Fatal(err)
		}
		chunk := node.Links()[0].Cid

		again := map[string]bool{}
		list, err := s.Announced(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		for c := range list {
			again[string(c.Hash())] = true
		}
		for _, b := range []struct {
			what string
			cid  cid.Cid
			want bool
		}{{"not pinned", loose, c.loose}, {"root", root, c.root}, {"file", at, c.file}, {"chunk", chunk, c.chunk}} {
			if q.has(b.cid) != b.want || again[string(b.cid.Hash())] != b.want {
				t.Errorf("%s: %s: announced at once %v, in a round %v, want %v", c.name, b.what, q.has(b.cid), again[string(b.cid.Hash())], b.want)
			}
		}
	}
}

// Entities are folders and files: what is inside of files is left out.
func TestEntitiesAreAnnouncedWithoutChunks(t *testing.T) {
	s := openStore(t, Options{DB: openDB(t, vfs.NewMem()), Provider: &queue{}, Strategy: Strategy{Pinned: true, Entities: true}})
	root := rootOf(t, add(t, s, entries(file("d/big", strings.Repeat("0123456789", 60_000))), AddOptions{Pin: true})).CID
	list, err := s.Announced(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	n := 0
	for range list {
		n++
	}
	if n != 2 { // the folder and the file
		t.Errorf("%d announced below %s, want 2", n, root)
	}
}
