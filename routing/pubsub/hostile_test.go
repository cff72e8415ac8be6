package pubsub

import (
	"bytes"
	"context"
	"encoding/base64"
	"fmt"
	"io"
	"slices"
	"testing"
	"time"

	gossip "github.com/libp2p/go-libp2p-pubsub"
	pb "github.com/libp2p/go-libp2p-pubsub/pb"
	"github.com/libp2p/go-libp2p/core/crypto"
	"github.com/libp2p/go-libp2p/core/host"
	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/libp2p/go-msgio/pbio"
	"google.golang.org/protobuf/proto"

	"github.com/goipns/ipns"
	"github.com/goipns/ipns/routing/routingtest"
)

// stranger is a peer that says to a Router what it likes.
type stranger struct {
	host.Host
	out pbio.WriteCloser
	seq uint64
	key crypto.PrivKey
}

func newStranger(t testing.TB, r *Router) *stranger {
	t.Helper()
	h := newHost(t)
	// Whoever has no such protocol gets no stream from the Router.
	h.SetStreamHandler(gossip.GossipSubID_v11, func(s network.Stream) { _, _ = io.Copy(io.Discard, s) })
	connect(t, h, r.host)
	s, err := h.NewStream(t.Context(), r.host.ID(), gossip.GossipSubID_v11)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.Reset() })
	return &stranger{Host: h, out: pbio.NewDelimitedWriter(s), key: h.Peerstore().PrivKey(h.ID())}
}

func (s *stranger) say(t testing.TB, rpc *pb.RPC) {
	t.Helper()
	if err := s.out.WriteMsg(rpc); err != nil {
		t.Fatal(err)
	}
}

// subscribes says that the stranger listens to topics.
func (s *stranger) subscribes(t testing.TB, topics ...string) {
	t.Helper()
	rpc := &pb.RPC{}
	for _, topic := range topics {
		rpc.Subscriptions = append(rpc.Subscriptions, &pb.RPC_SubOpts{Subscribe: proto.Bool(true), Topicid: proto.String(topic)})
	}
	s.say(t, rpc)
}

// publishes sends signed messages.
func (s *stranger) publishes(t testing.TB, topic string, data ...[]byte) {
	t.Helper()
	rpc := &pb.RPC{}
	for _, d := range data {
		s.seq++
		m := &pb.Message{From: []byte(s.ID()), Data: d, Seqno: fmt.Appendf(nil, "%08d", s.seq), Topic: proto.String(topic)}
		unsigned, err := proto.Marshal(m)
		if err != nil {
			t.Fatal(err)
		}
		if m.Signature, err = s.key.Sign(append([]byte(gossip.SignPrefix), unsigned...)); err != nil {
			t.Fatal(err)
		}
		rpc.Publish = append(rpc.Publish, m)
	}
	s.say(t, rpc)
}

// T-23
func TestMessagesAreJudged(t *testing.T) {
	r := newRouter(t, newHost(t), Config{})
	s := newStranger(t, r)
	key := routingtest.NewKey(t)
	now := time.Now()
	sign := func(seq uint64, eol time.Time) []byte {
		return routingtest.Sign(t, key, ipns.Fields{Value: "/ipfs/bafkqaaa", Sequence: seq, EOL: eol}).Raw()
	}
	good := sign(2, now.Add(time.Hour))
	name := record(t, key, 1).Name()
	listen(t, r, name)
	expect := func(what string, want Stats) {
		t.Helper()
		eventually(t, what, func() bool {
			got := r.Stats()
			return got.Taken == want.Taken && got.Repeated == want.Repeated && got.Late == want.Late && got.Invalid == want.Invalid
		})
	}
	s.publishes(t, name.Topic(), good)
	expect("a better record is taken", Stats{Taken: 1})
	s.publishes(t, name.Topic(), good)
	expect("the same is not", Stats{Taken: 1, Repeated: 1})
	s.publishes(t, name.Topic(), sign(1, now.Add(time.Hour)))
	expect("an older one is not", Stats{Taken: 1, Repeated: 2})
	s.publishes(t, name.Topic(), sign(3, now.Add(-time.Minute)))
	expect("one that has just ended is ignored", Stats{Taken: 1, Repeated: 2, Late: 1})
	s.publishes(t, name.Topic(), sign(4, now.Add(-2*time.Hour)))
	expect("one that ended long ago is not excused", Stats{Taken: 1, Repeated: 2, Late: 1, Invalid: 1})
	s.publishes(t, name.Topic(), []byte("junk"), record(t, routingtest.NewKey(t), 9).Raw(), nil)
	expect("nor is junk, or another's record", Stats{Taken: 1, Repeated: 2, Late: 1, Invalid: 4})
	s.publishes(t, name.Topic(), bytes.Repeat([]byte{1}, 64<<10))
	expect("nor 64 KiB", Stats{Taken: 1, Repeated: 2, Late: 1, Invalid: 5})
	if !hasSequence(t, r, name, 2) {
		t.Errorf("what is left is %v", has(t, r, name))
	}
}

// A peer that sends junk is not heard any more, for a time.
func TestAPeerThatSendsJunkIsNotHeard(t *testing.T) {
	clock := newClock()
	r := newRouter(t, newHost(t), Config{Now: clock.now})
	s := newStranger(t, r)
	key := routingtest.NewKey(t)
	name := record(t, key, 1).Name()
	listen(t, r, name)
	for range 10 * maxStrikes {
		s.publishes(t, name.Topic(), []byte("junk"))
	}
	eventually(t, "it is banned", func() bool { return r.audience.Contains(s.ID()) })
	s.publishes(t, name.Topic(), record(t, key, 1).Raw())
	other := newStranger(t, r)
	other.publishes(t, name.Topic(), record(t, key, 2).Raw())
	eventually(t, "others are heard", func() bool { return hasSequence(t, r, name, 2) })
	if stats := r.Stats(); stats.Taken != 1 {
		t.Errorf("%+v: a banned peer is heard", stats)
	}
	clock.add(banTime)
	eventually(t, "it is heard again", func() bool {
		s.publishes(t, name.Topic(), record(t, key, 3).Raw())
		return hasSequence(t, r, name, 3)
	})
}

// names makes names that have no keys.
func fakeNames(n int) []ipns.Name {
	list := make([]ipns.Name, n)
	for i := range list {
		b := append([]byte{0x12, 0x20}, fmt.Appendf(nil, "%032d", i)...)
		name, err := ipns.NameFromBinary(b)
		if err != nil {
			panic(err)
		}
		list[i] = name
	}
	return list
}

// An endless stream of topics: what is counted is bounded, and gone with the peer.
func TestTopicsWithoutEndAreNotKept(t *testing.T) {
	r := newRouter(t, newHost(t), Config{})
	s := newStranger(t, r)
	topics := []string{"chat", "/record/", "/record/" + base64.RawURLEncoding.EncodeToString([]byte("/pk/x")), "/record/***", string(make([]byte, 4096))}
	s.subscribes(t, topics...)
	eventually(t, "topics of no name are refused", func() bool { return r.Stats().TooMany == uint64(len(topics)) })
	all := fakeNames(MaxTopicsPerPeer + 5000)
	for part := range slices.Chunk(all, 5000) {
		topics := make([]string, len(part))
		for i, name := range part {
			topics[i] = name.Topic()
		}
		s.subscribes(t, topics...)
	}
	eventually(t, "the rest is refused", func() bool { return r.Stats().TooMany == uint64(5+5000) })
	if stats := r.Stats(); stats.Topics != MaxTopicsPerPeer || stats.Peers != 1 {
		t.Errorf("%+v, want %d topics", stats, MaxTopicsPerPeer)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	eventually(t, "all is gone with the peer", func() bool { s := r.Stats(); return s.Topics == 0 && s.Peers == 0 })
}

// A peer to which no stream can be opened is forgotten, too: gossipsub does not tell of
// its end.
func TestAPeerWithoutAStreamIsForgotten(t *testing.T) {
	r := newRouter(t, newHost(t), Config{})
	h := newHost(t)
	connect(t, h, r.host)
	stream, err := h.NewStream(t.Context(), r.host.ID(), gossip.GossipSubID_v11)
	if err != nil {
		t.Fatal(err)
	}
	s := &stranger{Host: h, out: pbio.NewDelimitedWriter(stream)}
	s.subscribes(t, fakeNames(1)[0].Topic())
	eventually(t, "it is known", func() bool { return r.Stats().Topics == 1 })
	if err := h.Close(); err != nil {
		t.Fatal(err)
	}
	eventually(t, "it is forgotten", func() bool { s := r.Stats(); return s.Topics == 0 && s.Peers == 0 })
}

// The bounds of all peers together, and who still has room.
func TestManyPeersShareTheTopics(t *testing.T) {
	net := connectedNetwork{}
	a := newAudience(net, time.Now)
	hot := fakeNames(MaxTopics + 1)[MaxTopics]
	joined := 0
	a.hot = func(name ipns.Name) bool { return name == hot }
	a.joined = func(ipns.Name, peer.ID) { joined++ }
	a.refused = func() {}
	names := fakeNames(MaxTopics)
	subscribe := func(p string, names ...ipns.Name) (kept int) {
		subs := make([]*pb.RPC_SubOpts, len(names))
		for i, name := range names {
			subs[i] = &pb.RPC_SubOpts{Subscribe: proto.Bool(true), Topicid: proto.String(name.Topic())}
		}
		left, err := a.FilterIncomingSubscriptions(peer.ID(p), subs)
		if err != nil {
			t.Fatal(err)
		}
		return len(left)
	}
	next := 0
	take := func(n int) []ipns.Name { next += n; return names[next-n : next] }
	for i := range 4 { // these have more than half of all
		subscribe(fmt.Sprint("greedy ", i), take(MaxTopicsPerPeer)...)
	}
	topics, _ := a.size()
	if want := MaxTopics / 2; topics != want {
		t.Errorf("%d topics of four peers, want %d", topics, want)
	}
	for i := range MaxTopics / 2 / fewTopics {
		if kept := subscribe(fmt.Sprint("modest ", i), names[len(names)-(i+1)*fewTopics:len(names)-i*fewTopics]...); kept != fewTopics {
			t.Fatalf("peer %d gets %d topics", i, kept)
		}
	}
	if topics, _ := a.size(); topics != MaxTopics {
		t.Errorf("%d topics", topics)
	}
	if kept := subscribe("late", fakeNames(MaxTopics + 2)[MaxTopics+1]); kept != 0 {
		t.Error("there is room beyond the limit")
	}
	if kept := subscribe("late", hot); kept != 1 {
		t.Error("a hot name has no room")
	}
	for i := range MaxPeersPerTopic + 1 {
		kept := subscribe(fmt.Sprint("fan ", i), hot)
		if want := i < MaxPeersPerTopic-1; (kept == 1) != want {
			t.Fatalf("fan %d: %d", i, kept)
		}
	}
	for i := range 3 * maxBanned {
		a.Add(peer.ID(fmt.Sprint(i)))
	}
	if len(a.banned) != maxBanned || !a.Contains(peer.ID(fmt.Sprint(3*maxBanned-1))) {
		t.Errorf("%d are banned", len(a.banned))
	}
}

// connectedNetwork is a network on which everybody is connected.
type connectedNetwork struct{ network.Network }

func (connectedNetwork) Connectedness(peer.ID) network.Connectedness { return network.Connected }
func (connectedNetwork) Notify(network.Notifiee)                     {}

// Whoever begins to listen again and again causes no more work than joinRate.
func TestJoiningAgainAndAgainIsBounded(t *testing.T) {
	clock := newClock()
	a := newAudience(connectedNetwork{}, clock.now)
	joined := 0
	a.joined = func(ipns.Name, peer.ID) { joined++ }
	a.refused, a.hot = func() {}, func(ipns.Name) bool { return false }
	name := fakeNames(1)[0]
	toggle := func(n int) {
		for range n {
			for _, on := range []bool{true, false} {
				_, _ = a.FilterIncomingSubscriptions("p", []*pb.RPC_SubOpts{{Subscribe: proto.Bool(on), Topicid: proto.String(name.Topic())}})
			}
		}
	}
	toggle(2 * joinBurst)
	if joined > joinBurst {
		t.Errorf("%d joins are told of", joined)
	}
	// A peer that no longer listens to anything is known until it goes.
	before := joined
	clock.add(10 * time.Second)
	toggle(joinBurst)
	if joined -= before; joined < 9*joinRate || joined > 11*joinRate {
		t.Errorf("%d joins are told of in 10 seconds", joined)
	}
}

// T-26, T-27
func TestFetchesAreAnsweredWithRecordsAlone(t *testing.T) {
	r := newRouter(t, newHost(t), Config{})
	rec := record(t, routingtest.NewKey(t), 1)
	_, _ = put(t, r, rec)
	ended := routingtest.Sign(t, routingtest.NewKey(t), ipns.Fields{Value: "/ipfs/bafkqaaa", EOL: time.Now().Add(-time.Minute)})
	listen(t, r, ended.Name())
	r.mu.Lock()
	r.topics[ended.Name()].rec = ended
	r.mu.Unlock()
	h := newHost(t)
	connect(t, h, r.host)
	ask := func(request []byte) ([]byte, error) {
		s, err := h.NewStream(t.Context(), r.host.ID(), FetchProtocol)
		if err != nil {
			t.Fatal(err)
		}
		defer func() { _ = s.Reset() }()
		_ = s.SetDeadline(time.Now().Add(patience))
		if _, err := s.Write(request); err != nil {
			t.Fatal(err)
		}
		_ = s.CloseWrite()
		return io.ReadAll(s)
	}
	answer, err := ask(appendRequest(nil, rec.Name().RoutingKey()))
	if want := appendAnswer(nil, rec.Raw()); err != nil || !bytes.Equal(answer, want) {
		t.Errorf("the record: %x, %v", answer, err)
	}
	for what, key := range map[string][]byte{
		"unknown name": fakeNames(1)[0].RoutingKey(),
		"ended record": ended.Name().RoutingKey(),
		"foreign key":  []byte("/pk/" + string(r.host.ID())),
		"binary name":  rec.Name().Binary(),
		"nothing":      {},
	} {
		if answer, err := ask(appendRequest(nil, key)); err != nil || !bytes.Equal(answer, []byte{2, 8, 1}) {
			t.Errorf("%s: %x, %v", what, answer, err)
		}
	}
	for what, request := range map[string][]byte{
		"no message":  {0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff},
		"a field cut": {2, 10, 40},
		"too long":    appendRequest(nil, make([]byte, maxFetchRequest)),
		"a number":    {2, 8, 1},
	} {
		if answer, err := ask(request); err == nil {
			t.Errorf("%s: answered with %x", what, answer)
		}
	}
	if s := r.Stats(); s.Served != 1 || s.Missed != 5 || s.Refused != 4 {
		t.Errorf("%+v", s)
	}
	// Silent ones: no more than so many, and none after their time.
	var silent []network.Stream
	for range maxServingPeer + 4 {
		s, err := h.NewStream(t.Context(), r.host.ID(), FetchProtocol)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := s.Write([]byte{40}); err != nil {
			t.Fatal(err)
		}
		silent = append(silent, s)
	}
	eventually(t, "those beyond the limit are refused", func() bool { return r.Stats().Refused == 8 })
	for _, s := range silent {
		_ = s.Reset()
	}
	eventually(t, "none is left", func() bool {
		r.serving.mu.Lock()
		defer r.serving.mu.Unlock()
		return r.serving.all == 0 && len(r.serving.peers) == 0
	})
}

// A peer that never answers a fetch delays a search, and does not make it fail.
func TestASilentPeerProvesNothing(t *testing.T) {
	r := newRouter(t, newHost(t), Config{})
	s := newStranger(t, r)
	s.SetStreamHandler(FetchProtocol, func(s network.Stream) { _, _ = io.Copy(io.Discard, s); _ = s.Reset() })
	lying := newStranger(t, r)
	name := fakeNames(1)[0]
	lying.SetStreamHandler(FetchProtocol, func(s network.Stream) {
		_, _ = io.ReadAll(s)
		_, _ = s.Write(appendAnswer(nil, []byte("not a record")))
		_ = s.Close()
	})
	for _, p := range []*stranger{s, lying} {
		p.subscribes(t, name.Topic())
	}
	eventually(t, "both listen", func() bool { return r.audience.count(name) == 2 })
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	for a, err := range r.Search(ctx, name) {
		if err == nil || ctx.Err() != nil {
			t.Errorf("%+v, %v", a, err)
		}
	}
}

func FuzzParseTopic(f *testing.F) {
	f.Add(fakeNames(1)[0].Topic())
	f.Add("/record/L2lwbnMv")
	f.Add("/record/\n")
	f.Fuzz(func(t *testing.T, topic string) {
		if name, ok := parseTopic(topic); ok && name.Topic() != topic {
			t.Errorf("%q is taken for the topic of %s", topic, name)
		}
	})
}

func FuzzParseRequest(f *testing.F) {
	f.Add(appendRequest(nil, []byte("/ipns/x"))[1:])
	f.Add([]byte{8, 1})
	f.Fuzz(func(t *testing.T, b []byte) {
		if identifier, err := parseRequest(b); err == nil && len(identifier) > len(b) {
			t.Errorf("%x: %x", b, identifier)
		}
	})
}

func FuzzParseAnswer(f *testing.F) {
	f.Add(appendAnswer(nil, []byte("record"))[1:])
	f.Add(appendAnswer(nil, nil)[1:])
	f.Fuzz(func(t *testing.T, b []byte) {
		if data, err := parseAnswer(b); err == nil && len(data) > len(b) {
			t.Errorf("%x: %x", b, data)
		}
	})
}

func FuzzReadMessage(f *testing.F) {
	f.Add(appendRequest(nil, []byte("/ipns/x")))
	f.Add([]byte{0xff, 0xff, 0xff, 0xff, 0x7f})
	f.Fuzz(func(t *testing.T, b []byte) {
		if m, err := readMessage(bytes.NewReader(b), 64); err == nil && len(m) > 64 {
			t.Errorf("%x: %d bytes", b, len(m))
		}
	})
}

func FuzzParseSaved(f *testing.F) {
	f.Add([]byte(`{"Sequence":1,"Names":[{"Name":"k51qzi5uqu5dkna9kqbg1ratyu45c9vua5aucc3y3i8r9duuhqfwjsfjv2d7u0","Used":"2026-11-28T00:00:00Z","Record":"AA=="}]}`))
	f.Fuzz(func(t *testing.T, b []byte) {
		if s, err := parseSaved(b); err == nil && len(s.Names) > MaxSubscriptions {
			t.Errorf("%d names", len(s.Names))
		}
	})
}
