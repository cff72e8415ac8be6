package pebble

import (
	"errors"
	"fmt"
	"log/slog"
	"os"
	"sync"
	"time"

	"github.com/cockroachdb/pebble/v2"
	"github.com/cockroachdb/pebble/v2/bloom"
	"github.com/cockroachdb/pebble/v2/vfs"
)

// DefaultReserve is the free space, in bytes, below which a Store refuses to
// write.
const DefaultReserve = 64 << 20

const (
	fullPoll  = 50 * time.Millisecond  // how often a full disk is looked at
	cacheSize = 64 << 20               // bytes of blocks that a database keeps in memory
	usageKeep = 100 * time.Millisecond // how long a figure of free space is believed
)

// Disk is where a database lives, and what keeps a full disk from being the end
// of it. Pebble ends the process if its log cannot be written. On a Disk, a write
// that finds no space waits until there is some; a Store that knows the Disk
// refuses new writes with recordstore.ErrFull meanwhile, and goes on reading.
// Nothing has to be restarted when there is space again.
//
// A failed fsync is never tried again: what the kernel did with the data is then
// unknown, so the process must end and read what is on disk.
type Disk struct {
	// Dir is the directory of the database.
	Dir string
	// FS holds it; nil: the file system of the machine.
	FS vfs.FS
	// Reserve is the free space, in bytes, below which a Store refuses to write;
	// 0: DefaultReserve, negative: none.
	Reserve int64

	log *slog.Logger // set by OpenDB

	mu      sync.Mutex // guards all below
	waiting int        // writes that found no space
	full    chan struct{}
	free    int64     // when it was last asked
	asked   time.Time // when that was
}

// OpenDB opens the database of a disk, making it if there is none, with the
// options that a record store needs. It logs to log, nil: slog.Default(). On a
// full disk it waits, as every write does. The caller closes the database.
func OpenDB(d *Disk, log *slog.Logger) (*pebble.DB, error) {
	if log == nil {
		log = slog.Default()
	}
	d.log = log
	if err := d.setAside(); err != nil {
		return nil, fmt.Errorf("open the database %s: %w", d.Dir, err)
	}
	cache := pebble.NewCache(cacheSize)
	defer cache.Unref() // the database holds it
	o := &pebble.Options{
		Cache:              cache,
		FS:                 diskFS{FS: d.fs(), disk: d},
		FormatMajorVersion: pebble.FormatNewest,
		Logger:             logger{log},
		EventListener: &pebble.EventListener{
			// By default one bad block ends the process; here the names in it are
			// reported and left out, and the others go on.
			DataCorruption: func(i pebble.DataCorruptionInfo) {
				log.Error("database: a file is damaged", "path", i.Path, "error", i.Details)
			},
			BackgroundError: func(err error) { log.Error("database: work in the background failed", "error", err) },
		},
	}
	for i := range o.Levels {
		// Most names that are asked for are not here.
		o.Levels[i].FilterPolicy = bloom.FilterPolicy(10)
	}
	db, err := pebble.Open(d.Dir, o)
	if err != nil {
		return nil, fmt.Errorf("open the database %s: %w", d.Dir, err)
	}
	return db, nil
}

// logger passes on what an operator should see. Pebble goes on after Fatalf as if
// the write had succeeded, so it must not return.
type logger struct{ log *slog.Logger }

func (logger) Infof(string, ...any) {}

func (l logger) Errorf(format string, args ...any) {
	l.log.Error("database: " + fmt.Sprintf(format, args...))
}

func (logger) Fatalf(format string, args ...any) {
	panic("database: " + fmt.Sprintf(format, args...))
}

func (d *Disk) fs() vfs.FS {
	if d.FS == nil {
		return vfs.Default
	}
	return d.FS
}

// Full reports whether there is too little space to write.
func (d *Disk) Full() bool {
	return d.lacks(1)
}

// Scarce reports whether less is free than twice the reserve: what strangers send
// is not worth the space then, which is left to the Store.
func (d *Disk) Scarce() bool {
	return d.lacks(2)
}

// lacks reports whether less is free than so many reserves.
func (d *Disk) lacks(reserves int64) bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.waiting > 0 {
		return true
	}
	reserve := d.Reserve
	if reserve == 0 {
		reserve = DefaultReserve
	}
	return reserve > 0 && d.available() < reserves*reserve
}

// available returns the free space in bytes. Call with mu held.
func (d *Disk) available() int64 {
	if now := time.Now(); now.Sub(d.asked) > usageKeep || now.Before(d.asked) {
		d.asked = now
		d.free = 1<<63 - 1
		if u, err := d.fs().GetDiskUsage(d.Dir); err == nil {
			d.free = int64(min(u.AvailBytes, 1<<63-1))
		}
	}
	return d.free
}

// filling returns a channel that is closed when a write finds no space.
func (d *Disk) filling() <-chan struct{} {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.full == nil {
		d.full = make(chan struct{})
		if d.waiting > 0 {
			close(d.full)
		}
	}
	return d.full
}

// retry does f until it finds space. It is told how it ended.
func (d *Disk) retry(f func() error) error {
	err := f()
	if !vfs.IsNoSpaceError(err) {
		return err
	}
	d.mu.Lock()
	if d.waiting++; d.waiting == 1 {
		d.log.Error("no space left on disk: nothing is written until there is some", "dir", d.Dir)
		if d.full != nil {
			close(d.full)
		}
	}
	d.mu.Unlock()
	for vfs.IsNoSpaceError(err) {
		time.Sleep(fullPoll)
		err = f()
	}
	d.mu.Lock()
	if d.waiting--; d.waiting == 0 {
		d.full, d.asked = nil, time.Time{}
		d.log.Info("there is space on disk again", "dir", d.Dir)
	}
	d.mu.Unlock()
	return err
}

// diskFS is a file system on which writes wait for space.
type diskFS struct {
	vfs.FS
	disk *Disk
}

func (f diskFS) Unwrap() vfs.FS { return f.FS }

func (f diskFS) file(open func() (vfs.File, error)) (file vfs.File, err error) {
	err = f.disk.retry(func() error { file, err = open(); return err })
	if err != nil {
		return nil, err
	}
	return diskFile{File: file, disk: f.disk}, nil
}

func (f diskFS) Create(name string, c vfs.DiskWriteCategory) (vfs.File, error) {
	return f.file(func() (vfs.File, error) { return f.FS.Create(name, c) })
}

func (f diskFS) OpenReadWrite(name string, c vfs.DiskWriteCategory, o ...vfs.OpenOption) (vfs.File, error) {
	return f.file(func() (vfs.File, error) { return f.FS.OpenReadWrite(name, c, o...) })
}

// ReuseForWrite writes over an old log, which saves the file system from growing
// a file at every sync. If there is no space for that, it makes a new one.
func (f diskFS) ReuseForWrite(oldname, newname string, c vfs.DiskWriteCategory) (vfs.File, error) {
	file, err := f.FS.ReuseForWrite(oldname, newname, c)
	if err == nil {
		return diskFile{File: file, disk: f.disk}, nil
	}
	if !vfs.IsNoSpaceError(err) {
		return nil, err
	}
	if err := f.FS.Remove(oldname); err != nil && !errors.Is(err, os.ErrNotExist) {
		return nil, err
	}
	return f.Create(newname, c)
}

func (f diskFS) Link(oldname, newname string) error {
	return f.disk.retry(func() error { return f.FS.Link(oldname, newname) })
}

func (f diskFS) Rename(oldname, newname string) error {
	return f.disk.retry(func() error { return f.FS.Rename(oldname, newname) })
}

func (f diskFS) MkdirAll(dir string, perm os.FileMode) error {
	return f.disk.retry(func() error { return f.FS.MkdirAll(dir, perm) })
}

// diskFile is a file whose writes wait for space.
type diskFile struct {
	vfs.File
	disk *Disk
}

func (f diskFile) Write(p []byte) (n int, err error) {
	err = f.disk.retry(func() error {
		m, err := f.File.Write(p[n:]) // what fitted stays written
		n += m
		return err
	})
	return n, err
}

func (f diskFile) WriteAt(p []byte, off int64) (n int, err error) {
	err = f.disk.retry(func() error {
		m, err := f.File.WriteAt(p[n:], off+int64(n))
		n += m
		return err
	})
	return n, err
}

func (f diskFile) Preallocate(offset, length int64) error {
	return f.disk.retry(func() error { return f.File.Preallocate(offset, length) })
}
