// Package ipns is the record core of IPNS: names, keys, records.
//
// A [Name] is the hash of a public key. A [Record] is a statement signed with
// that key: "from now until EOL, the name means this value", with a sequence
// number that tells a newer statement from an older one. Anybody can carry a
// record; nobody but the holder of the key can make one.
//
// The package is pure. It does no I/O, starts no goroutine and reads no clock:
// where a time matters it is an argument. All its values are safe for
// concurrent use.
//
// Bytes from outside come in through [Open], which checks everything. A record
// that was opened once can be brought back from a trusted place by [Load] and
// checked again by [Record.Verify]. A record is forwarded by [Record.Raw]: it
// is never encoded a second time, so what the signer wrote is what travels.
//
// PROTOCOL.md shows every encoding byte by byte. "Section" in the comments here
// means one of the IPNS Record specification,
// https://specs.ipfs.tech/ipns/ipns-record/.
package ipns

import "time"

const (
	// MaxRecordSize is the largest serialized record, in bytes. A reader of a
	// stream should read one byte more, to tell a full record from one too large.
	// Section Record Size Limit.
	MaxRecordSize = 10 << 10

	// DefaultTTL is how long a resolver may cache a record unless its publisher sets
	// another TTL. Section TTL.
	DefaultTTL = 5 * time.Minute

	// DefaultLifetime is the default time from publishing to EOL. Servers of the public
	// DHT drop a record after the same time.
	DefaultLifetime = 48 * time.Hour

	// RecordMediaType is the media type of a serialized record. Section Record
	// Serialization Format.
	RecordMediaType = "application/vnd.ipfs.ipns-record"
)
