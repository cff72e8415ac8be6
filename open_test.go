package ipns

import (
	"bytes"
	"crypto/ed25519"
	"crypto/sha256"
	"errors"
	"fmt"
	"math"
	"mime"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/goipns/ipns/internal/wire"
)

// refuse checks that Open refuses with want, and that nothing of the record gets
// out.
func refuse(t *testing.T, why string, c *craft, want error) {
	t.Helper()
	r, err := c.open()
	if r != nil || !errors.Is(err, want) {
		t.Errorf("%s: got %v, %v; want %v", why, r, err, want)
	}
}

func accept(t *testing.T, why string, c *craft) *Record {
	t.Helper()
	r, err := c.open()
	if err != nil {
		t.Errorf("%s: %v", why, err)
		return nil
	}
	return r
}

// R-V1 R-42 R-60 R-75: 10240 bytes are a record, one more is not, and that is
// known before anything is parsed.
func TestSize(t *testing.T) {
	for _, legacy := range []bool{true, false} {
		c := newCraft(legacy)
		pad := MaxRecordSize - len(c.raw()) - 4
		c.after = wire.AppendBytes(nil, 100, make([]byte, pad))
		if n := len(c.raw()); n != MaxRecordSize {
			t.Fatalf("record has %d bytes", n)
		}
		accept(t, "10240 bytes", c)
		c.after = wire.AppendBytes(nil, 100, make([]byte, pad+1))
		refuse(t, "10241 bytes", c, ErrSize)
	}
	for _, call := range []func([]byte) error{
		func(b []byte) error { _, err := Reopen(craftName(), b); return err },
		func(b []byte) error { _, err := Load(craftName(), b); return err },
		func(b []byte) error { _, err := Inspect(b); return err },
		func(b []byte) error { return VerifyV1(craftName(), b) },
	} {
		if err := call(make([]byte, MaxRecordSize+1)); !errors.Is(err, ErrSize) || err.Error() != "record exceeds allowed size limit" {
			t.Errorf("10241 bytes: %v", err)
		}
	}
}

// R-V2 R-3 R-4: what is no envelope.
func TestEnvelopeRefused(t *testing.T) {
	good := newCraft(false).raw()
	for why, b := range map[string][]byte{
		"one byte":           {0},
		"text":               []byte("not a record"),
		"JSON":               []byte(`{"value":"x"}`),
		"last byte missing":  good[:len(good)-1],
		"zero byte after":    append(bytes.Clone(good), 0),
		"twice":              append(bytes.Clone(good), good...),
		"signature repeated": append(wire.AppendBytes(nil, wire.FieldSignatureV2, make([]byte, 64)), good...),
		"empty group":        append([]byte{0x53, 0x54}, good...),
		"end of a group":     append([]byte{0x54}, good...),
	} {
		if r, err := Open(craftName(), b, corpusTime); r != nil || !errors.Is(err, ErrMalformed) {
			t.Errorf("%s: %v, %v", why, r, err)
		}
	}
	if _, err := Open(craftName(), nil, corpusTime); !errors.Is(err, ErrDataMissing) {
		t.Errorf("empty: %v", err)
	}
	for cut := range good {
		if r, err := Open(craftName(), good[:cut], corpusTime); err == nil {
			t.Errorf("first %d bytes: %v", cut, r)
		}
	}
	// A known field with a foreign wire type does not count: mandatory ones are
	// missing then, legacy ones zero.
	c := newCraft(false)
	c.skip = append(c.skip, wire.FieldData)
	c.after = wire.AppendVarint(nil, wire.FieldData, 1)
	refuse(t, "data as a varint", c, ErrDataMissing)
	c = newCraft(true)
	c.skip = []int{wire.FieldSequence}
	c.after = wire.AppendBytes(nil, wire.FieldSequence, []byte{7})
	refuse(t, "sequence as bytes", c, ErrMismatch)
}

// unknown fields are ignored, and travel on.
func TestUnknownFields(t *testing.T) {
	for _, c := range []*craft{newCraft(true), newCraft(false)} {
		c.before = wire.AppendVarint(nil, 15, math.MaxUint64)
		c.after = append(wire.AppendBytes(nil, 536870911, []byte("x")), 0x79, 1, 2, 3, 4, 5, 6, 7, 8)
		raw := c.raw()
		r, err := Open(craftName(), raw, corpusTime)
		if err != nil {
			t.Fatal(err)
		}
		raw[0] ^= 0xff // the record has a copy
		if !bytes.Equal(r.Raw(), c.raw()) {
			t.Errorf("Raw is not what came: %x", r.Raw())
		}
	}
}

// R-V3 R-41 R-72 V-1: both new fields are mandatory.
func TestMandatoryFields(t *testing.T) {
	for _, legacy := range []bool{true, false} {
		c := newCraft(legacy)
		c.skip = append(c.skip, wire.FieldSignatureV2)
		refuse(t, "no signatureV2", c, ErrSignature)

		c = newCraft(legacy)
		c.sigV2 = []byte{}
		refuse(t, "empty signatureV2", c, ErrSignature)

		c = newCraft(legacy)
		c.skip = append(c.skip, wire.FieldData)
		refuse(t, "no data", c, ErrDataMissing)

		c = newCraft(legacy)
		c.data = []byte{}
		refuse(t, "empty data", c, ErrDataMissing)
	}
	c := newCraft(true)
	c.skip = []int{wire.FieldData, wire.FieldSignatureV2}
	refuse(t, "V1-only", c, ErrDataMissing)
	if _, err := c.open(); !strings.Contains(err.Error(), "legacy V1-only record") {
		t.Errorf("V1-only: %v", err)
	}
}

// R-V4 R-38 R-39 N-11: the key is that of the name, whoever offers it.
func TestKeyChoice(t *testing.T) {
	own := marshalKey(Ed25519, craftKey[32:])
	other, err := MarshalPublicKey(testKey(t, Ed25519).GetPublic())
	if err != nil {
		t.Fatal(err)
	}
	c := newCraft(false)
	c.pubKey = own
	accept(t, "own key embedded", c)
	c.pubKey = []byte{}
	accept(t, "empty key embedded", c)
	for why, key := range map[string][]byte{
		"foreign key": other, "garbage": []byte("garbage"), "own key, not canonical": append(bytes.Clone(own), 0x18, 1),
		"own key, swapped": append(wire.AppendBytes(nil, 2, craftKey[32:]), 8, 1),
	} {
		c.pubKey = key
		refuse(t, why, c, ErrKeyMismatch)
	}

	// The key under its hash is not its name.
	hashed := hashedName(own)
	c = newCraft(false)
	if _, err := Open(hashed, c.raw(), corpusTime); !errors.Is(err, ErrKeyNotFound) {
		t.Errorf("hashed name, no key: %v", err)
	}
	c.pubKey = own
	if _, err := Open(hashed, c.raw(), corpusTime); !errors.Is(err, ErrKeyMismatch) {
		t.Errorf("hashed name, key: %v", err)
	}

	// A hash name whose key does not belong to it, though it signed.
	for _, typ := range []KeyType{RSA, ECDSA} {
		signer := NewSigner(testKey(t, typ))
		r, err := Sign(t.Context(), signer, Fields{EOL: testEOL}, V2Only)
		if err != nil {
			t.Fatal(err)
		}
		n := r.Name()
		n.b[10] ^= 1
		if _, err := Open(n, r.Raw(), corpusTime); !errors.Is(err, ErrKeyMismatch) {
			t.Errorf("%v under a foreign name: %v", typ, err)
		}
		if _, err := Open(craftName(), r.Raw(), corpusTime); !errors.Is(err, ErrKeyMismatch) {
			t.Errorf("%v under an Ed25519 name: %v", typ, err)
		}
	}
	// A hash of garbage is not a key.
	garbage := bytes.Repeat([]byte{1}, 100)
	c = newCraft(false)
	c.pubKey = garbage
	if _, err := Open(nameOfSerialized(garbage), c.raw(), corpusTime); !errors.Is(err, ErrKeyInvalid) || !strings.Contains(err.Error(), "public key invalid") {
		t.Errorf("garbage under its own hash: %v", err)
	}
}

// hashedName is the SHA2-256 name of a key that should be inlined.
func hashedName(pub []byte) Name {
	long := nameOfSerialized(append(bytes.Clone(pub), make([]byte, 50)...))
	sum := sha256.Sum256(pub)
	copy(long.b[2:], sum[:])
	return long
}

// R-V5 R-V9 R-10 R-11 R-12 R-13 R-16 R-40: the document is a map with the five
// keys, each of its type. The wire package has the tests of the encoding.
func TestDocumentRefused(t *testing.T) {
	for _, key := range wire.Keys() {
		refuse(t, key+" missing", newCraft(false).set(key, nil), ErrMalformed)
		wrong := map[string][]byte{
			"text": wire.AppendCBORText(nil, "7"), "null": {0xf6}, "true": {0xf5}, "float": {0xfb, 0x40, 0x1c, 0, 0, 0, 0, 0, 0},
			"list": {0x80}, "map": {0xa0}, "-1": {0x20}, "-2^63": {0x3b, 0x7f, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff},
			"link":   append([]byte{0xd8, 42, 0x46}, "\x00\x01\x55\x00\x01x"...),
			"bignum": {0xc2, 0x49, 1, 0, 0, 0, 0, 0, 0, 0, 0},
		}
		if key == wire.KeyValue || key == wire.KeyValidity {
			wrong["uint"] = cborUint(7)
		} else {
			wrong["bytes"] = cborBytes("7")
		}
		for typ, v := range wrong {
			refuse(t, key+" as "+typ, newCraft(false).set(key, v), ErrMalformed)
		}
		refuse(t, key+" twice", func() *craft {
			c := newCraft(false)
			c.doc = append(c.doc, c.doc[slices.Index(wire.Keys(), key)])
			return c
		}(), ErrMalformed)
		lower := newCraft(false)
		lower.doc[slices.Index(wire.Keys(), key)].key = strings.ToLower(key)
		refuse(t, key+" in lower case", lower, ErrMalformed)
	}
	for why, data := range map[string][]byte{
		"list": {0x80}, "null": {0xf6}, "empty map": {0xa0}, "text": {0x60}, "random": {0x9c, 1, 2},
		"byte after": append(newCraft(false).document(), 0),
		"two maps":   append(newCraft(false).document(), newCraft(false).document()...),
		"tag 55799":  append([]byte{0xd9, 0xd9, 0xf7}, newCraft(false).document()...),
	} {
		c := newCraft(false)
		c.data = data
		refuse(t, why, c, ErrMalformed)
	}
}

// R-12 R-13 R-74: the whole range of 64 bits.
func TestNumbers(t *testing.T) {
	for _, n := range []uint64{0, 1, 23, 24, 255, 256, 65535, 65536, math.MaxUint32, math.MaxUint32 + 1, math.MaxInt64, math.MaxInt64 + 1, math.MaxUint64} {
		for _, legacy := range []bool{true, false} {
			c := newCraft(legacy).set(wire.KeySequence, cborUint(n)).set(wire.KeyTTL, cborUint(n))
			c.sequence, c.ttl = n, n
			if r := accept(t, fmt.Sprint(n), c); r != nil && (r.Sequence() != n || uint64(r.TTL()) != min(n, math.MaxInt64)) {
				t.Errorf("%d: sequence %d, TTL %d", n, r.Sequence(), r.TTL())
			}
		}
	}
}

// R-V6 R-41 V-4: the signature is over the prefix and the raw document.
func TestSignatureRefused(t *testing.T) {
	for why, message := range map[string]func([]byte) []byte{
		"no prefix":     func(d []byte) []byte { return d },
		"prefix twice":  func(d []byte) []byte { return slices.Concat([]byte(signaturePrefix+signaturePrefix), d) },
		"other prefix":  func(d []byte) []byte { return slices.Concat([]byte("libp2p-key signed message:"), d) },
		"V1 message":    func([]byte) []byte { return []byte(craftValue + craftValidity + "EOL") },
		"document cut":  func(d []byte) []byte { return slices.Concat([]byte(signaturePrefix), d[:len(d)-1]) },
		"nothing":       func([]byte) []byte { return nil },
		"prefix alone":  func([]byte) []byte { return []byte(signaturePrefix) },
		"prefix, upper": func(d []byte) []byte { return slices.Concat([]byte("IPNS-SIGNATURE:"), d) },
	} {
		for _, legacy := range []bool{true, false} {
			c := newCraft(legacy)
			c.message = message
			refuse(t, why, c, ErrSignature)
		}
	}
	c := newCraft(true)
	c.sigV2 = c.sigV1
	refuse(t, "signatureV1 as signatureV2", c, ErrSignature)
	for _, n := range []int{1, 63, 65, 128} {
		c.sigV2 = make([]byte, n)
		refuse(t, fmt.Sprintf("%d zero bytes", n), c, ErrSignature)
	}
	c = newCraft(false)
	c.key = ed25519.NewKeyFromSeed(make([]byte, 32))
	refuse(t, "signed by another key", c, ErrSignature)
}

// R-V6: no bit of a signed document can change, nor of the signature.
func TestBitFlips(t *testing.T) {
	raw := newCraft(false).raw()
	r, err := Open(craftName(), raw, corpusTime)
	if err != nil {
		t.Fatal(err)
	}
	for i := range raw {
		for bit := range 8 {
			bad := bytes.Clone(raw)
			bad[i] ^= 1 << bit
			got, err := Open(craftName(), bad, corpusTime)
			if err == nil {
				t.Errorf("bit %d of byte %d: %v", bit, i, got)
			}
		}
	}
	if !bytes.Equal(r.Raw(), raw) {
		t.Error("the record changed")
	}
}

// R-V7 R-37 R-5 R-41 V-3: the copies must be the same, if there are any.
func TestLegacyCopies(t *testing.T) {
	for field, change := range map[string]func(c *craft){
		wire.KeyValue:        func(c *craft) { c.value = []byte("/ipfs/bafkqaaab") },
		wire.KeyValidity:     func(c *craft) { c.validity = []byte("2125-01-01T00:00:00.0000000010Z") },
		wire.KeyValidityType: func(c *craft) { c.validityType = 1 << 32 },
		wire.KeySequence:     func(c *craft) { c.sequence = 8 },
		wire.KeyTTL:          func(c *craft) { c.ttl = 61 },
	} {
		for _, without := range [][]int{nil, {wire.FieldSignatureV1}, {wire.FieldValue}} {
			if field == wire.KeyValue && len(without) > 0 && without[0] == wire.FieldValue {
				continue
			}
			c := newCraft(true)
			change(c)
			c.skip = without
			refuse(t, field, c, ErrMismatch)
			if _, err := c.open(); len(without) == 0 && !strings.Contains(err.Error(), fmt.Sprintf("field %q did not match between protobuf and CBOR", field)) {
				t.Errorf("%s: %v", field, err)
			}
		}
	}
	// Neither signatureV1 nor value: the other copies are noise.
	c := newCraft(true)
	c.skip = []int{wire.FieldSignatureV1, wire.FieldValue}
	c.sequence, c.validity, c.validityType, c.ttl = 99, []byte("x"), 5, 1
	if r := accept(t, "stray copies", c); r != nil && (r.Form() != V2Only || r.Sequence() != 7) {
		t.Errorf("stray copies: %v %d", r.Form(), r.Sequence())
	}
	// Empty counts as absent.
	c.skip, c.value, c.sigV1 = nil, nil, nil
	accept(t, "empty value and signatureV1", c)
	// Absent counts as zero.
	for _, field := range []int{wire.FieldSequence, wire.FieldTTL, wire.FieldValidityType} {
		c = newCraft(true).set(wire.KeySequence, cborUint(0)).set(wire.KeyTTL, cborUint(0))
		c.sequence, c.ttl = 0, 0
		c.skip = []int{field}
		accept(t, fmt.Sprintf("zero, field %d absent", field), c)
	}
	c = newCraft(true)
	c.skip = []int{wire.FieldSequence}
	refuse(t, "sequence absent, not zero", c, ErrMismatch)
	// signatureV1 itself is never looked at.
	c = newCraft(true)
	c.sigV1 = []byte("broken")
	if r := accept(t, "broken signatureV1", c); r != nil && VerifyV1(r.Name(), r.Raw()) == nil {
		t.Error("broken signatureV1 verifies")
	}
}

// R-V8 R-20 R-21 R-22 R-23: the end of life.
func TestValidity(t *testing.T) {
	for _, b := range [][]byte{cborUint(1), cborUint(1 << 32), cborUint(math.MaxUint64)} {
		refuse(t, "validity type", newCraft(false).set(wire.KeyValidityType, b), ErrValidityType)
	}
	for text, want := range map[string]string{
		"2125-01-01T00:00:00Z":                "2125-01-01T00:00:00Z",
		"2125-01-01T00:00:00.1Z":              "2125-01-01T00:00:00.1Z",
		"2125-01-01T00:00:00.123456789Z":      "2125-01-01T00:00:00.123456789Z",
		"2125-01-01T00:00:00.1234567899999Z":  "2125-01-01T00:00:00.123456789Z",
		"2125-01-01T00:00:00.000000000Z":      "2125-01-01T00:00:00Z",
		"2125-01-01T00:00:00-00:00":           "2125-01-01T00:00:00Z",
		"2125-01-01T00:00:00+00:00":           "2125-01-01T00:00:00Z",
		"2125-01-01T00:00:00.5+23:59":         "2124-12-31T00:01:00.5Z",
		"2125-01-01T00:00:00-23:59":           "2125-01-01T23:59:00Z",
		"2124-02-29T23:59:59Z":                "2124-02-29T23:59:59Z",
		"2400-02-29T23:59:59Z":                "2400-02-29T23:59:59Z",
		"9999-12-31T23:59:59.999999999Z":      "9999-12-31T23:59:59.999999999Z",
		"2125-12-31T23:59:59.99999999999999Z": "2125-12-31T23:59:59.999999999Z",
	} {
		for _, legacy := range []bool{true, false} {
			c := newCraft(legacy).set(wire.KeyValidity, cborBytes(text))
			c.validity = []byte(text)
			r := accept(t, text, c)
			if r != nil && (r.EOL().Format(time.RFC3339Nano) != want || r.EOL().Location() != time.UTC) {
				t.Errorf("%s: %s, want %s", text, r.EOL().Format(time.RFC3339Nano), want)
			}
		}
	}
	for _, text := range []string{
		"", "Z", "2125", "2125-01-01", "2125-01-01T00:00:00", "2125-01-01 00:00:00Z", "2125-01-01t00:00:00Z", "2125-01-01T00:00:00z",
		"2125-01-01T00:00:00,5Z", "2125-01-01T00:00:00.Z", "2125-01-01T00:00:00.5", "2125-01-01T00:00:00.-5Z", "2125-01-01T00:00Z",
		"2125-01-01T0:00:00Z", "2125-1-01T00:00:00Z", "02125-01-01T00:00:00Z", "12125-01-01T00:00:00Z", "+2125-01-01T00:00:00Z", "-125-01-01T00:00:00Z",
		"2125-01-01T24:00:00Z", "2125-01-01T23:60:00Z", "2125-06-30T23:59:60Z", "2125-13-01T00:00:00Z", "2125-00-01T00:00:00Z", "2125-01-00T00:00:00Z",
		"2125-02-29T00:00:00Z", "2100-02-29T00:00:00Z", "2125-04-31T00:00:00Z", "2125-01-32T00:00:00Z",
		"2125-01-01T00:00:00+24:00", "2125-01-01T00:00:00+00:60", "2125-01-01T00:00:00+0000", "2125-01-01T00:00:00+00", "2125-01-01T00:00:00 +00:00",
		" 2125-01-01T00:00:00Z", "2125-01-01T00:00:00Z ", "2125-01-01T00:00:00Z\n", "2125-01-01T00:00:00Z\x00", "2125-01-01T00:00:00ZZ", "2125-01-01T00:00:00Z+00:00",
		"4891363200", "Fri, 01 Jan 2125 00:00:00 GMT", "２125-01-01T00:00:00Z", "2125-01-01T00:00:00." + strings.Repeat("0", 60) + "Z",
	} {
		c := newCraft(true).set(wire.KeyValidity, cborBytes(text))
		c.validity = []byte(text)
		refuse(t, text, c, ErrValidity)
	}
}

// R-24 R-25 V-11: a record is good before its end of life, to the nanosecond, and
// no skew is forgiven.
func TestExpiry(t *testing.T) {
	raw := newCraft(true).raw()
	eol := time.Date(2125, 1, 1, 0, 0, 0, 1, time.UTC)
	for _, c := range []struct {
		now  time.Time
		good bool
	}{
		{eol.Add(-1), true},
		{eol, false},
		{eol.Add(1), false},
		{time.Time{}, true},
		{eol.Add(-1).In(time.FixedZone("far", 14*3600)), true},
		{eol.AddDate(100, 0, 0), false},
	} {
		r, err := Open(craftName(), raw, c.now)
		if (err == nil) != c.good || (r != nil) != c.good || !c.good && !errors.Is(err, ErrExpired) {
			t.Errorf("at %v: %v, %v", c.now, r, err)
		}
		if err != nil && !strings.HasPrefix(err.Error(), "record is expired") {
			t.Errorf("at %v: %v", c.now, err)
		}
	}
	r, err := Reopen(craftName(), raw)
	if err != nil || !r.Expired(eol) || r.Expired(eol.Add(-1)) {
		t.Errorf("Reopen: %v, %v", r, err)
	}
	// Expired comes last: a record that is wrong in another way is not "expired".
	c := newCraft(false)
	c.sigV2 = make([]byte, 64)
	if _, err := Open(craftName(), c.raw(), eol); !errors.Is(err, ErrSignature) || errors.Is(err, ErrExpired) {
		t.Errorf("wrong and expired: %v", err)
	}
}

// a loaded record is not a verified one, and Verify tells.
func TestLoadVerify(t *testing.T) {
	good, err := Load(craftName(), newCraft(true).raw())
	if err != nil {
		t.Fatal(err)
	}
	if err := good.Verify(corpusTime); err != nil {
		t.Errorf("good record: %v", err)
	}
	if err := good.Verify(good.EOL()); !errors.Is(err, ErrExpired) {
		t.Errorf("expired: %v", err)
	}
	c := newCraft(true)
	c.sigV2 = make([]byte, 64)
	bad, err := Load(craftName(), c.raw())
	if err != nil {
		t.Fatal(err)
	}
	if err := bad.Verify(corpusTime); !errors.Is(err, ErrSignature) {
		t.Errorf("bad record: %v", err)
	}
	for _, raw := range [][]byte{nil, {1}, newCraft(true).set(wire.KeyTTL, nil).raw(), newCraft(true).set(wire.KeyValidity, cborBytes("x")).raw()} {
		if r, err := Load(craftName(), raw); err == nil || r != nil {
			t.Errorf("Load(%x) = %v, %v", raw, r, err)
		}
	}
}

// R-1 R-60: numbers and names that other implementations rely on.
func TestConstants(t *testing.T) {
	if media, params, err := mime.ParseMediaType(RecordMediaType); err != nil || media != "application/vnd.ipfs.ipns-record" || len(params) > 0 {
		t.Errorf("media type %s %v, %v", media, params, err)
	}
	if MaxRecordSize != 10240 || DefaultTTL != 5*time.Minute || DefaultLifetime != 48*time.Hour {
		t.Error(MaxRecordSize, DefaultTTL, DefaultLifetime)
	}
}
