package dht

import (
	"container/heap"
	"encoding/binary"
	"hash/maphash"
	"sync"

	"github.com/libp2p/go-libp2p/core/peer"

	"github.com/goipns/ipns/internal/keyspace"
)

// A Limit bounds how much of one kind this node's server keeps for other peers.
type Limit struct {
	Count int   // how many
	Bytes int64 // with keys, and with keptOverhead for each
}

// Default limits. In a network of 10,000 servers, each keeps one name in 500, so
// this is enough for 20 million names.
var (
	DefaultValueLimit    = Limit{Count: 40_000, Bytes: 32 << 20}
	DefaultProviderLimit = Limit{Count: 65_536, Bytes: 32 << 20}
)

// or returns the limit with unset fields taken from other.
func (l Limit) or(other Limit) Limit {
	if l.Count <= 0 {
		l.Count = other.Count
	}
	if l.Bytes <= 0 {
		l.Bytes = other.Bytes
	}
	return l
}

const (
	// keptOverhead is added to the size of each item for its index entry and the
	// overhead of the database.
	keptOverhead = 256

	// peerPart sets the fair part of one peer once more than half of the limit is in
	// use: 1/peerPart of the limit. That is too small for one peer to take the other
	// half, and large enough for the names of a hosting provider.
	peerPart = 32
)

// A budget decides which items put by other peers are kept. Items that this node puts
// itself have a share of their own, of the same size, which other peers cannot use.
//
// Up to half of the limit, everything is kept. Above that, a peer with more than its
// fair part makes room for new items by losing old ones of its own, the farthest from
// this node's id first. At the limit, the farthest item of all is dropped; a new item
// that is itself the farthest is refused. So a flood by one peer leaves half of the
// limit to others, and a flood by many leaves the items closest to this node.
//
// A budget stores keys and sizes, not values. All methods are safe for concurrent use.
type budget struct {
	self  keyspace.Key
	limit Limit
	kad   func(key string) keyspace.Key // Kademlia id of a key

	mu          sync.Mutex
	byKey       map[string]*kept
	theirs, our share
	peers       map[uint64]*share // theirs, by peer
}

func newBudget(self peer.ID, limit Limit, kad func(string) keyspace.Key) *budget {
	return &budget{
		self: keyspace.KeyOf([]byte(self)), limit: limit, kad: kad,
		byKey: make(map[string]*kept), peers: make(map[uint64]*share),
	}
}

// kept is one item in a budget.
type kept struct {
	key  string
	dist uint64 // distance from this node
	size int64
	own  bool
	peer uint64 // hash of the peer that put it, if not this node; 0: unknown
	at   [2]int // its indexes in the two shares that contain it
}

// A share is a subset of the items: a heap, farthest first.
type share struct {
	items []*kept
	place int // index into kept.at for this share
	bytes int64
}

func (s *share) Len() int           { return len(s.items) }
func (s *share) Less(i, j int) bool { return s.items[i].dist > s.items[j].dist }

func (s *share) Swap(i, j int) {
	s.items[i], s.items[j] = s.items[j], s.items[i]
	s.items[i].at[s.place], s.items[j].at[s.place] = i, j
}

func (s *share) Push(x any) {
	k := x.(*kept)
	k.at[s.place] = len(s.items)
	s.items = append(s.items, k)
	s.bytes += k.size
}

func (s *share) Pop() any {
	last := len(s.items) - 1
	k := s.items[last]
	s.items[last] = nil
	s.items = s.items[:last]
	s.bytes -= k.size
	return k
}

// exceeds reports whether the share is larger than 1/parts of the limit.
func (s *share) exceeds(l Limit, parts int64) bool {
	return int64(len(s.items))*parts > int64(l.Count) || s.bytes*parts > l.Bytes
}

// admit adds an item and returns the items that it displaces. ok is false if there is
// no room; then nothing has changed.
func (b *budget) admit(key string, size int, who uint64, own bool) (gone []*kept, ok bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.try(key, size, who, own, true)
}

// room reports whether admit would add the item from this peer.
func (b *budget) room(key string, size int, who uint64) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	_, ok := b.try(key, size, who, false, false)
	return ok
}

// crowded reports whether other peers use about half of the limit or more. The
// threshold is 45%, because a single peer may stop just short of half.
func (b *budget) crowded() bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	return int64(len(b.theirs.items))*20 > int64(b.limit.Count)*9 || b.theirs.bytes*20 > b.limit.Bytes*9
}

// count adds an item stored by an earlier process and returns the items that it
// displaces, which may include itself. It does nothing if the key was put since.
func (b *budget) count(key string, size int, who uint64, own bool) (gone []*kept) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.byKey[key] != nil {
		return nil
	}
	b.insert(b.newKept(key, size, who, own))
	return b.shrink(b.shareOf(own))
}

// drop removes an item that is no longer stored, and reports whether it was this
// node's own.
func (b *budget) drop(key string) (own bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	k := b.byKey[key]
	if k == nil {
		return false
	}
	b.remove(k)
	return k.own
}

// isOwn reports whether this node put the item with this key.
func (b *budget) isOwn(key string) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	k := b.byKey[key]
	return k != nil && k.own
}

// try is admit, but undoes it if it fails or if stay is false. The caller holds the
// lock.
func (b *budget) try(key string, size int, who uint64, own, stay bool) (gone []*kept, ok bool) {
	k := b.newKept(key, size, who, own)
	growth := k.size
	old := b.byKey[key]
	if old != nil {
		// The item still counts for the peer that put it first.
		growth, k.own, k.peer = k.size-old.size, own || old.own, old.peer
		b.remove(old)
	}
	b.insert(k)
	if !k.own && growth > 0 && b.theirs.exceeds(b.limit, 2) {
		for s := b.peers[k.peer]; growth > 0 && s.exceeds(b.limit, peerPart); {
			far := s.items[0]
			if growth < far.size/2 {
				break // about as much has been freed as is needed
			}
			gone, growth = append(gone, far), growth-far.size
			b.remove(far)
		}
	}
	gone = append(gone, b.shrink(b.shareOf(k.own))...)
	if b.byKey[key] == k && stay {
		return gone, true
	}
	ok = b.byKey[key] == k
	if ok {
		b.remove(k)
	}
	for _, g := range gone {
		if g != k {
			b.insert(g)
		}
	}
	if old != nil {
		b.insert(old)
	}
	return nil, ok
}

// shrink removes the farthest items of a share until it is within the limit.
func (b *budget) shrink(s *share) (gone []*kept) {
	for s.exceeds(b.limit, 1) {
		far := s.items[0]
		gone = append(gone, far)
		b.remove(far)
	}
	return gone
}

func (b *budget) newKept(key string, size int, who uint64, own bool) *kept {
	d := keyspace.Distance(b.self, b.kad(key))
	return &kept{
		key: key, dist: binary.BigEndian.Uint64(d[:]), own: own, peer: who,
		size: int64(len(key)+size) + keptOverhead,
	}
}

func (b *budget) shareOf(own bool) *share {
	if own {
		return &b.our
	}
	return &b.theirs
}

func (b *budget) insert(k *kept) {
	b.byKey[k.key] = k
	heap.Push(b.shareOf(k.own), k)
	if k.own {
		return
	}
	s := b.peers[k.peer]
	if s == nil {
		s = &share{place: 1}
		b.peers[k.peer] = s
	}
	heap.Push(s, k)
}

func (b *budget) remove(k *kept) {
	delete(b.byKey, k.key)
	heap.Remove(b.shareOf(k.own), k.at[0])
	if k.own {
		return
	}
	s := b.peers[k.peer]
	heap.Remove(s, k.at[1])
	if len(s.items) == 0 {
		delete(b.peers, k.peer)
	}
}

// peerSeed is random per process, so that nobody can construct colliding peer ids.
var peerSeed = maphash.MakeSeed()

// peerHash returns the hash that stands for a peer in a budget; never 0.
func peerHash(p peer.ID) uint64 { return max(maphash.String(peerSeed, string(p)), 1) }

// senders remembers for a moment which peer sent which value, because kad-dht does
// not pass the sender to the store. It is a fixed-size hash table: if two values
// collide, the sender of the earlier one is unknown.
type senders struct {
	mu    sync.Mutex
	slots [4096]struct{ value, who uint64 }
}

func (s *senders) slot(key, value []byte) (sum uint64, at int) {
	var h maphash.Hash
	h.SetSeed(peerSeed)
	_, _ = h.Write(key) // it never fails
	_, _ = h.Write(value)
	sum = h.Sum64()
	return sum, int(sum % uint64(len(s.slots)))
}

func (s *senders) note(key, value []byte, who uint64) {
	sum, at := s.slot(key, value)
	s.mu.Lock()
	defer s.mu.Unlock()
	s.slots[at].value, s.slots[at].who = sum, who
}

// of returns the sender of a value; 0 if unknown.
func (s *senders) of(key, value []byte) uint64 {
	sum, at := s.slot(key, value)
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.slots[at].value != sum {
		return 0
	}
	return s.slots[at].who
}
