package record

import (
	"bytes"
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	boxo "github.com/ipfs/boxo/ipns"
	"github.com/ipfs/boxo/path"

	"github.com/goipns/ipns"
)

// boxoOpen is what boxo says of a record.
func boxoOpen(name ipns.Name, raw []byte) (*boxo.Record, error) {
	r, err := boxo.UnmarshalRecord(raw)
	if err != nil {
		return nil, err
	}
	n, err := boxo.NameFromRoutingKey(name.RoutingKey())
	if err != nil {
		return nil, err
	}
	return r, boxo.ValidateWithName(r, n)
}

// refusedByBoxo is why boxo does not accept a record that Sign made. Nothing else
// may be refused.
func refusedByBoxo(name string) string {
	if strings.HasPrefix(name, "2^6") && strings.Contains(name, "V1+V2") {
		return "boxo reads the Sequence of the document as an int64"
	}
	return ""
}

// R-12 R-30 R-35 V-70: boxo accepts what we make, and reads from it what we wrote.
func TestBoxoAcceptsOurs(t *testing.T) {
	all, err := Emitted(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	for name, r := range all {
		theirs, err := boxoOpen(r.Name(), r.Raw())
		if reason := refusedByBoxo(name); reason != "" {
			if err == nil {
				t.Errorf("%s: accepted, though %s", name, reason)
			}
			continue
		}
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		v, err := theirs.Value()
		if err != nil || v.String() != r.Value() {
			t.Errorf("%s: value %v, %v; want %s", name, v, err, r.Value())
		}
		sequence, err := theirs.Sequence()
		if high := r.Sequence() > math.MaxInt64; high != (err != nil) || err == nil && sequence != r.Sequence() {
			t.Errorf("%s: sequence %d, %v; want %d", name, sequence, err, r.Sequence())
		}
		if ttl, err := theirs.TTL(); err != nil || ttl != r.TTL() {
			t.Errorf("%s: TTL %v, %v; want %v", name, ttl, err, r.TTL())
		}
		if end, err := theirs.Validity(); err != nil || !end.Equal(r.EOL()) {
			t.Errorf("%s: EOL %v, %v; want %v", name, end, err, r.EOL())
		}
		for key := range r.Metadata() {
			if !theirs.MetadataExists(key) {
				t.Errorf("%s: metadata %q is gone", name, key)
			}
		}
		// Re-encoded by boxo, as its HTTP client and server do, it is the same.
		if again, err := boxo.MarshalRecord(theirs); err != nil || !bytes.Equal(again, r.Raw()) {
			t.Errorf("%s: boxo writes it as %x, %v", name, again, err)
		}
	}
}

// V-12: from the same key and fields come the same bytes as from boxo, where
// signatures are not random.
func TestSameBytesAsBoxo(t *testing.T) {
	all, err := keys()
	if err != nil {
		t.Fatal(err)
	}
	for typ, priv := range all {
		for _, form := range forms {
			for _, sequence := range []uint64{0, 1, 300, math.MaxInt64} {
				f := ipns.Fields{Value: value, Sequence: sequence, EOL: eol, TTL: time.Hour, Metadata: ipns.Metadata{"_k": "v", "_n": int64(-1), "Zz": []byte("z"), "_b": true}}
				ours, err := ipns.Sign(t.Context(), ipns.NewSigner(priv), f, form)
				if err != nil {
					t.Fatal(err)
				}
				p, err := path.NewPath(value)
				if err != nil {
					t.Fatal(err)
				}
				r, err := boxo.NewRecord(priv, p, sequence, eol, time.Hour, boxo.WithV1Compatibility(form == ipns.V1V2), boxo.WithMetadata(f.Metadata))
				if err != nil {
					t.Fatal(err)
				}
				theirs, err := boxo.MarshalRecord(r)
				if err != nil {
					t.Fatal(err)
				}
				if typ == "ecdsa" {
					opened, err := ipns.Open(ours.Name(), theirs, eol.Add(-1))
					if err != nil || opened.DataHash() != ours.DataHash() {
						t.Errorf("%s: %v", typ, err)
					}
				} else if !bytes.Equal(ours.Raw(), theirs) {
					t.Errorf("%s, %v: ours\n%x, boxo's\n%x", typ, form, ours.Raw(), theirs)
				}
			}
		}
	}
}

// weRefuse are the reasons why we refuse what boxo accepts: a word of our error,
// and why it has to be so.
var weRefuse = []struct{ word, why string }{
	{"is repeated", "readers choose different ones of two fields or entries"},
	{"group or reserved", "groups have no use and nest without end"},
	{"more than 32 fields", "the limit of a record"},
	{"is missing", "a record must have its five entries"},
	{"want bytes", "boxo looks at types when a field is asked for, not when the record is verified"},
	{"want an unsigned integer", "the same; and a negative number is how boxo writes a sequence above 2^63-1"},
	{"64-bit floats are allowed", "DAG-CBOR has no short floats, no undefined and no other simple values"},
	{"only tag 42 is allowed", "DAG-CBOR has no other tags"},
	{"text is not UTF-8", "text is UTF-8"},
	{"invalid validity", "boxo takes what Go's time package takes: commas, hours of one digit, offsets of a day, any number of digits"},
	{`"ValidityType" did not match`, "boxo compares the lower 32 bits of the copy in the envelope"},
}

// boxoRefuses are the reasons the other way, by a word of boxo's error.
var boxoRefuses = []struct{ word, why string }{
	{"out of range of int64", "boxo has no sequence and no TTL above 2^63-1 in a V1+V2 record"},
}

func explain(list []struct{ word, why string }, err error) string {
	for _, e := range list {
		if strings.Contains(err.Error(), e.word) {
			return e.why
		}
	}
	return ""
}

// Every difference from boxo on damaged and odd records has a reason, and every
// reason is met.
func TestBoxoDifferences(t *testing.T) {
	rnd := rand.New(rand.NewPCG(7, 11))
	priv := newKey(t)
	name, err := ipns.NameOf(priv.GetPublic())
	if err != nil {
		t.Fatal(err)
	}
	const n = 8_000
	both, neither, met := 0, 0, map[string]int{}
	for range n {
		raw, changes, err := Mutant(rnd, priv)
		if err != nil {
			t.Fatal(err)
		}
		_, ours := ipns.Open(name, raw, time.Now())
		_, theirs := boxoOpen(name, raw)
		switch {
		case ours == nil && theirs == nil:
			both++
		case ours != nil && theirs != nil:
			neither++
		case ours != nil:
			why := explain(weRefuse, ours)
			if why == "" {
				t.Errorf("%v: boxo accepts, we say %v", changes, ours)
			}
			met[why]++
		default:
			why := explain(boxoRefuses, theirs)
			if why == "" {
				t.Errorf("%v: we accept, boxo says %v", changes, theirs)
			}
			met[why]++
		}
	}
	t.Logf("%d records: both accept %d, both refuse %d", n, both, neither)
	for why, count := range met {
		t.Logf("%6d differ: %s", count, why)
	}
	if both < n/10 || neither < n/10 || len(met) != len(weRefuse)+len(boxoRefuses) {
		t.Errorf("the mutants are too much alike: %d, %d, %d", both, neither, len(met))
	}
}

// where boxo's selection fails because of one bad record, ours goes on;
// where both choose, they choose the same.
func TestSameChoiceAsBoxo(t *testing.T) {
	rnd := rand.New(rand.NewPCG(5, 6))
	priv := newKey(t)
	signer := ipns.NewSigner(priv)
	name, err := ipns.NameOf(priv.GetPublic())
	if err != nil {
		t.Fatal(err)
	}
	for range 300 {
		var records []*ipns.Record
		var raws [][]byte
		for range 2 + rnd.IntN(4) {
			r, err := ipns.Sign(t.Context(), signer, ipns.Fields{
				Value: fmt.Sprintf("/ipfs/bafkqaaa/%d", rnd.IntN(2)), Sequence: uint64(rnd.IntN(3)), EOL: eol.Add(time.Duration(rnd.IntN(2))),
			}, forms[rnd.IntN(2)])
			if err != nil {
				t.Fatal(err)
			}
			records, raws = append(records, r), append(raws, r.Raw())
		}
		i, err := (boxo.Validator{}).Select(string(name.RoutingKey()), raws)
		if err != nil {
			t.Fatal(err)
		}
		if best := ipns.Best(time.Now(), records...); ipns.Compare(best, records[i]) != 0 {
			t.Errorf("we choose %v, boxo %v", best, records[i])
		}
	}
	bad := [][]byte{newRecord(t, ipns.V1V2, 1).Raw(), []byte("no record")}
	if i, err := (boxo.Validator{}).Select(string(name.RoutingKey()), bad); err == nil {
		t.Errorf("boxo's selection no longer fails: it is %d", i)
	}
	_, err = ipns.Open(name, bad[1], time.Now())
	if !errors.Is(err, ipns.ErrMalformed) {
		t.Error(err)
	}
}
