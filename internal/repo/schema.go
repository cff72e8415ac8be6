package repo

import (
	"bytes"
	"encoding/json"
	"fmt"
	"maps"
	"reflect"
	"slices"
	"strings"
	"sync"

	"github.com/goipns/ipns/internal/spelling"
)

// A keyNode is a node in the tree of all config keys, ours and Kubo's. Without keys it
// is a value.
type keyNode struct {
	keys    map[string]*keyNode // "*" is any name
	free    bool                // any keys may be below
	foreign *foreignKey         // a value of Kubo's that has no effect here
}

// schema is the tree of all keys.
var schema = sync.OnceValue(func() *keyNode {
	root := &keyNode{}
	root.add(reflect.TypeFor[Config]())
	for key, f := range foreignKeys {
		at := root
		for part := range strings.SplitSeq(key, ".") {
			at = at.sub(part)
		}
		at.foreign, at.free = &f, f.free
	}
	return root
})

func (s *keyNode) sub(name string) *keyNode {
	if s.keys == nil {
		s.keys = map[string]*keyNode{}
	}
	if s.keys[name] == nil {
		s.keys[name] = &keyNode{}
	}
	return s.keys[name]
}

// add adds the keys of a type's JSON to the section.
func (s *keyNode) add(t reflect.Type) {
	switch t.Kind() {
	case reflect.Pointer:
		s.add(t.Elem())
	case reflect.Struct:
		for f := range t.Fields() {
			if f.IsExported() {
				s.sub(f.Name).add(f.Type)
			}
		}
	case reflect.Map:
		s.sub("*").add(t.Elem())
	case reflect.Interface:
		s.free = true
	}
}

// find returns the subsection with a name, ignoring case, and the spelling of its key;
// nil if there is none.
func (s *keyNode) find(name string) (*keyNode, string) {
	if sub, ok := s.keys[name]; ok {
		return sub, name
	}
	for k, sub := range s.keys {
		if strings.EqualFold(k, name) {
			return sub, k
		}
	}
	return s.keys["*"], name
}

// An unknownKeyError is an error about a key that neither this node nor Kubo knows.
type unknownKeyError struct{ key, nearest string }

func (e *unknownKeyError) Error() string {
	text := fmt.Sprintf("unknown config key %q", e.key)
	if e.nearest != "" {
		text += fmt.Sprintf("; did you mean %q?", e.nearest)
	}
	return text
}

// checkTree returns an error if a config has unknown keys, or keys of Kubo's that ask
// for what this node does not do. warnings are about kept keys that have no effect.
func checkTree(tree map[string]any) (warnings []string, err error) {
	err = schema().check(tree, "", &warnings)
	return warnings, err
}

func (s *keyNode) check(tree map[string]any, path string, warnings *[]string) error {
	seen := map[string]bool{}
	for _, name := range slices.Sorted(maps.Keys(tree)) {
		sub, spelled := s.find(name)
		key := join(path, name)
		if sub == nil {
			return &unknownKeyError{key, nearest(key)}
		}
		if seen[spelled] {
			return fmt.Errorf("config key %q occurs twice, with different case", join(path, spelled))
		}
		seen[spelled] = true
		value := tree[name]
		if f := sub.foreign; f != nil && !f.takes(value) {
			if f.refuse {
				return fmt.Errorf("config key %s cannot be %s: this node does not do that; remove the key", key, asJSON(value))
			}
			*warnings = append(*warnings, fmt.Sprintf("config key %s is kept, but changes nothing: this node does not have that", key))
		}
		below, isMap := value.(map[string]any)
		if !isMap || sub.free || sub.foreign != nil {
			continue
		}
		if err := sub.check(below, key, warnings); err != nil {
			return err
		}
	}
	return nil
}

func join(path, name string) string {
	if path == "" {
		return name
	}
	return path + "." + name
}

// takes reports whether a value asks for what this node does anyway.
func (f *foreignKey) takes(value any) bool {
	text := asJSON(value)
	return slices.Contains([]string{"null", `""`, "[]", "{}", `"default"`}, text) || slices.Contains(f.taken, text)
}

func asJSON(v any) string {
	b, err := marshal(v)
	if err != nil {
		return fmt.Sprint(v)
	}
	var line bytes.Buffer
	if err := json.Compact(&line, b); err != nil {
		return string(b)
	}
	return line.String()
}

// spelled returns a dotted key in the spelling of Kubo and this node, or an error if
// neither knows it.
func spelled(key string) (string, error) {
	at := schema()
	parts := strings.Split(key, ".")
	for i, part := range parts {
		if part == "" {
			return "", fmt.Errorf("%q is not a config key", key)
		}
		if at.free {
			break
		}
		sub, name := at.find(part)
		if sub == nil {
			return "", &unknownKeyError{key, nearest(key)}
		}
		parts[i] = name
		at = sub
	}
	return strings.Join(parts, "."), nil
}

// nearest returns the known key most similar to a misspelled one, or "" if none is
// close.
func nearest(key string) string {
	var keys []string
	var visit func(s *keyNode, path string)
	visit = func(s *keyNode, path string) {
		for _, name := range slices.Sorted(maps.Keys(s.keys)) {
			at := join(path, name)
			keys = append(keys, at)
			visit(s.keys[name], at)
		}
	}
	visit(schema(), "")
	return spelling.Nearest(key, keys)
}
