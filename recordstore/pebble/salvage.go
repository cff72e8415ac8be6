package pebble

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"slices"
	"strconv"
	"strings"

	"github.com/cockroachdb/pebble/v2"
	"github.com/cockroachdb/pebble/v2/batchrepr"
	"github.com/cockroachdb/pebble/v2/objstorage/objstorageprovider"
	"github.com/cockroachdb/pebble/v2/record"
	"github.com/cockroachdb/pebble/v2/sstable"
	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/cockroachdb/pebble/v2/wal"
)

// ErrDamaged means that the database cannot be opened because its list of files, its
// log or a table is damaged. Salvage makes one that opens.
var ErrDamaged = errors.New("the database is damaged")

// damageWords are in errors of Pebble that mean damage and are not marked as such: a
// table that was cut, and a changed file of options.
var damageWords = []string{"object size mismatch", "name from file"}

// asDamage makes an error of opening ErrDamaged if that is what it means. A file that
// the list names and that is not there is damage too.
func asDamage(err error) error {
	isOne := func(words string) bool { return strings.Contains(err.Error(), words) }
	if isDamage(err) || record.IsInvalidRecord(err) || errors.Is(err, os.ErrNotExist) ||
		errors.Is(err, pebble.ErrDBNotPristine) || slices.ContainsFunc(damageWords, isOne) {
		return fmt.Errorf("%w: %w", ErrDamaged, err)
	}
	return err
}

const (
	newSuffix    = ".salvaged" // of the directory that Salvage fills
	oldSuffix    = ".damaged"  // of that which it has read
	asideSuffix  = ".aside"    // see setAside
	tableSuffix  = ".sst"
	salvageBatch = 1 << 20 // bytes per write of Salvage
	sideKey      = 0xff    // the prefix of notes of Salvage: above all other keys
)

// Salvaged says what Salvage did.
type Salvaged struct {
	Old  string // the directory that holds the damaged database now
	Read int    // values that were read
	// Lost are the files of which some or all was unreadable.
	Lost []string
}

// Salvage replaces a damaged database by a new one, with the newest version of each
// value that can still be read from its tables and logs. The damaged one is kept beside
// it, and so are files that were set aside when its list of files broke off: what is
// only in those is read too. What was lost is unknown, so the store in it begins a new generation: nothing is
// signed or announced before others were asked. Nothing else may use the database.
//
// Up to the last step nothing changes but a directory beside it, which the next Salvage
// makes anew.
func Salvage(ctx context.Context, d *Disk, log *slog.Logger) (Salvaged, error) {
	d.use(log)
	s := &salvage{fs: d.fs(), dir: d.Dir}
	done, err := s.run(ctx, d)
	if err != nil {
		return Salvaged{}, fmt.Errorf("salvage the database %s: %w", d.Dir, err)
	}
	return done, nil
}

// salvage is one run of Salvage.
type salvage struct {
	fs     vfs.FS
	dir    string
	disk   *Disk // of the new database
	db     *pebble.DB
	batch  *pebble.Batch
	read   int
	lost   []string
	starts uint64 // of the database, as far as is known
	aside  bool   // the files being read were set aside: others are newer
}

func (s *salvage) run(ctx context.Context, d *Disk) (Salvaged, error) {
	if err := s.fs.RemoveAll(s.dir + newSuffix); err != nil {
		return Salvaged{}, err
	}
	s.disk = &Disk{Dir: s.dir + newSuffix, FS: d.FS, Reserve: d.Reserve}
	db, err := OpenDB(ctx, s.disk, d.log)
	if err != nil {
		return Salvaged{}, err
	}
	s.db, s.batch = db, db.NewIndexedBatch()
	err = s.fill(ctx, s.dir)
	aside := s.exists(s.dir + asideSuffix)
	if err == nil && aside {
		s.aside = true
		err = s.fill(ctx, s.dir+asideSuffix)
	}
	if err == nil {
		err = s.finish(ctx)
	}
	if s.batch != nil {
		err = errors.Join(err, s.batch.Close())
	}
	if err = errors.Join(err, CloseDB(ctx, s.disk, db)); err != nil {
		return Salvaged{}, err
	}
	old := s.dir + oldSuffix
	for n := 2; s.exists(old) || s.exists(old+asideSuffix); n++ {
		old = s.dir + oldSuffix + strconv.Itoa(n)
	}
	if aside {
		if err := s.fs.Rename(s.dir+asideSuffix, old+asideSuffix); err != nil {
			return Salvaged{}, err
		}
	}
	// A crash between the two leaves no database; settleSalvage does the second.
	if err := errors.Join(s.fs.Rename(s.dir, old), s.fs.Rename(s.disk.Dir, s.dir), syncParent(s.fs, s.dir)); err != nil {
		return Salvaged{}, err
	}
	return Salvaged{Old: old, Read: s.read, Lost: s.lost}, nil
}

func (s *salvage) exists(path string) bool {
	_, err := s.fs.Stat(path)
	return !errors.Is(err, os.ErrNotExist)
}

// Aside returns the directory with files that were set aside when the list of files was
// lost or broke off, if there is one: Salvage reads them.
func Aside(d *Disk) (dir string, ok bool) {
	s := &salvage{fs: d.fs()}
	dir = d.Dir + asideSuffix
	return dir, s.exists(dir)
}

// NeedsSalvage reports whether a database that opens has lost what Salvage can read:
// files that were set aside, or tables whose index is damaged. Nothing may use it.
func NeedsSalvage(ctx context.Context, d *Disk) (bool, error) {
	if _, ok := Aside(d); ok {
		return true, nil
	}
	s := &salvage{fs: d.fs(), dir: d.Dir}
	files, err := s.fs.List(d.Dir)
	if errors.Is(err, os.ErrNotExist) {
		return false, nil
	}
	for _, name := range files {
		if strings.HasSuffix(name, tableSuffix) {
			_, close, damage := s.openTable(ctx, s.fs.PathJoin(d.Dir, name))
			if damage != nil {
				return true, nil
			}
			if err := close(); err != nil {
				return false, err
			}
		}
	}
	return false, err
}

func syncParent(fs vfs.FS, dir string) error {
	parent, err := fs.OpenDir(fs.PathDir(dir))
	if err != nil {
		return err
	}
	return errors.Join(parent.Sync(), parent.Close())
}

// settleSalvage does the last step of a Salvage that a crash has interrupted there.
func (d *Disk) settleSalvage() error {
	fs := d.fs()
	_, err := fs.Stat(d.Dir)
	_, old := fs.Stat(d.Dir + oldSuffix)
	_, made := fs.Stat(d.Dir + newSuffix)
	if !errors.Is(err, os.ErrNotExist) || old != nil || made != nil {
		return nil
	}
	return errors.Join(fs.Rename(d.Dir+newSuffix, d.Dir), syncParent(fs, d.Dir))
}

// fill reads all tables and logs in a directory.
func (s *salvage) fill(ctx context.Context, dir string) error {
	files, err := s.fs.List(dir)
	if err != nil {
		return err
	}
	slices.Sort(files)
	for _, name := range files {
		if !strings.HasSuffix(name, tableSuffix) {
			continue
		}
		readErr, err := s.table(ctx, s.fs.PathJoin(dir, name))
		if err != nil {
			return err
		}
		s.note(name, readErr)
	}
	logs, err := wal.Scan(wal.Dir{FS: s.fs, Dirname: dir})
	if err != nil {
		return err
	}
	for _, l := range logs {
		readErr, err := s.log(ctx, l)
		if err != nil {
			return err
		}
		s.note(l.Num.String()+logSuffix, readErr)
	}
	return nil
}

func (s *salvage) note(file string, err error) {
	if err != nil {
		s.disk.log.Warn("salvage: a file cannot be read to its end", "file", file, "error", err)
		s.lost = append(s.lost, file)
	}
}

// table reads a table from both ends, so that one bad block hides only itself. The
// first error is that of the table, the second one ends the salvage.
func (s *salvage) table(ctx context.Context, path string) (damage, err error) {
	r, close, damage := s.openTable(ctx, path)
	if damage != nil {
		return damage, nil
	}
	defer close()
	for _, backward := range []bool{false, true} {
		it, bad := r.NewIter(sstable.NoTransforms, nil, nil, sstable.AssertNoBlobHandles)
		if bad != nil {
			return bad, nil
		}
		next, kv := it.Next, it.First()
		if backward {
			next, kv = it.Prev, it.Last()
		}
		for ; kv != nil && bad == nil; kv = next() {
			value, _, verr := kv.Value(nil)
			if bad = verr; bad != nil {
				break
			}
			if err := s.put(ctx, kv.K.UserKey, uint64(kv.SeqNum()), kv.Kind(), value); err != nil {
				return nil, errors.Join(err, it.Close())
			}
		}
		if bad = errors.Join(bad, it.Error(), it.Close()); bad == nil {
			return damage, nil
		}
		damage = bad
	}
	return damage, nil
}

// openTable opens a table whose index can be read.
func (s *salvage) openTable(ctx context.Context, path string) (r *sstable.Reader, close func() error, err error) {
	f, err := s.fs.Open(path)
	if err != nil {
		return nil, nil, err
	}
	source, err := objstorageprovider.NewFileReadable(f, s.fs, objstorageprovider.NewReadaheadConfig(), path)
	if err != nil {
		return nil, nil, errors.Join(err, f.Close())
	}
	if r, err = sstable.NewReader(ctx, source, sstable.ReaderOptions{}); err != nil {
		return nil, nil, errors.Join(err, source.Close())
	}
	it, err := r.NewIter(sstable.NoTransforms, nil, nil, sstable.AssertNoBlobHandles)
	if err == nil {
		err = it.Close()
	}
	if err != nil {
		return nil, nil, errors.Join(err, r.Close())
	}
	return r, r.Close, nil
}

// log reads a log up to what cannot be read.
func (s *salvage) log(ctx context.Context, l wal.LogicalLog) (damage, err error) {
	r := l.OpenForRead()
	defer r.Close()
	for {
		record, _, err := r.NextRecord()
		if errors.Is(err, io.EOF) {
			return nil, nil
		}
		var repr []byte
		if err == nil {
			repr, err = io.ReadAll(record)
		}
		if err != nil {
			return err, nil
		}
		h, ok := batchrepr.ReadHeader(repr)
		if !ok {
			return io.ErrUnexpectedEOF, nil
		}
		seq := uint64(h.SeqNum)
		for batch := batchrepr.Read(repr); len(batch) > 0; {
			kind, key, value, ok, err := batch.Next()
			if err != nil || !ok {
				damage = errors.Join(err, io.ErrUnexpectedEOF)
				break
			}
			if kind == pebble.InternalKeyKindLogData {
				continue // it has no number
			}
			if err := s.put(ctx, key, seq, kind, value); err != nil {
				return nil, err
			}
			seq++
		}
		if damage != nil {
			return damage, nil
		}
	}
}
