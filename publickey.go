package ipns

import "github.com/libp2p/go-libp2p/core/crypto"

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
