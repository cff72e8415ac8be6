package routing

import (
	"errors"
	"sync"
	"testing"
	"time"

	"github.com/goipns/ipns"
)

func testRecord(t testing.TB, f ipns.Fields) *ipns.Record {
	t.Helper()
	key, err := ipns.GenerateKey(ipns.Ed25519, 0)
	if err != nil {
		t.Fatal(err)
	}
	rec, err := ipns.Sign(t.Context(), ipns.NewSigner(key), f, ipns.V2Only)
	if err != nil {
		t.Fatal(err)
	}
	return rec
}

func TestOpenerVerifiesIdenticalBytesOnce(t *testing.T) {
	now := time.Now()
	rec := testRecord(t, ipns.Fields{Value: "/ipfs/bafkqaaa", EOL: now.Add(time.Hour)})
	o := &Opener{Now: func() time.Time { return now }}
	var wg sync.WaitGroup
	const askers = 100
	got := make([]*ipns.Record, askers)
	for i := range askers {
		wg.Go(func() {
			var err error
			if got[i], err = o.Open(rec.Name(), append([]byte(nil), rec.Raw()...)); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	for _, g := range got {
		if g != got[0] {
			t.Fatal("identical bytes gave different records")
		}
	}
	if o.checks != 1 {
		t.Errorf("%d verifications for %d identical answers, want 1", o.checks, askers)
	}
	t.Logf("%d identical answers, %d verification", askers, o.checks)
}

func TestOpenerRefusesWhatHasExpiredMeanwhile(t *testing.T) {
	now := time.Now()
	rec := testRecord(t, ipns.Fields{Value: "/ipfs/bafkqaaa", EOL: now.Add(time.Hour)})
	o := &Opener{Now: func() time.Time { return now }}
	if _, err := o.Open(rec.Name(), rec.Raw()); err != nil {
		t.Fatal(err)
	}
	now = rec.EOL()
	if _, err := o.Open(rec.Name(), rec.Raw()); !errors.Is(err, ipns.ErrExpired) {
		t.Errorf("opened at its EOL: %v, want %v", err, ipns.ErrExpired)
	}
}

func TestOpenerRemembersNoRefusal(t *testing.T) {
	rec := testRecord(t, ipns.Fields{Value: "/ipfs/bafkqaaa", EOL: time.Now().Add(time.Hour)})
	other := testRecord(t, ipns.Fields{Value: "/ipfs/bafkqaaa", EOL: time.Now().Add(time.Hour)})
	var o Opener
	for range 3 {
		if _, err := o.Open(other.Name(), rec.Raw()); !errors.Is(err, ipns.ErrSignature) {
			t.Fatalf("a record of another name: %v", err)
		}
	}
	if len(o.opened) != 0 || o.bytes != 0 || o.recent.Len() != 0 {
		t.Errorf("remembers %d refused records in %d bytes", len(o.opened), o.bytes)
	}
	// The same bytes are valid for their own name.
	if _, err := o.Open(rec.Name(), rec.Raw()); err != nil {
		t.Error(err)
	}
	if _, err := o.Open(rec.Name(), make([]byte, ipns.MaxRecordSize+1)); !errors.Is(err, ipns.ErrSize) {
		t.Errorf("oversize: %v", err)
	}
}

func TestOpenerIsBounded(t *testing.T) {
	eol := time.Now().Add(time.Hour)
	first := testRecord(t, ipns.Fields{Value: "/ipfs/bafkqaaa", EOL: eol})
	size := len(first.Raw()) + openedOverhead
	o := &Opener{Bytes: 10*size + size/2}
	for range 50 {
		rec := testRecord(t, ipns.Fields{Value: "/ipfs/bafkqaaa", EOL: eol})
		for _, r := range []*ipns.Record{rec, first} { // first is used again and again
			if _, err := o.Open(r.Name(), r.Raw()); err != nil {
				t.Fatal(err)
			}
		}
		if o.bytes > o.Bytes || o.bytes != len(o.opened)*size || len(o.opened) != o.recent.Len() {
			t.Fatalf("%d records in %d bytes, bound %d", len(o.opened), o.bytes, o.Bytes)
		}
	}
	if o.checks != 51 {
		t.Errorf("%d verifications, want 51: the record in use was forgotten", o.checks)
	}
}

func BenchmarkOpener(b *testing.B) {
	rec := testRecord(b, ipns.Fields{Value: "/ipfs/bafkqaaa", EOL: time.Now().Add(time.Hour)})
	var o Opener
	b.ReportAllocs()
	for b.Loop() {
		if _, err := o.Open(rec.Name(), rec.Raw()); err != nil {
			b.Fatal(err)
		}
	}
}
