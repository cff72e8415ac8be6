package content

import (
	"bytes"
	"cmp"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io/fs"
	"slices"
	"strings"

	"github.com/cockroachdb/pebble/v2"
	"github.com/cockroachdb/pebble/v2/bloom"
	"github.com/cockroachdb/pebble/v2/objstorage/objstorageprovider"
	"github.com/cockroachdb/pebble/v2/sstable"
	"github.com/cockroachdb/pebble/v2/vfs"
	blocks "github.com/ipfs/go-block-format"
	"github.com/multiformats/go-multihash"
)

// Keys of blocks in the database. A pack is a table that was written here and that Pebble has taken as it is. Since its
// keys begin with a number that no other pack has, and those of packs come before all others, no other table overlaps
// it: it is never written again, and goes as a whole.
//
//	! pack multihash    the block
//	! pack              contents: which blocks the pack was written with
//	# multihash         index: the pack that has the block, and the size of the block
//	$ pack              the pack is in use: how many blocks it was written with, and their bytes
//	/blocks/MULTIHASH   a loose block, in base32: one that came alone, or before there were packs
//
// Invariant: the index leads to a block that is there. So a pack is durable before the index has it, and goes after the
// index has no more of it, which are two steps; a pack without its key in $ is what a crash between them has left.
const (
	packKeys  = '!'
	indexKeys = '#'
	usedKeys  = '$'
	looseKeys = "/blocks/"
)

const (
	packBytes  = 16 << 20 // of the blocks of a pack, at most, unless one block is larger
	packBlocks = 1 << 14  // in a pack, at most
	looseBytes = 1 << 20  // of blocks that are stored at once: with fewer they stay loose

	leastBlocks = 1 << 10 // to which a config may bound the blocks of a pack
)

func packKey(pack uint64, h multihash.Multihash) []byte {
	k := binary.BigEndian.AppendUint64(append(make([]byte, 0, 9+len(h)), packKeys), pack)
	return append(k, h...)
}

func indexKey(h multihash.Multihash) []byte {
	return append(append(make([]byte, 0, 1+len(h)), indexKeys), h...)
}

func usedKey(pack uint64) []byte { return binary.BigEndian.AppendUint64([]byte{usedKeys}, pack) }

// place is where a block is, as the index says.
type place struct {
	pack uint64
	size uint64
}

func (p place) encode() []byte {
	return binary.AppendUvarint(binary.AppendUvarint(nil, p.pack), p.size)
}

var errIndex = errors.New("the index of blocks is damaged")

// twoNumbers decodes values of the index and of packs in use.
func twoNumbers(b []byte) (x, y uint64, err error) {
	x, n := binary.Uvarint(b)
	if n <= 0 {
		return 0, 0, errIndex
	}
	y, m := binary.Uvarint(b[n:])
	if m <= 0 || n+m != len(b) {
		return 0, 0, errIndex
	}
	return x, y, nil
}

// packed is a block in the contents of a pack.
type packed struct {
	hash multihash.Multihash
	size uint64
}

func encodeContents(list []blocks.Block) []byte {
	var b []byte
	for _, block := range list {
		h := block.Cid().Hash()
		b = binary.AppendUvarint(b, uint64(len(h)))
		b = append(b, h...)
		b = binary.AppendUvarint(b, uint64(len(block.RawData())))
	}
	return b
}

// contents returns the blocks that a pack was written with.
func (b *blockDB) contents(pack uint64) ([]packed, error) {
	v, err := b.get(packKey(pack, nil))
	if err != nil {
		return nil, fmt.Errorf("read the contents of pack %d: %w", pack, err)
	}
	var all []packed
	for len(v) > 0 {
		length, n := binary.Uvarint(v)
		if n <= 0 || length > uint64(len(v)-n) {
			return nil, fmt.Errorf("read the contents of pack %d: %w", pack, errIndex)
		}
		h := v[n : n+int(length)]
		v = v[n+int(length):]
		size, n := binary.Uvarint(v)
		if n <= 0 {
			return nil, fmt.Errorf("read the contents of pack %d: %w", pack, errIndex)
		}
		v = v[n:]
		all = append(all, packed{h, size})
	}
	return all, nil
}

// get reads a value; [pebble.ErrNotFound] if there is none.
func (b *blockDB) get(key []byte) ([]byte, error) {
	v, done, err := b.db.Get(key)
	if err != nil {
		return nil, err
	}
	return bytes.Clone(v), done.Close()
}

// place returns where the index has a block.
func (b *blockDB) place(h multihash.Multihash) (p place, ok bool, err error) {
	v, done, err := b.db.Get(indexKey(h))
	if errors.Is(err, pebble.ErrNotFound) {
		return place{}, false, nil
	}
	if err != nil {
		return place{}, false, err
	}
	p.pack, p.size, err = twoNumbers(v)
	return p, err == nil, errors.Join(err, done.Close())
}

// newPack is what the names of tables end with that are not in the database yet.
const newPack = ".pack"

// writePack writes blocks into a pack, and enters them into the index, or what index says. The blocks are sorted, each
// once. The pack is durable when it returns, its index after the next sync of the log.
func (b *blockDB) writePack(ctx context.Context, list []blocks.Block, index func(batch *pebble.Batch, pack uint64) error) (pack uint64, err error) {
	if pack, err = b.begin(); err != nil {
		return 0, fmt.Errorf("find the last pack of blocks: %w", err)
	}
	defer b.ended(pack)
	name := b.fs.PathJoin(b.dir, fmt.Sprintf("%d%s", pack, newPack))
	if err := b.writeTable(name, pack, list); err != nil {
		return 0, errors.Join(fmt.Errorf("write a pack of blocks: %w", err), b.remove(name))
	}
	// Here a crash leaves a file, which the next start removes.
	if err := b.db.Ingest(ctx, []string{name}); err != nil {
		return 0, errors.Join(fmt.Errorf("take a pack of blocks into the database: %w", err), b.remove(name))
	}
	// Here it leaves a pack that is not in use, which the next start drops.
	return pack, b.change(func(batch *pebble.Batch) error {
		bytes := uint64(0)
		for _, block := range list {
			size := uint64(len(block.RawData()))
			bytes += size
			if index == nil {
				if err := batch.Set(indexKey(block.Cid().Hash()), place{pack, size}.encode(), nil); err != nil {
					return err
				}
			}
		}
		used := binary.AppendUvarint(binary.AppendUvarint(nil, uint64(len(list))), bytes)
		if err := batch.Set(usedKey(pack), used, nil); err != nil || index == nil {
			return err
		}
		return index(batch, pack)
	})
}

// begin returns the number of a new pack, which is not taken for a leftover until ended.
func (b *blockDB) begin() (uint64, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if !b.numbered { // a number that is used twice would make one pack of two
		if _, err := b.unused(); err != nil {
			return 0, err
		}
	}
	b.last++
	b.begun[b.last] = struct{}{}
	return b.last, nil
}

func (b *blockDB) ended(pack uint64) {
	b.mu.Lock()
	defer b.mu.Unlock()
	delete(b.begun, pack)
}

// remove removes a file, if it is there.
func (b *blockDB) remove(name string) error {
	if err := b.fs.Remove(name); !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return nil
}

// writeTable writes the table of a pack, and syncs it.
func (b *blockDB) writeTable(name string, pack uint64, list []blocks.Block) error {
	// A crash may have left the file, which is then perhaps one with a table of the database.
	if err := b.remove(name); err != nil {
		return err
	}
	f, err := b.fs.Create(name, vfs.WriteCategoryUnspecified)
	if err != nil {
		return err
	}
	w := sstable.NewWriter(objstorageprovider.NewFileWritable(f), sstable.WriterOptions{
		// Blocks are larger than what compresses well together, and most are compressed already.
		Compression:  sstable.NoCompression,
		FilterPolicy: bloom.FilterPolicy(10),
		TableFormat:  sstable.TableFormatPebblev4,
		BlockSize:    32 << 10,
	})
	err = w.Set(packKey(pack, nil), encodeContents(list))
	for _, block := range list {
		if err == nil {
			err = w.Set(packKey(pack, block.Cid().Hash()), block.RawData())
		}
	}
	return errors.Join(err, w.Close())
}

// change changes the index, and what belongs to it, in one step. It is durable after the next sync of the log.
func (b *blockDB) change(f func(*pebble.Batch) error) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	batch := b.db.NewBatch()
	defer batch.Close()
	if err := f(batch); err != nil {
		return err
	}
	if batch.Empty() {
		return nil
	}
	if err := batch.Commit(pebble.NoSync); err != nil {
		return fmt.Errorf("change the index of blocks: %w", err)
	}
	return nil
}

// excise takes packs out of the database, which frees their space as soon as nobody reads them any more. The index must
// not have them, and that must be durable.
func (b *blockDB) excise(ctx context.Context, packs []uint64) error {
	for _, pack := range packs {
		if err := b.db.Excise(ctx, pebble.KeyRange{Start: packKey(pack, nil), End: packKey(pack+1, nil)}); err != nil {
			return fmt.Errorf("drop pack %d: %w", pack, err)
		}
	}
	return nil
}

// used returns the packs in use, in order, with how many blocks each was written with, and their bytes.
func (b *blockDB) used() (packs []usedPack, err error) {
	iter, err := b.db.NewIter(&pebble.IterOptions{LowerBound: []byte{usedKeys}, UpperBound: []byte{usedKeys + 1}})
	if err != nil {
		return nil, err
	}
	for ok := iter.First(); ok; ok = iter.Next() {
		v, err := iter.ValueAndErr()
		if err != nil || len(iter.Key()) != 9 {
			return nil, errors.Join(errIndex, err, iter.Close())
		}
		p := usedPack{number: binary.BigEndian.Uint64(iter.Key()[1:])}
		if p.blocks, p.bytes, err = twoNumbers(v); err != nil {
			return nil, errors.Join(err, iter.Close())
		}
		packs = append(packs, p)
	}
	return packs, iter.Close()
}

// usedPack is a pack in use, and what it was written with.
type usedPack struct{ number, blocks, bytes uint64 }

// unused returns the packs that are in the database and not in use, nor being written: a crash has left them. It reads no
// table. Call with mu held.
func (b *blockDB) unused() (left []uint64, err error) {
	used, err := b.used()
	if err != nil {
		return nil, err
	}
	levels, err := b.db.SSTables(pebble.WithKeyRangeFilter([]byte{packKeys}, []byte{packKeys + 1}))
	if err != nil {
		return nil, err
	}
	if n := len(used); n > 0 {
		b.last = max(b.last, used[n-1].number)
	}
	for _, tables := range levels {
		for _, t := range tables {
			for _, key := range [][]byte{t.Smallest.UserKey, t.Largest.UserKey} {
				if len(key) < 9 || key[0] != packKeys {
					continue
				}
				pack := binary.BigEndian.Uint64(key[1:])
				b.last = max(b.last, pack)
				_, begun := b.begun[pack]
				_, inUse := slices.BinarySearchFunc(used, pack, func(p usedPack, n uint64) int { return cmp.Compare(p.number, n) })
				if !inUse && !begun && !slices.Contains(left, pack) {
					left = append(left, pack)
				}
			}
		}
	}
	b.numbered = true
	return left, nil
}

// clean drops the packs that a crash has left.
func (b *blockDB) clean(ctx context.Context) error {
	return b.free(ctx, func() error { // who holds the lock may wait for a full disk
		b.mu.Lock()
		left, err := b.unused()
		b.mu.Unlock()
		if err != nil {
			return fmt.Errorf("list the packs of blocks: %w", err)
		}
		return b.excise(ctx, left)
	})
}

// removeNew removes the tables that a crash has left before the database had taken them, or just after. Nothing may be
// written yet.
func (b *blockDB) removeNew() error {
	names, err := b.fs.List(b.dir)
	if err != nil {
		return fmt.Errorf("look for new packs that a crash has left: %w", err)
	}
	for _, name := range names {
		if strings.HasSuffix(name, newPack) {
			err = errors.Join(err, b.remove(b.fs.PathJoin(b.dir, name)))
		}
	}
	return err
}
