package record

import (
	"bytes"
	cryptorand "crypto/rand"
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	boxo "github.com/ipfs/boxo/ipns"
	"github.com/ipfs/boxo/path"
	"github.com/libp2p/go-libp2p/core/crypto"

	"github.com/goipns/ipns"
	"github.com/goipns/ipns/internal/wire"
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

// keys are one of each type.
func keys(t testing.TB) map[string]crypto.PrivKey {
	t.Helper()
	m := map[string]crypto.PrivKey{}
	for _, typ := range []ipns.KeyType{ipns.Ed25519, ipns.Secp256k1, ipns.RSA} {
		priv, err := ipns.GenerateKey(typ, 0)
		if err != nil {
			t.Fatal(err)
		}
		m[typ.String()] = priv
	}
	ecdsa, _, err := crypto.GenerateECDSAKeyPair(cryptorand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	m["ecdsa"] = ecdsa
	return m
}

// emitted are records as different as Sign can make them.
func emitted(t testing.TB) map[string]*ipns.Record {
	t.Helper()
	all := map[string]*ipns.Record{}
	fields := map[string]ipns.Fields{
		"plain":         {Value: value, Sequence: 7, TTL: time.Minute, EOL: eol},
		"zero":          {EOL: eol},
		"int64":         {Value: value, Sequence: math.MaxInt64, TTL: math.MaxInt64, EOL: eol},
		"2^63":          {Value: value, Sequence: 1 << 63, EOL: eol, HighSequence: true},
		"2^64-1":        {Value: value, Sequence: math.MaxUint64, EOL: eol, HighSequence: true},
		"year 9999":     {Value: "/ipns/example.com/sub/", EOL: time.Date(9999, 12, 31, 23, 59, 59, 999999999, time.UTC)},
		"whole seconds": {Value: "/ipld/bafkqaaa", EOL: time.Date(2125, 1, 1, 0, 0, 0, 0, time.UTC)},
		"long value":    {Value: "/ipfs/bafkqaaa/" + strings.Repeat("ü", 2000), EOL: eol},
		"metadata": {Value: value, EOL: eol, Metadata: ipns.Metadata{
			"_text": "ü", "_bytes": []byte{0, 1}, "_yes": true, "_no": false, "_n": int64(math.MinInt64), "_m": int64(math.MaxInt64), "A": int64(1),
			"Sequencf": "between the five", "_a key longer than all of the five": "last",
		}},
		"structured": {Value: value, EOL: eol, Metadata: ipns.Metadata{
			"_list": ipns.CBOR{0x82, 0x01, 0xf6}, "_map": ipns.CBOR{0xa1, 0x61, 'k', 0xfb, 0x3f, 0xf8, 0, 0, 0, 0, 0, 0},
			"_link": ipns.CBOR(append([]byte{0xd8, 42, 0x46}, "\x00\x01\x55\x00\x01x"...)),
		}},
		"uint64": {Value: value, EOL: eol, Metadata: ipns.Metadata{"_big": uint64(math.MaxUint64)}},
	}
	for typ, priv := range keys(t) {
		signer := ipns.NewSigner(priv)
		for name, f := range fields {
			for _, form := range forms {
				r, err := ipns.Sign(t.Context(), signer, f, form)
				if err != nil {
					t.Fatal(typ, name, err)
				}
				all[strings.Join([]string{name, form.String(), typ}, ", ")] = r
			}
		}
	}
	return all
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
	for name, r := range emitted(t) {
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
	for typ, priv := range keys(t) {
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

// mutant is a record that was built wrong, signed, and perhaps damaged.
type mutant struct {
	raw     []byte
	changes []string
}

// items are encoded values to put where they do not belong.
var items = []string{
	"\x00", "\x17", "\x18\x18", "\x18\x17", "\x1b\x7f\xff\xff\xff\xff\xff\xff\xff", "\x1b\x80\x00\x00\x00\x00\x00\x00\x00", "\x20", "\x3b\x7f\xff\xff\xff\xff\xff\xff\xff",
	"\x40", "\x41x", "\x4e/ipfs/bafkqaaa", "\x58\x05hello", "\x5f\x41x\xff", "\x60", "\x61x", "\x61\xff", "\x80", "\x81\x81\x80", "\x9f\xff", "\xa0", "\xa1\x61k\x01", "\xa2\x61b\x01\x61a\x01",
	"\xa2\x61a\x01\x61a\x01", "\xbf\xff", "\xa1\x01\x01", "\xc0\x60", "\xc2\x41x", "\xd8\x2a\x46\x00\x01\x55\x00\x01x", "\xd8\x2a\x41\x00", "\xd9\xd9\xf7\x01",
	"\xf4", "\xf5", "\xf6", "\xf7", "\xe0", "\xf8\xff", "\xf9\x3c\x00", "\xfa\x3f\x80\x00\x00", "\xfb\x3f\xf8\x00\x00\x00\x00\x00\x00", "\xfb\x7f\xf8\x00\x00\x00\x00\x00\x00",
}

// validities are ends of life, good and bad. The offsets keep them in the future.
var validities = []string{
	"2125-01-01T00:00:00Z", "2125-01-01T00:00:00.5+01:00", "2125-01-01T00:00:00,5Z", "2125-01-01T0:00:00Z", "2125-01-01T00:00:00+24:00", "2125-02-30T00:00:00Z",
	"2125-01-01t00:00:00z", "2125-01-01 00:00:00Z", "2125-01-01T00:00:60Z", "2125-01-01T24:00:00Z", "", "x", "2125-01-01T00:00:00.1234567890123Z", " 2125-01-01T00:00:00Z",
	"2125-01-01T00:00:00." + strings.Repeat("1", 100) + "Z", "2125-01-01T00:00:00-00:00", "99999-01-01T00:00:00Z",
}

// mutate builds a record from a good one by up to three changes before it is
// signed and up to one after.
func mutate(rnd *rand.Rand, priv crypto.PrivKey) mutant {
	var m mutant
	note := func(format string, args ...any) { m.changes = append(m.changes, fmt.Sprintf(format, args...)) }
	type entry struct{ key, value string }
	validity := "2125-01-01T00:00:00Z"
	cbor := func(s string) string { return string(wire.AppendCBORBytes(nil, []byte(s))) }
	doc := []entry{{"TTL", "\x01"}, {"Value", cbor("/ipfs/bafkqaaa")}, {"Sequence", "\x07"}, {"Validity", cbor(validity)}, {"ValidityType", "\x00"}}
	legacy := map[int]any{1: "/ipfs/bafkqaaa", 2: strings.Repeat("s", 64), 3: uint64(0), 4: validity, 5: uint64(7), 6: uint64(1)}
	order := []int{1, 2, 3, 4, 5, 6}
	if rnd.IntN(2) == 0 {
		order = nil
	}
	for range rnd.IntN(3) {
		i := rnd.IntN(len(doc))
		item := items[rnd.IntN(len(items))]
		switch rnd.IntN(8) {
		case 0:
			note("%s = %x", doc[i].key, item)
			doc[i].value = item
		case 1:
			note("without %s", doc[i].key)
			doc = append(doc[:i], doc[i+1:]...)
			if len(doc) == 0 {
				doc = []entry{{"x", "\x00"}}
			}
		case 2:
			note("%s twice", doc[i].key)
			doc = append(doc, doc[i])
		case 3, 4:
			note("extra = %x", item)
			doc = append(doc, entry{fmt.Sprintf("_longer_than_all_%d", rnd.IntN(3)), item})
		case 5:
			note("shuffled")
			rnd.Shuffle(len(doc), func(i, j int) { doc[i], doc[j] = doc[j], doc[i] })
		case 6:
			v := validities[rnd.IntN(len(validities))]
			note("validity %q", v)
			legacy[4] = v
			for i := range doc {
				if doc[i].key == "Validity" {
					doc[i].value = cbor(v)
				}
			}
		case 7:
			n := []uint64{0, 8, math.MaxInt64, 1 << 63, math.MaxUint64}[rnd.IntN(5)]
			note("sequence %d", n)
			legacy[5] = n
			for i := range doc {
				if doc[i].key == "Sequence" {
					doc[i].value = string(wire.AppendCBORUint(nil, n))
				}
			}
		}
	}
	data := []byte{0xa0 | byte(len(doc))}
	for _, e := range doc {
		data = append(append(data, wire.AppendCBORText(nil, e.key)...), e.value...)
	}
	if rnd.IntN(12) == 0 {
		note("byte after the document")
		data = append(data, byte(rnd.IntN(256)))
	}
	sig, err := priv.Sign(append([]byte("ipns-signature:"), data...))
	if err != nil {
		panic(err)
	}
	legacy[8], legacy[9] = string(sig), string(data)
	order = append(order, 8, 9)
	if rnd.IntN(3) == 0 {
		i := rnd.IntN(len(order))
		switch rnd.IntN(4) {
		case 0:
			note("field %d left out", order[i])
			order = append(order[:i], order[i+1:]...)
		case 1:
			note("field %d twice", order[i])
			order = append(order, order[i])
		case 2:
			note("fields shuffled")
			rnd.Shuffle(len(order), func(i, j int) { order[i], order[j] = order[j], order[i] })
		case 3:
			note("field %d changed", order[i])
			if s, ok := legacy[order[i]].(string); ok {
				legacy[order[i]] = s + "x"
			} else {
				legacy[order[i]] = legacy[order[i]].(uint64) + 1<<32
			}
		}
	}
	for _, n := range order {
		if s, ok := legacy[n].(string); ok {
			m.raw = wire.AppendBytes(m.raw, n, []byte(s))
		} else {
			m.raw = wire.AppendVarint(m.raw, n, legacy[n].(uint64))
		}
	}
	extra := []string{"\x78\x01", "\x7a\x01x", "\x7b\x7c", "\x79\x01\x02\x03\x04\x05\x06\x07\x08", "\x7f", "\x02\x00", "\xff", "\x00", strings.Repeat("\x78\x01", 40), "\x3a\x00", "\x3a\x01x"}
	if rnd.IntN(6) == 0 {
		e := extra[rnd.IntN(len(extra))]
		note("after it %x", e)
		m.raw = append(m.raw, e...)
	}
	if rnd.IntN(10) == 0 {
		i := rnd.IntN(len(m.raw))
		note("bit of byte %d", i)
		m.raw[i] ^= 1 << rnd.IntN(8)
	}
	return m
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
		m := mutate(rnd, priv)
		_, ours := ipns.Open(name, m.raw, time.Now())
		_, theirs := boxoOpen(name, m.raw)
		switch {
		case ours == nil && theirs == nil:
			both++
		case ours != nil && theirs != nil:
			neither++
		case ours != nil:
			why := explain(weRefuse, ours)
			if why == "" {
				t.Errorf("%v: boxo accepts, we say %v", m.changes, ours)
			}
			met[why]++
		default:
			why := explain(boxoRefuses, theirs)
			if why == "" {
				t.Errorf("%v: we accept, boxo says %v", m.changes, theirs)
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
