package repo

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/goipns/ipns/internal/durable"
)

// Get returns the value of a dotted key, such as Addresses.API, but never the private
// key.
func (r Repo) Get(key string) (any, error) {
	if err := secret(key); err != nil {
		return nil, err
	}
	if isAuthSecret(key) {
		return nil, errors.New("cannot show secrets through the API; they are in the file config")
	}
	tree, err := r.tree()
	if err != nil {
		return nil, err
	}
	conceal(tree)
	var at any = tree
	parts := strings.Split(key, ".")
	for i, part := range parts {
		m, _ := at.(map[string]any) // other values have no keys
		var ok bool
		if at, ok = lookup(m, part); !ok {
			return nil, fmt.Errorf("failed to get config value: %q", strings.Join(parts[:i+1], ".")+" not found")
		}
	}
	return at, nil
}

// Show returns the whole config without the private key.
func (r Repo) Show() (map[string]any, error) {
	tree, err := r.tree()
	if err != nil {
		return nil, err
	}
	conceal(tree)
	return tree, nil
}

// ShowFile returns a config that is not in a repo, without its private key.
func ShowFile(path string) (map[string]any, error) {
	b, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	tree, err := decodeTree(b)
	if err != nil {
		return nil, fmt.Errorf("the config %s cannot be read: %w", path, err)
	}
	conceal(tree)
	return tree, nil
}

// withoutKey returns a config without the private key of the node.
func withoutKey(config []byte) ([]byte, error) {
	tree, err := decodeTree(config)
	if err != nil {
		return nil, err
	}
	remove(section(tree, "Identity"), "PrivKey")
	return marshal(tree)
}

// ForgetKey removes the private key of the node from copies of the config that lie beside it.
func (r Repo) ForgetKey() error {
	copies, err := filepath.Glob(r.path(configFile) + "-pre-*")
	if err != nil {
		return err
	}
	for _, path := range append(copies, r.path(editedFile)) {
		b, err := os.ReadFile(path)
		if errors.Is(err, fs.ErrNotExist) || err == nil && !bytes.Contains(b, []byte("PrivKey")) {
			continue
		}
		if err == nil {
			b, err = withoutKey(b)
		}
		if err == nil {
			err = durable.Replace(path, b, 0o600)
		}
		if err != nil {
			return fmt.Errorf("remove the private key from %s: %w", path, err)
		}
	}
	return nil
}

// CopyConfig writes a copy of the config beside it, for [Repo.TakeConfig], without the
// private key.
func (r Repo) CopyConfig() (path string, err error) {
	b, err := r.readConfig()
	if err != nil {
		return "", err
	}
	if b, err = withoutKey(b); err != nil {
		return "", err
	}
	path = r.path(editedFile)
	return path, durable.Replace(path, b, 0o600)
}

// TakeConfig replaces the config by the file that CopyConfig has written and someone has
// changed, but for the Identity, which must be as it was. A file with which the daemon could
// not start stays where it is. No other process may be converting keys.
func (r Repo) TakeConfig(path string) error {
	b, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	tree, err := decodeTree(b)
	if err != nil {
		return err
	}
	now, err := r.tree()
	if err != nil {
		return err
	}
	was, is := section(now, "Identity"), section(tree, "Identity")
	key, _ := lookup(is, "PrivKey")
	id, _ := lookup(is, "PeerID")
	if before, _ := lookup(was, "PeerID"); key != nil || id != before {
		return errors.New("the Identity cannot be edited: use 'key rotate' to change it")
	}
	tree[name(tree, "Identity")] = was
	if _, err := checkTree(tree); err != nil {
		return err
	}
	if b, err = marshal(tree); err != nil {
		return err
	}
	if _, err := r.parse(b); err != nil {
		return err
	}
	return errors.Join(durable.Replace(r.path(configFile), b, 0o600), os.Remove(path))
}

// Set changes the value of a dotted key. A value with which the daemon could not start
// is rejected, and nothing changes. warnings are about keys set that have no effect.
func (r Repo) Set(key string, value any) (warnings []string, err error) {
	if err := secret(key); err != nil {
		return nil, err
	}
	if key, err = spelled(key); err != nil {
		return nil, err
	}
	if err := secret(key); err != nil { // in whatever case it was written
		return nil, err
	}
	tree, err := r.tree()
	if err != nil {
		return nil, err
	}
	if key == "Identity.PeerID" && value != section(tree, "Identity")["PeerID"] {
		return nil, errors.New("cannot set Identity.PeerID to a value that does not match the node's private key; use 'ipns key rotate' to change the node identity")
	}
	before, _ := checkTree(tree) // its errors are reported below
	if err := set(tree, strings.Split(key, "."), value); err != nil {
		return nil, err
	}
	if _, err := checkTree(tree); err != nil {
		return nil, err
	}
	after, err := r.write(tree)
	if err != nil {
		return nil, fmt.Errorf("set %s: %w", key, err)
	}
	for _, w := range after {
		if !slices.Contains(before, w) || strings.HasPrefix(w, "config key "+key) {
			warnings = append(warnings, w)
		}
	}
	return warnings, nil
}

// write replaces the config, unless it is one with which the daemon could not start.
// warnings are about its keys that have no effect.
func (r Repo) write(tree map[string]any) (warnings []string, err error) {
	if warnings, err = checkTree(tree); err != nil {
		return nil, err
	}
	b, err := marshal(tree)
	if err != nil {
		return nil, err
	}
	if _, err := r.parse(b); err != nil {
		return nil, err
	}
	return warnings, durable.Replace(r.path(configFile), b, 0o600)
}

// Replace replaces the whole config by one such as Show returns: the private key and the
// secrets that it lacks stay. It is refused if it has them, or is one with which the daemon
// could not start. warnings are about its keys that have no effect.
func (r Repo) Replace(b []byte) (warnings []string, err error) {
	tree, err := decodeTree(b)
	if err != nil {
		return nil, errors.New("failed to decode file as config")
	}
	old, err := r.tree()
	if err != nil {
		return nil, err
	}
	if err := keepSecrets(tree, old); err != nil {
		return nil, err
	}
	return r.write(tree)
}

// set puts a value into a tree, creating the sections that it needs.
func set(m map[string]any, parts []string, value any) error {
	for _, part := range parts[:len(parts)-1] {
		next, ok := lookup(m, part)
		sub, isMap := next.(map[string]any)
		if ok && next != nil && !isMap {
			return fmt.Errorf("failed to set config value: %q is not a section", part)
		}
		if sub == nil {
			sub = map[string]any{}
			m[name(m, part)] = sub
		}
		m = sub
	}
	m[name(m, parts[len(parts)-1])] = value
	return nil
}

// SetIdentity replaces the key of the node.
func (r Repo) SetIdentity(id Identity) error {
	tree, err := r.tree()
	if err != nil {
		return err
	}
	if err := set(tree, []string{"Identity"}, id); err != nil {
		return err
	}
	_, err = r.write(tree)
	return err
}

// file is the config as it is written: with the keys of Kubo's that it was read with.
func (c *Config) file() ([]byte, error) {
	b, err := marshal(c)
	if err != nil || c.rest == nil {
		return b, err
	}
	own, err := decodeTree(b)
	if err != nil {
		return nil, err
	}
	overlay(c.rest, own)
	return marshal(c.rest)
}

// overlay sets all values of the sections of own in tree.
func overlay(tree, own map[string]any) {
	for key, value := range own {
		below, isSection := value.(map[string]any)
		there, both := tree[name(tree, key)].(map[string]any)
		if isSection && both {
			overlay(there, below)
			continue
		}
		tree[name(tree, key)] = value
	}
}

// name returns the spelling that m already uses for a key, ignoring case.
func name(m map[string]any, key string) string {
	if _, ok := m[key]; ok {
		return key
	}
	for k := range m {
		if strings.EqualFold(k, key) {
			return k
		}
	}
	return key
}

func lookup(m map[string]any, key string) (any, bool) {
	v, ok := m[name(m, key)]
	return v, ok
}

func (r Repo) readConfig() ([]byte, error) {
	if err := r.Check(); err != nil {
		return nil, err
	}
	return os.ReadFile(r.path(configFile))
}

// tree returns the config as it is in the file, with known and unknown keys.
func (r Repo) tree() (map[string]any, error) {
	b, err := r.readConfig()
	if err != nil {
		return nil, err
	}
	tree, err := decodeTree(b)
	if err != nil {
		return nil, fmt.Errorf("the config %s cannot be read: %w; correct the file, its keys are untouched", r.path(configFile), err)
	}
	return tree, nil
}

func decodeTree(b []byte) (map[string]any, error) {
	dec := json.NewDecoder(bytes.NewReader(b))
	dec.UseNumber() // keeps the numbers of foreign keys unchanged
	var tree map[string]any
	err := dec.Decode(&tree)
	return tree, err
}

func marshal(v any) ([]byte, error) {
	var buf bytes.Buffer
	enc := json.NewEncoder(&buf)
	enc.SetEscapeHTML(false)
	enc.SetIndent("", "  ")
	err := enc.Encode(v)
	return buf.Bytes(), err
}
