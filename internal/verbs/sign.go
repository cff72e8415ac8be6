package verbs

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"

	"github.com/libp2p/go-libp2p/core/crypto"
	"github.com/multiformats/go-multibase"

	"github.com/goipns/ipns"
	"github.com/goipns/ipns/api"
	"github.com/goipns/ipns/keystore"
)

// signedPrefix precedes what is signed, so that no signature is one of a record. It is Kubo's.
const signedPrefix = "libp2p-key signed message:"

// keySign implements the command.
func (n *verbs) keySign(ctx context.Context, req api.KeySignRequest) (api.KeySigned, error) {
	encode, err := nameEncoder(req.IPNSBase)
	if err != nil {
		return api.KeySigned{}, err
	}
	data, err := io.ReadAll(req.Data)
	if err != nil {
		return api.KeySigned{}, err
	}
	key, err := n.Keys.Find(ctx, cmp.Or(req.Key, keystore.Self))
	if err != nil {
		return api.KeySigned{}, err
	}
	signer, err := n.signer(ctx, key.Name)
	if err != nil {
		return api.KeySigned{}, err
	}
	msg := append([]byte(signedPrefix), data...)
	sig, err := signer.Sign(ctx, msg)
	if err != nil {
		return api.KeySigned{}, fmt.Errorf("sign with the key %q: %w", key.Label, err)
	}
	if isRemote(signer) {
		if ok, err := signer.Public().Verify(msg, sig); err != nil || !ok {
			return api.KeySigned{}, fmt.Errorf("sign with the key %q: its signature does not fit the key", key.Label)
		}
	}
	text, err := multibase.Encode(multibase.Base64url, sig)
	if err != nil {
		return api.KeySigned{}, err
	}
	return api.KeySigned{Key: api.Key{Name: key.Label, Id: encode(key.Name)}, Signature: text}, nil
}

// keyVerify implements the command.
func (n *verbs) keyVerify(ctx context.Context, req api.KeyVerifyRequest) (api.KeyVerified, error) {
	encode, err := nameEncoder(req.IPNSBase)
	if err != nil {
		return api.KeyVerified{}, err
	}
	_, sig, err := multibase.Decode(req.Signature)
	if err != nil {
		return api.KeyVerified{}, err
	}
	data, err := io.ReadAll(req.Data)
	if err != nil {
		return api.KeyVerified{}, err
	}
	key, pub, err := n.publicKey(ctx, cmp.Or(req.Key, keystore.Self))
	if err != nil {
		return api.KeyVerified{}, err
	}
	valid, err := pub.Verify(append([]byte(signedPrefix), data...), sig)
	if err != nil {
		return api.KeyVerified{}, fmt.Errorf("verify the signature: %w", err)
	}
	return api.KeyVerified{Key: api.Key{Name: key.Label, Id: encode(key.Name)}, SignatureValid: valid}, nil
}

// publicKey returns the public key of a key here, or of any name that contains it; then the
// label is empty.
func (n *verbs) publicKey(ctx context.Context, text string) (keystore.Key, crypto.PubKey, error) {
	if name, err := ipns.ParseName(text); err == nil { // then nobody elsewhere needs to be asked
		if pub, err := name.PublicKey(); err == nil {
			key, err := n.Keys.Of(name)
			if err != nil {
				key = keystore.Key{Name: name}
			}
			return key, pub, nil
		}
	}
	key, err := n.Keys.Find(ctx, text)
	if err == nil {
		if pub, err := key.Name.PublicKey(); err == nil {
			return key, pub, nil
		}
		signer, err := n.signer(ctx, key.Name)
		if err != nil {
			return key, nil, err
		}
		return key, signer.Public(), nil
	}
	if !errors.Is(err, keystore.ErrNotFound) {
		return key, nil, err
	}
	name, bad := ipns.ParseName(text)
	if bad != nil {
		return key, nil, fmt.Errorf("'%q' is not a known key, an IPNS Name, or a valid PeerID", text)
	}
	pub, err := name.PeerID().ExtractPublicKey()
	if err != nil {
		return key, nil, err
	}
	return keystore.Key{Name: name}, pub, nil
}
