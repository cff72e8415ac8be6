package ipns

import (
	"bytes"
	"errors"
	"fmt"
	"unicode/utf8"

	"github.com/goipns/ipns/internal/wire"
)

// Metadata is the part of a record's signed document that the protocol leaves to
// its users. Keys should begin with "_" or be the name of a project; they cannot
// be empty or one of TTL, Value, Sequence, Validity and ValidityType.
//
// A value is a string, []byte, bool, int, int64, uint64, or [CBOR] for
// everything else. [Record.Metadata] returns string, []byte, bool, int64, uint64
// for what is above 2^63-1, and CBOR, so that its result can be signed again.
// Section Extensible Data.
type Metadata map[string]any

// CBOR is one DAG-CBOR item in its strict encoding, with map keys in canonical
// order.
type CBOR []byte

// entries returns the encoded metadata in canonical order.
func (m Metadata) entries() ([]wire.Entry, error) {
	if len(m) == 0 {
		return nil, nil
	}
	entries := make([]wire.Entry, 0, len(m))
	for key, value := range m {
		switch {
		case key == "":
			return nil, fmt.Errorf("%w: key is empty", ErrMetadata)
		case wire.IsStandardKey(key):
			return nil, fmt.Errorf("%w: key %q is a field of every record", ErrMetadata, key)
		case !utf8.ValidString(key):
			return nil, fmt.Errorf("%w: key %q is not UTF-8", ErrMetadata, key)
		}
		b, err := encodeMetadata(value)
		if err != nil {
			return nil, fmt.Errorf("%w: key %q: %w", ErrMetadata, key, err)
		}
		entries = append(entries, wire.Entry{Key: key, Value: b})
	}
	wire.SortEntries(entries)
	return entries, nil
}

func encodeMetadata(value any) ([]byte, error) {
	switch v := value.(type) {
	case string:
		if !utf8.ValidString(v) {
			return nil, errors.New("text is not UTF-8")
		}
		return wire.AppendCBORText(nil, v), nil
	case []byte:
		return wire.AppendCBORBytes(nil, v), nil
	case bool:
		return wire.AppendCBORBool(nil, v), nil
	case int:
		return wire.AppendCBORInt(nil, int64(v)), nil
	case int64:
		return wire.AppendCBORInt(nil, v), nil
	case uint64:
		return wire.AppendCBORUint(nil, v), nil
	case CBOR:
		return v, wire.CheckCanonical(v)
	}
	return nil, fmt.Errorf("type %T is not supported", value)
}

// Metadata returns the metadata of the record, nil when there is none. The
// values are copies.
func (r *Record) Metadata() Metadata { return decodeMetadata(r.data.Of(r.raw)) }

// decodeMetadata reads the metadata of a document that was parsed before.
func decodeMetadata(data []byte) Metadata {
	var m Metadata
	for key, item := range wire.Extra(data) {
		if m == nil {
			m = Metadata{}
		}
		if v := wire.Decode(item); v != nil {
			m[key] = v
		} else {
			m[key] = CBOR(bytes.Clone(item))
		}
	}
	return m
}
