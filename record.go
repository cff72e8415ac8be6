package ipns

import (
	"bytes"
	"crypto/sha256"
	"fmt"
	"math"
	"time"

	"github.com/libp2p/go-libp2p/core/crypto"

	"github.com/goipns/ipns/internal/wire"
)

// signaturePrefix comes before the document in what SignatureV2 signs.
const signaturePrefix = "ipns-signature:"

// Form is how a record is serialized. Section Backward Compatibility.
type Form uint8

const (
	// V1V2 has the signed document and copies of its fields with a legacy
	// signature, so that readers of before 2021 understand it. It is what Kubo
	// and Helia write.
	V1V2 Form = iota
	// V2Only has the signed document alone: about half the size, and half the
	// time to sign.
	V2Only
)

// String returns "V1+V2" or "V2".
func (f Form) String() string {
	if f == V2Only {
		return "V2"
	}
	return "V1+V2"
}

// Record is an immutable record that came from [Open], [Reopen], [Load],
// [Sign] or [Renew]. It keeps the serialized bytes it came from.
type Record struct {
	name Name
	raw  []byte
	form Form

	data, value wire.Span // in raw; value is inside of data
	sequence    uint64
	ttl         uint64 // ns
	eol         time.Time
}

// Open parses raw and checks everything: that it is a complete record of name, signed
// by its key and not expired at now. raw is copied. Errors wrap [ErrSize],
// [ErrMalformed], [ErrDataMissing], [ErrKeyNotFound], [ErrKeyMismatch],
// [ErrKeyInvalid], [ErrSignature], [ErrMismatch], [ErrValidityType], [ErrValidity] or
// [ErrExpired]; with the last, everything else is right. Section Record Verification.
func Open(name Name, raw []byte, now time.Time) (*Record, error) {
	r, err := Reopen(name, raw)
	if err != nil {
		return nil, err
	}
	if err := r.checkExpiry(now); err != nil {
		return nil, err
	}
	return r, nil
}

// Reopen is [Open] without the check of EOL, since the sequence of a name's last record
// counts even when it is expired.
func Reopen(name Name, raw []byte) (*Record, error) {
	if len(raw) > MaxRecordSize {
		return nil, ErrSize
	}
	r := &Record{name: name, raw: bytes.Clone(raw)}
	if err := r.verify(); err != nil {
		return nil, err
	}
	return r, nil
}

// Load parses raw and verifies nothing. It is for bytes that were opened before and
// come from trusted storage. Call [Record.Verify] before the record is served or put
// anywhere. raw is copied.
func Load(name Name, raw []byte) (*Record, error) {
	if len(raw) > MaxRecordSize {
		return nil, ErrSize
	}
	r := &Record{name: name, raw: bytes.Clone(raw)}
	if err := r.parse(); err != nil {
		return nil, err
	}
	return r, nil
}

// Verify checks a loaded record as [Open] does.
func (r *Record) Verify(now time.Time) error {
	again := Record{name: r.name, raw: r.raw}
	if err := again.verify(); err != nil {
		return err
	}
	return r.checkExpiry(now)
}

// verify checks r.raw against r.name and sets the other fields.
func (r *Record) verify() error {
	p := parts{raw: r.raw}
	if err := p.verify(&r.name); err != nil {
		return err
	}
	return p.fill(r)
}

// parse sets the other fields from r.raw.
func (r *Record) parse() error {
	p := parts{raw: r.raw}
	if err := p.parseEnvelope(); err != nil {
		return err
	}
	if err := p.parseDocument(); err != nil {
		return err
	}
	return p.fill(r)
}

func (r *Record) checkExpiry(now time.Time) error {
	if r.Expired(now) {
		return fmt.Errorf("%w since %s", ErrExpired, r.eol.Format(time.RFC3339))
	}
	return nil
}

// Name returns the name that the record is for.
func (r *Record) Name() Name { return r.name }

// Raw returns the serialized record, byte for byte as it came. It must not be
// modified.
func (r *Record) Raw() []byte { return r.raw[:len(r.raw):len(r.raw)] }

// PublicKey returns the key that signed the record: the one in the name, or for
// a name that does not contain its key the one in the record. Errors wrap
// [ErrMalformed], [ErrKeyNotFound], [ErrKeyMismatch] or [ErrKeyInvalid]; a
// record from [Open] gives none.
func (r *Record) PublicKey() (crypto.PubKey, error) {
	p := parts{raw: r.raw}
	if err := p.parseEnvelope(); err != nil {
		return nil, err
	}
	key, err := p.publicKey(&r.name)
	if err != nil {
		return nil, err
	}
	return ParsePublicKey(key)
}

// RawValue returns the value as it was signed. It must not be modified.
func (r *Record) RawValue() []byte { return r.value.Of(r.raw) }

// Sequence returns the sequence number: of two records of a name the one with
// the higher number is newer.
func (r *Record) Sequence() uint64 { return r.sequence }

// EOL returns the time, in UTC, from which the record is expired. Section Validity.
func (r *Record) EOL() time.Time { return r.eol }

// TTL returns how long the record may be cached; 0 means not at all. Values that do not
// fit are capped at the longest Duration. TTL does not take EOL into account: cache
// until the earlier of the two. Section TTL.
func (r *Record) TTL() time.Duration { return time.Duration(min(r.ttl, math.MaxInt64)) }

// Form returns how the record is serialized.
func (r *Record) Form() Form { return r.form }

// Expired reports whether the record is expired at now.
func (r *Record) Expired(now time.Time) bool { return !now.Before(r.eol) }

// String describes the record in one line, for logs. Text from the signer is quoted.
func (r *Record) String() string {
	return fmt.Sprintf("%s = %q, sequence %d, until %s", r.name, shorten(r.Value()), r.sequence, r.eol.Format(time.RFC3339))
}

// Hash returns the SHA-256 of Raw.
func (r *Record) Hash() [32]byte { return sha256.Sum256(r.raw) }

// DataHash returns the SHA-256 of the signed document. It is the same for both forms of
// a record and cannot change without the key, whereas anyone can change the envelope.
func (r *Record) DataHash() [32]byte { return sha256.Sum256(r.data.Of(r.raw)) }

// parts is a record being parsed and checked, step by step as the
// specification lists the steps.
type parts struct {
	raw []byte
	env wire.Envelope
	doc wire.Document
}

// verify runs all steps that need no clock, but the last, in eol.
func (p *parts) verify(name *Name) error {
	if err := p.parseEnvelope(); err != nil {
		return err
	}
	if p.env.SignatureV2.Len == 0 {
		return fmt.Errorf("%w: record has no signatureV2", ErrSignature)
	}
	key, err := p.publicKey(name)
	if err != nil {
		return err
	}
	if err := p.parseDocument(); err != nil {
		return err
	}
	if err := p.verifyV2(key); err != nil {
		return err
	}
	return p.compareLegacy()
}

func (p *parts) parseEnvelope() error {
	if err := wire.ParseEnvelope(&p.env, p.raw); err != nil {
		return fmt.Errorf("%w: %w", ErrMalformed, err)
	}
	if p.env.Data.Len == 0 {
		if p.env.SignatureV1.Len > 0 && p.env.SignatureV2.Len == 0 {
			return fmt.Errorf("%w: legacy V1-only record", ErrDataMissing)
		}
		return ErrDataMissing
	}
	return nil
}

// publicKey returns the serialized key of name. A key in the envelope must be
// that key, also where the name contains it and the envelope need not.
func (p *parts) publicKey(name *Name) ([]byte, error) {
	embedded := p.env.PubKey.Of(p.raw)
	if inline, ok := name.inlineKey(); ok {
		if len(embedded) > 0 && !bytes.Equal(embedded, inline) {
			return nil, ErrKeyMismatch
		}
		return inline, nil
	}
	if len(embedded) == 0 {
		return nil, ErrKeyNotFound
	}
	if nameOfSerialized(embedded) != *name {
		return nil, ErrKeyMismatch
	}
	return embedded, nil
}

func (p *parts) parseDocument() error {
	if err := wire.ParseDocument(&p.doc, p.env.Data.Of(p.raw)); err != nil {
		return fmt.Errorf("%w: %w", ErrMalformed, err)
	}
	return nil
}

func (p *parts) verifyV2(key []byte) error {
	// Most documents fit, so that the message needs no allocation.
	var room [512]byte
	msg := append(append(room[:0], signaturePrefix...), p.env.Data.Of(p.raw)...)
	return verifySignature(key, msg, p.env.SignatureV2.Of(p.raw))
}

// compareLegacy compares the copies in the envelope with the signed fields.
// A copy that is absent counts as zero. SignatureV1 itself is never looked at.
func (p *parts) compareLegacy() error {
	if p.env.SignatureV1.Len == 0 && p.env.Value.Len == 0 {
		return nil
	}
	data := p.env.Data.Of(p.raw)
	field := ""
	switch {
	case !bytes.Equal(p.env.Value.Of(p.raw), p.doc.Value.Of(data)):
		field = wire.KeyValue
	case !bytes.Equal(p.env.Validity.Of(p.raw), p.doc.Validity.Of(data)):
		field = wire.KeyValidity
	case p.env.ValidityType != p.doc.ValidityType:
		field = wire.KeyValidityType
	case p.env.Sequence != p.doc.Sequence:
		field = wire.KeySequence
	case p.env.TTL != p.doc.TTL:
		field = wire.KeyTTL
	default:
		return nil
	}
	return fmt.Errorf("field %q %w", field, ErrMismatch)
}

func (p *parts) eol() (time.Time, error) {
	if p.doc.ValidityType != validityEOL {
		return time.Time{}, fmt.Errorf("%w: %d", ErrValidityType, p.doc.ValidityType)
	}
	validity := p.doc.Validity.Of(p.env.Data.Of(p.raw))
	t, err := parseValidity(validity)
	if err != nil {
		return time.Time{}, fmt.Errorf("%w: %q: %w", ErrValidity, shorten(string(validity)), err)
	}
	return t, nil
}

// fill sets the fields of r that come from the bytes.
func (p *parts) fill(r *Record) error {
	eol, err := p.eol()
	if err != nil {
		return err
	}
	r.data = p.env.Data
	r.value = wire.Span{Off: p.env.Data.Off + p.doc.Value.Off, Len: p.doc.Value.Len}
	r.sequence, r.ttl, r.eol = p.doc.Sequence, p.doc.TTL, eol
	if p.env.SignatureV1.Len == 0 && p.env.Value.Len == 0 {
		r.form = V2Only
	}
	return nil
}
