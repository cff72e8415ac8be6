package content

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"maps"
	"slices"
	"time"

	"github.com/cockroachdb/pebble/v2"
	"github.com/ipfs/boxo/blockstore"
	blocks "github.com/ipfs/go-block-format"
	"github.com/multiformats/go-multihash"
)

// Blocks that came from other nodes, unless something needs them, are a cache. When each was used last is kept beside it:
//
//	% multihash    the minute of its last use, and its size
//
// A use is only noted in memory, and written with others, unsynced, after a while: a crash may lose it.
const fetchedKeys = '%'

const (
	usesWritten = 5 * time.Minute // after which noted uses are written
	usesNoted   = 1 << 16         // at most; more are forgotten
	fetchShare  = 4               // a cache is looked at whenever a fourth of what it may have was fetched
)

func fetchedKey(h multihash.Multihash) []byte {
	return append(append(make([]byte, 0, 1+len(h)), fetchedKeys), h...)
}

// fetching is a block store in which what is put came from other nodes.
type fetching struct {
	blockstore.Blockstore
	to *blockDB
}

func (f fetching) Put(ctx context.Context, b blocks.Block) error {
	return f.PutMany(ctx, []blocks.Block{b})
}

func (f fetching) PutMany(ctx context.Context, list []blocks.Block) error {
	list = slices.DeleteFunc(slices.Clone(list), func(b blocks.Block) bool { return b.Cid().Prefix().MhType == multihash.IDENTITY })
	if len(list) == 0 {
		return nil
	}
	f.to.anyFetched.Store(true)
	return f.to.put(ctx, list, true)
}

// noteFetched enters a new block into the cache.
func (b *blockDB) noteFetched(batch *pebble.Batch, block blocks.Block) error {
	size := uint64(len(block.RawData()))
	if b.cacheMax > 0 && b.sinceLook.Add(size) >= b.cacheMax/fetchShare {
		b.sinceLook.Store(0)
		select {
		case b.fetchedMuch <- struct{}{}:
		default:
		}
	}
	return batch.Set(fetchedKey(block.Cid().Hash()), place{minute(), size}.encode(), nil)
}

func minute() uint64 { return uint64(time.Now().Unix() / 60) }

// unusedKey is in the context of who reads blocks without using them.
type unusedKey struct{}

// used notes that a block was read.
func (b *blockDB) noteUse(ctx context.Context, h multihash.Multihash) {
	if !b.anyFetched.Load() || ctx.Value(unusedKey{}) != nil {
		return
	}
	b.useMu.Lock()
	defer b.useMu.Unlock()
	if len(b.uses) < usesNoted {
		if b.uses == nil {
			b.uses = map[string]struct{}{}
		}
		b.uses[string(h)] = struct{}{}
	}
	if !b.writing && time.Since(b.written) >= usesWritten {
		b.writing = true
		select {
		case <-b.closed:
		default:
			b.listing.Go(func() { _ = b.writeUses(b.life) }) // what is lost is no more than noted uses
		}
	}
}

// writeUses writes the noted uses of fetched blocks.
func (b *blockDB) writeUses(ctx context.Context) error {
	b.useMu.Lock()
	uses := slices.Collect(maps.Keys(b.uses))
	b.uses, b.written = nil, time.Now()
	b.useMu.Unlock()
	defer func() {
		b.useMu.Lock()
		defer b.useMu.Unlock()
		b.writing = false
	}()
	now := minute()
	for part := range slices.Chunk(uses, sweepBatch) {
		err := b.ds.write(ctx, func() error {
			return b.change(func(batch *pebble.Batch) error {
				for _, h := range part {
					last, size, ok, err := b.lastUse(multihash.Multihash(h))
					if err != nil {
						return err
					}
					if !ok || last >= now {
						continue
					}
					if err := batch.Set(fetchedKey(multihash.Multihash(h)), place{now, size}.encode(), nil); err != nil {
						return err
					}
				}
				return nil
			})
		})
		if err != nil {
			return err
		}
	}
	return nil
}

// lastUse returns the minute in which a fetched block was last used, and its size.
func (b *blockDB) lastUse(h multihash.Multihash) (last, size uint64, ok bool, err error) {
	v, done, err := b.db.Get(fetchedKey(h))
	if errors.Is(err, pebble.ErrNotFound) {
		return 0, 0, false, nil
	}
	if err != nil {
		return 0, 0, false, err
	}
	last, size, err = twoNumbers(v)
	return last, size, err == nil, errors.Join(err, done.Close())
}

// fetched calls f with each fetched block, in the order of the hashes.
func (b *blockDB) fetched(ctx context.Context, f func(h multihash.Multihash, last, size uint64) error) error {
	leave, err := b.ds.enter()
	if err != nil {
		return err
	}
	defer leave()
	iter, err := b.db.NewIterWithContext(ctx, &pebble.IterOptions{LowerBound: []byte{fetchedKeys}, UpperBound: []byte{fetchedKeys + 1}})
	if err != nil {
		return err
	}
	for ok := iter.First(); ok; ok = iter.Next() {
		v, err := iter.ValueAndErr()
		var last, size uint64
		if err == nil {
			last, size, err = twoNumbers(v)
		}
		if err = cmp.Or(err, ctx.Err()); err == nil {
			err = f(iter.Key()[1:], last, size)
		}
		if err != nil {
			return errors.Join(err, iter.Close())
		}
	}
	return iter.Close()
}

// Leave is what a collection leaves though nothing needs it. The zero value leaves nothing.
type Leave struct {
	// Fetched is how many bytes of blocks stay that came from other nodes: those that were used last.
	Fetched uint64
	// Rest leaves all blocks that did not come from others.
	Rest bool
}

// leaving decides which blocks stay though nothing needs them.
type leaving struct {
	*blockDB
	rest  bool
	after uint64 // minute: what was used later stays,
	bound []byte // and of that minute, hashes before this one
}

// leave prepares a collection. What is needed is no longer a cache: its notes go.
func (b *blockDB) leave(ctx context.Context, l Leave, needed func(multihash.Multihash) bool) (*leaving, error) {
	if l == (Leave{}) {
		return nil, nil
	}
	if err := b.writeUses(ctx); err != nil {
		return nil, err
	}
	of := map[uint64]uint64{} // bytes by minute
	var gone []multihash.Multihash
	drop := func() error {
		defer func() { gone = gone[:0] }()
		return b.free(ctx, func() error {
			return b.change(func(batch *pebble.Batch) (err error) {
				for _, h := range gone {
					err = errors.Join(err, batch.Delete(fetchedKey(h), nil))
				}
				return err
			})
		})
	}
	err := b.fetched(ctx, func(h multihash.Multihash, last, size uint64) error {
		if !needed(h) {
			of[last] += size
			return nil
		}
		if gone = append(gone, slices.Clone(h)); len(gone) < sweepBatch {
			return nil
		}
		return drop()
	})
	if err = errors.Join(err, drop()); err != nil {
		return nil, err
	}
	w := &leaving{blockDB: b, rest: l.Rest}
	room := l.Fetched
	for _, m := range slices.Backward(slices.Sorted(maps.Keys(of))) {
		if of[m] > room {
			w.after = m
			break
		}
		room -= of[m]
	}
	return w, b.fetched(ctx, func(h multihash.Multihash, last, size uint64) error {
		if last != w.after || w.bound != nil || needed(h) {
			return nil
		}
		if size > room {
			w.bound = slices.Clone(h)
			return nil
		}
		room -= size
		return nil
	})
}

// leaves reports whether a block stays that nothing needs.
func (l *leaving) leaves(h multihash.Multihash) bool {
	if l == nil {
		return false
	}
	last, _, ok, err := l.lastUse(h)
	if err != nil || !ok {
		return l.rest
	}
	return last > l.after || last == l.after && bytes.Compare(h, l.bound) < 0
}

// Fetched returns how many bytes of blocks are here that came from other nodes, but for what the last collection found to
// be needed.
func (s *Store) Fetched(ctx context.Context) (n uint64, err error) {
	err = s.stored.fetched(ctx, func(_ multihash.Multihash, _, size uint64) error { n += size; return nil })
	return n, err
}

// FetchedMuch returns a channel that says when it is time to compare [Store.Fetched] with [Options].CacheMax.
func (s *Store) FetchedMuch() <-chan struct{} { return s.stored.fetchedMuch }
