// Package kubotest makes repos like those of Kubo 0.43, for tests without a Kubo. What a real
// one writes is compared in interop/.
package kubotest

import (
	"encoding/base32"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"testing"

	"github.com/cockroachdb/pebble/v2"
	"github.com/fxamacker/cbor/v2"
	blocks "github.com/ipfs/go-block-format"
	"github.com/ipfs/go-cid"
	"github.com/libp2p/go-libp2p/core/crypto"
	"github.com/multiformats/go-multihash"
	"github.com/syndtr/goleveldb/leveldb"

	"github.com/goipns/ipns"
	"github.com/goipns/ipns/keystore"
)

// Key makes a key of the least size of its type.
func Key(t testing.TB, kind ipns.KeyType) crypto.PrivKey {
	t.Helper()
	key, err := ipns.GenerateKey(kind, 0)
	if err != nil {
		t.Fatal(err)
	}
	return key
}

// Repo is what a repo is to hold.
type Repo struct {
	Version int // 0: 18
	Self    crypto.PrivKey
	Keys    map[string]crypto.PrivKey
	// Records are the last ones that the node published.
	Records []*ipns.Record
	Pins    []Pin
	Blocks  []blocks.Block
	// Values are stored as they are, by their keys in the datastore.
	Values map[string][]byte
	Pebble bool // everything is in Pebble; else in flatfs and LevelDB
	Badger bool // the config says that everything is in Badger
	// Config holds sections of the config beside Identity and Datastore.
	Config map[string]any
}

// Pin is a pin on disk.
type Pin struct {
	CID    cid.Cid
	Direct bool
	Name   string
}

// Base32 is how Kubo writes bytes in keys of its datastore.
var Base32 = base32.StdEncoding.WithPadding(base32.NoPadding)

// Make writes the repo to a folder, which must not exist.
func Make(dir string, r Repo) error {
	if err := os.MkdirAll(filepath.Join(dir, "keystore"), 0o755); err != nil {
		return err
	}
	if err := r.config(dir); err != nil {
		return err
	}
	files, err := keystore.Open(filepath.Join(dir, "keystore"))
	if err != nil {
		return err
	}
	for label, key := range r.Keys {
		if err := files.Put(label, key); err != nil {
			return err
		}
	}
	values, err := r.values()
	if err != nil {
		return err
	}
	if r.Pebble {
		for _, b := range r.Blocks {
			values["/blocks/"+Base32.EncodeToString(b.Cid().Hash())] = b.RawData()
		}
		return writePebble(filepath.Join(dir, "pebbleds"), values)
	}
	if err := writeFlat(filepath.Join(dir, "blocks"), r.Blocks); err != nil {
		return err
	}
	return writeLevel(filepath.Join(dir, "datastore"), values)
}

func (r Repo) config(dir string) error {
	name, err := ipns.NameOf(r.Self.GetPublic())
	if err != nil {
		return err
	}
	key, err := ipns.MarshalPrivateKey(r.Self)
	if err != nil {
		return err
	}
	spec := map[string]any{"type": "mount", "mounts": []any{
		map[string]any{"type": "flatfs", "mountpoint": "/blocks", "path": "blocks", "sync": false},
		map[string]any{"type": "levelds", "mountpoint": "/", "path": "datastore", "compression": "none"},
	}}
	switch {
	case r.Pebble:
		spec = map[string]any{"type": "measure", "child": map[string]any{"type": "pebbleds", "path": "pebbleds"}}
	case r.Badger:
		spec = map[string]any{"type": "badgerds", "path": "badgerds"}
	}
	config := map[string]any{
		"Identity":  map[string]any{"PeerID": name.PeerID().String(), "PrivKey": base64.StdEncoding.EncodeToString(key)},
		"Datastore": map[string]any{"Spec": spec, "StorageMax": "10GB"},
	}
	for section, v := range r.Config {
		config[section] = v
	}
	b, err := json.MarshalIndent(config, "", "  ")
	if err != nil {
		return err
	}
	version := r.Version
	if version == 0 {
		version = 18
	}
	for file, content := range map[string][]byte{"config": b, "version": fmt.Appendf(nil, "%d\n", version), "datastore_spec": []byte("{}")} {
		if err := os.WriteFile(filepath.Join(dir, file), content, 0o600); err != nil {
			return err
		}
	}
	return nil
}

func (r Repo) values() (map[string][]byte, error) {
	values := map[string][]byte{}
	for key, v := range r.Values {
		values[key] = v
	}
	for _, rec := range r.Records {
		values["/ipns/"+Base32.EncodeToString(rec.Name().Binary())] = rec.Raw()
	}
	for i, p := range r.Pins {
		fields := map[string]any{"cid": p.CID.Bytes(), "mode": 0}
		if p.Direct {
			fields["mode"] = 1
		}
		if p.Name != "" {
			fields["name"] = p.Name
		}
		b, err := cbor.Marshal(fields)
		if err != nil {
			return nil, err
		}
		values[fmt.Sprintf("/pins/pin/%d", i)] = b
	}
	return values, nil
}

func writeFlat(dir string, all []blocks.Block) error {
	for _, b := range all {
		name := Base32.EncodeToString(b.Cid().Hash())
		shard := filepath.Join(dir, name[len(name)-3:len(name)-1])
		if err := os.MkdirAll(shard, 0o755); err != nil {
			return err
		}
		if err := os.WriteFile(filepath.Join(shard, name+".data"), b.RawData(), 0o644); err != nil {
			return err
		}
	}
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return err
	}
	return os.WriteFile(filepath.Join(dir, "SHARDING"), []byte("/repo/flatfs/shard/v1/next-to-last/2\n"), 0o644)
}

func writeLevel(dir string, values map[string][]byte) error {
	db, err := leveldb.OpenFile(dir, nil)
	if err != nil {
		return err
	}
	for k, v := range values {
		if err := db.Put([]byte(k), v, nil); err != nil {
			return err
		}
	}
	return db.Close()
}

func writePebble(dir string, values map[string][]byte) error {
	db, err := pebble.Open(dir, &pebble.Options{})
	if err != nil {
		return err
	}
	for k, v := range values {
		if err := db.Set([]byte(k), v, pebble.Sync); err != nil {
			return err
		}
	}
	return db.Close()
}

// Raw returns a block of bytes.
func Raw(data string) blocks.Block { return block(cid.Raw, []byte(data)) }

// Tree returns a block that links to others: a list of their CIDs in DAG-CBOR.
func Tree(below ...blocks.Block) blocks.Block {
	links := []cbor.Tag{}
	for _, b := range below {
		links = append(links, cbor.Tag{Number: 42, Content: append([]byte{0}, b.Cid().Bytes()...)})
	}
	data, err := cbor.Marshal(links)
	if err != nil {
		panic(err) // bytes are always encoded
	}
	return block(cid.DagCBOR, data)
}

func block(codec uint64, data []byte) blocks.Block {
	c, err := cid.NewPrefixV1(codec, multihash.SHA2_256).Sum(data)
	if err != nil {
		panic(err) // SHA-256 is always there
	}
	b, err := blocks.NewBlockWithCid(data, c)
	if err != nil {
		panic(err)
	}
	return b
}
