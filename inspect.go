package ipns

import (
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/goipns/ipns/internal/wire"
)

// Report is what [Inspect] found in untrusted bytes. Use it for display only, never for
// decisions.
//
// The fields are those of the signed document. A record of before 2021 has none;
// its report has the legacy fields, SignatureType "V1", and [ErrDataMissing] as
// its Problem.
type Report struct {
	Size          int       // bytes
	SignatureType string    // "V1+V2", "V2", "V1" or "Unknown"
	Value         []byte    // as signed; may be anything
	Sequence      uint64    // higher is newer
	TTL           uint64    // ns
	Validity      []byte    // as signed
	ValidityType  uint64    // 0 is EOL
	EOL           time.Time // zero when Validity is not a time
	Metadata      Metadata  // nil when there is none

	// Missing names the fields above that are absent or of a wrong type: a
	// subset of TTL, Value, Sequence, Validity, ValidityType.
	Missing []string

	PublicKey     []byte // serialized, as embedded; empty when it is not
	Key           Name   // name of PublicKey; zero when it is absent or invalid
	UnknownFields int    // protobuf fields that the protocol does not know

	// Problem is why no Open of these bytes can succeed, whatever the name and
	// the time; nil if one might.
	Problem error
}

// Inspect parses raw without a name and without verifying it. An error means that raw
// is not a record at all; it wraps [ErrSize] or [ErrMalformed]. Everything else that is
// wrong is the Problem of the report.
func Inspect(raw []byte) (Report, error) {
	report := Report{Size: len(raw), SignatureType: "Unknown"}
	if len(raw) > MaxRecordSize {
		return report, ErrSize
	}
	p := parts{raw: raw}
	err := p.parseEnvelope()
	if err != nil && !errors.Is(err, ErrDataMissing) {
		return report, err
	}
	report.Problem = err
	report.UnknownFields = p.env.Unknown
	report.SignatureType = p.signatureType()
	report.inspectKey(p.env.PubKey.Of(raw))
	if err != nil {
		report.readLegacy(&p)
	} else {
		report.readDocument(&p)
	}
	if !slices.Contains(report.Missing, wire.KeyValidity) {
		if report.EOL, err = parseValidity(report.Validity); err != nil {
			report.EOL = time.Time{}
		}
	}
	if report.Problem == nil {
		report.Problem = p.problem()
	}
	return report, nil
}

// signatureType names the kind of signature as Kubo's inspect does.
func (p *parts) signatureType() string {
	legacy := p.env.SignatureV1.Len > 0 || p.env.Value.Len > 0
	switch {
	case legacy && p.env.Data.Len > 0:
		return V1V2.String()
	case p.env.Data.Len > 0:
		return V2Only.String()
	case legacy:
		return "V1"
	}
	return "Unknown"
}

func (report *Report) inspectKey(key []byte) {
	if len(key) == 0 {
		return
	}
	report.PublicKey = slices.Clone(key)
	if _, err := ParsePublicKey(key); err != nil {
		report.Problem = errors.Join(report.Problem, err)
		return
	}
	report.Key = nameOfSerialized(key)
}

// readLegacy reads the fields of the envelope, if there are no others.
func (report *Report) readLegacy(p *parts) {
	report.Value, report.Validity = slices.Clone(p.env.Value.Of(p.raw)), slices.Clone(p.env.Validity.Of(p.raw))
	report.Sequence, report.TTL, report.ValidityType = p.env.Sequence, p.env.TTL, p.env.ValidityType
	for _, f := range []struct {
		number int
		key    string
	}{
		{wire.FieldTTL, wire.KeyTTL},
		{wire.FieldValue, wire.KeyValue},
		{wire.FieldSequence, wire.KeySequence},
		{wire.FieldValidity, wire.KeyValidity},
		{wire.FieldValidityType, wire.KeyValidityType},
	} {
		if !p.env.Has(f.number) {
			report.Missing = append(report.Missing, f.key)
		}
	}
}

// readDocument reads the fields of the signed document, as far as possible.
func (report *Report) readDocument(p *parts) {
	data := p.env.Data.Of(p.raw)
	err := p.parseDocument()
	if err != nil {
		report.Problem = errors.Join(report.Problem, err)
	} else {
		report.Metadata = decodeMetadata(data)
	}
	report.Value, report.Validity = slices.Clone(p.doc.Value.Of(data)), slices.Clone(p.doc.Validity.Of(data))
	report.Sequence, report.TTL, report.ValidityType = p.doc.Sequence, p.doc.TTL, p.doc.ValidityType
	for _, key := range wire.Keys() {
		if !p.doc.Has(key) {
			report.Missing = append(report.Missing, key)
		}
	}
}

// problem returns what is wrong with a record whose parts could both be parsed.
func (p *parts) problem() error {
	if p.env.SignatureV2.Len == 0 {
		return fmt.Errorf("%w: record has no signatureV2", ErrSignature)
	}
	if err := p.compareLegacy(); err != nil {
		return err
	}
	_, err := p.eol()
	return err
}

// VerifyV1 checks the legacy signature of a record, and nothing else: not even
// EOL. It is for archives and for showing old records. That signature does not
// cover the sequence, and its parts can be shifted against each other: never
// resolve a name by it. Errors wrap [ErrSize], [ErrMalformed], [ErrKeyNotFound],
// [ErrKeyMismatch], [ErrKeyInvalid] or [ErrSignature]. Section Legacy SignatureV1
// Creation and Verification.
func VerifyV1(name Name, raw []byte) error {
	if len(raw) > MaxRecordSize {
		return ErrSize
	}
	p := parts{raw: raw}
	if err := p.parseEnvelope(); err != nil && !errors.Is(err, ErrDataMissing) {
		return err
	}
	if p.env.SignatureV1.Len == 0 {
		return fmt.Errorf("%w: record has no signatureV1", ErrSignature)
	}
	if p.env.ValidityType != validityEOL {
		return fmt.Errorf("%w: %d", ErrValidityType, p.env.ValidityType)
	}
	key, err := p.publicKey(&name)
	if err != nil {
		return err
	}
	msg := slices.Concat(p.env.Value.Of(raw), p.env.Validity.Of(raw), []byte(validityText))
	return verifySignature(key, msg, p.env.SignatureV1.Of(raw))
}
