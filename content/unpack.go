package content

import (
	"context"
	"errors"
	"fmt"
	"log/slog"

	"github.com/cockroachdb/pebble/v2"
	"github.com/ipfs/go-cid"
	"github.com/multiformats/go-multihash"
)

// unpackBytes is how much of a pack is made loose in one step, at most, besides one block.
const unpackBytes = 4 << 20

// Unpack makes all blocks of a database loose, for programs that know no packs: it takes each out of its pack, then drops
// the pack. No [Store] may be open over the database. It stops at a block that cannot be read. Whenever it stops or the
// machine dies, all blocks are in their packs or loose, where a Store finds them, and Unpack goes on from there.
func Unpack(ctx context.Context, o Options, tell func(packs, of int)) error {
	ds, err := openShared(o.DB, o.Writes)
	if err != nil {
		return err
	}
	b, err := openBlocks(ctx, o, ds, slog.New(slog.DiscardHandler))
	if err != nil {
		return err
	}
	defer b.close()
	packs, err := b.used()
	if err != nil {
		return fmt.Errorf("list the packs of blocks: %w", err)
	}
	w := &sweeper{blockDB: b, ctx: ctx}
	for i, p := range packs {
		tell(i, len(packs))
		if err := w.unpack(p.number); err != nil {
			return err
		}
	}
	if err := w.index(func(h multihash.Multihash, _ place) error {
		return fmt.Errorf("block %s is in no pack: %w", cid.NewCidV1(cid.Raw, h), errIndex)
	}); err != nil {
		return err
	}
	// What was fetched from others is content as any other to whom does not know the cache.
	return w.sync(func(batch *pebble.Batch) error {
		return batch.DeleteRange([]byte{fetchedKeys}, []byte{fetchedKeys + 1}, nil)
	})
}

// unpack makes the blocks of a pack loose, and drops it.
func (w *sweeper) unpack(pack uint64) error {
	list, err := w.in(pack)
	if err != nil {
		return fmt.Errorf("list the blocks of pack %d: %w", pack, err)
	}
	for len(list) > 0 {
		if err := w.ctx.Err(); err != nil {
			return err
		}
		err := w.sync(func(batch *pebble.Batch) error {
			for bytes := 0; len(list) > 0 && bytes < unpackBytes; list = list[1:] {
				h := list[0]
				data, err := w.get(packKey(pack, h))
				if err != nil {
					return fmt.Errorf("read block %s of pack %d: %w", cid.NewCidV1(cid.Raw, h), pack, err)
				}
				bytes += len(data)
				if err := errors.Join(batch.Set(looseKey(h), data, nil), batch.Delete(indexKey(h), nil)); err != nil {
					return err
				}
			}
			return nil
		})
		if err != nil {
			return err
		}
	}
	if err := w.sync(func(batch *pebble.Batch) error { return batch.Delete(usedKey(pack), nil) }); err != nil {
		return err
	}
	// Here a crash leaves a pack that is not in use, which the next start drops. Who drops it
	// does not wait for a full disk.
	return w.free(w.ctx, func() error { return w.excise(context.WithoutCancel(w.ctx), []uint64{pack}) })
}

// sync makes a change, and makes it durable.
func (w *sweeper) sync(f func(*pebble.Batch) error) error {
	return w.ds.write(w.ctx, func() error {
		return errors.Join(w.change(f), w.db.LogData(nil, pebble.Sync))
	})
}
