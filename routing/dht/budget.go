package dht

import (
	"container/heap"
	"encoding/binary"
	"hash/maphash"
	"sync"

	"github.com/libp2p/go-libp2p/core/peer"

	"github.com/goipns/ipns/internal/keyspace"
)

// A Limit bounds what others make this node's server keep of one kind.
type Limit struct {
	Count int   // how many
	Bytes int64 // with keys, and with keptOverhead for each
}

// What a server keeps for others by default. A server of a network of 10,000 is
// to keep 1 of 500 names: these are all of 20 million.
var (
	DefaultValueLimit    = Limit{Count: 40_000, Bytes: 32 << 20}
	DefaultProviderLimit = Limit{Count: 65_536, Bytes: 32 << 20}
)

// or returns the limit with what is not set taken from another.
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
	// keptOverhead is what is counted for one kept thing beside its bytes: its
	// place in the index, and what the database adds.
	keptOverhead = 256

	// peerPart is the part of the limit up to which a peer has room like all others
	// where more than half is taken. It is small enough that one peer cannot take
	// the other half, and large enough for a hoster's names.
	peerPart = 32
)

// A budget decides what is kept of what others put here. What this node puts
// itself has a share of its own, as large again, that others cannot take.
//
// Up to half of the limit everything is kept. Above it, a peer that has more than
// its part makes room for what it puts by what it put before: the farthest from
// this node's id goes. At the limit the farthest of all goes. What is itself the
// farthest is refused. So a flood by one peer leaves half to others, and one by many
// leaves what this node is responsible for.
//
// A budget remembers keys and sizes, not values. All methods are safe for
// concurrent use.
type budget struct {
	self  keyspace.Key
	limit Limit
	kad   func(key string) keyspace.Key // where a key lies

	mu          sync.Mutex
	byKey       map[string]*kept
	theirs, our share
	peers       map[uint64]*share // of those that have something of theirs
}

func newBudget(self peer.ID, limit Limit, kad func(string) keyspace.Key) *budget {
	return &budget{
		self: keyspace.KeyOf([]byte(self)), limit: limit, kad: kad,
		byKey: make(map[string]*kept), peers: make(map[uint64]*share),
	}
}

// kept is one thing that is kept.
type kept struct {
	key  string
	dist uint64 // from this node
	size int64
	own  bool
	peer uint64 // who put it, if not this node; 0: unknown
	at   [2]int // its places in the two shares that it is part of
}

// A share is a part of what is kept: a heap, the farthest first.
type share struct {
	items []*kept
	place int // which of their places the items have here
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

// exceeds reports whether the share is more than one part of the limit of parts.
func (s *share) exceeds(l Limit, parts int64) bool {
	return int64(len(s.items))*parts > int64(l.Count) || s.bytes*parts > l.Bytes
}

// admit takes something in, and returns what must go for it. ok is false if there
// is no room: then nothing has changed.
func (b *budget) admit(key string, size int, who uint64, own bool) (gone []*kept, ok bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.try(key, size, who, own, true)
}

// room reports whether admit would take something in from a peer.
func (b *budget) room(key string, size int, who uint64) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	_, ok := b.try(key, size, who, false, false)
	return ok
}

// crowded reports whether others have about half of the limit, where one of them may
// stop, or more.
func (b *budget) crowded() bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	return int64(len(b.theirs.items))*20 > int64(b.limit.Count)*9 || b.theirs.bytes*20 > b.limit.Bytes*9
}

// count takes in what was kept by an earlier process, and returns what must go for
// it, which may be itself. What has been put since is not touched.
func (b *budget) count(key string, size int, who uint64, own bool) (gone []*kept) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.byKey[key] != nil {
		return nil
	}
	b.insert(b.newKept(key, size, who, own))
	return b.shrink(b.shareOf(own))
}

// drop forgets something that is not kept any more, and reports whether it was
// this node's own.
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

// isOwn reports whether this node has put what is kept under the key.
func (b *budget) isOwn(key string) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	k := b.byKey[key]
	return k != nil && k.own
}

// try is admit, which is undone if it fails or is not to stay. The caller holds the
// lock.
func (b *budget) try(key string, size int, who uint64, own, stay bool) (gone []*kept, ok bool) {
	k := b.newKept(key, size, who, own)
	growth := k.size
	old := b.byKey[key]
	if old != nil {
		// Whoever puts again what another has put does not become answerable for it.
		growth, k.own, k.peer = k.size-old.size, own || old.own, old.peer
		b.remove(old)
	}
	b.insert(k)
	if !k.own && growth > 0 && b.theirs.exceeds(b.limit, 2) {
		for s := b.peers[k.peer]; growth > 0 && s.exceeds(b.limit, peerPart); {
			far := s.items[0]
			if growth < far.size/2 {
				break // about as much has gone as comes
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

// shrink removes the farthest of a share until it is within the limit.
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

// peerSeed is another one in each process: nobody can find peers that are taken for
// each other.
var peerSeed = maphash.MakeSeed()

// peerHash is a peer in a budget; never 0.
func peerHash(p peer.ID) uint64 { return max(maphash.String(peerSeed, string(p)), 1) }

// senders remembers for a moment which peer has sent which value: kad-dht tells
// the store what is put, but not by whom. Values meet in it by chance alone; then
// the sender of one is unknown.
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

// of returns who has sent a value, 0 if that is unknown.
func (s *senders) of(key, value []byte) uint64 {
	sum, at := s.slot(key, value)
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.slots[at].value != sum {
		return 0
	}
	return s.slots[at].who
}
