package wire

import (
	"bytes"
	"encoding/hex"
	"errors"
	"math"
	"strings"
	"testing"

	"google.golang.org/protobuf/encoding/protowire"
)

func parse(raw []byte) (*Envelope, error) {
	var e Envelope
	err := ParseEnvelope(&e, raw)
	return &e, err
}

// What is written is read, also where a value is zero or empty.
func TestEnvelopeRoundTrip(t *testing.T) {
	for _, u := range []uint64{0, 1, 127, 128, 16383, 16384, math.MaxUint32, math.MaxInt64, math.MaxUint64} {
		for _, n := range []int{0, 1, 127, 128, 300, 10_000} {
			b := bytes.Repeat([]byte{'b'}, n)
			var raw []byte
			for f := FieldValue; f <= FieldData; f++ {
				before := len(raw)
				size := SizeBytes(n)
				switch {
				case isVarintField(uint64(f)):
					raw, size = AppendVarint(raw, f, u), SizeVarint(u)
				case f == FieldValue:
					raw = AppendString(raw, f, string(b))
				default:
					raw = AppendBytes(raw, f, b)
				}
				if len(raw)-before != size {
					t.Fatalf("field %d: %d bytes, the size was said to be %d", f, len(raw)-before, size)
				}
			}
			e, err := parse(raw)
			if err != nil {
				t.Fatal(err)
			}
			for _, s := range []Span{e.Value, e.SignatureV1, e.Validity, e.PubKey, e.SignatureV2, e.Data} {
				if !bytes.Equal(s.Of(raw), b) {
					t.Fatalf("got %x", s.Of(raw))
				}
			}
			if e.ValidityType != u || e.Sequence != u || e.TTL != u || e.Unknown != 0 {
				t.Fatalf("got %+v, want %d", e, u)
			}
			for f := FieldValue; f <= FieldData; f++ {
				if !e.Has(f) {
					t.Fatalf("field %d is missing", f)
				}
			}
		}
	}
	if e, err := parse(nil); err != nil || e.Has(FieldData) || e.Data.Len != 0 {
		t.Errorf("empty: %+v, %v", e, err)
	}
}

// R-3 R-4: what is accepted beside the canonical form.
func TestEnvelopeAccepted(t *testing.T) {
	for why, s := range map[string]string{
		"tag of three bytes":          "ca8000 01 61",
		"length of two bytes":         "4a 8100 61",
		"varint of ten bytes":         "28 ffffffffffffffffff01",
		"zero in ten bytes":           "28 80808080808080808000",
		"highest field number":        "faffffff0f 01 61",
		"unknown fixed64":             "79 0102030405060708",
		"unknown fixed32":             "7d 01020304",
		"unknown varint":              "78 01",
		"unknown twice":               "78 01 78 01",
		"value as a varint":           "08 01",
		"sequence as bytes, and then": "2a 01 07 28 07",
		"data as fixed32":             "4d 01020304",
		"thirty-two fields":           strings.Repeat("78 01", MaxFields),
	} {
		if e, err := parse(unhex(t, s)); err != nil {
			t.Errorf("%s: %+v, %v", why, e, err)
		}
	}
	e, err := parse(unhex(t, "2a 01 07 28 07 08 01"))
	if err != nil || e.Sequence != 7 || e.Unknown != 2 || e.Has(FieldValue) {
		t.Errorf("foreign wire types: %+v, %v", e, err)
	}
}

// what is refused, and where.
func TestEnvelopeRefused(t *testing.T) {
	for why, c := range map[string]struct {
		hex    string
		offset int
		reason string
	}{
		"field 0":                 {"02 00", 0, "field number"},
		"field 2^29":              {"8280808010 00", 0, "field number"},
		"field of 35 bits":        {"8280808080 10 00", 0, "field number"},
		"tag of 11 bytes":         {"80808080808080808080 01", 0, "tag"},
		"tag over 64 bits":        {"ffffffffffffffffff 02", 0, "tag"},
		"tag cut":                 {"0a 01 61 ff", 3, "tag"},
		"varint of 11 bytes":      {"28 8080808080808080808000", 1, "varint"},
		"varint over 64 bits":     {"28 ffffffffffffffffff02", 1, "varint"},
		"varint cut":              {"28 80", 1, "varint"},
		"no varint":               {"28", 1, "varint"},
		"no length":               {"4a", 1, "length"},
		"length over 64 bits":     {"4a ffffffffffffffffff7f", 1, "length"},
		"length 2^64-1":           {"4a ffffffffffffffffff01", 0, "longer than the input"},
		"length 2^63":             {"4a 80808080808080808001", 0, "longer than the input"},
		"length 2^32":             {"4a 8080808010 61", 0, "longer than the input"},
		"one byte short":          {"4a 02 61", 0, "longer than the input"},
		"fixed64 cut":             {"79 01020304050607", 0, "longer than the input"},
		"fixed32 cut":             {"7d 010203", 0, "longer than the input"},
		"group":                   {"7b 7c", 0, "group"},
		"end of group":            {"7c", 0, "group"},
		"group of a known number": {"0b 0c", 0, "group"},
		"wire type 6":             {"7e 00", 0, "reserved"},
		"wire type 7":             {"7f 00", 0, "reserved"},
		"value twice":             {"0a 00 0a 00", 2, "field 1 is repeated"},
		"sequence twice, same":    {"28 01 28 01", 2, "field 5 is repeated"},
		"data twice":              {"4a 01 61 4a 01 61", 3, "field 9 is repeated"},
		"33 fields":               {strings.Repeat("78 01", MaxFields+1), 2 * MaxFields, "more than 32 fields"},
	} {
		e, err := parse(unhex(t, c.hex))
		var wireErr *Error
		if !errors.As(err, &wireErr) || wireErr.Offset != c.offset || !strings.Contains(wireErr.Reason, c.reason) {
			t.Errorf("%s: %+v, %v; want %q at %d", why, e, err, c.reason, c.offset)
		}
	}
}

// FuzzEnvelope compares with protowire: what is accepted here is accepted there,
// and means the same; what is refused here is refused there, or is one of the
// things that only this reader refuses.
func FuzzEnvelope(f *testing.F) {
	for _, s := range []string{"0a0161", "2807", "4a0161420162", "7d01020304", "7b7c", "ca80000161", ""} {
		b, err := hex.DecodeString(s)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(b)
	}
	f.Fuzz(func(t *testing.T, raw []byte) {
		e, err := parse(raw)
		want, stricter, ok := reference(raw)
		switch {
		case err == nil && (!ok || stricter):
			t.Fatalf("%x: accepted %+v, but the reference says ok=%v stricter=%v", raw, e, ok, stricter)
		case err != nil && ok && !stricter:
			t.Fatalf("%x: refused, %v", raw, err)
		case err != nil:
			return
		}
		for n, field := range want {
			var got any
			switch n {
			case FieldValue:
				got = string(e.Value.Of(raw))
			case FieldSignatureV1:
				got = string(e.SignatureV1.Of(raw))
			case FieldValidityType:
				got = e.ValidityType
			case FieldValidity:
				got = string(e.Validity.Of(raw))
			case FieldSequence:
				got = e.Sequence
			case FieldTTL:
				got = e.TTL
			case FieldPubKey:
				got = string(e.PubKey.Of(raw))
			case FieldSignatureV2:
				got = string(e.SignatureV2.Of(raw))
			case FieldData:
				got = string(e.Data.Of(raw))
			}
			if got != field || !e.Has(int(n)) {
				t.Fatalf("%x: field %d is %v, want %v", raw, n, got, field)
			}
		}
	})
}

// reference reads the known fields with protowire. stricter is set for groups,
// repeated fields, too many fields and invalid field numbers, which protowire
// leaves to its callers.
func reference(raw []byte) (fields map[protowire.Number]any, stricter, ok bool) {
	fields = map[protowire.Number]any{}
	count := 0
	for len(raw) > 0 {
		num, typ, n := protowire.ConsumeTag(raw)
		if n < 0 {
			return nil, stricter, false
		}
		count++
		size := protowire.ConsumeFieldValue(num, typ, raw[n:])
		if size < 0 {
			return nil, stricter, false
		}
		value := raw[n : n+size]
		raw = raw[n+size:]
		if typ == protowire.StartGroupType || count > MaxFields || num > protowire.MaxValidNumber {
			stricter = true
			continue
		}
		if num > FieldData {
			continue
		}
		var v any
		switch isVarint := isVarintField(uint64(num)); {
		case isVarint && typ == protowire.VarintType:
			v, _ = protowire.ConsumeVarint(value)
		case !isVarint && typ == protowire.BytesType:
			b, _ := protowire.ConsumeBytes(value)
			v = string(b)
		default:
			continue
		}
		if _, again := fields[num]; again {
			stricter = true
		}
		fields[num] = v
	}
	return fields, stricter, true
}

func unhex(t testing.TB, s string) []byte {
	t.Helper()
	b, err := hex.DecodeString(strings.ReplaceAll(s, " ", ""))
	if err != nil {
		t.Fatal(err)
	}
	return b
}
