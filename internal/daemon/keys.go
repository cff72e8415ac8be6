package daemon

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/libp2p/go-libp2p/core/crypto"
	"github.com/multiformats/go-multibase"

	"github.com/goipns/ipns"
	"github.com/goipns/ipns/keystore"
	"github.com/goipns/ipns/names"
	"github.com/goipns/ipns/rpc"
)

// self is the name of the node's own key.
const self = "self"

// edBits is the size of a key of the types that have only one.
const edBits = 256

// KeyGen implements [rpc.Keys].
//
// Key and entry are two writes. The key comes first: an entry without a key
// would say that nothing was ever published under a name that nobody can sign
// for, while a key without an entry is merely one that must search before its
// first publish.
func (n *Node) KeyGen(ctx context.Context, req rpc.KeyGenRequest) (rpc.Key, error) {
	if req.Name == self {
		return rpc.Key{}, errors.New("cannot create key with name 'self'")
	}
	if err := keystore.CheckName(req.Name); err != nil {
		return rpc.Key{}, err
	}
	if n.keys.Has(req.Name) {
		return rpc.Key{}, fmt.Errorf("key with name '%s' already exists", req.Name)
	}
	encode, err := nameEncoder(req.IPNSBase)
	if err != nil {
		return rpc.Key{}, err
	}
	key, err := generate(req.Type, req.Size)
	if err != nil {
		return rpc.Key{}, err
	}
	if err := n.keys.Put(req.Name, key); err != nil {
		return rpc.Key{}, err
	}
	name, err := ipns.NameOf(key.GetPublic())
	if err != nil {
		return rpc.Key{}, err
	}
	if err := n.book.Create(ctx, name); err != nil && !errors.Is(err, names.ErrExists) {
		return rpc.Key{}, err
	}
	return rpc.Key{Name: req.Name, Id: encode(name)}, nil
}

func generate(kind string, size int) (crypto.PrivKey, error) {
	fixed := func(t ipns.KeyType) (crypto.PrivKey, error) {
		if size != -1 && size != 0 && size != edBits {
			return nil, fmt.Errorf("invalid key size %d: %s keys are always %d bits", size, kind, edBits)
		}
		return ipns.GenerateKey(t, 0)
	}
	switch kind {
	case "ed25519":
		return fixed(ipns.Ed25519)
	case "secp256k1":
		return fixed(ipns.Secp256k1)
	case "rsa":
		return ipns.GenerateKey(ipns.RSA, max(size, 0))
	}
	return nil, fmt.Errorf("unrecognized key type: %s", kind)
}

// KeyList implements [rpc.Keys].
func (n *Node) KeyList(_ context.Context, req rpc.KeyListRequest) (rpc.KeyList, error) {
	encode, err := nameEncoder(req.IPNSBase)
	if err != nil {
		return rpc.KeyList{}, fmt.Errorf("cannot get key encoder: %w", err)
	}
	list := rpc.KeyList{Keys: []rpc.Key{{Name: self, Id: encode(n.name)}}}
	keyNames, err := n.keys.List()
	if err != nil {
		return rpc.KeyList{}, err
	}
	for _, keyName := range keyNames {
		name, err := n.nameOfKey(keyName)
		if err != nil {
			// One bad file must not hide the other keys.
			n.log.Warn("this key cannot be used", "key", keyName, "err", err)
			list.Keys = append(list.Keys, rpc.Key{Name: keyName})
			continue
		}
		list.Keys = append(list.Keys, rpc.Key{Name: keyName, Id: encode(name)})
	}
	return list, nil
}

// nameOfKey is the IPNS name of a key in the keystore.
func (n *Node) nameOfKey(keyName string) (ipns.Name, error) {
	key, err := n.keys.Get(keyName)
	if err != nil {
		return ipns.Name{}, err
	}
	return ipns.NameOf(key.GetPublic())
}

// KeyImport implements [rpc.Keys]. What was published under the key elsewhere
// is not known: the first publish searches for it.
func (n *Node) KeyImport(_ context.Context, req rpc.KeyImportRequest) (rpc.Key, error) {
	if req.Name == self {
		return rpc.Key{}, errors.New("cannot import key with name 'self'")
	}
	if err := keystore.CheckName(req.Name); err != nil {
		return rpc.Key{}, err
	}
	encode, err := nameEncoder(req.IPNSBase)
	if err != nil {
		return rpc.Key{}, err
	}
	if n.keys.Has(req.Name) {
		return rpc.Key{}, fmt.Errorf("key with name '%s' already exists", req.Name)
	}
	b, err := io.ReadAll(req.Key)
	if err != nil {
		return rpc.Key{}, err
	}
	key, err := ipns.ImportKey(b, req.Format)
	if err != nil {
		return rpc.Key{}, err
	}
	switch ipns.KeyType(key.Type()) {
	case ipns.RSA, ipns.Ed25519, ipns.Secp256k1:
	default:
		if !req.AllowAnyType {
			return rpc.Key{}, fmt.Errorf("key type %T is not allowed to be imported, only RSA, Ed25519, or Secp256k1; use flag --allow-any-key-type if you are sure of what you're doing", key)
		}
	}
	name, err := ipns.NameOf(key.GetPublic())
	if err != nil {
		return rpc.Key{}, err
	}
	if err := n.keys.Put(req.Name, key); errors.Is(err, keystore.ErrExist) {
		return rpc.Key{}, fmt.Errorf("key with name '%s' already exists", req.Name)
	} else if err != nil {
		return rpc.Key{}, err
	}
	return rpc.Key{Name: req.Name, Id: encode(name)}, nil
}

// KeyRename implements [rpc.Keys].
func (n *Node) KeyRename(_ context.Context, req rpc.KeyRenameRequest) (rpc.KeyRenamed, error) {
	if req.Old == self {
		return rpc.KeyRenamed{}, errors.New("cannot rename key with name 'self'")
	}
	if req.New == self {
		return rpc.KeyRenamed{}, errors.New("cannot overwrite key with name 'self'")
	}
	encode, err := nameEncoder(req.IPNSBase)
	if err != nil {
		return rpc.KeyRenamed{}, err
	}
	if !n.keys.Has(req.Old) {
		return rpc.KeyRenamed{}, fmt.Errorf("no key named %s was found", req.Old)
	}
	name, err := n.nameOfKey(req.Old)
	if err != nil {
		return rpc.KeyRenamed{}, err
	}
	overwrote, err := n.keys.Rename(req.Old, req.New, req.Force)
	if err != nil {
		return rpc.KeyRenamed{}, err
	}
	return rpc.KeyRenamed{Was: req.Old, Now: req.New, Id: encode(name), Overwrite: overwrote}, nil
}

// KeyRemove implements [rpc.Keys]. The record of the key stays, but is not
// renewed any more.
func (n *Node) KeyRemove(_ context.Context, req rpc.KeyRemoveRequest) (rpc.KeysRemoved, error) {
	encode, err := nameEncoder(req.IPNSBase)
	if err != nil {
		return rpc.KeysRemoved{}, err
	}
	var removed rpc.KeysRemoved
	for _, keyName := range req.Names {
		if keyName == self {
			return removed, errors.New("cannot remove key with name 'self'")
		}
		if !n.keys.Has(keyName) {
			return removed, fmt.Errorf("no key named %s was found", keyName)
		}
		key := rpc.Key{Name: keyName}
		if name, err := n.nameOfKey(keyName); err == nil { // else damaged: it can go
			key.Id = encode(name)
		}
		if err := n.keys.Remove(keyName); err != nil {
			return removed, err
		}
		removed.Keys = append(removed.Keys, key)
	}
	return removed, nil
}

// A foundKey is a key and what it is called.
type foundKey struct {
	keyName string
	name    ipns.Name
	priv    crypto.PrivKey
}

// findKey looks a key up by its name, or by the IPNS name or peer id it makes.
func (n *Node) findKey(text string) (foundKey, error) {
	if text == self {
		return foundKey{self, n.name, n.priv}, nil
	}
	if priv, err := n.keys.Get(text); err == nil {
		name, err := ipns.NameOf(priv.GetPublic())
		return foundKey{text, name, priv}, err
	} else if !errors.Is(err, keystore.ErrNotFound) {
		return foundKey{}, err
	}
	name, err := ipns.ParseName(text)
	if err != nil {
		return foundKey{}, fmt.Errorf("%w: %q; %s", keystore.ErrNotFound, text, listKeys)
	}
	return n.keyOf(name)
}

// listKeys is the next step for who named a key that does not exist.
const listKeys = "'ipns key list' shows those there are"

// keyOf finds the key of a name.
func (n *Node) keyOf(name ipns.Name) (foundKey, error) {
	if name == n.name {
		return foundKey{self, n.name, n.priv}, nil
	}
	keyNames, err := n.keys.List()
	if err != nil {
		return foundKey{}, err
	}
	for _, keyName := range keyNames {
		priv, err := n.keys.Get(keyName)
		if err != nil {
			continue // one bad file must not hide the other keys
		}
		if of, err := ipns.NameOf(priv.GetPublic()); err == nil && of == name {
			return foundKey{keyName, name, priv}, nil
		}
	}
	return foundKey{}, fmt.Errorf("no key by the given name or PeerID was found: %s; %s", name, listKeys)
}

// nameEncoder prints names in a base: b58mh for the bare multihash, the name or
// letter of a multibase for a CID.
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
