package pubsub

import (
	"context"
	"errors"
	"iter"
	"slices"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/ipfs/go-cid"
	gossip "github.com/libp2p/go-libp2p-pubsub"
	pb "github.com/libp2p/go-libp2p-pubsub/pb"
	"github.com/libp2p/go-libp2p/core/peer"
	"google.golang.org/protobuf/proto"

	"github.com/goipns/ipns"
	"github.com/goipns/ipns/routing"
	"github.com/goipns/ipns/routing/routingtest"
)

// Two who do not know each other meet as providers of the topic's CID, as Kubo does.
func TestPeersOfATopicFindEachOther(t *testing.T) {
	rec := record(t, routingtest.NewKey(t), 1)
	var provided atomic.Pointer[cid.Cid]
	host := newHost(t)
	a := newRouter(t, host, Config{Provide: func(_ context.Context, c cid.Cid) error {
		provided.Store(&c)
		return nil
	}})
	b := newRouter(t, newHost(t), Config{Find: func(_ context.Context, c cid.Cid, _ int) iter.Seq[peer.AddrInfo] {
		return func(yield func(peer.AddrInfo) bool) {
			if p := provided.Load(); p != nil && *p == c {
				_ = yield(peer.AddrInfo{ID: host.ID(), Addrs: host.Addrs()})
			}
		}
	}})
	_, _ = put(t, a, rec)
	eventually(t, "the topic is provided", func() bool { return provided.Load() != nil })
	if codec := provided.Load().Prefix(); codec.Codec != cid.Raw || codec.Version != 1 {
		t.Errorf("provided is %v", provided.Load())
	}
	listen(t, b, rec.Name())
	eventually(t, "the record is there", func() bool { return hasSequence(t, b, rec.Name(), 1) })
}

// Looking for peers that are not there is done later and later, and starts anew when the
// name is published. Providing is tried again after a failure, and every provideEvery.
func TestLookingForPeersBacksOff(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		name := fakeNames(1)[0]
		var looks, tells []time.Duration
		begin := time.Now()
		fails := 2
		r := &Router{
			c: Config{
				Now: time.Now,
				Find: func(context.Context, cid.Cid, int) iter.Seq[peer.AddrInfo] {
					looks = append(looks, time.Since(begin))
					return func(func(peer.AddrInfo) bool) {}
				},
				Provide: func(context.Context, cid.Cid) error {
					tells = append(tells, time.Since(begin))
					if fails--; fails >= 0 {
						return errors.New("no servers")
					}
					return nil
				},
			},
			audience: newAudience(connectedNetwork{}, time.Now),
			finds:    make(chan struct{}, findsAtOnce), tells: make(chan struct{}, provideAtOnce),
			topics: map[ipns.Name]*topic{name: {name: name}},
			ctx:    t.Context(),
		}
		for time.Since(begin) < 25*time.Hour {
			r.discover(time.Now())
			synctest.Wait()
			time.Sleep(tick)
		}
		// 10, 20, 40 … s, then six hours, each up to a quarter later.
		if len(looks) < 12 || len(looks) > 16 {
			t.Errorf("%d looks in 25 hours: %v", len(looks), looks)
		}
		if looks[0] != 0 || looks[1] < firstLook || looks[2]-looks[1] < 2*firstLook {
			t.Errorf("looked after %v", looks[:3])
		}
		if last := len(looks) - 1; looks[last]-looks[last-1] < slowestLook {
			t.Errorf("the last looks are after %v", looks[last-1:])
		}
		if len(tells) != 5 || tells[2] > time.Minute || tells[4]-tells[3] < provideEvery {
			t.Errorf("told after %v", tells)
		}
		before := len(looks)
		r.lookSoon(r.topics[name])
		r.discover(time.Now())
		synctest.Wait()
		if len(looks) != before+1 {
			t.Error("a publish does not look for peers")
		}
		r.running.Wait()
	})
}

// A name is cold again when it was not used for HotFor.
func TestNamesCoolDown(t *testing.T) {
	clock := newClock()
	r := newRouter(t, newHost(t), Config{Now: clock.now})
	names := fakeNames(2)
	listen(t, r, names[0])
	clock.add(HotFor / 2)
	listen(t, r, names[1])
	clock.add(HotFor/2 + time.Second)
	eventually(t, "the first is cold", func() bool { return slices.Equal(r.Subscriptions(), names[1:]) })
	clock.add(HotFor)
	eventually(t, "the second, too", func() bool { return len(r.Subscriptions()) == 0 })
}

// The packet that says what a node listens to is one that peers take, even if all names
// have the longest topics.
func TestAllSubscriptionsFitIntoOnePacket(t *testing.T) {
	longest := record(t, routingtest.NewKey(t), 1).Name() // of an Ed25519 key
	key, err := ipns.GenerateKey(ipns.Secp256k1, 0)
	if err != nil {
		t.Fatal(err)
	}
	if name := record(t, key, 1).Name(); len(name.Topic()) > len(longest.Topic()) {
		longest = name
	}
	hello := &pb.RPC{}
	for range MaxSubscriptions {
		hello.Subscriptions = append(hello.Subscriptions, &pb.RPC_SubOpts{
			Subscribe: proto.Bool(true), Topicid: proto.String(longest.Topic()),
			RequestsPartial: proto.Bool(false), SupportsSendingPartial: proto.Bool(false),
		})
	}
	if size := proto.Size(hello); size > gossip.DefaultMaxControlMessageSize-4096 {
		t.Errorf("it has %d bytes", size)
	}
}

// As many names as may be are hot, a peer learns of all, and one more takes the place of
// the one used least lately.
func TestTheNameUsedLeastLatelyMakesRoom(t *testing.T) {
	if testing.Short() {
		t.Skip("6,000 subscriptions take seconds")
	}
	clock := newClock()
	a, b := newRouter(t, newHost(t), Config{Now: clock.now}), newRouter(t, newHost(t), Config{})
	names := fakeNames(MaxSubscriptions + 1)
	for _, name := range names[:MaxSubscriptions] {
		listen(t, a, name)
		clock.add(time.Millisecond)
	}
	listen(t, a, names[0]) // used again
	_, _, done := a.use(names[1], false)
	defer done() // just now
	meet(t, a, b)
	eventually(t, "the other knows all", func() bool { return b.Stats().Topics == MaxSubscriptions })
	_, _, put := a.use(names[3], true)
	put()
	for _, name := range []ipns.Name{names[2], names[3]} { // the one that was put stays
		setUsed(a, name, time.Time{})
	}
	listen(t, a, names[MaxSubscriptions])
	hot := a.Subscriptions()
	if len(hot) != MaxSubscriptions || slices.Contains(hot, names[2]) || !slices.Contains(hot, names[0]) || !slices.Contains(hot, names[3]) || !slices.Contains(hot, names[1]) {
		t.Errorf("%d names are hot", len(hot))
	}
	eventually(t, "the other knows that, too", func() bool { return b.audience.count(names[2]) == 0 && b.audience.count(names[MaxSubscriptions]) == 1 })
}

func setUsed(r *Router, name ipns.Name, at time.Time) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.topics[name].used = at
}

// A record that is put again goes to those who listen, and makes no name hot.
func TestWhatIsPutAgainMakesNoNameHot(t *testing.T) {
	a, b := newRouter(t, newHost(t), Config{}), newRouter(t, newHost(t), Config{})
	meet(t, a, b)
	rec := record(t, routingtest.NewKey(t), 1)
	again := func() (acks int) {
		t.Helper()
		for ack, err := range a.Put(t.Context(), rec, routing.Look{Again: true}) {
			if err != nil && !errors.Is(err, routing.ErrNoTargets) {
				t.Fatal(err)
			}
			if err == nil && ack.Err == nil {
				acks++
			}
		}
		for _, err := range a.Sweep(t.Context(), routing.Region{}, slices.Values([]*ipns.Record{rec})) {
			if err != nil && !errors.Is(err, routing.ErrNoTargets) {
				t.Fatal(err)
			}
		}
		return acks
	}
	if acks := again(); acks != 0 {
		t.Errorf("%d acks, and nobody listens", acks)
	}
	listen(t, b, rec.Name(), a)
	eventually(t, "who listens gets it", func() bool { return again() == 1 && hasSequence(t, b, rec.Name(), 1) })
	if hot := a.Subscriptions(); len(hot) != 0 {
		t.Errorf("hot names: %v", hot)
	}
}
