package ipns

import (
	"errors"
	"time"

	"github.com/goipns/ipns/internal/wire"
)

// Report is what [Inspect] found in bytes that nobody vouches for. Show it, but
// decide nothing by it.
type Report struct {
	Size          int    // bytes
	SignatureType string // "V1+V2", "V2", "V1" for records of before 2021, or "Unknown"
	Value         []byte
	Sequence      uint64
	TTL           uint64 // ns
	Validity      []byte
	ValidityType  uint64
	EOL           time.Time // zero when Validity is not a time
	PublicKey     []byte    // serialized, as embedded
	Problem       error     // why no Open can succeed, whatever the name; nil if it might
}

// Inspect takes raw apart without a name and without trust. The error says that
// raw is not a record at all; it wraps [ErrSize] or [ErrMalformed].
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
	legacy := p.env.SignatureV1.Len > 0 || p.env.Value.Len > 0
	switch hasData := p.env.Data.Len > 0; {
	case legacy && hasData:
		report.SignatureType = "V1+V2"
	case hasData:
		report.SignatureType = "V2"
	case legacy:
		report.SignatureType = "V1"
	}
	report.PublicKey = p.env.PubKey.Of(raw)
	report.Problem = err
	if err != nil {
		report.Value, report.Validity = p.env.Value.Of(raw), p.env.Validity.Of(raw)
		report.Sequence, report.TTL, report.ValidityType = p.env.Sequence, p.env.TTL, p.env.ValidityType
		report.EOL, _ = parseValidity(report.Validity)
		return report, nil
	}
	if err := p.parseDocument(); err != nil {
		report.Problem = err
	}
	data := p.env.Data.Of(raw)
	if p.doc.Has(wire.KeyValue) {
		report.Value = p.doc.Value.Of(data)
	}
	if p.doc.Has(wire.KeyValidity) {
		report.Validity = p.doc.Validity.Of(data)
	}
	report.Sequence, report.TTL, report.ValidityType = p.doc.Sequence, p.doc.TTL, p.doc.ValidityType
	report.EOL, _ = parseValidity(report.Validity)
	if report.Problem == nil {
		report.Problem = p.compareLegacy()
	}
	return report, nil
}
