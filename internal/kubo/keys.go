package kubo

import (
	"encoding/base64"
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"github.com/libp2p/go-libp2p/core/crypto"

	"github.com/goipns/ipns"
	"github.com/goipns/ipns/keystore"
)

// Key is a key of a Kubo node.
type Key struct {
	Label string // what it is called; keystore.Self is that of the node
	Name  ipns.Name
	Priv  crypto.PrivKey
	// Err is why the key cannot be read; Name and Priv are then zero.
	Err error
}

// Keys returns all keys of the repo, that of the node first.
func (r *Repo) Keys() ([]Key, error) {
	self, err := r.self()
	if err != nil {
		return nil, fmt.Errorf("read the Identity in the config of %s: %w", r.Path, err)
	}
	keys := []Key{self}
	dir := r.keystore()
	if _, err := os.Stat(dir); err != nil {
		return nil, fmt.Errorf("read the keys of %s: %w", r.Path, err)
	}
	files, err := keystore.Open(dir)
	if err != nil {
		return nil, err
	}
	labels, err := files.List()
	if err != nil {
		return nil, err
	}
	for _, label := range labels {
		key := Key{Label: label}
		if key.Priv, key.Err = files.Get(label); key.Err == nil {
			key.Name, key.Err = ipns.NameOf(key.Priv.GetPublic())
		}
		if label == keystore.Self && key.Err == nil { // Kubo makes none that is called so
			key.Err = errors.New("its label is that of the node's own key: rename its file")
		}
		if key.Err != nil {
			key.Priv = nil
		}
		keys = append(keys, key)
	}
	return keys, nil
}

func (r *Repo) keystore() string { return filepath.Join(r.Path, "keystore") }

// self returns the key of the node. Without it nothing of the node can be taken.
func (r *Repo) self() (Key, error) {
	key := Key{Label: keystore.Self}
	b, err := base64.StdEncoding.DecodeString(text(r.config, "Identity", "PrivKey"))
	if err != nil || len(b) == 0 {
		return key, errors.New("its PrivKey is not base64")
	}
	if key.Priv, err = ipns.ParsePrivateKey(b); err != nil {
		return key, err
	}
	if key.Name, err = ipns.NameOf(key.Priv.GetPublic()); err != nil {
		return key, err
	}
	if id := key.Name.PeerID().String(); id != text(r.config, "Identity", "PeerID") {
		return key, fmt.Errorf("its PrivKey is that of %s, not of its PeerID", id)
	}
	return key, nil
}
