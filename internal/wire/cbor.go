package wire

import (
	"bytes"
	"fmt"
	"math"
	"slices"
	"unicode/utf8"

	"github.com/ipfs/go-cid"
)

// MaxItems is the largest number of CBOR data items (keys, values, containers,
// tags) in a document. It bounds the time, the memory and the depth of a parse.
const MaxItems = 1024

// CBOR major types.
const (
	majorUint   = 0
	majorNegInt = 1
	majorBytes  = 2
	majorText   = 3
	majorArray  = 4
	majorMap    = 5
	majorTag    = 6
	majorSimple = 7
)

// The initial bytes of the values that DAG-CBOR allows of major type 7.
const (
	cborFalse   = 0xf4
	cborTrue    = 0xf5
	cborNull    = 0xf6
	cborFloat64 = 0xfb
)

const tagCID = 42

// maxDocument is the longest document, in bytes: offsets must fit into keySpan.
const maxDocument = math.MaxUint16

// cborReader walks over strict DAG-CBOR of at most maxDocument bytes.
type cborReader struct {
	b     []byte
	pos   int
	items int

	// canonical asks for map keys in order, which only writers have to keep.
	canonical bool

	// keys are those of the maps being read, the innermost last. A key and its
	// value are two items, so there is room for all.
	keys  [MaxItems/2 + 1]keySpan
	nkeys int
}

// keySpan is a Span in half of the memory.
type keySpan struct{ off, len uint16 }

func (k keySpan) of(b []byte) []byte { return b[k.off : k.off+k.len] }

func (r *cborReader) fail(at int, reason string) error { return &Error{at, "dag-cbor: " + reason} }

// head reads the initial bytes of one item: its major type and its argument,
// which must be written in as few bytes as it takes. A float64 is returned as
// its bits with major type 7.
func (r *cborReader) head() (major byte, arg uint64, err error) {
	start := r.pos
	if start >= len(r.b) {
		return 0, 0, r.fail(start, "truncated")
	}
	if r.items++; r.items > MaxItems {
		return 0, 0, r.fail(start, fmt.Sprintf("more than %d items", MaxItems))
	}
	first := r.b[start]
	major, info := first>>5, first&31
	r.pos++
	if major == majorSimple {
		return r.simple(start, first)
	}
	if info < 24 {
		return major, uint64(info), nil
	}
	if info > 27 {
		return 0, 0, r.fail(start, "indefinite length or reserved initial byte")
	}
	size := 1 << (info - 24)
	if len(r.b)-r.pos < size {
		return 0, 0, r.fail(start, "truncated")
	}
	for _, c := range r.b[r.pos : r.pos+size] {
		arg = arg<<8 | uint64(c)
	}
	r.pos += size
	if size == 1 && arg < 24 || size > 1 && arg>>(4*size) == 0 {
		return 0, 0, r.fail(start, "integer or length is not in its shortest form")
	}
	return major, arg, nil
}

func (r *cborReader) simple(start int, first byte) (byte, uint64, error) {
	switch first {
	case cborFalse, cborTrue, cborNull:
		return majorSimple, uint64(first), nil
	case cborFloat64:
		if len(r.b)-r.pos < 8 {
			return 0, 0, r.fail(start, "truncated")
		}
		var bits uint64
		for _, c := range r.b[r.pos : r.pos+8] {
			bits = bits<<8 | uint64(c)
		}
		r.pos += 8
		if f := math.Float64frombits(bits); math.IsNaN(f) || math.IsInf(f, 0) {
			return 0, 0, r.fail(start, "NaN and infinities are not allowed")
		}
		return majorSimple, bits, nil
	}
	return 0, 0, r.fail(start, "only false, true, null and 64-bit floats are allowed of major type 7")
}

// take returns the next n bytes.
func (r *cborReader) take(n uint64) (Span, error) {
	if n > uint64(len(r.b)-r.pos) {
		return Span{}, r.fail(r.pos, "string is longer than the input")
	}
	s := Span{uint32(r.pos), uint32(n)}
	r.pos += int(n)
	return s, nil
}

// text reads a text string, which a map key must be.
func (r *cborReader) text() (Span, error) {
	start := r.pos
	major, n, err := r.head()
	if err != nil {
		return Span{}, err
	}
	if major != majorText {
		return Span{}, r.fail(start, "map key is not text")
	}
	return r.utf8(n)
}

func (r *cborReader) utf8(n uint64) (Span, error) {
	s, err := r.take(n)
	if err == nil && !utf8.Valid(s.Of(r.b)) {
		err = r.fail(int(s.Off), "text is not UTF-8")
	}
	return s, err
}

// bytes reads a byte string.
func (r *cborReader) bytes() (Span, error) {
	start := r.pos
	major, n, err := r.head()
	if err != nil {
		return Span{}, err
	}
	if major != majorBytes {
		return Span{}, r.fail(start, "want bytes")
	}
	return r.take(n)
}

// uint reads an unsigned integer.
func (r *cborReader) uint() (uint64, error) {
	start := r.pos
	major, u, err := r.head()
	if err == nil && major != majorUint {
		err = r.fail(start, "want an unsigned integer")
	}
	return u, err
}

// skip reads any one item. Its depth is bounded by MaxItems.
func (r *cborReader) skip() error {
	start := r.pos
	major, n, err := r.head()
	if err != nil {
		return err
	}
	switch major {
	case majorBytes:
		_, err = r.take(n)
	case majorText:
		_, err = r.utf8(n)
	case majorArray:
		for ; n > 0 && err == nil; n-- {
			err = r.skip()
		}
	case majorMap:
		err = r.skipMap(n)
	case majorTag:
		if n != tagCID {
			return r.fail(start, "only tag 42 is allowed")
		}
		err = r.link()
	}
	return err
}

func (r *cborReader) skipMap(n uint64) error {
	base, sorted := r.nkeys, true
	for ; n > 0; n-- {
		_, inOrder, err := r.key(base)
		if err != nil {
			return err
		}
		sorted = sorted && inOrder
		if r.canonical && !sorted {
			return r.fail(r.pos, "map keys are not in canonical order, or repeated")
		}
		if err := r.skip(); err != nil {
			return err
		}
	}
	return r.endMap(base, sorted)
}

// link reads the content of tag 42: a zero byte and a binary CID.
func (r *cborReader) link() error {
	start := r.pos
	s, err := r.bytes()
	if err != nil {
		return err
	}
	b := s.Of(r.b)
	if len(b) == 0 || b[0] != 0 {
		return r.fail(start, "link does not start with a zero byte")
	}
	if _, err := cid.Cast(b[1:]); err != nil {
		return r.fail(start, "link is not a CID")
	}
	return nil
}

// key reads the next key of the map whose first key is r.keys[base]. It reports
// whether the key comes after the one before it in the canonical order.
func (r *cborReader) key(base int) (key Span, inOrder bool, err error) {
	key, err = r.text()
	if err != nil {
		return key, false, err
	}
	inOrder = r.nkeys == base || compareKeys(r.keys[r.nkeys-1].of(r.b), key.Of(r.b)) < 0
	r.keys[r.nkeys] = keySpan{uint16(key.Off), uint16(key.Len)}
	r.nkeys++
	return key, inOrder, nil
}

// endMap ends a map. Keys that came in order cannot repeat; others are sorted
// to find out.
func (r *cborReader) endMap(base int, sorted bool) error {
	keys := r.keys[base:r.nkeys]
	r.nkeys = base
	if sorted {
		return nil
	}
	slices.SortFunc(keys, func(x, y keySpan) int { return compareKeys(x.of(r.b), y.of(r.b)) })
	for i := 1; i < len(keys); i++ {
		if bytes.Equal(keys[i-1].of(r.b), keys[i].of(r.b)) {
			return r.fail(int(keys[i].off), "map key is repeated")
		}
	}
	return nil
}

// compareKeys orders map keys as DAG-CBOR does: by length, then by bytes.
func compareKeys(a, b []byte) int {
	if len(a) != len(b) {
		return len(a) - len(b)
	}
	return bytes.Compare(a, b)
}
