package ipns

import (
	"crypto/ed25519"
	"errors"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/goipns/ipns/internal/wire"
)

// R-70 R-71 R-72 R-73 R-74: a record as the specification of 2019 has it. Its
// signature is over value, validity and the text EOL.
func TestInspectLegacy(t *testing.T) {
	c := newCraft(true)
	c.sequence, c.ttl = 0, 0
	c.skip = []int{wire.FieldSignatureV2, wire.FieldData, wire.FieldTTL}
	raw := c.raw()

	report, err := Inspect(raw)
	if err != nil {
		t.Fatal(err)
	}
	if report.SignatureType != "V1" || string(report.Value) != craftValue || string(report.Validity) != craftValidity ||
		report.EOL.Year() != 2125 || !slices.Equal(report.Missing, []string{"TTL"}) {
		t.Errorf("%+v", report)
	}
	if !errors.Is(report.Problem, ErrDataMissing) || !strings.Contains(report.Problem.Error(), "legacy V1-only record") {
		t.Errorf("problem: %v", report.Problem)
	}
	if err := VerifyV1(craftName(), raw); err != nil {
		t.Errorf("signatureV1: %v", err)
	}
	if r, err := Open(craftName(), raw, corpusTime); !errors.Is(err, ErrDataMissing) {
		t.Errorf("Open: %v, %v", r, err)
	}

	// Byte 0 or the digit 0 in place of the text EOL is not what was signed.
	for _, typ := range []string{"\x00", "0", ""} {
		c.sigV1 = ed25519.Sign(craftKey, []byte(craftValue+craftValidity+typ))
		if err := VerifyV1(craftName(), c.raw()); !errors.Is(err, ErrSignature) {
			t.Errorf("validity type as %q: %v", typ, err)
		}
	}
	// An old reader finds in a V1+V2 record what it knows.
	both := newCraft(true).raw()
	if err := VerifyV1(craftName(), both); err != nil {
		t.Errorf("V1+V2: %v", err)
	}
	if err := VerifyV1(craftName(), newCraft(false).raw()); !errors.Is(err, ErrSignature) {
		t.Errorf("V2-only: %v", err)
	}
	c = newCraft(true)
	c.validityType = 1
	if err := VerifyV1(craftName(), c.raw()); !errors.Is(err, ErrValidityType) {
		t.Errorf("other validity type: %v", err)
	}
	if err := VerifyV1(craftName(), []byte{0}); !errors.Is(err, ErrMalformed) {
		t.Errorf("garbage: %v", err)
	}
	if err := VerifyV1(mustName(t, identities[2].base36), both); !errors.Is(err, ErrKeyNotFound) {
		t.Errorf("another name: %v", err)
	}
}

// what Inspect says of good and of bad records.
func TestInspect(t *testing.T) {
	rsa, err := Sign(t.Context(), NewSigner(testKey(t, RSA)), Fields{EOL: testEOL, Metadata: Metadata{"_a": "b"}}, V2Only)
	if err != nil {
		t.Fatal(err)
	}
	report, err := Inspect(rsa.Raw())
	if err != nil || report.Key != rsa.Name() || report.SignatureType != "V2" || report.Problem != nil || len(report.Missing) > 0 ||
		!reflect.DeepEqual(report.Metadata, Metadata{"_a": "b"}) || report.Size != len(rsa.Raw()) || !report.EOL.Equal(testEOL) {
		t.Errorf("%+v, %v", report, err)
	}
	c := newCraft(true)
	c.after = wire.AppendVarint(nil, 77, 1)
	report, err = Inspect(c.raw())
	if err != nil || report.SignatureType != "V1+V2" || report.Sequence != 7 || report.TTL != 60 || report.UnknownFields != 1 || report.Problem != nil {
		t.Errorf("%+v, %v", report, err)
	}
	for why, c := range map[string]struct {
		craft *craft
		want  error
	}{
		"no data":         {&craft{key: craftKey, data: []byte{}, skip: newCraft(false).skip}, ErrDataMissing},
		"no value":        {newCraft(false).set(wire.KeyValue, nil), ErrMalformed},
		"no CBOR":         {&craft{key: craftKey, data: []byte{0xff}, skip: newCraft(false).skip}, ErrMalformed},
		"no signature":    {&craft{key: craftKey, doc: newCraft(false).doc, sigV2: []byte{}, skip: newCraft(false).skip}, ErrSignature},
		"validity type":   {newCraft(false).set(wire.KeyValidityType, cborUint(3)), ErrValidityType},
		"validity":        {newCraft(false).set(wire.KeyValidity, cborBytes("soon")), ErrValidity},
		"key":             {func() *craft { c := newCraft(false); c.pubKey = []byte("x"); return c }(), ErrKeyInvalid},
		"legacy mismatch": {newCraft(true).set(wire.KeySequence, cborUint(8)), ErrMismatch},
	} {
		report, err := Inspect(c.craft.raw())
		if err != nil || !errors.Is(report.Problem, c.want) {
			t.Errorf("%s: %+v, %v; want %v", why, report, err, c.want)
		}
	}
	if report, err := Inspect(newCraft(false).set(wire.KeyTTL, []byte{0x20}).raw()); err != nil || !slices.Contains(report.Missing, "TTL") {
		t.Errorf("TTL of -1: %+v, %v", report, err)
	}
	if report, err := Inspect([]byte("garbage")); !errors.Is(err, ErrMalformed) {
		t.Errorf("%+v, %v", report, err)
	}
	if report, err := Inspect(nil); err != nil || report.SignatureType != "Unknown" || !errors.Is(report.Problem, ErrDataMissing) {
		t.Errorf("%+v, %v", report, err)
	}
}

// What Inspect has no problem with, some Open accepts: the two cannot disagree,
// but for what needs a name, a key or a clock.
func FuzzInspect(f *testing.F) {
	seedRecords(f, func(_ Name, raw []byte) { f.Add(raw) })
	f.Fuzz(func(t *testing.T, raw []byte) {
		report, err := Inspect(raw)
		if err != nil {
			if !errors.Is(err, ErrSize) && !errors.Is(err, ErrMalformed) {
				t.Fatal(err)
			}
			return
		}
		_, err = Reopen(craftName(), raw)
		if report.Problem != nil && err == nil {
			t.Fatalf("Reopen accepts, but: %v", report.Problem)
		}
		unproblematic := errors.Is(err, ErrMalformed) || errors.Is(err, ErrMismatch) || errors.Is(err, ErrDataMissing) ||
			errors.Is(err, ErrValidity) || errors.Is(err, ErrValidityType) || errors.Is(err, ErrSize)
		if report.Problem == nil && unproblematic {
			t.Fatalf("Inspect has no problem, but: %v", err)
		}
	})
}

// seedRecords gives all records of testdata.
func seedRecords(t testing.TB, add func(name Name, raw []byte)) {
	for _, c := range hostileRecords(t) {
		if n, err := ParseName(c.Name); err == nil {
			if raw := readFile(t, filepath.Join("testdata/hostile", c.File)); len(raw) <= MaxRecordSize {
				add(n, raw)
			}
		}
	}
	files, err := filepath.Glob("testdata/kubo/*.ipns-record")
	if err != nil {
		t.Fatal(err)
	}
	for _, file := range files {
		name, _, _ := strings.Cut(filepath.Base(file), "_")
		add(mustName(t, name), readFile(t, file))
	}
	add(craftName(), newCraft(true).raw())
	add(craftName(), newCraft(false).raw())
}

// FuzzOpen holds what every accepted record must have, and that a forgery is not
// among them: whoever changes the signed document needs the key.
func FuzzOpen(f *testing.F) {
	known := map[[32]byte]bool{}
	seedRecords(f, func(n Name, raw []byte) {
		f.Add(n.Binary(), raw)
		if r, err := Reopen(n, raw); err == nil {
			known[r.DataHash()] = true
		}
	})
	f.Fuzz(func(t *testing.T, binary, raw []byte) {
		name, err := NameFromBinary(binary)
		if err != nil {
			name = craftName()
		}
		before := slices.Clone(raw)
		r, err := Open(name, raw, corpusTime)
		if !slices.Equal(raw, before) {
			t.Fatal("the input changed")
		}
		if err != nil {
			if r != nil {
				t.Fatal("a record with an error")
			}
			return
		}
		if !known[r.DataHash()] {
			t.Fatalf("forged: %v", r)
		}
		if !slices.Equal(r.Raw(), raw) || r.Name() != name || r.Expired(corpusTime) || r.Verify(corpusTime) != nil {
			t.Fatalf("%v", r)
		}
		loaded, err := Load(name, raw)
		if err != nil || Compare(loaded, r) != 0 || !reflect.DeepEqual(loaded, r) {
			t.Fatalf("Load: %v, %v", loaded, err)
		}
		_, _ = r.ContentPath()
		_ = r.Metadata()
	})
}
