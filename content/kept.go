package content

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"iter"
	"strings"
	"time"

	pin "github.com/ipfs/boxo/pinning/pinner"
	"github.com/ipfs/go-cid"
	"github.com/ipfs/go-datastore"
	"github.com/ipfs/go-datastore/query"
	"github.com/multiformats/go-multihash"
)

// keptPrefix begins the names of pins that were made to keep the values of a name. Such a pin never takes the place of
// another, which is somebody's own; a pin by hand takes its place. One for an own name takes the place of one for a name
// that is followed, which is let go sooner.
const (
	keptPrefix     = "ipns:"
	followedPrefix = "ipns-follow:"
)

func isKept(pin string) bool {
	return strings.HasPrefix(pin, keptPrefix) || strings.HasPrefix(pin, followedPrefix)
}

// KeepTree pins a tree to keep it for an own name, after fetching what is missing, unless it is pinned.
func (s *Store) KeepTree(ctx context.Context, c cid.Cid, name string) error {
	return s.keepTree(ctx, c, KeptFor(name))
}

// KeepFollowed is KeepTree for a name that is followed.
func (s *Store) KeepFollowed(ctx context.Context, c cid.Cid, name string) error {
	return s.keepTree(ctx, c, followedPrefix+name)
}

func (s *Store) keepTree(ctx context.Context, c cid.Cid, pin string) error {
	if ok, err := s.keepPinned(ctx, c, pin); ok || err != nil {
		return err
	}
	return s.Pin(ctx, c, Recursive, pin)
}

// keepPinned does what KeepTree does if the tree is pinned.
func (s *Store) keepPinned(ctx context.Context, c cid.Cid, name string) (ok bool, err error) {
	s.gate.pinning.Lock()
	defer s.gate.pinning.Unlock()
	had, err := s.pins.CheckIfPinnedWithType(ctx, pin.Recursive, true, c)
	if err != nil {
		return false, fmt.Errorf("keep %s: %w", c, err)
	}
	if !keepsOwnPin(had, name) {
		return false, nil
	}
	return true, s.noteKept(ctx, c, name)
}

// UnpinKept removes the pin of a tree for an own name unless, since it was listed, it was pinned again: by hand, or to be
// kept and not before a time. It reports whether it did.
func (s *Store) UnpinKept(ctx context.Context, c cid.Cid, before time.Time) (bool, error) {
	return s.unpinKept(ctx, c, keptPrefix, before)
}

// UnpinFollowed removes the pin of a tree for a name that is followed, unless it is for something else by now. It reports
// whether it did.
func (s *Store) UnpinFollowed(ctx context.Context, c cid.Cid) (bool, error) {
	return s.unpinKept(ctx, c, followedPrefix, time.Now().Add(time.Minute))
}

func (s *Store) unpinKept(ctx context.Context, c cid.Cid, prefix string, before time.Time) (bool, error) {
	s.gate.pinning.Lock()
	defer s.gate.pinning.Unlock()
	had, err := s.pins.CheckIfPinnedWithType(ctx, pin.Recursive, true, c)
	if err != nil {
		return false, fmt.Errorf("look for the pin of %s: %w", c, err)
	}
	if len(had) != 1 || had[0].Mode != pin.Recursive || !strings.HasPrefix(had[0].Name, prefix) {
		return false, nil
	}
	since, err := s.keptSince(ctx, c)
	if err != nil || !since.Before(before) {
		return false, err
	}
	return true, s.Unpin(ctx, c, Recursive)
}

// KeptFor is the name of the pins that keep the values of a name.
func KeptFor(name string) string { return keptPrefix + name }

// KeptBy returns for which own name a pin was made; ok is false if it was made for none.
func (p Pin) KeptBy() (name string, ok bool) { return strings.CutPrefix(p.Name, keptPrefix) }

// FollowedBy returns for which name that is followed a pin was made; ok is false if it was made for none.
func (p Pin) FollowedBy() (name string, ok bool) { return strings.CutPrefix(p.Name, followedPrefix) }

// keepsOwnPin reports whether a pin by the name leaves the one that is there alone.
func keepsOwnPin(had []pin.Pinned, name string) bool {
	return len(had) == 1 && had[0].Mode == pin.Recursive &&
		(had[0].Name == name || isKept(name) && (strings.HasPrefix(name, followedPrefix) || !strings.HasPrefix(had[0].Name, followedPrefix)))
}

// Where it is remembered how many values of a name are kept, and when a tree was last pinned to be kept.
var (
	keepPrefix = datastore.NewKey("/keep/values")
	keptAt     = datastore.NewKey("/keep/pinned")
)

// SetKeep remembers how many values of a name are kept.
func (s *Store) SetKeep(ctx context.Context, name string, values int) error {
	if had, ok, err := s.Keep(ctx, name); err == nil && ok && had == values {
		return nil
	}
	return s.remember(ctx, keepPrefix.ChildString(name), uint64(values))
}

// Keep returns how many values of a name are kept, if that was said.
func (s *Store) Keep(ctx context.Context, name string) (values int, ok bool, err error) {
	n, ok, err := s.remembered(ctx, keepPrefix.ChildString(name))
	return int(n), ok, err
}

// keptSince returns when a tree was last pinned to be kept; zero: long ago.
func (s *Store) keptSince(ctx context.Context, c cid.Cid) (time.Time, error) {
	n, ok, err := s.remembered(ctx, keptAt.ChildString(c.String()))
	if err != nil || !ok {
		return time.Time{}, err
	}
	return time.Unix(int64(n), 0), nil
}

// noteKept remembers that a tree is pinned now, if that is to keep it.
func (s *Store) noteKept(ctx context.Context, c cid.Cid, name string) error {
	if !isKept(name) {
		return nil
	}
	return s.remember(ctx, keptAt.ChildString(c.String()), uint64(time.Now().Unix()))
}

// Released returns the trees that were pinned to be kept and have no recursive pin any more, and when each was pinned
// last.
func (s *Store) Released(ctx context.Context) (map[cid.Cid]time.Time, error) {
	found, err := s.ds.Query(ctx, query.Query{Prefix: keptAt.String()})
	if err != nil {
		return nil, fmt.Errorf("read what was kept: %w", err)
	}
	defer found.Close()
	trees := map[cid.Cid]time.Time{}
	for r := range found.Next() {
		if r.Error != nil {
			return nil, fmt.Errorf("read what was kept: %w", r.Error)
		}
		c, err := cid.Decode(datastore.RawKey(r.Key).Name())
		if err != nil || len(r.Value) != 8 {
			continue
		}
		had, err := s.pins.CheckIfPinnedWithType(ctx, pin.Recursive, false, c)
		if err != nil {
			return nil, fmt.Errorf("read what was kept: %w", err)
		}
		if len(had) == 0 || !had[0].Pinned() {
			trees[c] = time.Unix(int64(binary.BigEndian.Uint64(r.Value)), 0)
		}
	}
	return trees, nil
}

// CollectTrees is Collect for the blocks of some trees alone, which it then no longer remembers as kept.
func (s *Store) CollectTrees(ctx context.Context, trees map[cid.Cid]time.Time, keep iter.Seq2[cid.Cid, error]) iter.Seq[Garbage] {
	return func(yield func(Garbage) bool) {
		err := s.collect(ctx, keep, func(ctx context.Context, m *marking) (func(multihash.Multihash) bool, error) {
			of := marking{ctx: ctx, dag: s.local, marks: marks{}, yield: yield}
			for c := range trees {
				if err := of.tree(c, false); err != nil {
					return nil, err
				}
			}
			return func(h multihash.Multihash) bool { return m.marks.stays(h) || !of.marks.stays(h) }, nil
		}, yield)
		if err == nil {
			err = s.forgetKept(ctx, trees)
		}
		if err != nil && !errors.Is(err, errStop) {
			yield(Garbage{Err: err})
		}
	}
}

// forgetKept forgets trees that were not pinned again.
func (s *Store) forgetKept(ctx context.Context, trees map[cid.Cid]time.Time) error {
	ctx = context.WithValue(ctx, freesKey{}, true)
	for c, at := range trees {
		now, err := s.keptSince(ctx, c)
		if err != nil || !now.Equal(at) {
			continue
		}
		if err := s.ds.Delete(ctx, keptAt.ChildString(c.String())); err != nil {
			return fmt.Errorf("forget that %s was kept: %w", c, err)
		}
	}
	return s.Sync(ctx)
}

func (s *Store) remember(ctx context.Context, key datastore.Key, n uint64) error {
	err := s.ds.Put(ctx, key, binary.BigEndian.AppendUint64(nil, n))
	if err == nil {
		err = s.Sync(ctx)
	}
	if err != nil {
		return fmt.Errorf("remember what is kept: %w", err)
	}
	return nil
}

func (s *Store) remembered(ctx context.Context, key datastore.Key) (n uint64, ok bool, err error) {
	b, err := s.ds.Get(ctx, key)
	switch {
	case errors.Is(err, datastore.ErrNotFound):
		return 0, false, nil
	case err == nil && len(b) != 8:
		err = errors.New("damaged")
	}
	if err != nil {
		return 0, false, fmt.Errorf("read what is kept: %w", err)
	}
	return binary.BigEndian.Uint64(b), true, nil
}
