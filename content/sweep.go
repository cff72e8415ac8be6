package content

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/cockroachdb/pebble/v2"
	"github.com/ipfs/boxo/datastore/dshelp"
	blocks "github.com/ipfs/go-block-format"
	"github.com/ipfs/go-cid"
	"github.com/ipfs/go-datastore"
	"github.com/multiformats/go-multihash"
)

const (
	sweepBatch  = 4096     // blocks deleted in one step
	loosePart   = 128      // times looseBytes of loose blocks are looked at before their space is given back
	compactRoom = 32 << 20 // bytes that must be free, besides those that are written again, to give space back
	smallPacks  = 8        // so many packs with less than a quarter of what one may have are written as one
)

// sweeper deletes the blocks that do not stay, and gives their space back. What frees most for the least comes first, so
// that it works on a full disk: packs of which nothing stays, then single blocks, in packs and loose, then packs of which
// less than half does, whose rest is written again. Then loose blocks that stay move into packs.
//
// Nothing may be packed meanwhile. Blocks may be read at any time, and loose ones be stored.
type sweeper struct {
	*blockDB
	ctx   context.Context
	stays func(multihash.Multihash) bool
	yield func(Garbage) bool

	gone    []multihash.Multihash // deleted in the step at hand
	drained []uint64              // packs that the step at hand takes out of use
	moved   load                  // to be written into a new pack
	failed  bool                  // something that should go did not
	owed    bool                  // there was no room to give back the space of loose blocks
}

func (w *sweeper) run() error {
	if err := w.clean(w.ctx); err != nil {
		return err
	}
	used, err := w.used()
	if err != nil {
		return err
	}
	alive, err := w.tally()
	if err != nil {
		return err
	}
	var small, sparse []uint64
	for _, p := range used {
		switch left := alive[p.number]; {
		case left == 0:
			if err := w.dead(p.number); err != nil {
				return err
			}
		case left <= p.bytes/2:
			sparse = append(sparse, p.number)
		case p.bytes < uint64(w.packBytes/4) && p.blocks < packBlocks/4:
			small = append(small, p.number)
		}
	}
	if len(small) >= smallPacks {
		sparse = append(sparse, small...)
	}
	for _, f := range []func() error{func() error { return w.step(nil) }, w.single, func() error { return w.loose(false) }} {
		if err := f(); err != nil {
			return err
		}
	}
	for _, pack := range sparse {
		if err := w.empty(pack); err != nil {
			return err
		}
	}
	if err := w.move(); err != nil {
		return err
	}
	if err := w.loose(true); err != nil {
		return err
	}
	if w.failed {
		return ErrGCIncomplete
	}
	return nil
}

// tally returns how many bytes of each pack stay, one more for each block.
func (w *sweeper) tally() (map[uint64]uint64, error) {
	alive := map[uint64]uint64{}
	return alive, w.index(func(h multihash.Multihash, at place) error {
		if w.stays(h) {
			alive[at.pack] += at.size + 1
		}
		return nil
	})
}

// index calls f with each block in the index.
func (w *sweeper) index(f func(multihash.Multihash, place) error) error {
	iter, err := w.db.NewIterWithContext(w.ctx, &pebble.IterOptions{LowerBound: []byte{indexKeys}, UpperBound: []byte{indexKeys + 1}})
	if err != nil {
		return err
	}
	for ok := iter.First(); ok; ok = iter.Next() {
		v, err := iter.ValueAndErr()
		var at place
		if err == nil {
			at.pack, at.size, err = twoNumbers(v)
		}
		if err == nil {
			err = f(iter.Key()[1:], at)
		}
		if err == nil {
			err = w.ctx.Err()
		}
		if err != nil {
			return errors.Join(err, iter.Close())
		}
	}
	return iter.Close()
}

// in returns the blocks that the index has in a pack.
func (w *sweeper) in(pack uint64) (list []multihash.Multihash, err error) {
	contents, err := w.contents(pack)
	if err != nil { // damaged: the index knows, too
		return list, w.index(func(h multihash.Multihash, at place) error {
			if at.pack == pack {
				list = append(list, slices.Clone(h))
			}
			return nil
		})
	}
	for _, p := range contents {
		at, ok, err := w.place(p.hash)
		if err != nil {
			return nil, err
		}
		if ok && at.pack == pack {
			list = append(list, p.hash)
		}
	}
	return list, nil
}

// dead takes a pack of which nothing stays out of use.
func (w *sweeper) dead(pack uint64) error {
	list, err := w.in(pack)
	if err != nil {
		return err
	}
	w.gone = append(w.gone, list...)
	w.drained = append(w.drained, pack)
	if len(w.gone) < sweepBatch {
		return nil
	}
	return w.step(nil)
}

// single deletes single blocks of packs.
func (w *sweeper) single() error {
	err := w.index(func(h multihash.Multihash, _ place) error {
		if w.stays(h) {
			return nil
		}
		if w.gone = append(w.gone, slices.Clone(h)); len(w.gone) < sweepBatch {
			return nil
		}
		return w.step(nil)
	})
	return errors.Join(err, w.step(nil))
}

// empty moves what a pack still has into a new one. Nothing in it is garbage any more.
func (w *sweeper) empty(pack uint64) error {
	list, err := w.in(pack)
	if err != nil {
		return err
	}
	whole := true
	for _, h := range list {
		data, err := w.get(packKey(pack, h))
		if err == nil {
			err = w.take(h, data)
		} else if w.ctx.Err() == nil {
			// The pack stays, with its damage.
			whole, w.failed = false, true
			err = w.tell(Garbage{Err: fmt.Errorf("could not move %s: %w", cid.NewCidV1(cid.Raw, h), err)})
		}
		if err != nil {
			return err
		}
	}
	if whole {
		w.drained = append(w.drained, pack)
	}
	return nil
}

// take has a block moved.
func (w *sweeper) take(h multihash.Multihash, data []byte) error {
	if n := len(w.moved.list); n > 0 && (w.moved.bytes+len(data) > w.packBytes || n >= packBlocks) {
		if err := w.move(); err != nil {
			return err
		}
	}
	b, err := blocks.NewBlockWithCid(data, cid.NewCidV1(cid.Raw, h))
	w.moved.list, w.moved.bytes = append(w.moved.list, b), w.moved.bytes+len(data)
	return err
}

// move writes what is to be moved into a new pack, and drops the packs from which all has been moved.
func (w *sweeper) move() error {
	if err := w.ctx.Err(); err != nil {
		return err
	}
	list := w.moved.list
	w.moved = load{}
	if len(list) == 0 {
		return w.step(nil)
	}
	slices.SortFunc(list, func(a, b blocks.Block) int { return bytes.Compare(a.Cid().Hash(), b.Cid().Hash()) })
	return w.step(list)
}

// step does what was collected: it writes the blocks of list into a new pack, to which the index then leads, deletes
// what is gone, and takes drained packs out of use. Then their space is free.
func (w *sweeper) step(list []blocks.Block) error {
	if len(list)+len(w.gone)+len(w.drained) == 0 {
		return nil
	}
	gone, drained := w.gone, w.drained
	w.gone, w.drained = nil, nil
	ctx := context.WithoutCancel(w.ctx) // what has begun ends
	err := w.deleting(ctx, func(begin func() error) error {
		defer w.deleted.Add(uint64(len(gone))) // after it
		if len(list) == 0 {
			return w.change(func(batch *pebble.Batch) error { return errors.Join(begin(), w.drop(batch, gone, drained)) })
		}
		_, err := w.writePack(ctx, list, func(batch *pebble.Batch, pack uint64) error {
			return errors.Join(begin(), w.point(batch, list, pack), w.drop(batch, gone, drained))
		})
		return err
	}, func() error {
		if err := w.db.LogData(nil, pebble.Sync); err != nil {
			return err
		}
		// Here a crash leaves packs that are not in use.
		return w.excise(ctx, drained)
	})
	if err != nil {
		return err
	}
	for _, h := range gone {
		if err := w.tell(Garbage{CID: cid.NewCidV1(cid.Raw, h)}); err != nil {
			return err
		}
	}
	return nil
}

// point leads the index to the new pack of moved blocks, unless they were deleted meanwhile.
func (w *sweeper) point(batch *pebble.Batch, list []blocks.Block, pack uint64) error {
	for _, b := range list {
		h := b.Cid().Hash()
		has, err := w.has(h)
		if err == nil && has {
			err = errors.Join(batch.Delete(looseKey(h), nil), batch.Set(indexKey(h), place{pack, uint64(len(b.RawData()))}.encode(), nil))
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// drop deletes blocks, and takes packs out of use.
func (w *sweeper) drop(batch *pebble.Batch, gone []multihash.Multihash, drained []uint64) (err error) {
	for _, h := range gone {
		err = errors.Join(err, forget(batch, h))
	}
	for _, pack := range drained {
		err = errors.Join(err, batch.Delete(usedKey(pack), nil))
	}
	return err
}

// tell yields to the consumer.
func (w *sweeper) tell(g Garbage) error {
	if !w.yield(g) {
		return errStop
	}
	return nil
}

// loose deletes the loose blocks that do not stay or, with move, moves those that do into packs if they are enough for
// one. It does so in parts, and gives back the space of each, so that it never takes much more than before.
func (w *sweeper) loose(move bool) error {
	for from := blockKeys[0]; from != nil; {
		next, kept, changed, err := w.part(from, move)
		if err == nil && w.moved.bytes >= w.looseBytes {
			changed, err = true, w.move()
		}
		if err == nil {
			err = w.step(nil)
		}
		if err == nil && (changed || move && w.owed) {
			err = w.compact(from, next, kept)
		}
		if err != nil {
			return err
		}
		from = next
	}
	return nil
}

// compact gives back the space of deleted loose blocks from a key on to another; nil: to the end. Those that are kept there
// are written again. Without space for that, the whole database would wait for some: then it is done later.
func (w *sweeper) compact(from, to []byte, kept int) error {
	if to == nil {
		to = blockKeys[1]
	}
	if u, err := w.fs.GetDiskUsage(w.dir); err == nil && u.AvailBytes < 2*uint64(kept)+compactRoom {
		w.owed = true
		return nil
	}
	return w.free(w.ctx, func() error { return w.db.Compact(context.WithoutCancel(w.ctx), from, to, true) })
}

// part is loose for the blocks from a key on. It returns the key of the next part; nil: there is none. The bytes that are
// kept are those of blocks that stay loose.
func (w *sweeper) part(from []byte, move bool) (next []byte, kept int, changed bool, err error) {
	iter, err := w.db.NewIterWithContext(w.ctx, &pebble.IterOptions{LowerBound: from, UpperBound: blockKeys[1]})
	if err != nil {
		return nil, 0, false, err
	}
	size := 0
	for ok := iter.First(); ok && err == nil; ok = iter.Next() {
		if size >= loosePart*w.looseBytes {
			next = bytes.Clone(iter.Key())
			break
		}
		var v []byte
		if v, err = iter.ValueAndErr(); err != nil {
			break
		}
		size += len(v)
		did := false
		did, err = w.looseOne(iter.Key(), v, move)
		changed = changed || did
		if !move && !did {
			kept += len(v)
		}
		err = cmp.Or(err, w.ctx.Err())
	}
	return next, kept, changed, errors.Join(err, iter.Close())
}

// looseOne is loose for one block, and reports whether blocks went.
func (w *sweeper) looseOne(key, value []byte, move bool) (changed bool, err error) {
	h, err := dshelp.BinaryFromDsKey(datastore.RawKey(string(key[len(looseKeys)-1:])))
	if err != nil {
		return false, nil // nothing of ours
	}
	if move {
		if !w.stays(h) { // it came after the others were deleted
			return false, nil
		}
		before := len(w.moved.list)
		err = w.take(h, bytes.Clone(value))
		return len(w.moved.list) <= before, err
	}
	_, packed, err := w.place(h)
	switch {
	case err != nil:
		return false, err
	case packed: // a crash of an earlier version, or two who stored it at once
		return true, w.change(func(batch *pebble.Batch) error { return batch.Delete(looseKey(h), nil) })
	case w.stays(h):
		return false, nil
	}
	if w.gone = append(w.gone, h); len(w.gone) < sweepBatch {
		return true, nil
	}
	return true, w.step(nil)
}
