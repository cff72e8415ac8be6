package dht

import (
	"encoding/binary"
	"testing"

	"github.com/goipns/ipns/internal/keyspace"
)

// Whatever servers a full walk is told of, it keeps the closest and those that answered.
func TestFullWalkForgetsItsFarthest(t *testing.T) {
	for base := range uint64(3) {
		w := newWalk(keyspace.KeyOf(binary.AppendUvarint(nil, base)))
		var closest contact
		var answerer *node
		for i := range uint64(2 * maxNodes) {
			c := contact{id: testID(i)}
			c.key = keyspace.KeyOf([]byte(c.id))
			if closest.id == "" || keyspace.Closer(w.target, c.key, closest.key) < 0 {
				closest = c
			}
			w.add(c, 0)
			if i == 0 {
				answerer = w.sorted[0]
				answerer.state = answered
			}
		}
		switch {
		case len(w.sorted) != maxNodes || len(w.byID) != maxNodes:
			t.Fatalf("%d and %d nodes", len(w.sorted), len(w.byID))
		case w.sorted[0].id != closest.id:
			t.Fatal("the closest is not known")
		case w.byID[answerer.id] != answerer:
			t.Fatal("a server that answered was dropped for one that was only named")
		}
		for i, n := range w.sorted {
			if w.byID[n.id] != n || i > 0 && keyspace.Closer(w.target, w.sorted[i-1].key, n.key) > 0 {
				t.Fatal("out of order")
			}
		}
	}
}

// A server that names ever closer ones cannot keep a walk going.
func TestWalkAsksNoMoreThanItMayKnow(t *testing.T) {
	w, asked := newWalk(keyspace.KeyOf([]byte("target"))), 0
	for i := range uint64(3 * maxNodes) {
		c := contact{id: testID(i)}
		c.key = w.target
		c.key[31] ^= byte(i) // as close as possible
		w.add(c, 0)
		for _, n := range w.next(replicas, 24, testTime) {
			n.state = answered
			asked++
		}
	}
	if asked > maxNodes {
		t.Errorf("asked %d", asked)
	}
}
