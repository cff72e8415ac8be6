package ipns

import "errors"

// Errors that callers branch on. They are wrapped with more detail; use
// [errors.Is].
var (
	// ErrName: the text or the bytes are not an IPNS name.
	ErrName = errors.New("name is invalid")

	// ErrSize: the serialized record is larger than MaxRecordSize.
	ErrSize = errors.New("record exceeds allowed size limit")

	// ErrMalformed: the bytes are not a record, or a mandatory part is missing
	// or has the wrong type.
	ErrMalformed = errors.New("record is malformed")

	// ErrDataMissing: the record has no signed document, like records from before
	// SignatureV2.
	ErrDataMissing = errors.New("record is missing the dag-cbor data field")

	// ErrSignature: the signature is missing or was not made by the name's key.
	ErrSignature = errors.New("signature verification failed")

	// ErrKeyMismatch: the public key belongs to another name.
	ErrKeyMismatch = errors.New("record public key does not match the expected public key")

	// ErrKeyNotFound: the name does not contain its key and neither does the record.
	ErrKeyNotFound = errors.New("public key not found")

	// ErrKeyInvalid: a public key is not one that this package accepts, or is
	// not in its canonical form.
	ErrKeyInvalid = errors.New("public key invalid")

	// ErrNoPublicKey: the name is a hash; its public key must come from elsewhere.
	ErrNoPublicKey = errors.New("public key is not contained in the name")

	// ErrMismatch: a legacy field of the envelope differs from the signed one.
	ErrMismatch = errors.New("did not match between protobuf and CBOR")

	// ErrValidityType: this package does not know the type of the validity.
	ErrValidityType = errors.New("record contains an unrecognized validity type")

	// ErrValidity: the EOL is not an RFC 3339 date and time.
	ErrValidity = errors.New("record contains an invalid validity")

	// ErrExpired: the record is valid, but its EOL has passed.
	ErrExpired = errors.New("record is expired")

	// ErrValue: the value is not a path that can be followed.
	ErrValue = errors.New("value is not a valid content path")

	// ErrSequence: the sequence number is larger than other implementations read.
	ErrSequence = errors.New("sequence number too large")

	// ErrMetadata: a key or a value cannot be metadata of a record.
	ErrMetadata = errors.New("metadata is invalid")
)
