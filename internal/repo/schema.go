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

// A keyNode is a place in the tree of all config keys, ours and Kubo's. One
// without keys is a value.
type keyNode struct {
	keys    map[string]*keyNode // "*" is any name
	free    bool                // anything may stand below
	foreign *foreignKey         // a value of Kubo's that means nothing here
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

// add gives the section the keys that a type has in JSON.
func (s *keyNode) add(t reflect.Type) {
	switch t.Kind() {
	case reflect.Pointer:
		s.add(t.Elem())
	case reflect.Struct:
		for f := range t.Fields() {
			s.sub(f.Name).add(f.Type)
		}
	case reflect.Map:
		s.sub("*").add(t.Elem())
	case reflect.Interface:
		s.free = true
	}
}

// find returns the section below of that name, in any case of letters, and its
// own spelling; nil if there is none.
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

// An unknownKeyError is a key that neither this node nor Kubo knows.
type unknownKeyError struct{ key, nearest string }

func (e *unknownKeyError) Error() string {
	text := fmt.Sprintf("unknown config key %q", e.key)
	if e.nearest != "" {
		text += fmt.Sprintf("; did you mean %q?", e.nearest)
	}
	return text
}

// checkTree returns an error if a config has keys that mean nothing to anybody,
// or keys of Kubo's that ask for what this node does not do. warnings are about
// those that are kept and change nothing.
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
			return fmt.Errorf("config key %q is there twice, in other cases of letters", join(path, spelled))
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

// takes reports whether a value asks for what happens anyway.
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

// spelled is a dotted key in the spelling that Kubo and this node use; an error
// if neither knows it.
func spelled(key string) (string, error) {
	at := schema()
	parts := strings.Split(key, ".")
	for i, part := range parts {
		if part == "" {
			return "", fmt.Errorf("%q is no config key", key)
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

// nearest is the known key that a misspelled one most likely stands for; "" if
// none is near.
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
