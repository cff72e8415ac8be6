package record

import (
	"context"
	cryptorand "crypto/rand"
	"fmt"
	"math"
	"math/rand/v2"
	"strings"
	"time"

	"github.com/libp2p/go-libp2p/core/crypto"

	"github.com/goipns/ipns"
	"github.com/goipns/ipns/internal/wire"
)

const value = "/ipfs/bafybeibj6lixxzqtsb45ysdjnupvqkufgdvzqbnvmhw2kf7cfkesy7r7d4"

var (
	eol   = time.Date(2125, 1, 1, 0, 0, 0, 123456789, time.UTC)
	forms = []ipns.Form{ipns.V1V2, ipns.V2Only}
)

// keys are one of each type.
func keys() (map[string]crypto.PrivKey, error) {
	m := map[string]crypto.PrivKey{}
	for _, typ := range []ipns.KeyType{ipns.Ed25519, ipns.Secp256k1, ipns.RSA} {
		priv, err := ipns.GenerateKey(typ, 0)
		if err != nil {
			return nil, err
		}
		m[typ.String()] = priv
	}
	ecdsa, _, err := crypto.GenerateECDSAKeyPair(cryptorand.Reader)
	if err != nil {
		return nil, err
	}
	m[ipns.ECDSA.String()] = ecdsa
	return m, nil
}

// extremes are fields as different as Sign takes them.
func extremes() map[string]ipns.Fields {
	return map[string]ipns.Fields{
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
}

// Emitted returns a record for each of the extremes of what Sign can make, with
// each type of key and in both forms, by a name like "zero, V1+V2, rsa".
func Emitted(ctx context.Context) (map[string]*ipns.Record, error) {
	privs, err := keys()
	if err != nil {
		return nil, err
	}
	all := map[string]*ipns.Record{}
	for typ, priv := range privs {
		signer := ipns.NewSigner(priv)
		for name, f := range extremes() {
			for _, form := range forms {
				r, err := ipns.Sign(ctx, signer, f, form)
				if err != nil {
					return nil, fmt.Errorf("%s, %s: %w", name, typ, err)
				}
				all[strings.Join([]string{name, form.String(), typ}, ", ")] = r
			}
		}
	}
	return all, nil
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

// draft is a mutant being built.
type draft struct {
	rnd     *rand.Rand
	doc     []entry     // of the document
	fields  map[int]any // of the envelope: string or uint64
	order   []int       // of the fields that are written
	changes []string    // what was done, for messages
}

type entry struct{ key, value string }

func (d *draft) note(format string, args ...any) {
	d.changes = append(d.changes, fmt.Sprintf(format, args...))
}

// Mutant makes a record out of a good one by some changes before it is signed, so
// that the signature is right, and some after. changes says what was done.
func Mutant(rnd *rand.Rand, priv crypto.PrivKey) (raw []byte, changes []string, err error) {
	const validity = "2125-01-01T00:00:00Z"
	d := &draft{
		rnd: rnd,
		doc: []entry{
			{wire.KeyTTL, "\x01"},
			{wire.KeyValue, cborBytes("/ipfs/bafkqaaa")},
			{wire.KeySequence, "\x07"},
			{wire.KeyValidity, cborBytes(validity)},
			{wire.KeyValidityType, "\x00"},
		},
		fields: map[int]any{1: "/ipfs/bafkqaaa", 2: strings.Repeat("s", 64), 3: uint64(0), 4: validity, 5: uint64(7), 6: uint64(1)},
		order:  []int{1, 2, 3, 4, 5, 6},
	}
	if rnd.IntN(2) == 0 {
		d.order = nil
	}
	for range rnd.IntN(3) {
		d.changeDocument()
	}
	data := []byte{0xa0 | byte(len(d.doc))}
	for _, e := range d.doc {
		data = append(append(data, wire.AppendCBORText(nil, e.key)...), e.value...)
	}
	if rnd.IntN(12) == 0 {
		d.note("byte after the document")
		data = append(data, byte(rnd.IntN(256)))
	}
	sig, err := priv.Sign(append([]byte("ipns-signature:"), data...))
	if err != nil {
		return nil, nil, err
	}
	d.fields[wire.FieldSignatureV2], d.fields[wire.FieldData] = string(sig), string(data)
	d.order = append(d.order, wire.FieldSignatureV2, wire.FieldData)
	if rnd.IntN(3) == 0 {
		d.changeFields()
	}
	return d.serialize(), d.changes, nil
}

func cborBytes(s string) string { return string(wire.AppendCBORBytes(nil, []byte(s))) }

// replace changes the value of a key wherever it is.
func (d *draft) replace(key, value string) {
	for i := range d.doc {
		if d.doc[i].key == key {
			d.doc[i].value = value
		}
	}
}

func (d *draft) changeDocument() {
	i := d.rnd.IntN(len(d.doc))
	item := items[d.rnd.IntN(len(items))]
	switch d.rnd.IntN(8) {
	case 0:
		d.note("%s = %x", d.doc[i].key, item)
		d.doc[i].value = item
	case 1:
		d.note("without %s", d.doc[i].key)
		d.doc = append(d.doc[:i], d.doc[i+1:]...)
	case 2:
		d.note("%s twice", d.doc[i].key)
		d.doc = append(d.doc, d.doc[i])
	case 3, 4:
		d.note("extra = %x", item)
		d.doc = append(d.doc, entry{fmt.Sprintf("_longer_than_all_%d", d.rnd.IntN(3)), item})
	case 5:
		d.note("entries shuffled")
		d.rnd.Shuffle(len(d.doc), func(i, j int) { d.doc[i], d.doc[j] = d.doc[j], d.doc[i] })
	case 6:
		v := validities[d.rnd.IntN(len(validities))]
		d.note("validity %q", v)
		d.fields[wire.FieldValidity] = v
		d.replace(wire.KeyValidity, cborBytes(v))
	case 7:
		n := []uint64{0, 8, math.MaxInt64, 1 << 63, math.MaxUint64}[d.rnd.IntN(5)]
		d.note("sequence %d", n)
		d.fields[wire.FieldSequence] = n
		d.replace(wire.KeySequence, string(wire.AppendCBORUint(nil, n)))
	}
}

func (d *draft) changeFields() {
	i := d.rnd.IntN(len(d.order))
	n := d.order[i]
	switch d.rnd.IntN(4) {
	case 0:
		d.note("field %d left out", n)
		d.order = append(d.order[:i], d.order[i+1:]...)
	case 1:
		d.note("field %d twice", n)
		d.order = append(d.order, n)
	case 2:
		d.note("fields shuffled")
		d.rnd.Shuffle(len(d.order), func(i, j int) { d.order[i], d.order[j] = d.order[j], d.order[i] })
	case 3:
		d.note("field %d changed", n)
		switch v := d.fields[n].(type) {
		case string:
			d.fields[n] = v + "x"
		case uint64:
			d.fields[n] = v + 1<<32
		}
	}
}

// tails are fields, and what is none, to follow a record.
var tails = []string{
	"\x78\x01", "\x7a\x01x", "\x7b\x7c", "\x79\x01\x02\x03\x04\x05\x06\x07\x08", "\x7f", "\x02\x00", "\xff", "\x00",
	strings.Repeat("\x78\x01", 40), "\x3a\x00", "\x3a\x01x",
}

func (d *draft) serialize() []byte {
	var raw []byte
	for _, n := range d.order {
		switch v := d.fields[n].(type) {
		case string:
			raw = wire.AppendString(raw, n, v)
		case uint64:
			raw = wire.AppendVarint(raw, n, v)
		}
	}
	if d.rnd.IntN(6) == 0 {
		tail := tails[d.rnd.IntN(len(tails))]
		d.note("after it %x", tail)
		raw = append(raw, tail...)
	}
	if d.rnd.IntN(10) == 0 {
		i := d.rnd.IntN(len(raw))
		d.note("bit of byte %d", i)
		raw[i] ^= 1 << d.rnd.IntN(8)
	}
	return raw
}
