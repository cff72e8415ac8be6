package ipns

import (
	"bytes"
	"crypto/ed25519"
	"slices"
	"testing"

	"github.com/goipns/ipns/internal/wire"
)

// craft makes records that Sign would not. Its zero value with a key is a good
// V2-only record; a test changes one thing.
type craft struct {
	key  ed25519.PrivateKey
	data []byte // signed document; nil for document(doc)
	doc  []docEntry

	value, validity             []byte // of the envelope
	validityType, sequence, ttl uint64
	sigV1, sigV2, pubKey        []byte
	skip                        []int  // fields left out
	before, after               []byte // around the envelope
	message                     func(data []byte) []byte
}

// docEntry is one entry of a document, its value still encoded.
type docEntry struct {
	key   string
	value []byte
}

var craftKey = ed25519.NewKeyFromSeed(bytes.Repeat([]byte{7}, 32))

func craftName() Name { return nameOfSerialized(marshalKey(Ed25519, craftKey[32:])) }

const (
	craftValue    = "/ipfs/bafkqaaa"
	craftValidity = "2125-01-01T00:00:00.000000001Z"
)

func cborBytes(s string) []byte { return wire.AppendCBORBytes(nil, []byte(s)) }
func cborUint(u uint64) []byte  { return wire.AppendCBORUint(nil, u) }

// newCraft returns a good record: V1+V2 with legacy, else V2-only.
func newCraft(legacy bool) *craft {
	c := &craft{key: craftKey, doc: []docEntry{
		{wire.KeyTTL, cborUint(60)},
		{wire.KeyValue, cborBytes(craftValue)},
		{wire.KeySequence, cborUint(7)},
		{wire.KeyValidity, cborBytes(craftValidity)},
		{wire.KeyValidityType, cborUint(0)},
	}}
	if legacy {
		c.value, c.validity = []byte(craftValue), []byte(craftValidity)
		c.sequence, c.ttl = 7, 60
		c.sigV1 = ed25519.Sign(c.key, slices.Concat(c.value, c.validity, []byte("EOL")))
	} else {
		c.skip = []int{wire.FieldValue, wire.FieldSignatureV1, wire.FieldValidityType, wire.FieldValidity, wire.FieldSequence, wire.FieldTTL}
	}
	return c
}

// set replaces the encoded value of a key, appends it if it is new, and removes
// it if value is nil.
func (c *craft) set(key string, value []byte) *craft {
	i := slices.IndexFunc(c.doc, func(e docEntry) bool { return e.key == key })
	switch {
	case i < 0:
		c.doc = append(c.doc, docEntry{key, value})
	case value == nil:
		c.doc = slices.Delete(c.doc, i, i+1)
	default:
		c.doc[i].value = value
	}
	return c
}

// document encodes the entries in the order they have.
func (c *craft) document() []byte {
	if c.data != nil {
		return c.data
	}
	b := []byte{0xa0 | byte(len(c.doc))}
	if len(c.doc) > 23 {
		b = []byte{0xb9, byte(len(c.doc) >> 8), byte(len(c.doc))}
	}
	for _, e := range c.doc {
		b = append(wire.AppendCBORText(b, e.key), e.value...)
	}
	return b
}

// raw signs and serializes.
func (c *craft) raw() []byte {
	data := c.document()
	msg := append([]byte(signaturePrefix), data...)
	if c.message != nil {
		msg = c.message(data)
	}
	sig := c.sigV2
	if sig == nil {
		sig = ed25519.Sign(c.key, msg)
	}
	raw := bytes.Clone(c.before)
	field := func(n int, b []byte) {
		if !slices.Contains(c.skip, n) {
			raw = wire.AppendBytes(raw, n, b)
		}
	}
	varint := func(n int, u uint64) {
		if !slices.Contains(c.skip, n) {
			raw = wire.AppendVarint(raw, n, u)
		}
	}
	field(wire.FieldValue, c.value)
	field(wire.FieldSignatureV1, c.sigV1)
	varint(wire.FieldValidityType, c.validityType)
	field(wire.FieldValidity, c.validity)
	varint(wire.FieldSequence, c.sequence)
	varint(wire.FieldTTL, c.ttl)
	if c.pubKey != nil {
		field(wire.FieldPubKey, c.pubKey)
	}
	field(wire.FieldSignatureV2, sig)
	field(wire.FieldData, data)
	return append(raw, c.after...)
}

// open opens the record at a time when it should be good.
func (c *craft) open() (*Record, error) { return Open(craftName(), c.raw(), corpusTime) }

func TestCraft(t *testing.T) {
	for _, legacy := range []bool{true, false} {
		r, err := newCraft(legacy).open()
		if err != nil || r.Value() != craftValue || r.Sequence() != 7 || r.TTL() != 60 || (r.Form() == V1V2) != legacy {
			t.Errorf("legacy %v: %+v, %v", legacy, r, err)
		}
	}
}
