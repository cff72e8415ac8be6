package remote

// What a request and its answer are, as JSON. Bytes are base64 (standard, padded).
type (
	// Keys is the answer to GET /v1/keys.
	Keys struct{ Keys []Key }
	// Key is a key that the server signs with.
	Key struct {
		Label     string
		PublicKey []byte // serialized, as [ipns.MarshalPublicKey] has it
	}
	// SignRequest is what POST /v1/sign takes.
	SignRequest struct {
		Name    string // the IPNS name whose key is to sign
		Message []byte // what to sign; [ipns.ParseSigned] reads it
	}
	// Signed is its answer.
	Signed struct{ Signature []byte }
	// Refusal is the answer to either with a status other than 200.
	Refusal struct{ Error string }
)

// The paths, below that of the URL.
const (
	KeysPath = "/v1/keys"
	SignPath = "/v1/sign"
)

// Limits of the protocol.
const (
	MaxMessage = 64 << 10 // bytes to sign; those of a record are fewer than 10 KiB
	MaxKeys    = 1000     // of one server

	maxKeysAnswer = 2 << 20  // bytes
	maxAnswer     = 16 << 10 // bytes of a signature or refusal
	maxSignature  = 4 << 10  // bytes
	maxRefusal    = 300      // bytes of a refusal that are shown
	maxHead       = 16 << 10 // bytes of an answer's header
	maxToken      = 4 << 10  // bytes
)
