package content

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"log/slog"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/cockroachdb/pebble/v2"
	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/ipfs/boxo/blockstore"
	"github.com/ipfs/boxo/datastore/dshelp"
	blocks "github.com/ipfs/go-block-format"
	"github.com/ipfs/go-cid"
	"github.com/ipfs/go-datastore"
	ipld "github.com/ipfs/go-ipld-format"
	"github.com/multiformats/go-multihash"
)

// blockDB holds blocks, in packs or loose. A block that is in it is found at any time, also while it is moved from one
// pack to another. A write is durable after the next sync of the database's log.
type blockDB struct {
	db       *pebble.DB
	fs       vfs.FS
	dir      string  // of db
	ds       *shared // runs reads and writes until it is closed
	free     Writes  // runs what frees space
	provider Provider
	log      *slog.Logger

	packBytes, looseBytes int // the constants of these names, but in tests

	mu    sync.Mutex          // held while the index or a loose block changes; guards the rest
	last  uint64              // the highest number of a pack, once
	begun map[uint64]struct{} // packs that are being written: by a write on a full disk perhaps for long, when nobody waits

	numbered bool // last is known

	deleted atomic.Uint64 // blocks since the start

	cacheMax    uint64 // bytes of fetched blocks; 0: any number
	anyFetched  atomic.Bool
	sinceLook   atomic.Uint64 // bytes fetched
	fetchedMuch chan struct{}
	useMu       sync.Mutex          // guards what follows
	uses        map[string]struct{} // hashes of blocks that were read
	writing     bool                // of uses
	written     time.Time           // when uses were
	life        context.Context     // of what writes uses
	end         context.CancelFunc

	closed  chan struct{}
	listing sync.WaitGroup // by AllKeysChan
}

var _ blockstore.Blockstore = (*blockDB)(nil)

func openBlocks(ctx context.Context, o Options, ds *shared, log *slog.Logger) (*blockDB, error) {
	b := &blockDB{
		db: o.DB, fs: o.FS, dir: o.Dir, ds: ds, free: o.Freeing, log: log, begun: map[uint64]struct{}{}, closed: make(chan struct{}),
		packBytes: packBytes, looseBytes: looseBytes, cacheMax: o.CacheMax, fetchedMuch: make(chan struct{}, 1), written: time.Now(),
	}
	b.life, b.end = context.WithCancel(context.WithoutCancel(ctx))
	if o.Provider != nil && o.Strategy.All {
		b.provider = o.Provider
	}
	if b.fs == nil {
		b.fs = vfs.Default
	}
	ds.free = b.free
	if b.free == nil {
		b.free = func(_ context.Context, write func() error) error { return write() }
	}
	if b.db.FormatMajorVersion() < pebble.FormatVirtualSSTables {
		if err := b.db.RatchetFormatMajorVersion(pebble.FormatVirtualSSTables); err != nil {
			return nil, fmt.Errorf("ready the database for packs of blocks: %w", err)
		}
	}
	err := b.fetched(ctx, func(multihash.Multihash, uint64, uint64) error {
		b.anyFetched.Store(true)
		return errStop
	})
	if err != nil && !errors.Is(err, errStop) {
		return nil, fmt.Errorf("look for fetched blocks: %w", err)
	}
	// What a crash has left costs space, and nothing else: the disk may be full.
	if err := errors.Join(b.removeNew(), b.clean(ctx)); err != nil {
		log.Warn("what a crash has left of blocks stays for now", "err", err)
	}
	return b, nil
}

// close ends listings.
func (b *blockDB) close() {
	b.end()
	b.useMu.Lock()
	close(b.closed)
	b.useMu.Unlock()
	b.listing.Wait()
}

func looseKey(h multihash.Multihash) []byte {
	return []byte("/blocks" + dshelp.MultihashToDsKey(h).String())
}

// find calls found with a block, which is valid until found returns. A block is moved in this order: it is in its new
// pack, then the index leads there, then it goes from where it was. So who misses it where it was looks again.
func (b *blockDB) find(c cid.Cid, found func([]byte) error) error {
	leave, err := b.ds.enter()
	if err != nil {
		return err
	}
	defer leave()
	h := c.Hash()
	missed := uint64(0) // the pack in which it was missed last; none has this number
	for {
		at, ok, err := b.place(h)
		if err != nil {
			return fmt.Errorf("look for block %s: %w", c, err)
		}
		key := looseKey(h)
		if ok = ok && at.pack != missed; ok {
			key, missed = packKey(at.pack, h), at.pack
		}
		v, done, err := b.db.Get(key)
		switch {
		case err == nil:
			return errors.Join(found(v), done.Close())
		case !errors.Is(err, pebble.ErrNotFound):
			return fmt.Errorf("read block %s: %w", c, err)
		case ok:
			continue
		}
		// It is not loose any more, but may be in a pack now.
		if at, ok, err = b.place(h); err != nil {
			return fmt.Errorf("look for block %s: %w", c, err)
		}
		if !ok || at.pack == missed {
			return ipld.ErrNotFound{Cid: c}
		}
	}
}

// Get implements [blockstore.Blockstore].
func (b *blockDB) Get(ctx context.Context, c cid.Cid) (blocks.Block, error) {
	if !c.Defined() {
		return nil, ipld.ErrNotFound{Cid: c}
	}
	var data []byte
	if err := b.find(c, func(v []byte) error { data = append([]byte(nil), v...); return nil }); err != nil {
		return nil, err
	}
	b.noteUse(ctx, c.Hash())
	return blocks.NewBlockWithCid(data, c)
}

// View implements [blockstore.Viewer].
func (b *blockDB) View(ctx context.Context, c cid.Cid, found func([]byte) error) error {
	if !c.Defined() {
		return ipld.ErrNotFound{Cid: c}
	}
	b.noteUse(ctx, c.Hash())
	return b.find(c, found)
}

// GetSize implements [blockstore.Blockstore].
func (b *blockDB) GetSize(_ context.Context, c cid.Cid) (int, error) {
	if !c.Defined() {
		return -1, ipld.ErrNotFound{Cid: c}
	}
	leave, err := b.ds.enter()
	if err != nil {
		return -1, err
	}
	at, ok, err := b.place(c.Hash())
	leave()
	if err != nil {
		return -1, fmt.Errorf("look for block %s: %w", c, err)
	}
	if ok {
		return int(at.size), nil
	}
	size := -1
	err = b.find(c, func(v []byte) error { size = len(v); return nil })
	return size, err
}

// Has implements [blockstore.Blockstore].
func (b *blockDB) Has(_ context.Context, c cid.Cid) (bool, error) {
	if !c.Defined() {
		return false, nil
	}
	leave, err := b.ds.enter()
	if err != nil {
		return false, err
	}
	defer leave()
	return b.has(c.Hash())
}

func (b *blockDB) has(h multihash.Multihash) (bool, error) {
	_, ok, err := b.place(h)
	if ok || err != nil {
		return ok, err
	}
	_, done, err := b.db.Get(looseKey(h))
	if err == nil {
		return true, done.Close()
	}
	if !errors.Is(err, pebble.ErrNotFound) {
		return false, err
	}
	_, ok, err = b.place(h) // it may have been moved into a pack meanwhile
	return ok, err
}

// Put implements [blockstore.Blockstore].
func (b *blockDB) Put(ctx context.Context, block blocks.Block) error {
	return b.PutMany(ctx, []blocks.Block{block})
}

// PutMany implements [blockstore.Blockstore]: it stores blocks loose, if they are not here.
func (b *blockDB) PutMany(ctx context.Context, list []blocks.Block) error {
	return b.put(ctx, list, false)
}

func (b *blockDB) put(ctx context.Context, list []blocks.Block, fetched bool) error {
	err := b.ds.write(ctx, func() error {
		return b.change(func(batch *pebble.Batch) error {
			for _, block := range list {
				h := block.Cid().Hash()
				has, err := b.has(h)
				if err != nil {
					return err
				}
				if has {
					continue
				}
				if err := batch.Set(looseKey(h), block.RawData(), nil); err != nil {
					return err
				}
				if !fetched {
					continue
				}
				if err := b.noteFetched(batch, block); err != nil {
					return err
				}
			}
			return nil
		})
	})
	if err != nil {
		return fmt.Errorf("store blocks: %w", err)
	}
	b.announce(list)
	return nil
}

// announce queues stored blocks to be announced, if all are.
func (b *blockDB) announce(list []blocks.Block) {
	if b.provider == nil {
		return
	}
	hashes := make([]multihash.Multihash, len(list))
	for i, block := range list {
		hashes[i] = block.Cid().Hash()
	}
	if err := b.provider.StartProviding(false, hashes...); err != nil {
		b.log.Warn("stored blocks are not announced before the next round", "blocks", len(hashes), "err", err)
	}
}

// DeleteBlock implements [blockstore.Blockstore]. The space of a block in a pack is freed by the next collection.
func (b *blockDB) DeleteBlock(ctx context.Context, c cid.Cid) error {
	if !c.Defined() {
		return nil
	}
	err := b.deleting(ctx, func(begin func() error) error {
		leave, err := b.ds.enter()
		if err != nil {
			return err
		}
		leave()
		defer b.deleted.Add(1) // after it
		return b.change(func(batch *pebble.Batch) error { return errors.Join(begin(), forget(batch, c.Hash())) })
	}, func() error { return nil })
	if err != nil {
		return fmt.Errorf("delete block %s: %w", c, err)
	}
	return nil
}

var errLate = errors.New("nobody waits for it any more")

// deleting runs a write that deletes blocks, and what comes after it, by free. That may return an error before the write
// has ended, and its caller then lets others go on, who may come to need what it would delete. So the write calls begin
// in the change that deletes: when deleting returns, that has happened, or never will.
func (b *blockDB) deleting(ctx context.Context, write func(begin func() error) error, after func() error) error {
	var begun atomic.Bool // or too late
	written := make(chan struct{})
	err := b.free(ctx, func() error {
		err := write(func() error {
			if !begun.CompareAndSwap(false, true) {
				return errLate
			}
			return nil
		})
		close(written)
		if err != nil {
			return err
		}
		return after()
	})
	if err != nil && !begun.CompareAndSwap(false, true) {
		<-written
	}
	return err
}

func forget(batch *pebble.Batch, h multihash.Multihash) error {
	return errors.Join(batch.Delete(indexKey(h), nil), batch.Delete(looseKey(h), nil), batch.Delete(fetchedKey(h), nil))
}

// all yields the hashes of all blocks, valid until the next: those in packs first, in their order.
func (b *blockDB) all(ctx context.Context) iter.Seq2[multihash.Multihash, error] {
	return func(yield func(multihash.Multihash, error) bool) {
		leave, err := b.ds.enter()
		if err != nil {
			yield(nil, err)
			return
		}
		leave() // what lists has ended before the database is closed
		// Blocks are moved from loose ones into packs only, so what is in neither is not here.
		loose, err := b.db.NewIterWithContext(ctx, &pebble.IterOptions{LowerBound: blockKeys[0], UpperBound: blockKeys[1]})
		if err != nil {
			yield(nil, err)
			return
		}
		defer loose.Close()
		index, err := b.db.NewIterWithContext(ctx, &pebble.IterOptions{LowerBound: []byte{indexKeys}, UpperBound: []byte{indexKeys + 1}})
		if err != nil {
			yield(nil, err)
			return
		}
		defer index.Close()
		for ok := index.First(); ok; ok = index.Next() {
			if !yield(index.Key()[1:], ctx.Err()) || ctx.Err() != nil {
				return
			}
		}
		for ok := loose.First(); ok; ok = loose.Next() {
			h, err := dshelp.BinaryFromDsKey(datastore.RawKey(string(loose.Key()[len(looseKeys)-1:])))
			if err != nil {
				continue // nothing of ours
			}
			if ok = index.SeekGE(indexKey(h)); ok && string(index.Key()[1:]) == string(h) {
				continue
			}
			if !yield(h, ctx.Err()) || ctx.Err() != nil {
				return
			}
		}
		if err := errors.Join(index.Error(), loose.Error(), ctx.Err()); err != nil {
			yield(nil, err)
		}
	}
}

// AllKeysChan implements [blockstore.Blockstore]. An error ends it early, and is logged.
func (b *blockDB) AllKeysChan(ctx context.Context) (<-chan cid.Cid, error) {
	all := make(chan cid.Cid)
	b.listing.Go(func() {
		defer close(all)
		for h, err := range b.all(ctx) {
			if err != nil {
				if ctx.Err() == nil {
					b.log.Warn("not all blocks could be listed", "err", err)
				}
				return
			}
			select {
			case all <- cid.NewCidV1(cid.Raw, slices.Clone(h)):
			case <-ctx.Done():
				return
			case <-b.closed:
				return
			}
		}
	})
	return all, nil
}
