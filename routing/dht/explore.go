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

	// explorePatience is how long an answer is waited for. The others around the
	// server know the same. It may still answer later, or turn out to be dead.
	explorePatience = 1500 * time.Millisecond

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
		r.servers.noteAddrs(p, r.filter(r.host.Peerstore().Addrs(p)), time.Now())
	}
	defer e.wg.Wait()
	// Larger cells first: what is learned of them is where the smaller ones start.
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

// exploration is one Explore under way.
type exploration struct {
	r        *Router
	ctx      context.Context
	parallel int
	requests atomic.Int64
	wg       sync.WaitGroup // requests under way
}

// depth is how many bits the smallest cells have, as far as is known.
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

// cell asks the servers closest to the key for closer ones, until the closest
// known have answered. Those in avoid are not asked.
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

// inTime waits for an answer, but no longer than patience, and reports whether
// the server has answered.
func inTime(answer <-chan bool, patience *time.Timer) bool {
	select {
	case ok := <-answer:
		return ok
	case <-patience.C:
		patience.Reset(0) // for the questions after this one
	}
	select {
	case ok := <-answer:
		return ok
	default:
		return false
	}
}

// ask asks one server who is closest to the key. Whether it answered comes on the
// channel, which needs no reader.
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
