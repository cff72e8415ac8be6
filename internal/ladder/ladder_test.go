package ladder_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/goipns/ipns"
	"github.com/goipns/ipns/internal/ladder"
	"github.com/goipns/ipns/names"
	"github.com/goipns/ipns/recordstore"
	"github.com/goipns/ipns/recordstore/recordstoretest"
)

// epoch is when the requests of the tests are made.
var epoch = recordstoretest.Epoch.Truncate(time.Second)

// request asks for a ladder with so many steps, one every 31 days.
func request(t testing.TB, k recordstoretest.Key, steps int) *ladder.Request {
	t.Helper()
	r := &ladder.Request{Name: k.Name, Made: epoch, Steps: []ladder.Want{{Value: "/ipfs/bafkqaaa", Sequence: 7, EOL: epoch.Add(day), TTL: time.Minute}}}
	if err := r.Repeat(31*day, steps, 0); err != nil {
		t.Fatal(err)
	}
	return r
}

// desk is a machine that signs.
func desk() *ladder.Desk {
	return &ladder.Desk{
		Book: &names.Book{Store: recordstore.NewMemory()}, Rows: &recordstore.MemoryRows{},
		Now: func() time.Time { return epoch.Add(time.Minute) },
	}
}

func sign(t testing.TB, d *ladder.Desk, k recordstoretest.Key, r *ladder.Request) []byte {
	t.Helper()
	file, err := d.Sign(t.Context(), k.Signer, r, false)
	if err != nil {
		t.Fatal(err)
	}
	return file
}

// decoded is a ladder with the records of its steps.
func decoded(t testing.TB, file []byte) (*ladder.Ladder, []*ipns.Record) {
	t.Helper()
	l, recs, err := ladder.Decode(file)
	if err != nil {
		t.Fatal(err)
	}
	return l, recs
}

func TestEachStepIsValidFromItsReleaseUntilAMarginAfterTheNext(t *testing.T) {
	k := recordstoretest.KeyFromSeed(t, 1)
	l, recs := decoded(t, sign(t, desk(), k, request(t, k, 12)))
	if len(recs) != 12 {
		t.Fatalf("%d steps", len(recs))
	}
	for i, rec := range recs {
		at := epoch.Add(time.Duration(i) * 31 * day)
		if !l.Steps[i].At.Equal(at) || !rec.EOL().Equal(at.Add(46*day)) || rec.Sequence() != 7 || rec.Value() != "/ipfs/bafkqaaa" {
			t.Errorf("step %d: released %v, %v", i+1, l.Steps[i].At, rec)
		}
	}
	if again, err := l.Encode(); err != nil || !bytes.Equal(again, sign(t, desk(), k, request(t, k, 12))) {
		t.Errorf("encoded again, it is another file: %v", err)
	}
}

func TestAOneStepRequestIsARecordAsItTravels(t *testing.T) {
	k := recordstoretest.KeyFromSeed(t, 1)
	r := &ladder.Request{Name: k.Name, Made: epoch, Steps: []ladder.Want{{Value: "/ipns/example.com", Sequence: 3, EOL: epoch.Add(day), TTL: time.Minute, V2Only: true}}}
	file := sign(t, desk(), k, r)
	rec, err := ipns.Open(k.Name, file, epoch)
	if err != nil || ladder.IsLadder(file) {
		t.Fatal(err)
	}
	if rec.Value() != "/ipns/example.com" || rec.Sequence() != 3 || !rec.EOL().Equal(epoch.Add(day)) || rec.TTL() != time.Minute || rec.Form() != ipns.V2Only {
		t.Errorf("signed %v", rec)
	}
}

// Every way to cut a file short is an error, and most say that it is torn.
func TestATornFileIsSaidToBeTorn(t *testing.T) {
	k := recordstoretest.KeyFromSeed(t, 1)
	r := request(t, k, 3)
	asked, err := r.Encode()
	if err != nil {
		t.Fatal(err)
	}
	signed := sign(t, desk(), k, r)
	for n := range len(asked) - 2 {
		if _, err := ladder.DecodeRequest(asked[:n]); err == nil || n > 0 && !errors.Is(err, ladder.ErrTorn) {
			t.Fatalf("%d bytes of a request: %v", n, err)
		}
	}
	for n := range len(signed) - 2 {
		if _, _, err := ladder.Decode(signed[:n]); !errors.Is(err, ladder.ErrTorn) {
			t.Fatalf("%d bytes of a ladder: %v", n, err)
		}
	}
}

// file is a ladder that a test changes.
type file struct {
	Format, Name string
	Steps        []struct {
		At     time.Time
		Record []byte
		Hash   string
	}
	Signature []byte
}

func TestAChangedLadderIsNotTaken(t *testing.T) {
	k, other := recordstoretest.KeyFromSeed(t, 1), recordstoretest.KeyFromSeed(t, 2)
	signed, foreign := sign(t, desk(), k, request(t, k, 4)), file{}
	if err := json.Unmarshal(sign(t, desk(), other, request(t, other, 4)), &foreign); err != nil {
		t.Fatal(err)
	}
	for what, change := range map[string]func(*file){
		"a step less":            func(f *file) { f.Steps = slices.Delete(f.Steps, 1, 2) },
		"the last step less":     func(f *file) { f.Steps = f.Steps[:3] },
		"no step":                func(f *file) { f.Steps = nil },
		"a step twice":           func(f *file) { f.Steps = append(f.Steps, f.Steps[3]) },
		"steps exchanged":        func(f *file) { f.Steps[1], f.Steps[2] = f.Steps[2], f.Steps[1] },
		"an earlier release":     func(f *file) { f.Steps[1].At = f.Steps[1].At.Add(-day) },
		"a changed record":       func(f *file) { f.Steps[2].Record[10] ^= 1 },
		"a changed signature":    func(f *file) { f.Signature[3] ^= 1 },
		"no signature":           func(f *file) { f.Signature = nil },
		"another name":           func(f *file) { f.Name = other.Name.String() },
		"another ladder's steps": func(f *file) { f.Steps = foreign.Steps },
		"another one's signature": func(f *file) {
			f.Signature = foreign.Signature
		},
		"another format": func(f *file) { f.Format = "ipns-ladder/2" },
	} {
		var f file
		if err := json.Unmarshal(signed, &f); err != nil {
			t.Fatal(err)
		}
		change(&f)
		b, err := json.Marshal(f)
		if err != nil {
			t.Fatal(err)
		}
		if _, _, err := ladder.Decode(b); err == nil {
			t.Errorf("%s: taken", what)
		}
	}
	if _, _, err := ladder.Decode(append(signed, signed...)); err == nil {
		t.Error("two ladders in one file: taken")
	}
}

func TestBoundsHaveNames(t *testing.T) {
	k := recordstoretest.KeyFromSeed(t, 1)
	first := ladder.Want{Value: "/ipfs/bafkqaaa", EOL: epoch.Add(day)}
	for want, try := range map[string]func(r *ladder.Request) error{
		"10000 steps: a ladder has one to 4096":   func(r *ladder.Request) error { return r.Repeat(day, 10_000, 0) },
		"the ladder would be longer than 876000h": func(r *ladder.Request) error { return r.Repeat(365*day, 4096, 0) },
		"the name would expire in between":        func(r *ladder.Request) error { return r.Repeat(31*day, 2, 30*day) },
		"a number of whole seconds":               func(r *ladder.Request) error { return r.Repeat(1500*time.Millisecond, 2, 0) },
		"its TTL (25h0m0s) is negative, or longer": func(r *ladder.Request) error {
			r.Steps[0].TTL = 25 * time.Hour
			return r.Check()
		},
		"sequence 0 would have two values": func(r *ladder.Request) error {
			r.Steps = append(r.Steps, ladder.Want{Value: "/ipfs/bafkqabtimvwgy3yk", At: epoch.Add(day), EOL: epoch.Add(2 * day)})
			return r.Check()
		},
		"it is not newer than the one before it": func(r *ladder.Request) error {
			r.Steps = append(r.Steps, ladder.Want{Value: "/ipfs/bafkqaaa", At: epoch.Add(time.Hour), EOL: epoch.Add(day)})
			return r.Check()
		},
	} {
		r := &ladder.Request{Name: k.Name, Made: epoch, Steps: []ladder.Want{first}}
		if err := try(r); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("want %q, got %v", want, err)
		}
	}
	if _, _, err := ladder.Decode(make([]byte, ladder.MaxFile+1)); err == nil || !strings.Contains(err.Error(), "more than 16777216 bytes") {
		t.Error(err)
	}
}

func FuzzDecode(f *testing.F) {
	k := recordstoretest.KeyFromSeed(f, 1)
	f.Add(sign(f, desk(), k, request(f, k, 3)))
	f.Add([]byte(`{"Format":"ipns-ladder/1","Name":"k51","Steps":[{}]}`))
	f.Fuzz(func(t *testing.T, b []byte) {
		l, recs, err := ladder.Decode(b)
		if err != nil {
			return
		}
		again, err := l.Encode()
		if err != nil {
			t.Fatal(err)
		}
		l2, recs2, err := ladder.Decode(again)
		if err != nil || len(recs) != len(recs2) || l2.Name != l.Name {
			t.Fatalf("encoded again: %v", err)
		}
	})
}

func FuzzDecodeRequest(f *testing.F) {
	k := recordstoretest.KeyFromSeed(f, 1)
	b, err := request(f, k, 3).Encode()
	if err != nil {
		f.Fatal(err)
	}
	f.Add(b)
	f.Add(append(b, b...))
	f.Fuzz(func(t *testing.T, b []byte) {
		r, err := ladder.DecodeRequest(b)
		if err != nil {
			return
		}
		if again, err := r.Encode(); err != nil {
			t.Fatal(err)
		} else if _, err := ladder.DecodeRequest(again); err != nil {
			t.Fatal(err)
		}
	})
}
