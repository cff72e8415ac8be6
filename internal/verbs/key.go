package verbs

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/libp2p/go-libp2p/core/crypto"
	"github.com/multiformats/go-multibase"

	"github.com/goipns/ipns"
	"github.com/goipns/ipns/api"
	"github.com/goipns/ipns/internal/repo"
	"github.com/goipns/ipns/keystore"
	"github.com/goipns/ipns/keystore/age"
	"github.com/goipns/ipns/keystore/agent"
	"github.com/goipns/ipns/keystore/remote"
	"github.com/goipns/ipns/rpc"
)

func (n *verbs) handleKeys(m *rpc.Mux) {
	rpc.Handle(m, api.KeyGen, rpc.One(n.keyGen))
	rpc.Handle(m, api.KeyLs, rpc.One(n.keyList))
	rpc.Handle(m, api.KeyImport, rpc.One(n.keyImport))
	rpc.Handle(m, api.KeyRename, rpc.One(n.keyRename))
	rpc.Handle(m, api.KeyRm, rpc.One(n.keyRemove))
	rpc.Handle(m, api.KeySign, rpc.One(n.keySign))
	rpc.Handle(m, api.KeyVerify, rpc.One(n.keyVerify))
	rpc.Handle(m, api.KeyShare, rpc.One(n.keyShare))
	rpc.Handle(m, api.KeyUnshare, rpc.One(n.keyUnshare))
	rpc.Handle(m, api.KeyShared, rpc.One(n.keyShared))
}

// edBits is the key size of the types with only one size.
const edBits = 256

// keyGen implements the command.
func (n *verbs) keyGen(ctx context.Context, req api.KeyGenRequest) (api.Key, error) {
	if req.Name == keystore.Self {
		return api.Key{}, errors.New("cannot create key with name 'self'")
	}
	encode, err := nameEncoder(req.IPNSBase)
	if err != nil {
		return api.Key{}, err
	}
	kind, bits, err := KeyType(req.Type, req.Size)
	if err != nil {
		return api.Key{}, err
	}
	key, err := n.Keys.Create(ctx, req.Name, kind, bits)
	if err != nil {
		return api.Key{}, takenKey(req.Name, err)
	}
	return api.Key{Name: key.Label, Id: encode(key.Name)}, nil
}

// takenKey gives [keystore.ErrExist] Kubo's text.
func takenKey(label string, err error) error {
	if errors.Is(err, keystore.ErrExist) {
		return fmt.Errorf("key with name '%s' already exists", label)
	}
	return err
}

// KeyType parses the type and size of a new key. A size of -1 means the default, as in
// Kubo.
func KeyType(kind string, size int) (t ipns.KeyType, bits int, err error) {
	switch kind {
	case "rsa":
		return ipns.RSA, max(size, 0), nil
	case "ed25519":
		t = ipns.Ed25519
	case "secp256k1":
		t = ipns.Secp256k1
	default:
		return t, 0, fmt.Errorf("unrecognized key type: %s", kind)
	}
	if size != -1 && size != 0 && size != edBits {
		return t, 0, fmt.Errorf("invalid key size %d: %s keys are always %d bits", size, kind, edBits)
	}
	return t, 0, nil
}

// keyList implements the command.
func (n *verbs) keyList(ctx context.Context, req api.KeyListRequest) (api.Keys, error) {
	encode, err := nameEncoder(req.IPNSBase)
	if err != nil {
		return api.Keys{}, fmt.Errorf("cannot get key encoder: %w", err)
	}
	keys, err := n.Keys.List()
	if err != nil {
		return api.Keys{}, err
	}
	var list api.Keys
	for _, key := range keys {
		out := api.Key{Name: key.Label}
		if key.Err != nil {
			n.Log.Warn("cannot use this key", "key", key.Label, "err", key.Err)
		} else {
			out.Id = encode(key.Name)
		}
		list.Keys = append(list.Keys, out)
	}
	return n.addShared(ctx, list, encode), nil
}

// keyImport implements the command.
func (n *verbs) keyImport(_ context.Context, req api.KeyImportRequest) (api.KeyImported, error) {
	if req.Name == keystore.Self {
		return api.KeyImported{}, errors.New("cannot import key with name 'self'")
	}
	encode, err := nameEncoder(req.IPNSBase)
	if err != nil {
		return api.KeyImported{}, err
	}
	b, err := io.ReadAll(req.Key)
	if err != nil {
		return api.KeyImported{}, err
	}
	var priv crypto.PrivKey
	recognized := ""
	if req.Format == "" {
		priv, recognized, err = ipns.RecognizeKey(b)
	} else {
		priv, err = ipns.ImportKey(b, req.Format)
	}
	if err != nil {
		return api.KeyImported{}, err
	}
	switch ipns.KeyType(priv.Type()) {
	case ipns.RSA, ipns.Ed25519, ipns.Secp256k1:
	default:
		if !req.AllowAnyType {
			return api.KeyImported{}, fmt.Errorf("key type %T is not allowed to be imported, only RSA, Ed25519, or Secp256k1; use flag --allow-any-key-type if you are sure of what you're doing", priv)
		}
	}
	key, err := n.Keys.Import(req.Name, priv)
	if err != nil {
		return api.KeyImported{}, takenKey(req.Name, err)
	}
	return api.KeyImported{Key: api.Key{Name: key.Label, Id: encode(key.Name)}, Format: recognized}, nil
}

// keyRename implements the command.
func (n *verbs) keyRename(_ context.Context, req api.KeyRenameRequest) (api.KeyRenamed, error) {
	if req.Old == keystore.Self {
		return api.KeyRenamed{}, errors.New("cannot rename key with name 'self'")
	}
	if req.New == keystore.Self {
		return api.KeyRenamed{}, errors.New("cannot overwrite key with name 'self'")
	}
	encode, err := nameEncoder(req.IPNSBase)
	if err != nil {
		return api.KeyRenamed{}, err
	}
	key, overwrote, err := n.Keys.Rename(req.Old, req.New, req.Force)
	if err != nil {
		return api.KeyRenamed{}, err
	}
	return api.KeyRenamed{Was: req.Old, Now: req.New, Id: encodeKey(key, encode), Overwrite: overwrote}, nil
}

// keyRemove implements the command. The record of the key stays, but is not
// renewed any more.
func (n *verbs) keyRemove(_ context.Context, req api.KeyRemoveRequest) (api.KeysRemoved, error) {
	encode, err := nameEncoder(req.IPNSBase)
	if err != nil {
		return api.KeysRemoved{}, err
	}
	var removed api.KeysRemoved
	for _, label := range req.Names {
		if label == keystore.Self {
			return removed, errors.New("cannot remove key with name 'self'")
		}
		key, err := n.Keys.Remove(label)
		if err != nil {
			return removed, err
		}
		removed.Keys = append(removed.Keys, api.Key{Name: label, Id: encodeKey(key, encode)})
	}
	return removed, nil
}

// encodeKey returns the text of a key's name; "" if the key is damaged.
func encodeKey(key keystore.Key, encode func(ipns.Name) string) string {
	if key.Err != nil {
		return ""
	}
	return encode(key.Name)
}

// findKey finds a key by its label, its IPNS name or its peer id.
func (n *verbs) findKey(ctx context.Context, text string) (keystore.Key, error) {
	key, err := n.Keys.Find(ctx, text)
	if !errors.Is(err, keystore.ErrNotFound) {
		return key, err
	}
	listed := func(s repo.Signer) bool { return strings.HasPrefix(text, remote.Prefix+s.URL) }
	switch {
	case strings.HasPrefix(text, remote.Prefix) && !slices.ContainsFunc(n.Settings.Ipns.Signers, listed):
		err = fmt.Errorf("%w: the config setting Ipns.Signers lists no such signer", err)
	case strings.HasPrefix(text, agent.Prefix) && len(n.Keys.Elsewhere) == len(n.Settings.Ipns.Signers)+1: // and the shared ones
		err = fmt.Errorf("%w: there is no ssh-agent, by neither Ipns.SSHAgent nor $SSH_AUTH_SOCK of the daemon", err)
	}
	return key, rpc.Because(api.ReasonNoKey, err)
}

// signer returns the signer of a name.
func (n *verbs) signer(ctx context.Context, name ipns.Name) (ipns.Signer, error) {
	s, err := n.Keys.Signer(ctx, name)
	if errors.Is(err, keystore.ErrLocked) && !errors.Is(err, age.ErrDamaged) {
		err = rpc.Because(api.ReasonLocked, err)
	}
	return s, err
}

// nameEncoder encodes names in a base: b58mh for the bare multihash, the name or letter
// of a multibase for a CID.
func nameEncoder(base string) (func(ipns.Name) string, error) {
	switch base {
	case "", "base36", "k":
		return ipns.Name.String, nil
	case "b58mh", "v0":
		return func(n ipns.Name) string { return n.PeerID().String() }, nil
	}
	enc, err := multibase.EncoderByName(base)
	if err != nil {
		return nil, errors.New(strings.ToLower(err.Error()[:1]) + err.Error()[1:])
	}
	return func(n ipns.Name) string { return enc.Encode(n.CID().Bytes()) }, nil
}
