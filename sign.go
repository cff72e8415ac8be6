package ipns

import (
	"bytes"
	"context"
	"fmt"
	"math"
	"time"

	"github.com/goipns/ipns/internal/wire"
)

// Fields are the contents of a new record.
type Fields struct {
	// Value is the content path that the name means: /ipfs/…, /ipns/… or
	// /ipld/…. It is signed as it is. Empty is allowed, and leads
	// nowhere.
	Value string

	// Sequence must be higher than that of the previous record if the value changes.
	// Other implementations do not read numbers above 2^63-1: Sign returns ErrSequence
	// for them unless HighSequence is set.
	Sequence uint64

	// EOL is the time from which the record is expired. It must be set, and lie in the
	// years 0 to 9999.
	EOL time.Time

	// TTL is how long resolvers may cache the record; 0 forbids it. It must not be
	// negative. The usual value is DefaultTTL. The caller ensures that it does not
	// exceed the time to EOL.
	TTL time.Duration

	// Metadata is signed with the record. Nil is none.
	Metadata Metadata

	// HighSequence allows a Sequence above 2^63-1.
	HighSequence bool
}

// Sign makes a record. Errors wrap [ErrValue], [ErrSequence], [ErrValidity],
// [ErrMetadata], [ErrSize], [ErrKeyInvalid] or are those of the signer. A
// signature that does not fit the public key of the signer is [ErrSignature],
// and metadata with more than a thousand items [ErrMalformed]. Section Record
// Creation.
func Sign(ctx context.Context, signer Signer, f Fields, form Form) (*Record, error) {
	body, err := f.body()
	if err != nil {
		return nil, fmt.Errorf("signing record: %w", err)
	}
	var room [maxInlineKey]byte
	key, err := appendPublicKey(room[:0], signer)
	if err != nil {
		return nil, fmt.Errorf("signing record: %w", err)
	}
	return signBody(ctx, signer, key, body, f.EOL, form)
}

// body checks f, but not EOL.
func (f *Fields) body() (wire.Body, error) {
	if f.Value != "" {
		if _, err := ParsePath(f.Value); err != nil {
			return wire.Body{}, err
		}
	}
	if f.Sequence > math.MaxInt64 && !f.HighSequence {
		return wire.Body{}, fmt.Errorf("%w: %d", ErrSequence, f.Sequence)
	}
	if f.TTL < 0 {
		return wire.Body{}, fmt.Errorf("ttl must not be negative, got %v", f.TTL)
	}
	extra, err := f.Metadata.entries()
	if err != nil {
		return wire.Body{}, err
	}
	return wire.Body{TTL: uint64(f.TTL), Value: f.Value, Sequence: f.Sequence, Extra: extra}, nil
}

// Renew makes a record that differs from r only in its EOL: value, sequence, TTL,
// metadata and form stay. The signer must be for the name of r, else the error is
// [ErrKeyMismatch]. Unsigned fields that someone added to r are dropped.
func Renew(ctx context.Context, signer Signer, r *Record, eol time.Time) (*Record, error) {
	var room [maxInlineKey]byte
	key, err := appendPublicKey(room[:0], signer)
	if err != nil {
		return nil, fmt.Errorf("renewing record of %s: %w", r.name, err)
	}
	if nameOfSerialized(key) != r.name {
		return nil, fmt.Errorf("renewing record of %s: %w", r.name, ErrKeyMismatch)
	}
	body := wire.Body{TTL: r.ttl, Value: string(r.RawValue()), Sequence: r.sequence}
	for name, value := range wire.Extra(r.data.Of(r.raw)) {
		body.Extra = append(body.Extra, wire.Entry{Key: name, Value: value})
	}
	wire.SortEntries(body.Extra)
	return signBody(ctx, signer, key, body, eol, r.form)
}

// maxECDSASignature is the longest ECDSA signature in DER, on the curve P-521.
const maxECDSASignature = 139

// signatureSize is the length of the signatures of a serialized public key, or
// an upper bound of it.
func signatureSize(key []byte) int {
	switch t, data, _ := splitKey(key); t {
	case Ed25519:
		return 64
	case RSA:
		return len(data) // the modulus is in it, and as long as a signature
	default:
		return maxECDSASignature
	}
}

// signBody signs a document and puts the record together, in one buffer.
//
// The document comes last in a record, after signatures over it. So it is
// written to the end of the buffer and signed there, with the prefix of
// SignatureV2 in front of it; the message of SignatureV1 borrows the front. When
// the signatures are known, the fields are written from the front and the
// document moves up to them.
func signBody(ctx context.Context, signer Signer, key []byte, body wire.Body, eol time.Time, form Form) (*Record, error) {
	var room [maxValidity]byte
	validity, err := appendValidity(room[:0], eol)
	if err != nil {
		return nil, fmt.Errorf("signing record: %w", err)
	}
	body.Validity = validity
	documentSize := wire.SizeDocument(&body)
	if documentSize > MaxRecordSize {
		return nil, fmt.Errorf("signing record: %w: document of %d bytes", ErrSize, documentSize)
	}
	name := nameOfSerialized(key)
	sigSize := signatureSize(key)
	if _, ok := name.inlineKey(); ok {
		key = nil // readers find it in the name
	}
	start := sizeHead(&body, form, sigSize, len(key)) + 1 + wire.SizeUvarint(uint64(documentSize))
	buf := wire.AppendDocument(make([]byte, start, start+documentSize), &body)

	copy(buf[start-len(signaturePrefix):], signaturePrefix)
	v2, err := signMessage(ctx, signer, buf[start-len(signaturePrefix):])
	if err != nil {
		return nil, fmt.Errorf("signing record: %w", err)
	}
	var v1 []byte
	if form == V1V2 {
		msg := append(append(append(buf[:0], body.Value...), validity...), validityText...)
		if v1, err = signMessage(ctx, signer, msg); err != nil {
			return nil, fmt.Errorf("signing record: %w", err)
		}
	}
	document, raw := buf[start:], buf[:0]
	if max(len(v1), len(v2)) > sigSize {
		raw = nil // no room: the signature is longer than expected
	}
	raw = appendHead(raw, &body, form, v1, v2, key)
	raw = wire.AppendBytes(raw, wire.FieldData, document)
	return finish(name, signer, raw)
}

// sizeHead is the length of what appendHead writes.
func sizeHead(body *wire.Body, form Form, sigSize, keySize int) int {
	size := wire.SizeBytes(sigSize)
	if keySize > 0 {
		size += wire.SizeBytes(keySize)
	}
	if form == V1V2 {
		size += wire.SizeBytes(len(body.Value)) + wire.SizeBytes(sigSize) + wire.SizeVarint(validityEOL) +
			wire.SizeBytes(len(body.Validity)) + wire.SizeVarint(body.Sequence) + wire.SizeVarint(body.TTL)
	}
	return size
}

// appendHead appends all fields but the last, the document.
func appendHead(dst []byte, body *wire.Body, form Form, v1, v2, key []byte) []byte {
	if form == V1V2 {
		dst = wire.AppendString(dst, wire.FieldValue, body.Value)
		dst = wire.AppendBytes(dst, wire.FieldSignatureV1, v1)
		dst = wire.AppendVarint(dst, wire.FieldValidityType, validityEOL)
		dst = wire.AppendBytes(dst, wire.FieldValidity, body.Validity)
		dst = wire.AppendVarint(dst, wire.FieldSequence, body.Sequence)
		dst = wire.AppendVarint(dst, wire.FieldTTL, body.TTL)
	}
	if len(key) > 0 {
		dst = wire.AppendBytes(dst, wire.FieldPubKey, key)
	}
	return wire.AppendBytes(dst, wire.FieldSignatureV2, v2)
}

// finish makes the Record from the signed bytes. It checks signatures unless they come
// from an Ed25519 key in memory.
func finish(name Name, signer Signer, raw []byte) (*Record, error) {
	if len(raw) > MaxRecordSize {
		return nil, fmt.Errorf("signing record: %w: %d bytes", ErrSize, len(raw))
	}
	r := &Record{name: name, raw: raw}
	check := r.verify
	if s, ok := signer.(*memorySigner); ok && s.ed25519 != nil {
		check = r.parse
	}
	if err := check(); err != nil {
		return nil, fmt.Errorf("checking the signed record: %w", err)
	}
	return r, nil
}

// signMessage calls the signer. Only signers of this package get the buffer itself, so
// that others cannot change the record through it.
func signMessage(ctx context.Context, signer Signer, msg []byte) ([]byte, error) {
	if s, ok := signer.(*memorySigner); ok {
		return s.Sign(ctx, msg)
	}
	return signer.Sign(ctx, bytes.Clone(msg))
}
