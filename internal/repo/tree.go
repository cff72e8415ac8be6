package repo

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"os"
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
	if strings.HasSuffix(strings.ToLower(key), ".authsecret") {
		return nil, errors.New("cannot show secrets of the API through it; they are in the file config")
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

// Set changes the value of a dotted key. A value with which the daemon could not start
// is rejected, and nothing changes. warnings are about keys set that have no effect.
func (r Repo) Set(key string, value any) (warnings []string, err error) {
	if err := secret(key); err != nil {
		return nil, err
	}
	if strings.EqualFold(key, "identity.peerid") {
		return nil, errors.New("the peer id follows from the private key and cannot be set")
	}
	if key, err = spelled(key); err != nil {
		return nil, err
	}
	tree, err := r.tree()
	if err != nil {
		return nil, err
	}
	before, _ := checkTree(tree) // its errors are reported below
	if err := set(tree, strings.Split(key, "."), value); err != nil {
		return nil, err
	}
	after, err := checkTree(tree)
	if err != nil {
		return nil, err
	}
	b, err := marshal(tree)
	if err != nil {
		return nil, err
	}
	if _, err := r.parse(b); err != nil {
		return nil, fmt.Errorf("set %s: %w", key, err)
	}
	for _, w := range after {
		if !slices.Contains(before, w) || strings.HasPrefix(w, "config key "+key) {
			warnings = append(warnings, w)
		}
	}
	return warnings, durable.Replace(r.path(configFile), b, 0o600)
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

func secret(key string) error {
	switch strings.ToLower(key) {
	case "identity", "identity.privkey":
		return errors.New("cannot show or change private key through API")
	}
	return nil
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
