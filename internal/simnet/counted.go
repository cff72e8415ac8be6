package simnet

import (
	"bytes"
	"math"
	"math/bits"
	"slices"
	"sync/atomic"

	"github.com/goipns/ipns"
)

// counted counts the copies of a fixed set of records while they are put, so that an
// experiment with a million names can read the count at any time.
type counted struct {
	only    bool // count only; store nothing
	index   map[string]int
	records []*ipns.Record
	closest [][BucketSize]uint32 // slots of the closest servers alive when counting began
	holds   []atomic.Uint32      // bit i: closest[i] holds the record
	total   atomic.Int64         // set bits
	goal    int64                // when total reaches this,
	reached chan struct{}        // this is closed
}

// Count starts counting the copies of the records on the servers that are closest to them
// now. A copy is the record itself or a newer one.
//
// With only, servers store nothing but that bit: they accept exactly the bytes of these
// records, refuse everything else, and verify nothing. This makes a million names fit in
// memory.
func (n *Network) Count(records []*ipns.Record, only bool) {
	c := &n.counted
	c.only, c.records = only, records
	c.index = make(map[string]int, len(records))
	c.closest = make([][BucketSize]uint32, len(records))
	c.holds = make([]atomic.Uint32, len(records))
	c.total.Store(0)
	c.goal, c.reached = math.MaxInt64, make(chan struct{})
	for i, r := range records {
		c.index[string(r.Name().RoutingKey())] = i
		slots := &c.closest[i]
		for j := range slots {
			slots[j] = n.born // no server, if the network has fewer
		}
		for j, s := range n.closest(r.Name().Kad(), BucketSize) {
			slots[j] = s.slot
		}
	}
}

// CountedHolders returns how many of the closest 20 servers hold the i-th
// counted record.
func (n *Network) CountedHolders(i int) int {
	return bits.OnesCount32(n.counted.holds[i].Load())
}

// MeanHolders returns the average of CountedHolders over all counted records.
func (n *Network) MeanHolders() float64 {
	return float64(n.counted.total.Load()) / float64(len(n.counted.records))
}

// MeanReached returns a channel that is closed when MeanHolders reaches the goal, which
// is set once, before the first record is put.
func (n *Network) MeanReached(goal float64) <-chan struct{} {
	c := &n.counted
	c.goal = int64(math.Ceil(goal * float64(len(c.records))))
	return c.reached
}

// put marks that s holds the key, and reports whether s accepts the bytes, which matters
// in count-only mode. rec is nil if the bytes were not parsed.
func (c *counted) put(s *server, key string, raw []byte, rec *ipns.Record) bool {
	i, ok := c.index[key]
	if !ok {
		return false
	}
	if rec == nil && !bytes.Equal(raw, c.records[i].Raw()) || rec != nil && ipns.Compare(rec, c.records[i]) < 0 {
		return false
	}
	if at := slices.Index(c.closest[i][:], s.slot); at >= 0 {
		bit := uint32(1) << at
		if c.holds[i].Or(bit)&bit == 0 && c.total.Add(1) == c.goal {
			close(c.reached)
		}
	}
	return true
}

// get returns what s holds under the key in count-only mode.
func (c *counted) get(s *server, key string) (raw []byte, ok bool) {
	if !c.only {
		return nil, false
	}
	i, known := c.index[key]
	if !known {
		return nil, true
	}
	at := slices.Index(c.closest[i][:], s.slot)
	if at < 0 || c.holds[i].Load()&(1<<at) == 0 {
		return nil, true
	}
	return c.records[i].Raw(), true
}
