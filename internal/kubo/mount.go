package kubo

import (
	"errors"
	"fmt"
	"iter"
	"path/filepath"
	"slices"
	"strings"
)

// errNone means that there is no value of a key.
var errNone = errors.New("not there")

// A store is one of the datastores that a repo is made of. Keys begin with '/'.
type store interface {
	// get returns the value of a key, or errNone.
	get(key string) ([]byte, error)
	// scan yields all values whose keys have the prefix.
	scan(prefix string) iter.Seq2[entry, error]
	// put stores values; they are durable when it returns.
	put(entries []entry) error
	close() error
}

type entry struct {
	key   string
	value []byte
}

// A mount is a store and the prefix of its keys, which the store does not see.
type mount struct {
	prefix string // "" or "/blocks"
	store  store
}

// maxSpec bounds how deep a spec is nested, and how many stores it has.
const maxSpec = 16

// mount opens the datastores that the config describes.
func (r *Repo) mount() error {
	spec, _ := lookup(r.config, "Datastore", "Spec").(map[string]any)
	if spec == nil {
		return errors.New("its config has no Datastore.Spec")
	}
	if err := r.open(spec, "", 0); err != nil {
		return err
	}
	// The longest prefix that fits comes first.
	slices.SortStableFunc(r.mounts, func(a, b mount) int { return len(b.prefix) - len(a.prefix) })
	return nil
}

func (r *Repo) open(spec map[string]any, prefix string, depth int) error {
	if depth > maxSpec || len(r.mounts) > maxSpec {
		return errors.New("its Datastore.Spec is nested too deep")
	}
	switch kind := text(spec, "type"); kind {
	case "mount":
		mounts, _ := spec["mounts"].([]any)
		for _, m := range mounts {
			sub, _ := m.(map[string]any)
			at := strings.TrimSuffix(text(sub, "mountpoint"), "/")
			if err := r.open(sub, prefix+at, depth+1); err != nil {
				return err
			}
		}
		return nil
	case "measure", "log":
		child, _ := spec["child"].(map[string]any)
		return r.open(child, prefix, depth+1)
	case "badgerds":
		return ErrBadger
	default:
		open := map[string]func(string, bool) (store, error){"flatfs": openFlat, "levelds": openLevel, "pebbleds": openPebble}[kind]
		if open == nil {
			return fmt.Errorf("its datastore is of type %q, which is unknown here", kind)
		}
		dir := text(spec, "path")
		if !filepath.IsAbs(dir) {
			dir = filepath.Join(r.Path, dir)
		}
		s, err := open(dir, r.writable)
		if inUse(err) {
			return ErrRunning
		}
		if err != nil {
			return fmt.Errorf("open its %s in %s: %w", kind, dir, err)
		}
		r.mounts = append(r.mounts, mount{prefix, s})
		return nil
	}
}

// at returns the store of a key, and the key as that store sees it.
func (r *Repo) at(key string) (store, string, error) {
	for _, m := range r.mounts {
		if rest, ok := strings.CutPrefix(key, m.prefix); ok && strings.HasPrefix(rest, "/") {
			return m.store, rest, nil
		}
	}
	return nil, "", fmt.Errorf("no datastore is mounted at %s", key)
}

func (r *Repo) get(key string) ([]byte, error) {
	s, rest, err := r.at(key)
	if err != nil {
		return nil, err
	}
	return s.get(rest)
}
