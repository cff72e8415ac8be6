package wire

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"math"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/fxamacker/cbor/v2"
)

// base is a good document, without the head of its map.
func base() []byte {
	b := AppendDocument(nil, &Body{TTL: 1, Value: "v", Sequence: 2, Validity: []byte("w"), ValidityType: 3})
	return b[1:]
}

// doc is a good document with n more entries, given encoded.
func doc(n int, more ...byte) []byte {
	return append(append(appendHead(nil, majorMap, uint64(5+n)), base()...), more...)
}

func parseDoc(data []byte) (*Document, error) {
	var d Document
	err := ParseDocument(&d, data)
	return &d, err
}

// R-10 R-11: the canonical form, and what it says.
func TestDocumentRoundTrip(t *testing.T) {
	for _, u := range []uint64{0, 23, 24, 255, 256, 65535, 65536, math.MaxUint32, math.MaxUint32 + 1, math.MaxInt64, math.MaxUint64} {
		body := Body{
			TTL: u, Value: strings.Repeat("v", int(min(u, 70_000)%60_000)), Sequence: u, Validity: []byte("2126"), ValidityType: u,
			Extra: []Entry{{"_longer_than_every_other_key", []byte{0xf6}}, {"Sequencf", []byte{0x01}}, {"_", []byte{0x20}}},
		}
		SortEntries(body.Extra)
		b := AppendDocument(nil, &body)
		if len(b) != SizeDocument(&body) {
			t.Errorf("%d: %d bytes, the size was said to be %d", u, len(b), SizeDocument(&body))
		}
		d, err := parseDoc(b)
		if err != nil {
			t.Fatal(err)
		}
		if d.TTL != u || d.Sequence != u || d.ValidityType != u || string(d.Value.Of(b)) != body.Value || string(d.Validity.Of(b)) != "2126" || d.Extra != 3 {
			t.Errorf("%d: %+v", u, d)
		}
		var keys []string
		for key := range Extra(b) {
			keys = append(keys, key)
		}
		if want := []string{"_", "Sequencf", "_longer_than_every_other_key"}; !slices.Equal(keys, want) {
			t.Errorf("extra keys %v, want %v", keys, want)
		}
		for range Extra(b) {
			break
		}
		for _, key := range Keys() {
			if !d.Has(key) || !IsStandardKey(key) {
				t.Errorf("%s is missing", key)
			}
		}
		if d.Has("_") || IsStandardKey("_") {
			t.Error("_ is a standard key")
		}
	}
}

// R-11: the bytes of the example in the specification.
func TestDocumentBytes(t *testing.T) {
	got := AppendDocument(nil, &Body{Value: "/ipns/example.com/sub/", Sequence: 1, Validity: []byte("2126-10-27T16:07:52.561802999Z")})
	want := unhex(t, "a5 6354544c 00 6556616c7565 56 2f69706e732f6578616d706c652e636f6d2f7375622f 6853657175656e6365 01"+
		"6856616c6964697479 581e 323132362d31302d32375431363a30373a35322e3536313830323939395a 6c56616c696469747954797065 00")
	if !bytes.Equal(got, want) {
		t.Errorf("got  %x\nwant %x", got, want)
	}
}

// R-15 R-16: values that an unknown key may have.
func TestDocumentAccepted(t *testing.T) {
	cid := "000155" + "0001" + "78"
	for why, s := range map[string]string{
		"false": "f4", "true": "f5", "null": "f6", "float": "fb3ff8000000000000", "-0.0": "fb8000000000000000",
		"2^64-1": "1bffffffffffffffff", "-2^64": "3bffffffffffffffff", "-1": "20",
		"text": "6461626364", "empty text": "60", "umlaut": "62c3a4", "bytes": "43ff00ff", "lists": "8281808180", "map": "a26161016162a0",
		"unsorted map": "a2616201616101", "map by bytes, not length": "a262616101616202", "link": "d82a46" + cid,
		"link with CIDv0": "d82a5823" + "00" + "1220" + strings.Repeat("11", 32),
		"100 deep":        strings.Repeat("81", 100) + "01",
		"1000 deep":       strings.Repeat("81", 1000) + "01",
	} {
		if d, err := parseDoc(doc(1, unhex(t, "6178"+s)...)); err != nil || d.Extra != 1 {
			t.Errorf("%s: %+v, %v", why, d, err)
		}
		unsorted := why == "unsorted map" || why == "map by bytes, not length"
		if err := CheckCanonical(unhex(t, s)); (err != nil) != unsorted {
			t.Errorf("%s: %v", why, err)
		}
	}
	// Any order of the keys, while none comes twice.
	entries := [][]byte{unhex(t, "6354544c01"), unhex(t, "6556616c75654176"), unhex(t, "6853657175656e636502"), unhex(t, "6856616c69646974794177"), unhex(t, "6c56616c69646974795479706500")}
	for range 120 {
		b := []byte{0xa5}
		for _, e := range entries {
			b = append(b, e...)
		}
		if d, err := parseDoc(b); err != nil || d.TTL != 1 || d.Sequence != 2 {
			t.Errorf("%x: %+v, %v", b, d, err)
		}
		nextPermutation(entries)
	}
}

func nextPermutation(p [][]byte) {
	i := len(p) - 2
	for i >= 0 && bytes.Compare(p[i], p[i+1]) >= 0 {
		i--
	}
	if i >= 0 {
		j := len(p) - 1
		for bytes.Compare(p[j], p[i]) <= 0 {
			j--
		}
		p[i], p[j] = p[j], p[i]
	}
	slices.Reverse(p[i+1:])
}

// R-16: what strict DAG-CBOR does not have.
func TestDocumentRefused(t *testing.T) {
	for why, s := range map[string]string{
		"undefined": "f7", "simple 0": "e0", "simple 255": "f8ff", "simple 32": "f820", "float16": "f93c00", "float32": "fa3f800000",
		"NaN": "fb7ff8000000000000", "other NaN": "fb7ff0000000000001", "Inf": "fb7ff0000000000000", "-Inf": "fbfff0000000000000", "break": "ff",
		"float cut": "fb3ff8", "nothing": "",
		"list without end": "9f01ff", "map without end": "bfff", "text without end": "7f6161ff", "bytes without end": "5f4161ff",
		"23 in two bytes": "1817", "255 in three bytes": "1900ff", "65535 in five bytes": "1a0000ffff", "2^32-1 in nine bytes": "1b00000000ffffffff",
		"length in two bytes": "780161", "list length in two bytes": "980101", "reserved 28": "1c", "reserved 30": "1e", "tag in three bytes": "d9002a46000155000178",
		"text is not UTF-8": "61ff", "text is half a rune": "61c3", "surrogate": "63eda080",
		"tag 0": "c060", "tag 2": "c24101", "tag 24": "d81841a0", "tag 258": "d9010280", "tag 55799": "d9d9f701",
		"link without zero": "d82a45" + "0155000178", "link of text": "d82a66000155000178", "empty link": "d82a40", "link of zero": "d82a4100",
		"link with bytes after": "d82a4700015500017879", "link that is no CID": "d82a44000199ff", "link in link": "d82ad82a46000155000178",
		"key is a number": "a10101", "key is bytes": "a1416101", "key twice": "a2616101616102", "key twice, apart": "a3616101616202616103", "key is not UTF-8": "a161ff01",
		"map cut": "a16161", "list cut": "8201", "text cut": "6261", "bytes cut": "4261",
		"list of 2^64-1": "9bffffffffffffffff", "map of 2^63": "bb8000000000000000", "text of 2^64-1": "7bffffffffffffffff", "bytes of 2^40": "5b0000010000000000",
		"9000 deep": strings.Repeat("81", 9000) + "01", "2000 items": "9907d0" + strings.Repeat("01", 2000),
	} {
		b := unhex(t, s)
		d, err := parseDoc(doc(1, append([]byte{0x61, 'x'}, b...)...))
		var wireErr *Error
		if !errors.As(err, &wireErr) {
			t.Errorf("%s: %+v, %v", why, d, err)
		}
		if err := CheckCanonical(b); err == nil {
			t.Errorf("%s: CheckCanonical accepts", why)
		}
	}
	for why, b := range map[string][]byte{
		"empty": {}, "byte after": append(doc(0), 0), "too few entries": append([]byte{0xa4}, base()...), "entry more than said": append([]byte{0xa6}, base()...),
		"map head in two bytes": append([]byte{0xb8, 5}, base()...), "map without end": append(append([]byte{0xbf}, base()...), 0xff),
		"unknown key twice": doc(2, unhex(t, "617801 617801")...), "unknown key twice, unsorted": doc(3, unhex(t, "617901 617801 617901")...),
		"known key twice": doc(1, unhex(t, "6354544c01")...), "long": make([]byte, maxDocument+1),
	} {
		if d, err := parseDoc(b); err == nil {
			t.Errorf("%s: %+v", why, d)
		}
	}
	if _, err := parseDoc(append([]byte{0xa4}, base()[5:]...)); err == nil || !strings.Contains(err.Error(), "TTL is missing") {
		t.Errorf("no TTL: %v", err)
	}
	if err := CheckCanonical([]byte{1, 2}); err == nil {
		t.Error("two items are one")
	}
}

// The limits are what they say.
func TestItemLimit(t *testing.T) {
	// 1 for the map, 10 for the standard entries, 2 for the list and its key.
	for n, want := range map[int]bool{MaxItems - 13: true, MaxItems - 12: false} {
		list := append([]byte{0x61, 'x', 0x99, byte(n >> 8), byte(n)}, bytes.Repeat([]byte{1}, n)...)
		if _, err := parseDoc(doc(1, list...)); (err == nil) != want {
			t.Errorf("%d numbers: %v", n, err)
		}
	}
	// As many keys as the reader can hold, all waiting: each map has one key and
	// in it the next map.
	nested := bytes.Repeat([]byte{0xa1, 0x61, 'k'}, MaxItems/2-7)
	if _, err := parseDoc(doc(1, append([]byte{0x61, 'x'}, append(nested, 0xa0)...)...)); err != nil {
		t.Errorf("nested maps: %v", err)
	}
	if _, err := parseDoc(doc(1, append([]byte{0x61, 'x'}, bytes.Repeat([]byte{0xa1, 0x61, 'k'}, 3000)...)...)); err == nil {
		t.Error("3000 nested maps")
	}
}

func TestDecode(t *testing.T) {
	for _, c := range []struct {
		hex  string
		want any
	}{
		{"00", int64(0)},
		{"1b7fffffffffffffff", int64(math.MaxInt64)},
		{"1b8000000000000000", uint64(1 << 63)},
		{"20", int64(-1)},
		{"3b7fffffffffffffff", int64(math.MinInt64)},
		{"3b8000000000000000", nil},
		{"6161", "a"},
		{"4161", []byte("a")},
		{"f4", false},
		{"f5", true},
		{"f6", nil},
		{"80", nil},
		{"a0", nil},
		{"fb3ff8000000000000", nil},
		{"", nil},
	} {
		if got := Decode(unhex(t, c.hex)); !reflect.DeepEqual(got, c.want) {
			t.Errorf("%s: %#v, want %#v", c.hex, got, c.want)
		}
	}
	for _, i := range []int64{0, 23, 24, -1, -24, -25, -256, -257, math.MaxInt64, math.MinInt64} {
		if got := Decode(AppendCBORInt(nil, i)); got != i {
			t.Errorf("%d becomes %v", i, got)
		}
	}
	if Decode(AppendCBORBool(nil, true)) != true || Decode(AppendCBORBool(nil, false)) != false {
		t.Error("booleans")
	}
	if Decode(AppendCBORUint(nil, math.MaxUint64)) != uint64(math.MaxUint64) {
		t.Error("2^64-1")
	}
}

// strictMode is the closest that fxamacker/cbor comes to DAG-CBOR. It knows no
// shortest form and no CID.
var strictMode = func() cbor.DecMode {
	mode, err := cbor.DecOptions{
		DupMapKey: cbor.DupMapKeyEnforcedAPF, IndefLength: cbor.IndefLengthForbidden, UTF8: cbor.UTF8RejectInvalid,
		MaxNestedLevels: 2048, MaxArrayElements: 20_000, MaxMapPairs: 20_000, TagsMd: cbor.TagsAllowed,
		NaN: cbor.NaNDecodeForbidden, Inf: cbor.InfDecodeForbidden, IntDec: cbor.IntDecConvertNone,
	}.DecMode()
	if err != nil {
		panic(err)
	}
	return mode
}()

// FuzzDocument compares with fxamacker/cbor: what is accepted here, it accepts
// too, and finds the same values.
func FuzzDocument(f *testing.F) {
	f.Add(doc(0))
	f.Add(doc(1, unhex(f, "617881f6")...))
	f.Add(doc(1, unhex(f, "6178a2616201616101")...))
	f.Add(doc(1, unhex(f, "6178d82a46000155000178")...))
	f.Add(doc(2, unhex(f, "6179fb3ff8000000000000617839ffff")...))
	f.Fuzz(func(t *testing.T, data []byte) {
		d, err := parseDoc(data)
		if err != nil {
			return
		}
		var want map[string]cbor.RawMessage
		if err := strictMode.Unmarshal(data, &want); err != nil {
			t.Fatalf("%x: accepted, but: %v", data, err)
		}
		check := func(key string, got any, into any) {
			if err := strictMode.Unmarshal(want[key], into); err != nil {
				t.Fatalf("%x: %s: %v", data, key, err)
			}
			if value := reflect.ValueOf(into).Elem().Interface(); !reflect.DeepEqual(got, value) {
				t.Fatalf("%x: %s is %v, want %v", data, key, got, value)
			}
		}
		check(KeyTTL, d.TTL, new(uint64))
		check(KeySequence, d.Sequence, new(uint64))
		check(KeyValidityType, d.ValidityType, new(uint64))
		check(KeyValue, bytes.Clone(append([]byte{}, d.Value.Of(data)...)), new([]byte))
		check(KeyValidity, append([]byte{}, d.Validity.Of(data)...), new([]byte))
		if len(want) != 5+d.Extra {
			t.Fatalf("%x: %d entries, want %d", data, 5+d.Extra, len(want))
		}
		body := Body{TTL: d.TTL, Value: string(d.Value.Of(data)), Sequence: d.Sequence, Validity: d.Validity.Of(data), ValidityType: d.ValidityType}
		for key, value := range Extra(data) {
			if !bytes.Equal(want[key], value) {
				t.Fatalf("%x: %s is %x, want %x", data, key, value, want[key])
			}
			body.Extra = append(body.Extra, Entry{key, value})
			_ = Decode(value)
		}
		SortEntries(body.Extra)
		again := AppendDocument(nil, &body)
		if len(again) != len(data) || len(again) != SizeDocument(&body) {
			t.Fatalf("%x: written again it is %x", data, again)
		}
	})
}

// FuzzAgainstCBOR goes the other way: what fxamacker/cbor refuses for being no
// CBOR, with text that is UTF-8 and keys that do not repeat, is refused here.
func FuzzAgainstCBOR(f *testing.F) {
	f.Add(unhex(f, "a26161016162a0"))
	f.Add(unhex(f, "a2616101616102"))
	f.Add(unhex(f, "8281808180"))
	f.Fuzz(func(t *testing.T, item []byte) {
		if len(item) > maxDocument {
			return
		}
		if err := CheckCanonical(item); err != nil {
			return
		}
		var v any
		if err := strictMode.Unmarshal(item, &v); err != nil {
			t.Fatalf("%x: accepted, but: %v", item, err)
		}
	})
}

func ExampleParseDocument() {
	data := AppendDocument(nil, &Body{TTL: 60, Value: "/ipfs/bafkqaaa", Sequence: 7, Validity: []byte("2126-01-01T00:00:00Z")})
	var d Document
	if err := ParseDocument(&d, data); err != nil {
		panic(err)
	}
	fmt.Printf("%s %d %s\n", d.Value.Of(data), d.Sequence, binary.BigEndian.AppendUint16(nil, uint16(d.TTL))[1:])
	// Output: /ipfs/bafkqaaa 7 <
}
