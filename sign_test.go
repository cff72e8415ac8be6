package ipns

import (
	"bytes"
	"errors"
	"fmt"
	"maps"
	"math"
	"math/rand/v2"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/libp2p/go-libp2p/core/crypto"

	"github.com/goipns/ipns/internal/wire"
)

var testEOL = time.Date(2100, time.January, 2, 3, 4, 5, 678_900_000, time.UTC)

// R-30 R-31 R-35 R-36 N-2: every type of key makes records of both forms, and
// what was asked for is in them.
func TestSign(t *testing.T) {
	for _, typ := range allKeyTypes {
		signer := NewSigner(testKey(t, typ))
		for _, form := range []Form{V1V2, V2Only} {
			f := Fields{
				Value: "/ipns/example.com/sub/", Sequence: 7, EOL: testEOL, TTL: time.Minute,
				Metadata: Metadata{"_text": "a", "_bytes": []byte{1, 2}, "_n": int64(-5), "_ok": true},
			}
			made, err := Sign(t.Context(), signer, f, form)
			if err != nil {
				t.Fatal(typ, form, err)
			}
			name, err := NameOf(signer.Public())
			if err != nil || name != made.Name() {
				t.Fatal(name, made.Name(), err)
			}
			r, err := Open(name, made.Raw(), testEOL.Add(-1))
			if err != nil {
				t.Fatal(typ, form, err)
			}
			if r.Value() != f.Value || r.Sequence() != 7 || !r.EOL().Equal(testEOL) || r.TTL() != time.Minute ||
				r.Form() != form || !reflect.DeepEqual(r.Metadata(), f.Metadata) {
				t.Errorf("%v %v: %+v", typ, form, r)
			}
			if !reflect.DeepEqual(made, r) {
				t.Errorf("%v %v: signed %+v, opened %+v", typ, form, made, r)
			}
			if pub, err := r.PublicKey(); err != nil || !pub.Equals(signer.Public()) {
				t.Errorf("%v: public key %v, %v", typ, pub, err)
			}
			checkLayout(t, r, typ)
			if form == V1V2 {
				if err := VerifyV1(name, r.Raw()); err != nil {
					t.Errorf("%v: %v", typ, err)
				}
			}
		}
	}
}

// checkLayout checks which fields a record has, and their order, which nobody
// but its own encoding can tell: it is encoded once more and must be the same.
func checkLayout(t *testing.T, r *Record, typ KeyType) {
	t.Helper()
	var env wire.Envelope
	if err := wire.ParseEnvelope(&env, r.raw); err != nil {
		t.Fatal(err)
	}
	var want []byte
	if r.Form() == V1V2 {
		want = wire.AppendBytes(want, 1, r.RawValue())
		want = wire.AppendBytes(want, 2, env.SignatureV1.Of(r.raw))
		want = wire.AppendVarint(want, 3, 0)
		want = wire.AppendBytes(want, 4, []byte(r.EOL().Format(time.RFC3339Nano)))
		want = wire.AppendVarint(want, 5, r.Sequence())
		want = wire.AppendVarint(want, 6, uint64(r.TTL()))
	}
	if typ == RSA || typ == ECDSA {
		want = wire.AppendBytes(want, 7, env.PubKey.Of(r.raw))
	} else if env.Has(7) {
		t.Errorf("%v: the key is in the name and in the record", typ)
	}
	want = wire.AppendBytes(want, 8, env.SignatureV2.Of(r.raw))
	want = wire.AppendBytes(want, 9, r.data.Of(r.raw))
	if !bytes.Equal(r.raw, want) {
		t.Errorf("%v %v: got\n%x, want\n%x", typ, r.Form(), r.raw, want)
	}
}

// R-10 R-12 R-32 R-60: what Sign refuses.
func TestSignRefused(t *testing.T) {
	signer := NewSigner(testKey(t, Ed25519))
	for why, c := range map[string]struct {
		f    Fields
		want error
		text string
	}{
		"relative":        {Fields{Value: "bafkqaaa", EOL: testEOL}, ErrValue, "value is not a valid content path"},
		"URI":             {Fields{Value: "ipfs://bafkqaaa", EOL: testEOL}, ErrValue, ""},
		"no CID":          {Fields{Value: "/ipfs/x", EOL: testEOL}, ErrValue, ""},
		"out of the root": {Fields{Value: "/ipfs/bafkqaaa/../../x/y", EOL: testEOL}, ErrValue, ""},
		"sequence":        {Fields{Sequence: 1 << 63, EOL: testEOL}, ErrSequence, "sequence number too large"},
		"ttl":             {Fields{TTL: -time.Second, EOL: testEOL}, nil, "ttl must not be negative, got -1s"},
		"no eol":          {Fields{}, ErrValidity, "no end of life"},
		"year 10000":      {Fields{EOL: time.Date(10000, 1, 1, 0, 0, 0, 0, time.UTC)}, ErrValidity, "year 10000"},
		"year -1":         {Fields{EOL: time.Date(-1, 1, 1, 0, 0, 0, 0, time.UTC)}, ErrValidity, "year -1"},
		"long value":      {Fields{Value: "/ipfs/bafkqaaa/" + strings.Repeat("x", 11_000), EOL: testEOL}, ErrSize, ""},
		"a bit long":      {Fields{Value: "/ipfs/bafkqaaa/" + strings.Repeat("x", 10_110), EOL: testEOL}, ErrSize, ""},
		"empty key":       {Fields{Metadata: Metadata{"": "x"}, EOL: testEOL}, ErrMetadata, "key is empty"},
		"standard key":    {Fields{Metadata: Metadata{"TTL": 1}, EOL: testEOL}, ErrMetadata, `key "TTL" is a field of every record`},
		"key not UTF-8":   {Fields{Metadata: Metadata{"\xff": 1}, EOL: testEOL}, ErrMetadata, "not UTF-8"},
		"text not UTF-8":  {Fields{Metadata: Metadata{"_a": "\xff"}, EOL: testEOL}, ErrMetadata, "not UTF-8"},
		"float":           {Fields{Metadata: Metadata{"_a": 1.5}, EOL: testEOL}, ErrMetadata, "type float64 is not supported"},
		"nil":             {Fields{Metadata: Metadata{"_a": nil}, EOL: testEOL}, ErrMetadata, "type <nil> is not supported"},
		"broken CBOR":     {Fields{Metadata: Metadata{"_a": CBOR{0x9f, 0xff}}, EOL: testEOL}, ErrMetadata, "dag-cbor"},
		"unsorted CBOR":   {Fields{Metadata: Metadata{"_a": CBOR("\xa2\x61b\x01\x61a\x01")}, EOL: testEOL}, ErrMetadata, "canonical order"},
		"two CBOR items":  {Fields{Metadata: Metadata{"_a": CBOR{1, 2}}, EOL: testEOL}, ErrMetadata, "dag-cbor"},
		"too many items":  {Fields{Metadata: manyItems(), EOL: testEOL}, ErrMalformed, "items"},
	} {
		for _, form := range []Form{V1V2, V2Only} {
			r, err := Sign(t.Context(), signer, c.f, form)
			if r != nil || err == nil || c.want != nil && !errors.Is(err, c.want) || !strings.Contains(err.Error(), c.text) {
				t.Errorf("%s: %v, %v", why, r, err)
			}
		}
	}
}

func manyItems() Metadata {
	m := Metadata{}
	for i := range wire.MaxItems/2 - 4 {
		m[fmt.Sprint(i)] = 1
	}
	return m
}

// R-12 R-60: extremes that are allowed.
func TestSignExtremes(t *testing.T) {
	signer := NewSigner(testKey(t, Ed25519))
	for why, f := range map[string]Fields{
		"zero":          {EOL: testEOL},
		"high sequence": {Sequence: math.MaxUint64, HighSequence: true, EOL: testEOL},
		"int64":         {Sequence: math.MaxInt64, EOL: testEOL},
		"ttl":           {TTL: math.MaxInt64, EOL: testEOL},
		"year 0":        {EOL: time.Date(0, 1, 1, 0, 0, 0, 0, time.UTC)},
		"year 9999":     {EOL: time.Date(9999, 12, 31, 23, 59, 59, 999_999_999, time.UTC)},
		"zone":          {EOL: testEOL.In(time.FixedZone("x", 3600))},
		"uint64":        {Metadata: Metadata{"_a": uint64(math.MaxUint64), "_b": int64(math.MinInt64)}, EOL: testEOL},
		"empty things":  {Metadata: Metadata{"_a": "", "_b": []byte{}, "_c": CBOR{0xa0}}, EOL: testEOL},
	} {
		for _, form := range []Form{V1V2, V2Only} {
			r, err := Sign(t.Context(), signer, f, form)
			if err != nil {
				t.Errorf("%s: %v", why, err)
				continue
			}
			r, err = Reopen(r.Name(), r.Raw())
			if err != nil || r.Sequence() != f.Sequence || r.TTL() != f.TTL || !r.EOL().Equal(f.EOL) || len(r.Metadata()) != len(f.Metadata) {
				t.Errorf("%s: %+v, %v", why, r, err)
			}
			for k, v := range f.Metadata {
				if got := r.Metadata()[k]; !reflect.DeepEqual(got, v) {
					t.Errorf("%s: %s is %#v, want %#v", why, k, got, v)
				}
			}
		}
	}
	// Exactly as large as a record may be.
	for form, pad := range map[Form]int{V1V2: 4930, V2Only: 10010} {
		largest := 0
		for n := pad; n < pad+100; n++ {
			r, err := Sign(t.Context(), signer, Fields{Value: "/ipfs/bafkqaaa/" + strings.Repeat("x", n), EOL: testEOL}, form)
			if err != nil && !errors.Is(err, ErrSize) {
				t.Fatal(err)
			}
			if err == nil {
				largest = max(largest, len(r.Raw()))
			}
		}
		if largest < MaxRecordSize-1 || largest > MaxRecordSize {
			t.Errorf("%v: the largest record has %d bytes", form, largest)
		}
	}
}

// R-10 R-15: extra keys are sorted among the five, by length and then by bytes.
func TestKeyOrder(t *testing.T) {
	r, err := Sign(t.Context(), NewSigner(testKey(t, Ed25519)), Fields{EOL: testEOL, Metadata: Metadata{
		"_mid": 1, "_z": 1, "_a": 1, "Sequencf": 1, "_longer_than_all_of_them": 1,
	}}, V2Only)
	if err != nil {
		t.Fatal(err)
	}
	want := []string{"_a", "_z", "TTL", "_mid", "Value", "Sequence", "Sequencf", "Validity", "ValidityType", "_longer_than_all_of_them"}
	data, last := r.data.Of(r.raw), -1
	for _, key := range want {
		at := bytes.Index(data, wire.AppendCBORText(nil, key))
		if at <= last {
			t.Errorf("%s is at %d, after %d", key, at, last)
		}
		last = at
	}
}

// P-43 as far as it is about bytes: Renew changes the end of life and nothing else.
func TestRenew(t *testing.T) {
	later := testEOL.Add(48 * time.Hour)
	for _, typ := range allKeyTypes {
		signer := NewSigner(testKey(t, typ))
		for _, form := range []Form{V1V2, V2Only} {
			r, err := Sign(t.Context(), signer, Fields{
				Value: "/ipfs/bafkqaaa/x", Sequence: math.MaxUint64, HighSequence: true, EOL: testEOL, TTL: 3 * time.Second,
				Metadata: Metadata{"_a": "b", "_list": CBOR{0x82, 1, 2}, "Zebra": int64(1)},
			}, form)
			if err != nil {
				t.Fatal(err)
			}
			renewed, err := Renew(t.Context(), signer, r, later)
			if err != nil {
				t.Fatal(err)
			}
			if !renewed.EOL().Equal(later) || Compare(renewed, r) <= 0 {
				t.Errorf("%v %v: EOL %v", typ, form, renewed.EOL())
			}
			back, err := Renew(t.Context(), signer, renewed, testEOL)
			if err != nil || back.DataHash() != r.DataHash() || typ != ECDSA && back.Hash() != r.Hash() || back.Form() != r.Form() {
				t.Errorf("%v %v: with the old EOL again it is another record", typ, form)
			}
		}
	}
	// What Sign would refuse is kept: it is the owner's.
	c := newCraft(true).set(wire.KeyValue, cborBytes("odd")).set(wire.KeyTTL, cborUint(math.MaxUint64))
	c.value, c.ttl = []byte("odd"), math.MaxUint64
	slices.Reverse(c.doc)
	r := accept(t, "odd record", c)
	signer := NewSigner(mustKey(t, marshalKey(Ed25519, craftKey)))
	renewed, err := Renew(t.Context(), signer, r, testEOL)
	if err != nil || string(renewed.RawValue()) != "odd" || renewed.ttl != math.MaxUint64 || renewed.Sequence() != 7 {
		t.Errorf("odd record: %+v, %v", renewed, err)
	}
	if _, err := Renew(t.Context(), NewSigner(testKey(t, Ed25519)), r, testEOL); !errors.Is(err, ErrKeyMismatch) {
		t.Errorf("another signer: %v", err)
	}
	if _, err := Renew(t.Context(), signer, r, time.Time{}); !errors.Is(err, ErrValidity) {
		t.Errorf("no EOL: %v", err)
	}
}

// V-12: from the same key and fields come the bytes that Kubo made.
func TestSameBytesAsKubo(t *testing.T) {
	for file, keyFile := range kuboRecords(t) {
		if keyFile == "" {
			continue // ECDSA signatures are random
		}
		raw := readFile(t, file)
		name, _, _ := strings.Cut(filepath.Base(file), "_")
		r, err := Open(mustName(t, name), raw, corpusTime)
		if err != nil {
			t.Errorf("%s: %v", file, err)
			continue
		}
		signer := NewSigner(mustKey(t, readFile(t, keyFile)))
		again, err := Sign(t.Context(), signer, Fields{Value: r.Value(), Sequence: r.Sequence(), EOL: r.EOL(), TTL: r.TTL()}, r.Form())
		if err != nil || !bytes.Equal(again.Raw(), raw) {
			t.Errorf("%s: signed again it is\n%x, want\n%x, %v", file, again.Raw(), raw, err)
		}
		renewed, err := Renew(t.Context(), signer, r, r.EOL())
		if err != nil || !bytes.Equal(renewed.Raw(), raw) {
			t.Errorf("%s: renewed it is\n%x, want\n%x, %v", file, renewed.Raw(), raw, err)
		}
	}
}

// kuboRecords maps the records that Kubo made to the files with their keys.
func kuboRecords(t *testing.T) map[string]string {
	t.Helper()
	files, err := filepath.Glob("testdata/kubo/*.ipns-record")
	if err != nil || len(files) != 7 {
		t.Fatalf("%d records, %v", len(files), err)
	}
	m := map[string]string{}
	for _, f := range files {
		typ := strings.Split(filepath.Base(f), "_")[1]
		m[f] = ""
		if typ != "ecdsa-p256" {
			m[f] = "testdata/kubo/vec-" + typ + ".key"
		}
	}
	return m
}

func mustKey(t testing.TB, b []byte) crypto.PrivKey {
	t.Helper()
	priv, err := ParsePrivateKey(b)
	if err != nil {
		t.Fatal(err)
	}
	return priv
}

// metadata survives being read and signed again, whatever it is.
func TestMetadataRoundTrip(t *testing.T) {
	rnd := rand.New(rand.NewPCG(1, 2))
	signer := NewSigner(testKey(t, Ed25519))
	for range 200 {
		m := Metadata{}
		for range 1 + rnd.IntN(8) {
			m[fmt.Sprintf("_%d", rnd.IntN(1000))] = randomValue(rnd, 0)
		}
		r, err := Sign(t.Context(), signer, Fields{EOL: testEOL, Metadata: m}, V2Only)
		if err != nil {
			t.Fatal(err)
		}
		again, err := Sign(t.Context(), signer, Fields{EOL: testEOL, Metadata: r.Metadata()}, V2Only)
		if err != nil || again.Hash() != r.Hash() {
			t.Fatalf("%v: became %v, %v", m, r.Metadata(), err)
		}
		if !slices.Equal(slices.Sorted(maps.Keys(m)), slices.Sorted(maps.Keys(r.Metadata()))) {
			t.Fatalf("%v: became %v", m, r.Metadata())
		}
	}
	if r := accept(t, "none", newCraft(true)); r.Metadata() != nil {
		t.Errorf("metadata of a record without: %v", r.Metadata())
	}
}

func randomValue(rnd *rand.Rand, depth int) any {
	switch n := rnd.IntN(9); {
	case n == 0:
		return strings.Repeat("ä", rnd.IntN(30))
	case n == 1:
		return make([]byte, rnd.IntN(300))
	case n == 2:
		return rnd.IntN(2) == 0
	case n == 3:
		return rnd.Uint64()
	case n == 4:
		return int(rnd.Uint64() >> rnd.IntN(64))
	case n == 5:
		return -int64(rnd.Uint64() >> (1 + rnd.IntN(63)))
	case n == 6 || depth > 3:
		return CBOR{0xf6}
	case n == 7:
		return CBOR(append([]byte{0xd8, 42, 0x46}, "\x00\x01\x55\x00\x01x"...))
	default:
		list := CBOR{0x82}
		for range 2 {
			b, err := encodeMetadata(randomValue(rnd, depth+1))
			if err != nil {
				panic(err)
			}
			list = append(list, b...)
		}
		return list
	}
}
