package pubsub

import (
	"slices"
	"sync"
	"time"

	gossip "github.com/libp2p/go-libp2p-pubsub"
	pb "github.com/libp2p/go-libp2p-pubsub/pb"
	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/peer"

	"github.com/goipns/ipns"
)

// audience knows who listens to which topics, within bounds: what it does not count,
// gossipsub does not learn of. It is gossipsub's filter of subscriptions and its list of
// banned peers.
//
// A peer is forgotten when its last connection ends.
type audience struct {
	net      network.Network
	hot      func(ipns.Name) bool     // its topic is always counted; must not block
	joined   func(ipns.Name, peer.ID) // a peer begins to listen; must not block
	refused  func()                   // a subscription is not counted
	now      func() time.Time
	notifiee *network.NotifyBundle

	mu     sync.Mutex
	peers  map[peer.ID]*listener
	topics map[ipns.Name]map[peer.ID]struct{} // at most MaxTopics that are not hot
	banned map[peer.ID]time.Time              // until when; at most maxBanned
}

// listener is one peer that listens to topics.
type listener struct {
	names   map[ipns.Name]struct{}
	strikes int
	joins   float64 // how many more it may begin to listen to
	at      time.Time
}

var _ gossip.SubscriptionFilter = (*audience)(nil)

func newAudience(net network.Network, now func() time.Time) *audience {
	a := &audience{
		net: net, now: now,
		peers:  map[peer.ID]*listener{},
		topics: map[ipns.Name]map[peer.ID]struct{}{},
		banned: map[peer.ID]time.Time{},
	}
	a.notifiee = &network.NotifyBundle{DisconnectedF: func(_ network.Network, c network.Conn) { a.left(c.RemotePeer()) }}
	net.Notify(a.notifiee)
	return a
}

func (a *audience) close() { a.net.StopNotify(a.notifiee) }

// CanSubscribe implements gossip.SubscriptionFilter.
func (a *audience) CanSubscribe(topic string) bool {
	_, ok := parseTopic(topic)
	return ok
}

// FilterIncomingSubscriptions implements gossip.SubscriptionFilter.
func (a *audience) FilterIncomingSubscriptions(from peer.ID, subs []*pb.RPC_SubOpts) ([]*pb.RPC_SubOpts, error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	kept := make([]*pb.RPC_SubOpts, 0, len(subs))
	for _, sub := range subs {
		name, ok := parseTopic(sub.GetTopicid())
		switch {
		case !ok:
			a.refused()
		case !sub.GetSubscribe():
			a.drop(from, name)
			kept = append(kept, sub)
		case a.add(from, name):
			kept = append(kept, sub)
		default:
			a.refused()
		}
	}
	return kept, nil
}

// add notes that a peer listens to the topic of a name. Call with mu held.
func (a *audience) add(p peer.ID, name ipns.Name) bool {
	l := a.peers[p]
	if l == nil {
		// Its end would not be told again.
		if a.net.Connectedness(p) == network.NotConnected {
			return false
		}
		l = &listener{names: map[ipns.Name]struct{}{}, joins: joinBurst, at: a.now()}
		a.peers[p] = l
	}
	if _, ok := l.names[name]; ok {
		return true
	}
	peers := a.topics[name]
	switch {
	case len(peers) >= MaxPeersPerTopic, len(l.names) >= MaxTopicsPerPeer:
		return false
	case peers == nil:
		room := MaxTopics
		if len(l.names) >= fewTopics {
			room /= 2
		}
		if len(a.topics) >= room && !a.hot(name) {
			return false
		}
		peers = map[peer.ID]struct{}{}
		a.topics[name] = peers
	}
	peers[p] = struct{}{}
	l.names[name] = struct{}{}
	now := a.now()
	l.joins = min(joinBurst, l.joins+joinRate*now.Sub(l.at).Seconds())
	l.at = now
	if l.joins >= 1 {
		l.joins--
		a.joined(name, p)
	}
	return true
}

// drop notes that a peer does not listen to a topic any more. Call with mu held.
func (a *audience) drop(p peer.ID, name ipns.Name) {
	if l := a.peers[p]; l != nil {
		delete(l.names, name)
	}
	peers := a.topics[name]
	delete(peers, p)
	if len(peers) == 0 {
		delete(a.topics, name)
	}
}

// left forgets a peer that is not connected any more.
func (a *audience) left(p peer.ID) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.net.Connectedness(p) != network.NotConnected {
		return
	}
	if l := a.peers[p]; l != nil {
		for name := range l.names {
			a.drop(p, name)
		}
	}
	delete(a.peers, p)
}

// of returns the peers that listen to the topic of a name.
func (a *audience) of(name ipns.Name) []peer.ID {
	a.mu.Lock()
	defer a.mu.Unlock()
	peers := make([]peer.ID, 0, len(a.topics[name]))
	for p := range a.topics[name] {
		peers = append(peers, p)
	}
	slices.Sort(peers)
	return peers
}

// count returns how many peers listen to the topic of a name.
func (a *audience) count(name ipns.Name) int {
	a.mu.Lock()
	defer a.mu.Unlock()
	return len(a.topics[name])
}

// size returns how many topics and peers are known.
func (a *audience) size() (topics, peers int) {
	a.mu.Lock()
	defer a.mu.Unlock()
	return len(a.topics), len(a.peers)
}

// strike counts a message that is no record against the peer that sent it.
func (a *audience) strike(p peer.ID) {
	a.mu.Lock()
	defer a.mu.Unlock()
	l := a.peers[p]
	if l == nil {
		if a.net.Connectedness(p) == network.NotConnected {
			return
		}
		l = &listener{names: map[ipns.Name]struct{}{}, joins: joinBurst, at: a.now()}
		a.peers[p] = l
	}
	if l.strikes++; l.strikes >= maxStrikes {
		l.strikes = 0
		a.ban(p)
	}
}

// ban bans a peer for a time. Of too many, the one whose time ends first is let in
// again. Call with mu held.
func (a *audience) ban(p peer.ID) {
	now := a.now()
	if len(a.banned) >= maxBanned {
		var first peer.ID
		for p, until := range a.banned {
			if !now.Before(until) {
				delete(a.banned, p)
			} else if first == "" || until.Before(a.banned[first]) {
				first = p
			}
		}
		if len(a.banned) >= maxBanned {
			delete(a.banned, first)
		}
	}
	a.banned[p] = now.Add(banTime)
}

// Add implements gossip.Blacklist.
func (a *audience) Add(p peer.ID) bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.ban(p)
	return true
}

// Contains implements gossip.Blacklist.
func (a *audience) Contains(p peer.ID) bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	until, ok := a.banned[p]
	if ok && !a.now().Before(until) {
		delete(a.banned, p)
		ok = false
	}
	return ok
}
