package wire

import (
	"bytes"
	"encoding/binary"
	"iter"
	"math"
	"slices"
)

// Keys of the document, in canonical order.
const (
	KeyTTL          = "TTL"
	KeyValue        = "Value"
	KeySequence     = "Sequence"
	KeyValidity     = "Validity"
	KeyValidityType = "ValidityType"
)

var standardKeys = [...]string{KeyTTL, KeyValue, KeySequence, KeyValidity, KeyValidityType}

// Document is the parsed DAG-CBOR document of a record.
type Document struct {
	TTL          uint64
	Value        Span
	Sequence     uint64
	Validity     Span
	ValidityType uint64
	Extra        int // entries with other keys

	found [len(standardKeys)]bool
}

// Has reports whether the standard key was present.
func (d *Document) Has(key string) bool {
	i := slices.Index(standardKeys[:], key)
	return i >= 0 && d.found[i]
}

// ParseDocument parses data into d: one map with the five standard keys, each
// of its right type, and any others. Keys may be in any order. On an error, d
// holds what was read before it.
func ParseDocument(d *Document, data []byte) error {
	*d = Document{}
	r := cborReader{b: data}
	if len(data) > maxDocument {
		return r.fail(maxDocument, "document is too long")
	}
	major, n, err := r.head()
	if err != nil {
		return err
	}
	if major != majorMap {
		return r.fail(0, "document is not a map")
	}
	sorted := true
	for ; n > 0; n-- {
		key, inOrder, err := r.key(0)
		if err != nil {
			return err
		}
		sorted = sorted && inOrder
		if err := d.entry(&r, key); err != nil {
			return err
		}
	}
	if err := r.endMap(0, sorted); err != nil {
		return err
	}
	if r.pos != len(data) {
		return r.fail(r.pos, "bytes after the end of the document")
	}
	for i, found := range d.found {
		if !found {
			return r.fail(len(data), standardKeys[i]+" is missing")
		}
	}
	return nil
}

// entry reads the value that belongs to key.
func (d *Document) entry(r *cborReader, key Span) (err error) {
	which := 0
	switch string(key.Of(r.b)) {
	case KeyTTL:
		d.TTL, err = r.uint()
	case KeyValue:
		which = 1
		d.Value, err = r.bytes()
	case KeySequence:
		which = 2
		d.Sequence, err = r.uint()
	case KeyValidity:
		which = 3
		d.Validity, err = r.bytes()
	case KeyValidityType:
		which = 4
		d.ValidityType, err = r.uint()
	default:
		d.Extra++
		return r.skip()
	}
	if err != nil {
		if e, ok := err.(*Error); ok {
			e.Reason += " for " + standardKeys[which]
		}
		return err
	}
	d.found[which] = true
	return nil
}

// Entry is one key of a map and its value, still encoded.
type Entry struct {
	Key   string
	Value []byte
}

// Extra iterates over the entries of data other than the standard ones, in the
// order of data, which ParseDocument must have accepted.
func Extra(data []byte) iter.Seq2[string, []byte] {
	return func(yield func(string, []byte) bool) {
		r := cborReader{b: data}
		_, n, err := r.head()
		for ; n > 0 && err == nil; n-- {
			var key Span
			if key, err = r.text(); err != nil {
				return
			}
			start := r.pos
			if err = r.skip(); err != nil {
				return
			}
			k := string(key.Of(data))
			if !slices.Contains(standardKeys[:], k) && !yield(k, data[start:r.pos:r.pos]) {
				return
			}
		}
	}
}

// Keys returns the five keys that every record has, in canonical order.
func Keys() []string { return slices.Clone(standardKeys[:]) }

// IsStandardKey reports whether key is one of the five that every record has.
func IsStandardKey(key string) bool { return slices.Contains(standardKeys[:], key) }

// CheckCanonical reports whether value is exactly one DAG-CBOR item, as a writer
// must write it: what ParseDocument accepts, with the keys of all maps in order.
func CheckCanonical(value []byte) error {
	r := cborReader{b: value, canonical: true}
	if len(value) > maxDocument {
		return r.fail(maxDocument, "item is too long")
	}
	if err := r.skip(); err != nil {
		return err
	}
	if r.pos != len(value) {
		return r.fail(r.pos, "bytes after the end of the item")
	}
	return nil
}

// Body is what AppendDocument writes.
type Body struct {
	TTL          uint64
	Value        string
	Sequence     uint64
	Validity     []byte
	ValidityType uint64
	Extra        []Entry // in canonical order, as SortEntries leaves them
}

// SortEntries brings entries into the canonical order.
func SortEntries(entries []Entry) {
	slices.SortFunc(entries, func(a, b Entry) int { return compareKeys([]byte(a.Key), []byte(b.Key)) })
}

// AppendDocument appends the canonical DAG-CBOR form of b.
func AppendDocument(dst []byte, b *Body) []byte {
	dst = appendHead(dst, majorMap, uint64(len(standardKeys)+len(b.Extra)))
	extra := b.Extra
	for i, key := range standardKeys {
		for len(extra) > 0 && keyLess(extra[0].Key, key) {
			dst = appendKey(dst, extra[0].Key)
			dst = append(dst, extra[0].Value...)
			extra = extra[1:]
		}
		dst = appendKey(dst, key)
		switch i {
		case 0:
			dst = appendHead(dst, majorUint, b.TTL)
		case 1:
			dst = append(appendHead(dst, majorBytes, uint64(len(b.Value))), b.Value...)
		case 2:
			dst = appendHead(dst, majorUint, b.Sequence)
		case 3:
			dst = AppendCBORBytes(dst, b.Validity)
		case 4:
			dst = appendHead(dst, majorUint, b.ValidityType)
		}
	}
	for _, e := range extra {
		dst = appendKey(dst, e.Key)
		dst = append(dst, e.Value...)
	}
	return dst
}

// SizeDocument is the length that AppendDocument adds.
func SizeDocument(b *Body) int {
	n := sizeHead(uint64(len(standardKeys) + len(b.Extra)))
	for _, key := range standardKeys {
		n += sizeHead(uint64(len(key))) + len(key)
	}
	n += sizeHead(b.TTL) + sizeHead(b.Sequence) + sizeHead(b.ValidityType)
	n += sizeHead(uint64(len(b.Value))) + len(b.Value)
	n += sizeHead(uint64(len(b.Validity))) + len(b.Validity)
	for _, e := range b.Extra {
		n += sizeHead(uint64(len(e.Key))) + len(e.Key) + len(e.Value)
	}
	return n
}

func keyLess(a, b string) bool {
	if len(a) != len(b) {
		return len(a) < len(b)
	}
	return a < b
}

func appendKey(dst []byte, key string) []byte {
	return append(appendHead(dst, majorText, uint64(len(key))), key...)
}

// AppendCBORBytes appends b as a byte string.
func AppendCBORBytes(dst, b []byte) []byte {
	return append(appendHead(dst, majorBytes, uint64(len(b))), b...)
}

// AppendCBORText appends s as a text string.
func AppendCBORText(dst []byte, s string) []byte { return appendKey(dst, s) }

// AppendCBORInt appends i.
func AppendCBORInt(dst []byte, i int64) []byte {
	if i < 0 {
		return appendHead(dst, majorNegInt, uint64(^i))
	}
	return appendHead(dst, majorUint, uint64(i))
}

// AppendCBORUint appends u.
func AppendCBORUint(dst []byte, u uint64) []byte { return appendHead(dst, majorUint, u) }

// AppendCBORBool appends b.
func AppendCBORBool(dst []byte, b bool) []byte {
	if b {
		return append(dst, cborTrue)
	}
	return append(dst, cborFalse)
}

func appendHead(dst []byte, major byte, arg uint64) []byte {
	m := major << 5
	switch {
	case arg < 24:
		return append(dst, m|byte(arg))
	case arg < 1<<8:
		return append(dst, m|24, byte(arg))
	case arg < 1<<16:
		return binary.BigEndian.AppendUint16(append(dst, m|25), uint16(arg))
	case arg < 1<<32:
		return binary.BigEndian.AppendUint32(append(dst, m|26), uint32(arg))
	default:
		return binary.BigEndian.AppendUint64(append(dst, m|27), arg)
	}
}

func sizeHead(arg uint64) int {
	switch {
	case arg < 24:
		return 1
	case arg < 1<<8:
		return 2
	case arg < 1<<16:
		return 3
	case arg < 1<<32:
		return 5
	default:
		return 9
	}
}

// Decode returns a well-formed item as string, []byte, bool, int64, or uint64 for
// integers above 2^63-1. It returns nil for everything else.
func Decode(item []byte) any {
	r := cborReader{b: item}
	major, n, err := r.head()
	if err != nil {
		return nil
	}
	switch major {
	case majorUint:
		if n > math.MaxInt64 {
			return n
		}
		return int64(n)
	case majorNegInt:
		if n > math.MaxInt64 {
			return nil
		}
		return ^int64(n)
	case majorBytes:
		return bytes.Clone(item[r.pos:])
	case majorText:
		return string(item[r.pos:])
	case majorSimple:
		switch item[0] {
		case cborFalse:
			return false
		case cborTrue:
			return true
		}
	}
	return nil
}
