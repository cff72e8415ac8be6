package simnet

import (
	"slices"

	"github.com/goipns/ipns/internal/keyspace"
)

// A table is a server's routing table: bucket i holds servers that share exactly i
// leading bits with it. A bucket with more candidates than BucketSize holds a random
// choice, which depends only on the two servers, so that the table changes little when
// servers come and go.
type table [][]*server

// routes returns the routing table of s, which is built on first use.
func (s *server) routes() table {
	n := s.net
	n.mu.RLock()
	defer n.mu.RUnlock()
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.table == nil || s.epoch != n.epoch {
		s.table, s.epoch = n.fill(s), n.epoch
	}
	return s.table
}

func (n *Network) fill(s *server) table {
	var t table
	for i := 0; i < keyspace.Bits; i++ {
		sibling := keyspace.RegionOf(s.key, i+1)
		sibling.Prefix[i/8] ^= 0x80 >> (i % 8)
		t = append(t, choose(s, n.within(sibling)))
		if len(n.within(keyspace.RegionOf(s.key, i+1))) <= 1 {
			break // no other server beyond this depth
		}
	}
	return t
}

// choose picks the BucketSize candidates that rank lowest for s.
func choose(s *server, candidates []*server) []*server {
	if len(candidates) <= BucketSize {
		return slices.Clone(candidates)
	}
	type ranked struct {
		rank uint64
		s    *server
	}
	chosen := make([]ranked, 0, BucketSize+1)
	for _, c := range candidates {
		r := ranked{rank(s, c), c}
		if len(chosen) == BucketSize && r.rank >= chosen[BucketSize-1].rank {
			continue
		}
		at, _ := slices.BinarySearchFunc(chosen, r.rank, func(x ranked, rank uint64) int {
			if x.rank < rank {
				return -1
			}
			return 1
		})
		chosen = slices.Insert(chosen, at, r)[:min(len(chosen)+1, BucketSize)]
	}
	bucket := make([]*server, len(chosen))
	for i, c := range chosen {
		bucket[i] = c.s
	}
	return bucket
}

// rank returns a number for two servers that looks random.
func rank(owner, candidate *server) uint64 {
	x := owner.salt + candidate.salt*0x9e3779b97f4a7c15
	x = (x ^ x>>32) * 0xd6e8feb86659fd93
	return x ^ x>>32
}

// nearest returns up to k entries of the table, closest to the target first: from the
// target's bucket, then, if these are too few, from all deeper ones, then from the
// shallower ones one by one.
func (t table) nearest(owner, target keyspace.Key, k int) []*server {
	at := min(keyspace.CommonBits(owner, target), len(t))
	var found []*server
	if at < len(t) {
		found = append(found, t[at]...)
	}
	if len(found) < k {
		for i := at + 1; i < len(t); i++ {
			found = append(found, t[i]...)
		}
	}
	for i := at - 1; i >= 0 && len(found) < k; i-- {
		found = append(found, t[i]...)
	}
	sortByDistance(found, target)
	return found[:min(k, len(found))]
}

func sortByDistance(list []*server, target keyspace.Key) {
	slices.SortFunc(list, func(a, b *server) int { return keyspace.Closer(target, a.key, b.key) })
}
