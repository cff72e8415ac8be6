package dht

import (
	"context"
	"crypto/rand"
	"fmt"
	"maps"
	"math"
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
	// cellServers is roughly how many servers a cell has. An answer names 20 servers,
	// which should cover the whole cell.
	cellServers = 10

	// cellWidth is how many of the servers closest to a cell's key must have answered
	// for the cell to count as explored.
	cellWidth = 3

	// cellStep is how many more prefix bits cells have in each round. maxCellBits is
	// the limit: enough for a million servers.
	cellStep    = 3
	maxCellBits = 17

	// explorePatience is how long a cell waits for an answer before it turns to the
	// server's neighbours, which know the same. A late answer is still used.
	explorePatience = 1500 * time.Millisecond

	// exploreParallel is the default number of cells explored at once.
	exploreParallel = 64
)

// Exploration is the result of exploring a region.
type Exploration struct {
	Requests int // queries sent
	Servers  int // servers of the region now in the map
}

// Explore fills the map with the servers of a region; the zero Region is the whole
// network. It queries about 30% of the servers. parallel is how many cells it explores
// at once; 0 means 64.
func (r *Router) Explore(ctx context.Context, region keyspace.Region, parallel int) (Exploration, error) {
	if parallel <= 0 {
		parallel = exploreParallel
	}
	e := &exploration{r: r, ctx: ctx, parallel: parallel}
	for _, p := range r.table.ListPeers() {
		r.servers.noteAddrs(p, r.filter(r.host.Peerstore().Addrs(p)), time.Now())
	}
	defer e.wg.Wait()
	// Larger cells first: the servers found there are the start for smaller cells.
	bits := max(region.Bits, e.depth(region)-2*cellStep)
	for {
		if err := e.round(region, bits); err != nil {
			return Exploration{}, fmt.Errorf("exploring: %w", err)
		}
		depth := e.depth(region)
		if bits >= depth {
			break
		}
		bits = min(bits+cellStep, depth)
	}
	e.wg.Wait()
	return Exploration{
		Requests: int(e.requests.Load()),
		Servers:  len(r.servers.within(region, time.Now())),
	}, nil
}

// exploration is one running Explore.
type exploration struct {
	r        *Router
	ctx      context.Context
	parallel int
	requests atomic.Int64
	wg       sync.WaitGroup // requests in flight
}

// depth estimates how many prefix bits the smallest cells need.
func (e *exploration) depth(region keyspace.Region) int {
	servers := float64(len(e.r.servers.within(region, time.Now())))
	if size, ok := e.r.size(); ok {
		servers = max(servers, math.Ldexp(size, -region.Bits))
	}
	bits := math.Round(math.Log2(max(servers, 1) / cellServers))
	return min(region.Bits+max(int(bits), 0), maxCellBits)
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
				e.cell(key, nil)
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

// cell queries the servers closest to the key for closer ones, until the closest known
// have answered. It skips the servers in avoid.
func (e *exploration) cell(key []byte, avoid []peer.ID) {
	type question struct {
		server peer.ID
		answer <-chan bool
	}
	target := keyspace.KeyOf(key)
	asked := make(map[peer.ID]bool)
	late := make(map[peer.ID]bool)
	for _, id := range avoid {
		late[id] = true
	}
	for e.ctx.Err() == nil {
		var questions []question
		width := 0
		for _, c := range e.r.servers.closest(target, cellWidth+len(late), time.Now()) {
			if late[c.id] || width == cellWidth {
				continue
			}
			width++
			if !asked[c.id] {
				asked[c.id] = true
				questions = append(questions, question{c.id, e.ask(c.id, key)})
			}
		}
		if len(questions) == 0 {
			return
		}
		patience := time.NewTimer(explorePatience)
		for _, q := range questions {
			if !inTime(q.answer, patience) {
				late[q.server] = true
			}
		}
		patience.Stop()
	}
}

// inTime waits for an answer until patience fires, and reports whether there was one.
func inTime(answer <-chan bool, patience *time.Timer) bool {
	select {
	case ok := <-answer:
		return ok
	case <-patience.C:
		patience.Reset(0) // so that it fires at once for the remaining queries
	}
	select {
	case ok := <-answer:
		return ok
	default:
		return false
	}
}

// ask queries one server for those closest to the key. It sends on the buffered channel
// whether the server answered.
func (e *exploration) ask(p peer.ID, key []byte) <-chan bool {
	e.requests.Add(1)
	answer := make(chan bool, 1)
	e.wg.Go(func() {
		ctx, cancel := context.WithTimeout(e.ctx, askTimeout)
		defer cancel()
		a, err := e.r.request(ctx, p, pb.NewMessage(pb.Message_FIND_NODE, key, 0))
		if err == nil {
			e.r.learn(p, a.msg.GetCloserPeers())
		}
		answer <- err == nil
	})
	return answer
}

// cellKeys returns one key for each cell of the region with the given number of prefix
// bits: a multihash whose SHA-256 lies in the cell. It draws random keys until each
// cell has one.
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
