package repo

import (
	"maps"
	"reflect"
	"slices"
	"strings"
)

// Reloaded says what became of the keys of a config that was read again, by their dotted
// names, such as Gateway.NoFetch. A key of a map stands for all that is below it.
type Reloaded struct {
	InForce []string // they differ from what was in force before, and now are
	Waiting []string // they differ from what is in force, and wait for the next start
}

// Changed returns the keys whose values differ between two readings of a config file. Those
// that change nothing on this node do not count.
func Changed(before, after *Config) []string {
	var keys []string
	schema().changed(before.read, after.read, "", &keys)
	slices.Sort(keys)
	return keys
}

func (s *keyNode) changed(before, after map[string]any, path string, keys *[]string) {
	was, is := s.values(before), s.values(after)
	all := maps.Clone(was)
	maps.Copy(all, is)
	for name := range all {
		sub, key := s.keys[name], join(path, name)
		a, _ := was[name].(map[string]any)
		b, _ := is[name].(map[string]any)
		switch {
		case sub.foreign != nil:
		case sub.keys != nil && sub.keys["*"] == nil && !sub.free && (a != nil || b != nil):
			sub.changed(a, b, key, keys)
		case !reflect.DeepEqual(was[name], is[name]):
			*keys = append(*keys, key)
		}
	}
}

// values are the values of a section by the known spelling of their keys.
func (s *keyNode) values(section map[string]any) map[string]any {
	known := map[string]any{}
	for k, v := range section {
		if sub, name := s.find(k); sub != nil {
			known[name] = v
		}
	}
	return known
}

// Within reports whether a dotted key is one of these, or below one of them.
func Within(key string, of ...string) bool {
	return slices.ContainsFunc(of, func(o string) bool { return key == o || strings.HasPrefix(key, o+".") })
}
