package ipns

import (
	"bytes"
	"context"
	"fmt"
	"math"
	"time"

	"github.com/goipns/ipns/internal/wire"
)

// Fields is what a new record says.
type Fields struct {
	// Value is the content path that the name means: /ipfs/…, /ipns/… or
	// /ipld/…. Empty is allowed and means /ipfs/bafkqaaa, an empty block.
	Value string

	// Sequence must be higher than that of the record before, if the value
	// changes. Other implementations do not read numbers above 2^63-1: they
	// are refused with ErrSequence unless HighSequence is set.
	Sequence uint64

	// EOL is the end of life. It must be set, and lie in the years 0 to 9999.
	EOL time.Time

	// TTL is how long resolvers may cache the record; 0 forbids it. It must not
	// be negative. Publishers without another wish use DefaultTTL. That it be
	// no longer than the time to EOL is up to the caller, who knows the time.
	TTL time.Duration

	// Metadata is signed with the record. Nil is none.
	Metadata Metadata

	// HighSequence allows a Sequence above 2^63-1.
	HighSequence bool
}

// Sign makes a record. Errors wrap [ErrValue], [ErrSequence], [ErrValidity],
// [ErrMetadata], [ErrSize], [ErrKeyInvalid] or are those of the signer.
func Sign(ctx context.Context, signer Signer, f Fields, form Form) (*Record, error) {
	if f.Value != "" {
		if _, err := ParsePath(f.Value); err != nil {
			return nil, fmt.Errorf("signing record: %w", err)
		}
	}
	if f.Sequence > math.MaxInt64 && !f.HighSequence {
		return nil, fmt.Errorf("signing record: %w: %d", ErrSequence, f.Sequence)
	}
	if f.TTL < 0 {
		return nil, fmt.Errorf("signing record: ttl must not be negative, got %v", f.TTL)
	}
	var extra []wire.Entry
	if len(f.Metadata) > 0 {
		var err error
		if extra, err = f.Metadata.entries(); err != nil {
			return nil, fmt.Errorf("signing record: %w", err)
		}
	}
	body := wire.Body{TTL: uint64(f.TTL), Value: []byte(f.Value), Sequence: f.Sequence, Extra: extra}
	return signBody(ctx, signer, &body, f.EOL, form)
}

// Renew makes a record that differs from r in its end of life alone: value,
// sequence, TTL, metadata and form stay. The signer must be for the name of r,
// else [ErrKeyMismatch].
func Renew(ctx context.Context, signer Signer, r *Record, eol time.Time) (*Record, error) {
	data := r.data.Of(r.raw)
	body := wire.Body{TTL: r.ttl, Value: r.RawValue(), Sequence: r.sequence}
	for key, value := range wire.Extra(data) {
		body.Extra = append(body.Extra, wire.Entry{Key: key, Value: value})
	}
	wire.SortEntries(body.Extra)
	name, err := NameOf(signer.Public())
	if err != nil {
		return nil, err
	}
	if name != r.name {
		return nil, fmt.Errorf("renewing record of %s: %w", r.name, ErrKeyMismatch)
	}
	return signBody(ctx, signer, &body, eol, r.form)
}

// signBody signs a document and puts the record together in one buffer.
//
// The document is written to the end of the buffer and signed there, with the
// signature prefix before it; the fields that precede it are written when the
// signatures are known, and the document is moved up to them.
func signBody(ctx context.Context, signer Signer, body *wire.Body, eol time.Time, form Form) (*Record, error) {
	var room [maxValidity]byte
	validity, err := appendValidity(room[:0], eol)
	if err != nil {
		return nil, fmt.Errorf("signing record: %w", err)
	}
	body.Validity = validity
	key, err := MarshalPublicKey(signer.Public())
	if err != nil {
		return nil, fmt.Errorf("signing record: %w", err)
	}
	name := nameOfSerialized(key)
	if _, ok := name.inlineKey(); ok {
		key = nil // the name contains it
	}
	data := wire.AppendDocument(make([]byte, 0, wire.SizeDocument(body)), body)
	sig2, err := sign(ctx, signer, append([]byte(signaturePrefix), data...))
	if err != nil {
		return nil, err
	}
	var raw []byte
	if form == V1V2 {
		msg := append(append(bytes.Clone(body.Value), validity...), validityText...)
		sig1, err := sign(ctx, signer, msg)
		if err != nil {
			return nil, err
		}
		raw = wire.AppendBytes(raw, wire.FieldValue, body.Value)
		raw = wire.AppendBytes(raw, wire.FieldSignatureV1, sig1)
		raw = wire.AppendVarint(raw, wire.FieldValidityType, validityEOL)
		raw = wire.AppendBytes(raw, wire.FieldValidity, validity)
		raw = wire.AppendVarint(raw, wire.FieldSequence, body.Sequence)
		raw = wire.AppendVarint(raw, wire.FieldTTL, body.TTL)
	}
	if key != nil {
		raw = wire.AppendBytes(raw, wire.FieldPubKey, key)
	}
	raw = wire.AppendBytes(raw, wire.FieldSignatureV2, sig2)
	raw = wire.AppendBytes(raw, wire.FieldData, data)
	if len(raw) > MaxRecordSize {
		return nil, fmt.Errorf("signing record: %w: %d bytes", ErrSize, len(raw))
	}
	if _, ok := signer.(*memorySigner); ok {
		return load(name, raw)
	}
	return Reopen(name, raw)
}

func sign(ctx context.Context, signer Signer, msg []byte) ([]byte, error) {
	sig, err := signer.Sign(ctx, msg)
	if err != nil {
		return nil, fmt.Errorf("signing record: %w", err)
	}
	return sig, nil
}
