package pebble_test

import (
	"errors"
	"testing"

	"github.com/cockroachdb/pebble/v2"

	"github.com/goipns/ipns"
	"github.com/goipns/ipns/recordstore"
	ours "github.com/goipns/ipns/recordstore/pebble"
	"github.com/goipns/ipns/recordstore/recordstoretest"
)

func kadKey(kind byte, name ipns.Name) []byte {
	id := name.Kad()
	return append(append([]byte(ours.DefaultPrefix), kind), id[:]...)
}

// TestDamagedEntryIsRebuiltFromItsHistory damages each byte of one entry of three.
func TestDamagedEntryIsRebuiltFromItsHistory(t *testing.T) {
	ctx := t.Context()
	for _, noted := range []bool{true, false} {
		db := openMem(t)
		s, err := ours.New(db, ours.Options{Log: silent})
		if err != nil {
			t.Fatal(err)
		}
		l := newLedger(t, 3)
		for range 3 {
			if err := l.again(t, s); err != nil {
				t.Fatal(err)
			}
		}
		name, was := l.keys[1].Name, l.acked[1]
		if noted {
			if err := s.SetUpkeep(ctx, recordstore.Upkeep{Name: name, Holders: 3}); err != nil {
				t.Fatal(err)
			}
		}
		value, closer, err := db.Get(kadKey('e', name))
		if err != nil {
			t.Fatal(err)
		}
		whole := append([]byte(nil), value...)
		closer.Close()
		for at := 0; at < len(whole); at += 7 {
			broken := append([]byte(nil), whole...)
			if broken[at] ^= 0x10; at == 0 {
				continue // another layout, which is not damage
			}
			if err := db.Set(kadKey('e', name), broken, pebble.Sync); err != nil {
				t.Fatal(err)
			}
			e, err := s.Get(ctx, name)
			if err != nil || !e.Damaged || e.Record == nil || e.Record.Hash() != was.Record.Hash() || e.Mark != was.Mark || e.Next < was.Next || e.Known != (recordstore.Generation{}) {
				t.Fatalf("byte %d: rebuilt as %+v, %v", at, e, err)
			}
			inName := at <= len(name.Binary())+1
			seen := 0
			for e, err := range s.Scan(ctx, recordstore.Region{}) {
				if err != nil {
					t.Fatal(err)
				}
				if e.Name == name && e.Damaged {
					seen++
				}
			}
			if want := 1; seen != want && (noted || !inName) {
				t.Errorf("byte %d: a scan has it %d times", at, seen)
			}
		}
		// The swap repairs it; a swap by a writer that read it earlier is refused.
		e, _ := s.Get(ctx, name)
		if _, err := s.Swap(ctx, was, recordstore.Lease{}); !errors.Is(err, recordstore.ErrConflict) {
			t.Errorf("swap from the entry before the damage: %v", err)
		}
		if e, err = s.Swap(ctx, e, recordstore.Lease{}); err != nil {
			t.Fatal(err)
		}
		got, err := s.Get(ctx, name)
		if diff := recordstoretest.Equal(got, e); err != nil || got.Damaged || diff != "" {
			t.Errorf("after the repair: %s, %v", diff, err)
		}
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	}
}

// TestNothingOlderIsTakenForADamagedRecord damages both the entry and the newest version
// in its history.
func TestNothingOlderIsTakenForADamagedRecord(t *testing.T) {
	ctx, db := t.Context(), openMem(t)
	s, err := ours.New(db, ours.Options{Log: silent})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	l := newLedger(t, 1)
	for range 3 {
		if err := l.again(t, s); err != nil {
			t.Fatal(err)
		}
	}
	name := l.keys[0].Name
	key := recordstore.PastKeyOf(l.acked[0].Record)
	for _, k := range [][]byte{kadKey('e', name), append(kadKey('h', name), key[:]...)} {
		if err := db.Set(k, []byte("damaged"), pebble.Sync); err != nil {
			t.Fatal(err)
		}
	}
	e, err := s.Get(ctx, name)
	if err != nil || !e.Damaged || e.Record != nil {
		t.Errorf("rebuilt as %+v, %v", e, err)
	}
	if e, err = s.Swap(ctx, e, recordstore.Lease{}); err != nil || e.Damaged {
		t.Errorf("repair: %+v, %v", e, err)
	}
}
