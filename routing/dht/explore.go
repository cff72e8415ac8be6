package dht

import (
	"context"
	"crypto/rand"
	"fmt"
	"maps"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	pb "github.com/libp2p/go-libp2p-kad-dht/pb"
	"github.com/libp2p/go-libp2p/core/peer"
	mh "github.com/multiformats/go-multihash"

	"github.com/goipns/ipns/internal/keyspace"
)

const (
	// cellServers is about how many servers share a cell. An answer names 20: it
	// should have room for all servers of the cell that it is about.
	cellServers = 10

	// cellWidth is how many of the servers closest to the middle of a cell must
	// have answered for the cell to be known.
	cellWidth = 3

	// cellStep is by how many bits the cells of one round are smaller than those
	// of the round before, and maxCellBits how small they get: enough for a
	// million servers.
	cellStep    = 3
	maxCellBits = 17

	// exploreTimeout is what a server may take to answer. The others around it
	// know the same, so nobody waits for a slow one.
	exploreTimeout = 1500 * time.Millisecond

	// exploreParallel is how many cells are worked on at once if not told
	// otherwise.
	exploreParallel = 64
)

// Exploration tells what exploring a region took and found.
type Exploration struct {
	Requests int // questions asked
	Servers  int // servers of the region that are in the map now
}

// Explore fills the map with the servers of a region: the zero Region is the
// whole network. It asks about three servers in ten. parallel is how many cells
// are worked on at once; 0 means 64.
func (r *Router) Explore(ctx context.Context, region keyspace.Region, parallel int) (Exploration, error) {
	if parallel <= 0 {
		parallel = exploreParallel
	}
	e := &exploration{r: r, ctx: ctx, parallel: parallel}
	for _, p := range r.table.ListPeers() {
		r.servers.hear(p, r.filter(r.host.Peerstore().Addrs(p)), time.Now())
	}
	// Larger cells first: what is learned of them is where the smaller ones start.
	for bits := region.Bits; ; bits = min(bits+cellStep, e.depth(region)) {
		if err := e.round(region, bits); err != nil {
			return Exploration{}, fmt.Errorf("exploring: %w", err)
		}
		if bits >= e.depth(region) {
			break
		}
	}
	return Exploration{
		Requests: int(e.requests.Load()),
		Servers:  len(r.servers.within(region, time.Now())),
	}, nil
}

// exploration is one Explore under way.
type exploration struct {
	r        *Router
	ctx      context.Context
	parallel int
	requests atomic.Int64
}

// depth is how many bits the smallest cells have, as the map shows so far.
func (e *exploration) depth(region keyspace.Region) int {
	servers := len(e.r.servers.within(region, time.Now()))
	bits := region.Bits
	for ; servers > cellServers*3/2 && bits < maxCellBits; servers /= 2 {
		bits++
	}
	return bits
}

// round explores all cells of one size.
func (e *exploration) round(region keyspace.Region, bits int) error {
	keys, err := cellKeys(region, bits)
	if err != nil {
		return err
	}
	cells := make(chan []byte)
	var wg sync.WaitGroup
	for range e.parallel {
		wg.Go(func() {
			for key := range cells {
				e.cell(key)
			}
		})
	}
	defer wg.Wait()
	defer close(cells)
	for _, key := range keys {
		select {
		case cells <- key:
		case <-e.ctx.Done():
			return e.ctx.Err()
		}
	}
	return nil
}

// cell asks the servers closest to the key for closer ones, until the closest
// known have answered.
func (e *exploration) cell(key []byte) {
	target := keyspace.KeyOf(key)
	asked := make(map[peer.ID]bool)
	late := make(map[peer.ID]bool)
	for e.ctx.Err() == nil {
		var ask []peer.ID
		width := 0
		for _, c := range e.r.servers.closest(target, cellWidth+len(late), time.Now()) {
			if late[c.id] || width == cellWidth {
				continue
			}
			width++
			if !asked[c.id] {
				asked[c.id] = true
				ask = append(ask, c.id)
			}
		}
		if len(ask) == 0 {
			return
		}
		var mu sync.Mutex
		var wg sync.WaitGroup
		for _, p := range ask {
			wg.Go(func() {
				if !e.ask(p, key) {
					mu.Lock()
					late[p] = true
					mu.Unlock()
				}
			})
		}
		wg.Wait()
	}
}

// ask asks one server who is closest to the key, and reports whether it answered.
func (e *exploration) ask(p peer.ID, key []byte) bool {
	ctx, cancel := context.WithTimeout(e.ctx, exploreTimeout)
	defer cancel()
	e.requests.Add(1)
	a, err := e.r.request(ctx, p, pb.NewMessage(pb.Message_FIND_NODE, key, 0))
	if err != nil {
		return false
	}
	e.r.learn(a.msg.GetCloserPeers())
	return true
}

// cellKeys returns one key for each cell of the region that has so many bits: a
// multihash whose SHA-256 lies in the cell. It draws keys until each cell has one.
func cellKeys(region keyspace.Region, bits int) ([][]byte, error) {
	cells := 1 << (bits - region.Bits)
	keys := make(map[keyspace.Region][]byte, cells)
	for len(keys) < cells {
		digest := make([]byte, 32)
		// It never fails.
		_, _ = rand.Read(digest)
		key, err := mh.Encode(digest, mh.SHA2_256)
		if err != nil {
			return nil, err
		}
		if k := keyspace.KeyOf(key); region.Contains(k) {
			keys[keyspace.RegionOf(k, bits)] = key
		}
	}
	order := slices.SortedFunc(maps.Keys(keys), func(a, b keyspace.Region) int { return a.Prefix.Compare(b.Prefix) })
	list := make([][]byte, cells)
	for i, cell := range order {
		list[i] = keys[cell]
	}
	return list, nil
}
