package pubsub

import (
	"context"
	"path/filepath"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/libp2p/go-libp2p"
	gossip "github.com/libp2p/go-libp2p-pubsub"
	"github.com/libp2p/go-libp2p/core/crypto"
	"github.com/libp2p/go-libp2p/core/host"
	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/libp2p/go-libp2p/p2p/muxer/yamux"
	"github.com/libp2p/go-libp2p/p2p/security/noise"
	"github.com/libp2p/go-libp2p/p2p/transport/tcp"

	"github.com/goipns/ipns"
	"github.com/goipns/ipns/routing"
	"github.com/goipns/ipns/routing/routingtest"
)

// patience is how long anything in these tests may take.
const patience = 30 * time.Second

func newHost(t testing.TB, options ...libp2p.Option) host.Host {
	t.Helper()
	h, err := libp2p.New(append([]libp2p.Option{
		libp2p.ListenAddrStrings("/ip4/127.0.0.1/tcp/0"),
		libp2p.Transport(tcp.NewTCPTransport),
		libp2p.Security(noise.ID, noise.New),
		libp2p.Muxer(yamux.ID, yamux.DefaultTransport),
		libp2p.ResourceManager(&network.NullResourceManager{}),
		libp2p.DisableMetrics(),
		libp2p.DisableRelay(),
	}, options...)...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = h.Close() })
	return h
}

func newRouter(t testing.TB, h host.Host, c Config) *Router {
	t.Helper()
	r, err := New(h, c)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := r.Close(); err != nil {
			t.Error(err)
		}
	})
	return r
}

func connect(t testing.TB, a, b host.Host) {
	t.Helper()
	if err := a.Connect(t.Context(), peer.AddrInfo{ID: b.ID(), Addrs: b.Addrs()}); err != nil {
		t.Fatal(err)
	}
}

// meet connects two routers and waits until gossipsub has a queue for each in the other.
func meet(t testing.TB, a, b *Router) {
	t.Helper()
	connect(t, a.host, b.host)
	eventually(t, "they are peers", func() bool {
		return slices.Contains(a.gossip.ListPeers(""), b.host.ID()) && slices.Contains(b.gossip.ListPeers(""), a.host.ID())
	})
}

// eventually waits until it is so.
func eventually(t testing.TB, what string, is func() bool) {
	t.Helper()
	for deadline := time.Now().Add(patience); !is(); time.Sleep(2 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("not so: %s", what)
		}
	}
}

// record signs a record of a new key.
func record(t testing.TB, key crypto.PrivKey, seq uint64) *ipns.Record {
	t.Helper()
	return routingtest.Sign(t, key, ipns.Fields{Value: "/ipfs/bafkqaaa", Sequence: seq})
}

// listen makes a name hot in a router and waits until another one knows of it.
func listen(t testing.TB, r *Router, name ipns.Name, told ...*Router) {
	t.Helper()
	_, _, done := r.use(name, false)
	done()
	for _, other := range told {
		eventually(t, "the other knows who listens", func() bool {
			return slices.Contains(other.audience.of(name), r.host.ID())
		})
	}
}

// has returns what a router has of a name.
func has(t testing.TB, r *Router, name ipns.Name) *ipns.Record {
	t.Helper()
	rec, err := r.held(t.Context(), name)
	if err != nil {
		t.Fatal(err)
	}
	return rec
}

func hasSequence(t testing.TB, r *Router, name ipns.Name, seq uint64) bool {
	rec := has(t, r, name)
	return rec != nil && rec.Sequence() == seq
}

// put puts a record and returns what became of it.
func put(t testing.TB, r *Router, rec *ipns.Record) (acks []routing.Ack, err error) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	for ack, err := range r.Put(ctx, rec, routing.Look{}) {
		if err != nil {
			return acks, err
		}
		acks = append(acks, ack)
	}
	return acks, nil
}

// mirror is a peer that listens to all topics that others listen to, and keeps what
// comes.
type mirror struct {
	*Router
	seen chan ipns.Name
}

func newMirror(t testing.TB) *mirror {
	m := &mirror{Router: newRouter(t, newHost(t), Config{}), seen: make(chan ipns.Name, 1024)}
	joined := m.audience.joined
	m.audience.joined = func(name ipns.Name, p peer.ID) {
		joined(name, p)
		select {
		case m.seen <- name:
		default:
		}
	}
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		for {
			select {
			case <-ctx.Done():
				return
			case name := <-m.seen:
				_, _, done := m.use(name, false)
				done()
			}
		}
	}()
	t.Cleanup(func() { cancel(); <-ended })
	return m
}

// T-20 … T-30: the contract of all routers, with peers that listen to what this one
// listens to.
func TestPubsubIsARouter(t *testing.T) {
	routingtest.TestRouter(t, func(t *testing.T) routing.Router {
		r := newRouter(t, newHost(t), Config{})
		r.settle = patience
		for range 2 {
			m := newMirror(t)
			connect(t, r.host, m.host)
		}
		eventually(t, "both are peers", func() bool { return len(r.gossip.ListPeers("")) == 2 })
		return r
	})
}

// T-24
func TestARecordReachesAllWhoListen(t *testing.T) {
	a, b, c := newRouter(t, newHost(t), Config{}), newRouter(t, newHost(t), Config{}), newRouter(t, newHost(t), Config{})
	meet(t, a, b)
	meet(t, b, c) // c is reached by b alone
	key := routingtest.NewKey(t)
	rec := record(t, key, 1)
	listen(t, b, rec.Name(), a, c)
	listen(t, c, rec.Name(), b)
	acks, err := put(t, a, rec)
	if err != nil {
		t.Fatal(err)
	}
	if len(acks) != 1 || acks[0].Target != b.host.ID().String() || acks[0].Err != nil {
		t.Fatalf("acks %+v, want one of b", acks)
	}
	eventually(t, "both have it", func() bool { return hasSequence(t, b, rec.Name(), 1) && hasSequence(t, c, rec.Name(), 1) })
}

// T-29: nobody listens, and nothing is proved by that.
func TestNobodyWhoListensIsNoTarget(t *testing.T) {
	r := newRouter(t, newHost(t), Config{})
	rec := record(t, routingtest.NewKey(t), 1)
	if _, err := put(t, r, rec); err != routing.ErrNoTargets {
		t.Errorf("a put to nobody ends with %v", err)
	}
	other := record(t, routingtest.NewKey(t), 1).Name()
	for a, err := range r.Search(t.Context(), other) {
		if err != routing.ErrNoTargets {
			t.Errorf("a search of nobody yields %+v, %v", a, err)
		}
	}
}

// T-25, T-26: latecomers fetch, whichever of both came first.
func TestALatecomerFetches(t *testing.T) {
	a := newRouter(t, newHost(t), Config{})
	rec := record(t, routingtest.NewKey(t), 1)
	_, _ = put(t, a, rec) // nobody listens yet
	b := newRouter(t, newHost(t), Config{})
	listen(t, b, rec.Name())
	meet(t, a, b)
	eventually(t, "it has the record", func() bool { return hasSequence(t, b, rec.Name(), 1) })
}

// T-25: what is fetched and better is published at once.
func TestAFetchedRecordIsPublished(t *testing.T) {
	late, middle, listener := newRouter(t, newHost(t), Config{}), newRouter(t, newHost(t), Config{}), newRouter(t, newHost(t), Config{})
	key := routingtest.NewKey(t)
	name := record(t, key, 1).Name()
	meet(t, middle, listener)
	listen(t, listener, name, middle)
	_, err := put(t, middle, record(t, key, 1))
	if err != nil {
		t.Fatal(err)
	}
	eventually(t, "the first record is there", func() bool { return hasSequence(t, listener, name, 1) })
	_, _ = put(t, late, record(t, key, 2))
	meet(t, late, middle)
	eventually(t, "the newer one, too", func() bool { return hasSequence(t, listener, name, 2) })
}

// A name that is not hot here reaches those who begin to listen.
func TestAColdNameIsPublishedForThoseWhoJoin(t *testing.T) {
	key := routingtest.NewKey(t)
	rec := record(t, key, 5)
	a := newRouter(t, newHost(t), Config{Held: func(_ context.Context, name ipns.Name) (*ipns.Record, error) {
		if name == rec.Name() {
			return rec, nil
		}
		return nil, nil
	}})
	b := newRouter(t, newHost(t), Config{})
	meet(t, a, b)
	eventually(t, "they are peers", func() bool { return len(a.gossip.ListPeers("")) == 1 && len(b.gossip.ListPeers("")) == 1 })
	listen(t, b, rec.Name())
	eventually(t, "it has the record", func() bool { return hasSequence(t, b, rec.Name(), 5) })
	if hot := a.Subscriptions(); len(hot) != 0 {
		t.Errorf("hot names %v, want none", hot)
	}
	eventually(t, "the topic is closed again", func() bool {
		a.handles.mu.Lock()
		defer a.handles.mu.Unlock()
		return len(a.handles.names) == 0
	})
}

// What comes by another road is passed on.
func TestARecordOfAnotherRoadIsPublished(t *testing.T) {
	a, b := newRouter(t, newHost(t), Config{}), newRouter(t, newHost(t), Config{})
	meet(t, a, b)
	rec := record(t, routingtest.NewKey(t), 1)
	listen(t, a, rec.Name())
	listen(t, b, rec.Name(), a)
	a.Changed(rec)
	eventually(t, "it has the record", func() bool { return hasSequence(t, b, rec.Name(), 1) })
}

// The record is with Config.Take before others get it, and one that is not the newest
// goes no further.
func TestWhatIsTakenComesFirst(t *testing.T) {
	var byB, byC taken
	a := newRouter(t, newHost(t), Config{})
	b := newRouter(t, newHost(t), Config{Take: func(_ context.Context, rec *ipns.Record) (bool, error) {
		byB.add(rec.Sequence())
		return rec.Sequence() != 2, nil
	}})
	c := newRouter(t, newHost(t), Config{Take: func(_ context.Context, rec *ipns.Record) (bool, error) {
		byC.add(rec.Sequence())
		return true, nil
	}})
	meet(t, a, b)
	meet(t, b, c)
	key := routingtest.NewKey(t)
	name := record(t, key, 1).Name()
	listen(t, b, name, a, c)
	listen(t, c, name, b)
	for seq := range uint64(3) {
		if _, err := put(t, a, record(t, key, seq+1)); err != nil {
			t.Fatal(err)
		}
		// Messages are verified side by side: an older one is not taken after a newer.
		eventually(t, "it is taken", func() bool { return byB.has(seq + 1) })
	}
	eventually(t, "the last one is there", func() bool { return hasSequence(t, c, name, 3) })
	if byC.has(2) {
		t.Error("a record that is not the newest went on")
	}
}

// taken are the sequences of the records that a Router took.
type taken struct{ m sync.Map }

func (s *taken) add(seq uint64) { s.m.Store(seq, true) }

func (s *taken) has(seq uint64) bool {
	_, ok := s.m.Load(seq)
	return ok
}

func TestWatchersGetWhatComes(t *testing.T) {
	a, b := newRouter(t, newHost(t), Config{}), newRouter(t, newHost(t), Config{})
	meet(t, a, b)
	key := routingtest.NewKey(t)
	name := record(t, key, 1).Name()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	got := make(chan uint64)
	ended := make(chan error, 1)
	go func() {
		for answer, err := range b.Watch(ctx, name) {
			if err != nil {
				ended <- err
				return
			}
			got <- answer.Record.Sequence()
		}
	}()
	eventually(t, "it is watched", func() bool { return slices.Contains(a.audience.of(name), b.host.ID()) })
	if ok, err := b.Cancel(name); ok || err != ErrInUse {
		t.Errorf("cancel of a name that is watched: %v, %v", ok, err)
	}
	for seq := range uint64(3) {
		if _, err := put(t, a, record(t, key, seq+1)); err != nil {
			t.Fatal(err)
		}
		if s := <-got; s != seq+1 {
			t.Fatalf("watched sequence %d, want %d", s, seq+1)
		}
	}
	cancel()
	if err := <-ended; err != context.Canceled {
		t.Errorf("ended with %v", err)
	}
	if ok, err := b.Cancel(name); !ok || err != nil {
		t.Errorf("cancel: %v, %v", ok, err)
	}
	if ok, err := b.Cancel(name); ok || err != nil {
		t.Errorf("second cancel: %v, %v", ok, err)
	}
	eventually(t, "the other knows", func() bool { return a.audience.count(name) == 0 })
}

// T-31: what was hot is hot after a restart, with its record.
func TestARestartListensAgain(t *testing.T) {
	file := filepath.Join(t.TempDir(), "pubsub")
	rec := record(t, routingtest.NewKey(t), 7)
	r, err := New(newHost(t), Config{File: file})
	if err != nil {
		t.Fatal(err)
	}
	_, _ = put(t, r, rec)
	if err := r.Close(); err != nil {
		t.Fatal(err)
	}
	again := newRouter(t, newHost(t), Config{File: file})
	if hot := again.Subscriptions(); !slices.Equal(hot, []ipns.Name{rec.Name()}) {
		t.Errorf("hot after the restart: %v", hot)
	}
	if !hasSequence(t, again, rec.Name(), 7) {
		t.Error("the record is gone")
	}
	// The store knows better: the record is not believed, the name stays hot.
	older := newRouter(t, newHost(t), Config{File: file, Take: func(context.Context, *ipns.Record) (bool, error) { return false, nil }})
	if len(older.Subscriptions()) != 1 || has(t, older, rec.Name()) != nil {
		t.Error("a record below the store's is believed")
	}
}

// Kubo ignores a message whose number is not above the highest that it saw of a peer.
func TestSequenceNumbersGrowThoughTheClockIsSetBack(t *testing.T) {
	file := filepath.Join(t.TempDir(), "pubsub")
	identity, err := crypto.MarshalPrivateKey(routingtest.NewKey(t))
	if err != nil {
		t.Fatal(err)
	}
	key, err := crypto.UnmarshalPrivateKey(identity)
	if err != nil {
		t.Fatal(err)
	}
	other := newHost(t)
	g, err := gossip.NewGossipSub(t.Context(), other, gossip.WithDefaultValidator(gossip.NewBasicSeqnoValidator(&seqnos{}, discard())))
	if err != nil {
		t.Fatal(err)
	}
	owner := routingtest.NewKey(t)
	topic, err := g.Join(record(t, owner, 1).Name().Topic())
	if err != nil {
		t.Fatal(err)
	}
	sub, err := topic.Subscribe()
	if err != nil {
		t.Fatal(err)
	}
	ahead := 24 * time.Hour // the clock of the first run
	for seq := range uint64(3) {
		h := newHost(t, libp2p.Identity(key))
		r, err := New(h, Config{File: file, Now: func() time.Time { return time.Now().Add(ahead) }})
		if err != nil {
			t.Fatal(err)
		}
		rec := routingtest.Sign(t, owner, ipns.Fields{Value: "/ipfs/bafkqaaa", Sequence: seq + 1, EOL: time.Now().Add(72 * time.Hour)})
		connect(t, h, other)
		eventually(t, "the other listens", func() bool { return r.audience.count(rec.Name()) == 1 })
		for round := uint64(0); ; round++ { // until its stream to the other is there
			acks, err := put(t, r, rec)
			if err != nil {
				t.Fatal(err)
			}
			if acks[0].Err == nil {
				break
			}
		}
		ctx, cancel := context.WithTimeout(t.Context(), patience)
		msg, err := sub.Next(ctx)
		cancel()
		if err != nil {
			t.Fatalf("run %d: %v", seq, err)
		}
		if !slices.Equal(msg.Data, rec.Raw()) {
			t.Fatalf("run %d: another record came", seq)
		}
		if err := r.Close(); err != nil {
			t.Fatal(err)
		}
		if err := h.Close(); err != nil {
			t.Fatal(err)
		}
		ahead = 0
	}
}
