// Package wire reads and writes the two encodings inside an IPNS record: the
// protobuf envelope (IpnsEntry) and the DAG-CBOR document in its field "data".
//
// The readers are strict and cheap: they make one pass over the bytes, keep
// offsets instead of copies, use no reflection, and take no size from the
// input on trust. What they accept is bounded by MaxFields and MaxItems. The
// writers produce the one canonical form. Signatures, names, clocks and the
// meaning of a value are not known here.
package wire

import (
	"fmt"
	"math/bits"
)

// MaxFields is the largest number of protobuf fields, known and unknown
// together, that an envelope may have.
const MaxFields = 32

// Field numbers of the envelope.
const (
	FieldValue        = 1
	FieldSignatureV1  = 2
	FieldValidityType = 3
	FieldValidity     = 4
	FieldSequence     = 5
	FieldTTL          = 6
	FieldPubKey       = 7
	FieldSignatureV2  = 8
	FieldData         = 9
)

// Protobuf wire types.
const (
	wireVarint  = 0
	wireFixed64 = 1
	wireBytes   = 2
	wireFixed32 = 5
)

// Span is a range of bytes of the input that was parsed.
type Span struct{ Off, Len uint32 }

// Of returns the bytes of s in the input it came from. The result cannot be
// appended to in place.
func (s Span) Of(input []byte) []byte {
	return input[s.Off : s.Off+s.Len : s.Off+s.Len]
}

// Error tells where an input stopped being well formed, and why.
type Error struct {
	Offset int    // bytes from the start of the input
	Reason string // without the offset
}

func (e *Error) Error() string { return fmt.Sprintf("%s (at byte %d)", e.Reason, e.Offset) }

// Envelope is a parsed IpnsEntry. A field that is absent has its zero value;
// Has tells absent from empty.
type Envelope struct {
	Value, SignatureV1, Validity, PubKey, SignatureV2, Data Span
	ValidityType, Sequence, TTL                             uint64

	fields  uint16 // one bit for each known field seen
	Unknown int    // fields skipped
}

// Has reports whether the known field n was present.
func (e *Envelope) Has(n int) bool { return e.fields&(1<<n) != 0 }

// ParseEnvelope parses raw into e. It refuses what no writer of the protocol
// sends and what parsers are known to read in different ways: a repeated known
// field, groups, field number 0, reserved wire types, overlong varints, lengths
// past the end. A known field with a foreign wire type counts as unknown, as
// protobuf asks. On an error, e holds what was read before it.
func ParseEnvelope(e *Envelope, raw []byte) error {
	*e = Envelope{}
	count := 0
	for pos := 0; pos < len(raw); {
		start := pos
		tag, n := uvarint(raw[pos:])
		if n == 0 {
			return &Error{start, "protobuf: tag is not a varint of at most 64 bits"}
		}
		pos += n
		number, typ := tag>>3, tag&7
		if number == 0 || number >= 1<<29 {
			return &Error{start, "protobuf: field number out of range"}
		}
		if count++; count > MaxFields {
			return &Error{start, fmt.Sprintf("protobuf: more than %d fields", MaxFields)}
		}
		var u uint64
		var s Span
		switch typ {
		case wireVarint:
			if u, n = uvarint(raw[pos:]); n == 0 {
				return &Error{pos, "protobuf: varint is truncated or larger than 64 bits"}
			}
			pos += n
		case wireBytes:
			size, n := uvarint(raw[pos:])
			if n == 0 {
				return &Error{pos, "protobuf: length is truncated or larger than 64 bits"}
			}
			pos += n
			if size > uint64(len(raw)-pos) {
				return &Error{start, "protobuf: field is longer than the input"}
			}
			s = Span{uint32(pos), uint32(size)}
			pos += int(size)
		case wireFixed64, wireFixed32:
			size := 8
			if typ == wireFixed32 {
				size = 4
			}
			if len(raw)-pos < size {
				return &Error{start, "protobuf: field is longer than the input"}
			}
			pos += size
		default:
			return &Error{start, "protobuf: group or reserved wire type"}
		}
		if !e.set(number, typ, u, s) {
			return &Error{start, fmt.Sprintf("protobuf: field %d is repeated", number)}
		}
	}
	return nil
}

// set stores one field. It reports false when a known field is repeated.
func (e *Envelope) set(number, typ, u uint64, s Span) bool {
	switch {
	case number > FieldData,
		typ == wireFixed64, typ == wireFixed32,
		isVarintField(number) != (typ == wireVarint):
		e.Unknown++
		return true
	case e.Has(int(number)):
		return false
	}
	e.fields |= 1 << number
	switch number {
	case FieldValue:
		e.Value = s
	case FieldSignatureV1:
		e.SignatureV1 = s
	case FieldValidityType:
		e.ValidityType = u
	case FieldValidity:
		e.Validity = s
	case FieldSequence:
		e.Sequence = u
	case FieldTTL:
		e.TTL = u
	case FieldPubKey:
		e.PubKey = s
	case FieldSignatureV2:
		e.SignatureV2 = s
	case FieldData:
		e.Data = s
	}
	return true
}

func isVarintField(number uint64) bool {
	return number == FieldValidityType || number == FieldSequence || number == FieldTTL
}

// uvarint reads a protobuf varint. n is 0 when b is truncated or the value
// does not fit into 64 bits.
func uvarint(b []byte) (v uint64, n int) {
	for i, c := range b {
		if i == 9 && c > 1 {
			return 0, 0
		}
		v |= uint64(c&0x7f) << (7 * i)
		if c < 0x80 {
			return v, i + 1
		}
		if i == 9 {
			return 0, 0
		}
	}
	return 0, 0
}

// AppendBytes appends a field of bytes.
func AppendBytes(dst []byte, number int, b []byte) []byte {
	dst = AppendUvarint(dst, uint64(number)<<3|wireBytes)
	dst = AppendUvarint(dst, uint64(len(b)))
	return append(dst, b...)
}

// AppendString is AppendBytes for a string.
func AppendString(dst []byte, number int, s string) []byte {
	dst = AppendUvarint(dst, uint64(number)<<3|wireBytes)
	dst = AppendUvarint(dst, uint64(len(s)))
	return append(dst, s...)
}

// AppendVarint appends an integer field, also when u is 0.
func AppendVarint(dst []byte, number int, u uint64) []byte {
	return AppendUvarint(AppendUvarint(dst, uint64(number)<<3|wireVarint), u)
}

// AppendUvarint appends u in as few bytes as it takes.
func AppendUvarint(dst []byte, u uint64) []byte {
	for u >= 0x80 {
		dst = append(dst, byte(u)|0x80)
		u >>= 7
	}
	return append(dst, byte(u))
}

// SizeBytes is the length that AppendBytes adds for n bytes in a field of the
// envelope.
func SizeBytes(n int) int { return 1 + SizeUvarint(uint64(n)) + n }

// SizeVarint is the length that AppendVarint adds for a field of the envelope.
func SizeVarint(u uint64) int { return 1 + SizeUvarint(u) }

// SizeUvarint is the length that AppendUvarint adds.
func SizeUvarint(u uint64) int { return (bits.Len64(u|1) + 6) / 7 }
