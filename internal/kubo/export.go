package kubo

import (
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"path/filepath"

	"github.com/goipns/ipns"
	"github.com/goipns/ipns/internal/durable"
	"github.com/goipns/ipns/keystore"
)

// ErrPublished means that the node of a repo has published under its own name, which would be
// lost if the repo became that of another node.
var ErrPublished = errors.New("its node has published under a name of its own; take a repo that 'ipfs init' has just made")

// Given is a key, and the newest record of its name; nil: there is none.
type Given struct {
	Key
	Record *ipns.Record
}

// Export writes keys and records into the repo in a folder, so that its Kubo goes on with the
// next sequences. It returns those whose record was older than what the repo has: that one
// stays.
//
// A repo of another node becomes that of the key self, if its node never published. Before
// anything is written, everything is checked; then records are written, keys, and at last the
// config: whatever a crash leaves, no key is there without its sequence.
func Export(path string, all []Given) (older []Given, err error) {
	r, err := open(path, true)
	if err != nil {
		return nil, err
	}
	defer func() {
		if err = errors.Join(err, r.Close()); err != nil {
			err = fmt.Errorf("export to %s: %w", path, err)
		}
	}()
	files, err := keystore.Open(r.keystore())
	if err != nil {
		return nil, err
	}
	var entries []entry
	for _, g := range all {
		if err := r.room(files, g); err != nil {
			return nil, err
		}
		have, err := r.Record(g.Key)
		if err != nil {
			return nil, err
		}
		newest := g.Record
		if have != nil && (newest == nil || ipns.Compare(have, newest) > 0) {
			newest = have
			older = append(older, g)
		}
		if newest != nil {
			entries = append(entries, entry{ownKey(g.Name.Binary()), newest.Raw()})
		}
	}
	s, _, err := r.at(ownKey(nil) + "/")
	if err != nil {
		return nil, err
	}
	if err := s.put(entries); err != nil {
		return nil, err
	}
	for _, g := range all {
		if g.Label == keystore.Self {
			continue
		}
		if err := files.Put(g.Label, g.Priv); err != nil && !errors.Is(err, keystore.ErrExist) {
			return nil, err
		}
	}
	for _, g := range all {
		if g.Label == keystore.Self {
			return older, r.become(g.Key)
		}
	}
	return older, nil
}

// room returns an error if there is no room for a key: its label has another one.
func (r *Repo) room(files *keystore.Store, g Given) error {
	if g.Label == keystore.Self {
		self, err := r.self()
		if err != nil {
			return err
		}
		if self.Name == g.Name {
			return nil
		}
		rec, err := r.Record(self)
		if err == nil && rec != nil {
			err = ErrPublished
		}
		return err
	}
	have, err := files.Get(g.Label)
	if errors.Is(err, keystore.ErrNotFound) {
		return nil
	}
	if err == nil && !have.Equals(g.Priv) {
		err = fmt.Errorf("it has another key %q: rename one of the two", g.Label)
	}
	return err
}

// become puts a key into the config as that of the node. Everything else stays.
func (r *Repo) become(key Key) error {
	if text(r.config, "Identity", "PeerID") == key.Name.PeerID().String() {
		return nil
	}
	b, err := ipns.MarshalPrivateKey(key.Priv)
	if err != nil {
		return err
	}
	r.config["Identity"] = map[string]any{
		"PeerID":  key.Name.PeerID().String(),
		"PrivKey": base64.StdEncoding.EncodeToString(b),
	}
	if b, err = json.MarshalIndent(r.config, "", "  "); err != nil {
		return err
	}
	return durable.Replace(filepath.Join(r.Path, "config"), append(b, '\n'), 0o600)
}
