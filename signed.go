package ipns

import (
	"bytes"
	"fmt"
	"math"
	"time"

	"github.com/goipns/ipns/internal/wire"
)

// ParseSigned returns the fields of the record for which a [Signer] is asked to sign msg, so
// that one that signs for others can decide by what it signs. All else that a Signer may be
// asked for, such as SignatureV1, whose message has no sequence, is [ErrMalformed].
// A signature of msg makes a valid record of these fields, and of no others.
func ParseSigned(msg []byte) (Fields, error) {
	data, ok := bytes.CutPrefix(msg, []byte(signaturePrefix))
	if !ok || len(data) > MaxRecordSize {
		return Fields{}, fmt.Errorf("%w: it is not what SignatureV2 of a record signs", ErrMalformed)
	}
	p := parts{raw: data}
	p.env.Data = wire.Span{Len: uint32(len(data))}
	if err := p.parseDocument(); err != nil {
		return Fields{}, err
	}
	eol, err := p.eol()
	if err != nil {
		return Fields{}, err
	}
	if p.doc.TTL > math.MaxInt64 {
		return Fields{}, fmt.Errorf("%w: ttl %d", ErrMalformed, p.doc.TTL)
	}
	return Fields{
		Value: string(p.doc.Value.Of(data)), Sequence: p.doc.Sequence, EOL: eol, TTL: time.Duration(p.doc.TTL),
		Metadata: decodeMetadata(data), HighSequence: p.doc.Sequence > math.MaxInt64,
	}, nil
}
