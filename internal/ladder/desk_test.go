package ladder_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/goipns/ipns"
	"github.com/goipns/ipns/internal/ladder"
	"github.com/goipns/ipns/names"
	"github.com/goipns/ipns/publisher"
	"github.com/goipns/ipns/recordstore"
	"github.com/goipns/ipns/recordstore/recordstoretest"
)

// one asks for one record.
func one(k recordstoretest.Key, seq uint64, value string) *ladder.Request {
	return &ladder.Request{Name: k.Name, Made: epoch, Steps: []ladder.Want{{Value: value, Sequence: seq, EOL: epoch.Add(day), TTL: time.Minute}}}
}

func TestASequenceIsNeverSignedForTwoValues(t *testing.T) {
	k, d := recordstoretest.KeyFromSeed(t, 1), desk()
	first := sign(t, d, k, one(k, 5, "/ipfs/bafkqaaa"))
	for _, force := range []bool{false, true} {
		if _, err := d.Sign(t.Context(), k.Signer, one(k, 5, "/ipfs/bafkqabtimvwgy3yk"), force); !errors.Is(err, ladder.ErrOlder) {
			t.Errorf("another value for the sequence: %v", err)
		}
		if _, err := d.Sign(t.Context(), k.Signer, one(k, 4, "/ipfs/bafkqaaa"), force); !errors.Is(err, ladder.ErrOlder) {
			t.Errorf("an older sequence: %v", err)
		}
	}
	if again := sign(t, d, k, one(k, 5, "/ipfs/bafkqaaa")); string(again) != string(first) {
		t.Error("the same request again gave another record")
	}
	sign(t, d, k, one(k, 6, "/ipfs/bafkqabtimvwgy3yk"))
	// A ladder with several values: each of its sequences is used.
	staged := one(k, 7, "/ipfs/bafkqaaa")
	staged.Steps = append(staged.Steps, ladder.Want{Value: "/ipfs/bafkqabtimvwgy3yk", Sequence: 8, At: epoch.Add(day), EOL: epoch.Add(3 * day)})
	sign(t, d, k, staged)
	sign(t, d, k, staged)
	if _, err := d.Sign(t.Context(), k.Signer, one(k, 7, "/ipfs/bafkqabtimvwgy3yk"), true); !errors.Is(err, ladder.ErrOlder) {
		t.Errorf("another value for a step's sequence: %v", err)
	}
	// Nor does a publisher on this machine use one of them.
	p := &publisher.Publisher{Book: d.Book, Now: d.Now}
	t.Cleanup(func() { p.Close(context.Background()) })
	res, err := p.Publish(t.Context(), k.Signer, publisher.Request{Value: "/ipfs/bafkqaaa", Force: true, Wait: publisher.WaitStored})
	if err != nil || res.Record.Sequence() != 9 {
		t.Errorf("published %v, %v", res.Record, err)
	}
	// And what it published is not signed otherwise.
	if _, err := d.Sign(t.Context(), k.Signer, one(k, 9, "/ipfs/bafkqabtimvwgy3yk"), true); !errors.Is(err, ladder.ErrOlder) {
		t.Errorf("another value for a published sequence: %v", err)
	}
	sign(t, d, k, one(k, 9, "/ipfs/bafkqaaa"))
}

func TestOfTwoRequestsAtOnceOneIsSigned(t *testing.T) {
	for round := range 50 {
		k, d := recordstoretest.KeyFromSeed(t, uint64(round)), desk()
		var mu sync.Mutex
		values := map[string]bool{}
		var wg sync.WaitGroup
		for i := range 8 {
			wg.Go(func() {
				value := fmt.Sprintf("/ipns/%d.example", i)
				if _, err := d.Sign(t.Context(), k.Signer, one(k, 3, value), false); err == nil {
					mu.Lock()
					values[value] = true
					mu.Unlock()
				}
			})
		}
		wg.Wait()
		if len(values) != 1 {
			t.Fatalf("signed for %v", values)
		}
	}
}

// failing are Rows that fail from a write on; the last one may have taken effect.
type failing struct {
	recordstore.Rows
	mu    sync.Mutex
	left  int
	apply bool
}

var errCut = errors.New("the power is gone")

func (f *failing) Swap(ctx context.Context, r recordstore.Row) (recordstore.Row, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.left--
	if f.left == 0 && f.apply {
		_, _ = f.Rows.Swap(ctx, r)
	}
	if f.left <= 0 {
		return recordstore.Row{}, errCut
	}
	return f.Rows.Swap(ctx, r)
}

// counting is a signer that tells whether it was asked.
type counting struct {
	ipns.Signer
	asked int
}

func (c *counting) Sign(ctx context.Context, msg []byte) ([]byte, error) {
	c.asked++
	return c.Signer.Sign(ctx, msg)
}

func TestNothingIsSignedBeforeTheMarkIsDurable(t *testing.T) {
	k, d := recordstoretest.KeyFromSeed(t, 1), desk()
	rows := d.Rows
	for _, apply := range []bool{false, true} {
		d.Rows = &failing{Rows: rows, left: 1, apply: apply}
		s := &counting{Signer: k.Signer}
		if _, err := d.Sign(t.Context(), s, one(k, 5, "/ipfs/bafkqaaa"), false); !errors.Is(err, errCut) || s.asked > 0 {
			t.Errorf("%v, and the signer was asked %d times", err, s.asked)
		}
	}
	// The mark was written by the second: after the restart it holds, with the sequence.
	d.Rows = rows
	if _, err := d.Sign(t.Context(), k.Signer, one(k, 5, "/ipfs/bafkqabtimvwgy3yk"), false); !errors.Is(err, ladder.ErrOlder) {
		t.Errorf("another value after a crash: %v", err)
	}
	sign(t, d, k, one(k, 5, "/ipfs/bafkqaaa"))
	if e, err := d.Book.Get(t.Context(), k.Name); err != nil || e.Next != 6 {
		t.Errorf("the next sequence is %d, %v", e.Next, err)
	}
}

func TestWrongKeysAndClocksAreSaid(t *testing.T) {
	k, other, d := recordstoretest.KeyFromSeed(t, 1), recordstoretest.KeyFromSeed(t, 2), desk()
	_, err := d.Sign(t.Context(), other.Signer, one(k, 5, "/ipfs/bafkqaaa"), true)
	if !errors.Is(err, ipns.ErrKeyMismatch) || !strings.Contains(err.Error(), "the request is for "+k.Name.String()+", and the key is that of "+other.Name.String()) {
		t.Error(err)
	}
	for want, now := range map[string]time.Time{
		"here it is 2026-11-20T11:54:00Z, and the request was made 2026-11-20T12:00:00Z":                     epoch.Add(-6 * time.Minute),
		"here it is 2026-11-21T12:00:00Z, and the request is for a record that expired 2026-11-21T12:00:00Z": epoch.Add(day),
	} {
		d.Now = func() time.Time { return now }
		s := &counting{Signer: k.Signer}
		_, err := d.Sign(t.Context(), s, one(k, 5, "/ipfs/bafkqaaa"), false)
		if !errors.Is(err, ladder.ErrClock) || !strings.Contains(err.Error(), want) || s.asked > 0 {
			t.Errorf("want %q, got %v", want, err)
		}
	}
	// The times of a record are those of the request, so force may be right.
	file, err := d.Sign(t.Context(), k.Signer, one(k, 5, "/ipfs/bafkqaaa"), true)
	if err != nil {
		t.Fatal(err)
	}
	if rec, err := ipns.Open(k.Name, file, epoch); err != nil || !rec.EOL().Equal(epoch.Add(day)) {
		t.Errorf("%v, %v", rec, err)
	}
	d.Now = func() time.Time { return epoch.Add(-time.Minute) }
	if _, err := d.Sign(t.Context(), k.Signer, one(k, 6, "/ipfs/bafkqaaa"), false); err != nil {
		t.Errorf("a clock that is a minute behind: %v", err)
	}
}

func TestWhatWasPublishedHereIsRenewed(t *testing.T) {
	k, d := recordstoretest.KeyFromSeed(t, 1), desk()
	rec := k.Record(t, 4, "/ipfs/bafkqaaa", epoch.Add(time.Hour))
	if _, err := d.Book.Take(t.Context(), rec, names.Entrance{Origin: recordstore.Own}); err != nil {
		t.Fatal(err)
	}
	sign(t, d, k, one(k, 4, "/ipfs/bafkqaaa"))
	if _, err := d.Sign(t.Context(), k.Signer, one(k, 4, "/ipfs/bafkqabtimvwgy3yk"), true); !errors.Is(err, ladder.ErrOlder) {
		t.Error(err)
	}
}

// recordsOnly is a signer that signs records only.
type recordsOnly struct{ ipns.Signer }

var errRefused = errors.New("it refuses")

func (s recordsOnly) Sign(ctx context.Context, msg []byte) ([]byte, error) {
	if strings.HasPrefix(string(msg), "ipns-ladder/1:") {
		return nil, errRefused
	}
	return s.Signer.Sign(ctx, msg)
}

func TestThatASignerOfRecordsMakesNoLadderIsSaid(t *testing.T) {
	k, d := recordstoretest.KeyFromSeed(t, 1), desk()
	if _, err := d.Sign(t.Context(), recordsOnly{k.Signer}, one(k, 6, "/ipfs/bafkqaaa"), false); err != nil {
		t.Error(err)
	}
	_, err := d.Sign(t.Context(), recordsOnly{k.Signer}, request(t, k, 2), false)
	if !errors.Is(err, errRefused) || !strings.Contains(err.Error(), "all 2 records are signed, but not the list") {
		t.Error(err)
	}
}

// full is a store that cannot write.
type full struct {
	*recordstore.Memory
	err error
}

func (f *full) Swap(ctx context.Context, e recordstore.Entry, l recordstore.Lease) (recordstore.Entry, error) {
	if f.err != nil {
		return recordstore.Entry{}, f.err
	}
	return f.Memory.Swap(ctx, e, l)
}

// The mark is durable, and the power goes before the Book has the sequence.
func TestASequenceThatWasPublishedAfterACrashIsNotSignedAgain(t *testing.T) {
	k, d := recordstoretest.KeyFromSeed(t, 1), desk()
	store := &full{Memory: recordstore.NewMemory(), err: errCut}
	d.Book = &names.Book{Store: store}
	if _, err := d.Sign(t.Context(), k.Signer, one(k, 0, "/ipfs/bafkqaaa"), false); !errors.Is(err, errCut) {
		t.Fatal(err)
	}
	store.err = nil
	p := &publisher.Publisher{Book: d.Book, Now: d.Now}
	t.Cleanup(func() { p.Close(context.Background()) })
	res, err := p.Publish(t.Context(), k.Signer, publisher.Request{Value: "/ipfs/bafkqabtimvwgy3yk", Force: true, Wait: publisher.WaitStored})
	if err != nil || res.Record.Sequence() != 0 {
		t.Fatalf("published %v, %v", res.Record, err)
	}
	if _, err := d.Sign(t.Context(), k.Signer, one(k, 0, "/ipfs/bafkqaaa"), true); !errors.Is(err, ladder.ErrOlder) {
		t.Errorf("sequence 0 has two values: %v", err)
	}
}

// The first step of joined requests has no release of its own.
func TestNoLadderIsSignedThatCouldNotBeTaken(t *testing.T) {
	k := recordstoretest.KeyFromSeed(t, 1)
	r := one(k, 5, "/ipfs/bafkqaaa")
	r.Steps = append(r.Steps, ladder.Want{Value: "/ipfs/bafkqabtimvwgy3yk", Sequence: 6, At: epoch.Add(-time.Hour), EOL: epoch.Add(3 * day)})
	s := &counting{Signer: k.Signer}
	file, err := desk().Sign(t.Context(), s, r, false)
	if err == nil {
		_, _, err = ladder.Decode(file)
		t.Errorf("signed, and %v", err)
	}
	if s.asked > 0 {
		t.Errorf("the signer was asked %d times", s.asked)
	}
}
