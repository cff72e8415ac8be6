package node

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2"

	"github.com/goipns/ipns"
	"github.com/goipns/ipns/internal/repair"
	"github.com/goipns/ipns/names"
	"github.com/goipns/ipns/recordstore"
	store "github.com/goipns/ipns/recordstore/pebble"
)

// damage writes over the entry of the node's own name, or all of a kind.
func (n *Node) damage(t *testing.T, kind byte) {
	t.Helper()
	id := n.Name.Kad()
	from := append([]byte(store.DefaultPrefix), kind)
	from = append(from, id[:]...)
	it, err := n.Records.DB.NewIter(&pebble.IterOptions{LowerBound: from, UpperBound: append(append([]byte(nil), from...), 0xff)})
	if err != nil {
		t.Fatal(err)
	}
	defer it.Close()
	for it.First(); it.Valid(); it.Next() {
		if err := n.Records.DB.Set(append([]byte(nil), it.Key()...), []byte("damaged"), pebble.Sync); err != nil {
			t.Fatal(err)
		}
	}
}

func signed(t *testing.T, n *Node, sequence uint64, value string, life time.Duration) *ipns.Record {
	t.Helper()
	rec, err := ipns.Sign(t.Context(), ipns.NewSigner(n.Key), ipns.Fields{
		Value: value, Sequence: sequence, EOL: time.Now().Add(life),
	}, ipns.V2Only)
	if err != nil {
		t.Fatal(err)
	}
	return rec
}

func verify(t *testing.T, n *Node, fix bool) (msgs string, err error) {
	t.Helper()
	left, err := n.Repair.Verify(t.Context(), fix, func(f repair.Finding) bool {
		msgs += f.Msg + "\n"
		return true
	})
	if err == nil && left > 0 {
		err = fmt.Errorf("%d damaged", left)
	}
	return msgs, err
}

// TestDamagedNameIsNamedAndRepaired damages the entry of a name, and then its history
// with it.
func TestDamagedNameIsNamedAndRepaired(t *testing.T) {
	for _, history := range []bool{false, true} {
		r := newRepo(t)
		n, err := New(t.Context(), r, Config{Offline: true, ReadOnFull: true})
		if err != nil {
			t.Fatal(err)
		}
		defer n.Close()
		rec := signed(t, n, 7, "/ipfs/bafkqaaa", time.Hour)
		if _, err := n.Book.Take(t.Context(), rec, names.Entrance{Origin: recordstore.Own}); err != nil {
			t.Fatal(err)
		}
		if msgs, err := verify(t, n, false); err != nil || msgs != "" {
			t.Fatalf("%s, %v", msgs, err)
		}
		n.damage(t, 'e')
		if history {
			n.damage(t, 'h')
		}
		if _, damaged, err := n.Repair.OwnNames(t.Context()); err != nil || len(damaged) != 1 || damaged[0] != n.Name {
			t.Errorf("history damaged %t: %v, %v", history, damaged, err)
		}
		if msgs, err := verify(t, n, false); err == nil || !strings.Contains(msgs, n.Name.String()) {
			t.Errorf("verify: %s, %v", msgs, err)
		}
		if msgs, err := verify(t, n, true); err != nil || !strings.Contains(msgs, n.Name.String()) {
			t.Errorf("repair: %s, %v", msgs, err)
		}
		if msgs, err := verify(t, n, true); err != nil || strings.Contains(msgs, n.Name.String()) {
			t.Errorf("after the repair: %s, %v", msgs, err)
		}
		e, err := n.Book.Get(t.Context(), n.Name)
		if err != nil || e.Damaged || e.Origin != recordstore.Own || history != (e.Record == nil) {
			t.Errorf("entry %+v, %v", e, err)
		}
		if known, err := n.Book.Known(t.Context(), e); err != nil || known {
			t.Errorf("the sequence of a rebuilt entry is called known: %v", err)
		}
	}
}

// TestStartRepairsOwnNames restarts a node whose own name is damaged.
func TestStartRepairsOwnNames(t *testing.T) {
	r := newRepo(t)
	for _, damaged := range []bool{true, false} {
		n, err := New(t.Context(), r, Config{Offline: true})
		if err != nil {
			t.Fatal(err)
		}
		if damaged {
			_, err = n.Book.Take(t.Context(), signed(t, n, 7, "/ipfs/bafkqaaa", time.Hour), names.Entrance{Origin: recordstore.Own})
			n.damage(t, 'e')
		} else {
			eventually(t, "it is repaired", func() bool {
				var e recordstore.Entry
				e, err = n.Book.Get(t.Context(), n.Name)
				return err != nil || !e.Damaged && e.Record.Sequence() == 7
			})
		}
		if err := errors.Join(err, n.Close()); err != nil {
			t.Fatal(err)
		}
	}
}
