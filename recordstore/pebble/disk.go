package pebble

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"sync"
	"time"

	"github.com/cockroachdb/pebble/v2"
	"github.com/cockroachdb/pebble/v2/bloom"
	"github.com/cockroachdb/pebble/v2/vfs"

	"github.com/goipns/ipns/recordstore"
)

// DefaultReserve is the free space, in bytes, below which a Store refuses to write,
// unless the disk is small.
const DefaultReserve = 64 << 20

// What the database of a Disk keeps in memory and open, unless the Disk says so.
const (
	DefaultCache = 64 << 20
	DefaultFiles = 1000
)

const (
	reserveShare = 10      // a small disk keeps a tenth free
	openCost     = 2 << 20 // bytes that opening writes, not counting the log

	fullPoll  = 50 * time.Millisecond  // how often a full disk is checked
	usageKeep = 100 * time.Millisecond // how long a measured free space is reused

	logSuffix = ".log"
)

// Disk holds a database and handles a full disk. Pebble ends the process if its log
// cannot be written. On a Disk, a write that finds no space waits until there is some;
// meanwhile a Store that knows the Disk refuses new writes with recordstore.ErrFull and
// keeps reading. Nothing has to be restarted once there is space again.
//
// Callers do not wait with it: those of Do, OpenDB and CloseDB get ErrFull, and what
// has begun continues in the background. The process may end meanwhile.
//
// A failed fsync is never retried: what the kernel did with the data is then unknown.
// Failed reports it; the process must end, and the next one reads what is on disk.
type Disk struct {
	// Dir is the directory of the database.
	Dir string
	// FS is its file system; nil: that of the machine.
	FS vfs.FS
	// Reserve is the free space, in bytes, below which a Store refuses to write; 0:
	// DefaultReserve, or a tenth of a disk smaller than ten times that; negative: none.
	Reserve int64
	// Cache is how many bytes of blocks are kept in memory, Files how many files are kept
	// open; 0: DefaultCache, DefaultFiles.
	Cache int64
	Files int

	log      *slog.Logger // set by OpenDB and ReadDB
	readOnly bool         // set by ReadDB

	mu      sync.Mutex // guards all below
	waiting int        // writes waiting for space
	full    chan struct{}
	going   int           // writes in progress
	quiet   chan struct{} // closed when there are none; nil: no one waits
	space   vfs.DiskUsage // as last measured
	gone    error         // what was wrong with the files then; nil: nothing
	asked   time.Time     // when space and gone were checked
	logName string        // of the current log
	logFile uint64        // its identity; 0: unknown
	dead    chan struct{}
	died    error // why
}

// OpenDB opens the database of a disk with the options that a record store needs,
// creating it if there is none. A nil log means slog.Default(). If there is too little
// space, it returns recordstore.ErrFull and changes nothing; if it is damaged as a
// whole, ErrDamaged. The caller closes the database with CloseDB.
func OpenDB(ctx context.Context, d *Disk, log *slog.Logger) (*pebble.DB, error) {
	d.use(log)
	db, err := d.openInTime(ctx)
	if err != nil {
		return nil, fmt.Errorf("open the database %s: %w", d.Dir, asDamage(err))
	}
	return db, nil
}

// ReadDB opens the database of a disk read-only. It writes nothing and needs no space;
// every write fails with recordstore.ErrFull.
func ReadDB(d *Disk, log *slog.Logger) (*pebble.DB, error) {
	d.use(log)
	d.readOnly = true
	db, err := d.open()
	if err != nil {
		return nil, fmt.Errorf("read the database %s: %w", d.Dir, asDamage(err))
	}
	return db, nil
}

func (d *Disk) use(log *slog.Logger) {
	if log == nil {
		log = slog.Default()
	}
	d.log = log
}

// openInTime opens the database unless there is too little space. If the disk fills up
// meanwhile, it gives up, and closes the database if opening succeeds later.
func (d *Disk) openInTime(ctx context.Context) (*pebble.DB, error) {
	if err := d.settleSalvage(); err != nil {
		return nil, err
	}
	if err := d.roomToOpen(); err != nil {
		return nil, err
	}
	if err := d.setAside(); err != nil {
		return nil, err
	}
	var db *pebble.DB
	done := d.start(func() (err error) { db, err = d.open(); return err })
	err := d.await(ctx, done)
	if !errors.Is(err, recordstore.ErrDoubt) {
		return db, err
	}
	d.start(func() error {
		if <-done == nil {
			return db.Close()
		}
		return nil
	})
	switch {
	case d.cause() != nil:
		return nil, d.cause()
	case ctx.Err() != nil:
		return nil, ctx.Err()
	}
	return nil, d.fullError()
}

func (d *Disk) open() (*pebble.DB, error) {
	cache := pebble.NewCache(cmp.Or(d.Cache, DefaultCache))
	defer cache.Unref() // the database keeps its own reference
	log := d.log
	o := &pebble.Options{
		Cache:              cache,
		MaxOpenFiles:       cmp.Or(d.Files, DefaultFiles),
		FS:                 diskFS{FS: d.fs(), disk: d},
		ReadOnly:           d.readOnly,
		FormatMajorVersion: pebble.FormatNewest,
		Logger:             logger{d},
		EventListener: &pebble.EventListener{
			// By default one bad block ends the process; here the names in it are
			// reported and left out, and the others go on.
			DataCorruption: func(i pebble.DataCorruptionInfo) {
				log.Error("database: a file is damaged", "path", i.Path, "error", fmt.Sprint(i.Details)) // without its stack traces
			},
			BackgroundError: func(err error) { log.Error("database: work in the background failed", "error", err.Error()) },
		},
	}
	for i := range o.Levels {
		// Most names that are looked up are not in the store.
		o.Levels[i].FilterPolicy = bloom.FilterPolicy(10)
	}
	if !d.readOnly {
		// It has secrets of webhooks, wherever the folder of the repo is. An error shows again.
		_ = o.FS.MkdirAll(d.Dir, 0o700)
	}
	return pebble.Open(d.Dir, o)
}

// CloseDB closes the database of a disk after the writes in progress. If they find no
// space, it returns recordstore.ErrFull and leaves the database open until the process
// ends: what was acknowledged is in the log, which the next start reads.
func CloseDB(ctx context.Context, d *Disk, db *pebble.DB) error {
	err := d.settle(ctx)
	if err == nil {
		err = d.await(ctx, d.start(db.Close))
	}
	if err != nil {
		return fmt.Errorf("close the database %s: %w", d.Dir, err)
	}
	return nil
}

// logger passes on what an operator should see. Pebble would continue after Fatalf as
// if the write had succeeded, so Fatalf must not return.
type logger struct{ disk *Disk }

func (logger) Infof(string, ...any) {}

func (l logger) Errorf(format string, args ...any) {
	l.disk.log.Error("database: " + fmt.Sprintf(format, args...))
}

func (l logger) Fatalf(format string, args ...any) {
	l.disk.fail(fmt.Errorf("the database cannot go on: "+format, args...))
	select {} // until the process ends
}

func (d *Disk) fs() vfs.FS {
	if d.FS == nil {
		return vfs.Default
	}
	return d.FS
}

// Failed returns a channel that is closed when the database can no longer write, for
// any reason but a full disk.
func (d *Disk) Failed() <-chan struct{} {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.dead == nil {
		d.dead = make(chan struct{})
	}
	return d.dead
}

func (d *Disk) fail(err error) {
	failed := d.Failed()
	d.mu.Lock()
	defer d.mu.Unlock()
	select {
	case <-failed:
	default:
		d.died = err
		d.log.Error("database: nothing can be written any more; end the process, the next one reads what is on disk", "error", err)
		close(d.dead)
	}
}

// setLog records the file to which the database writes its log.
func (d *Disk) setLog(name string, id uint64) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.logName, d.logFile = name, id
}

// present returns an error if the log is no longer where it was created: the database
// was deleted or moved, and new writes would be lost when the process ends.
func (d *Disk) present() error {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.gone = d.check()
	return d.gone
}

// check does what present does. Call with mu held. A log is deleted only after setLog
// got the next one.
func (d *Disk) check() error {
	if d.logFile == 0 {
		return nil
	}
	f, err := d.fs().Open(d.logName)
	switch {
	case err == nil:
		defer f.Close()
		if now := identity(f); now == 0 || now == d.logFile {
			return nil
		}
	case !errors.Is(err, os.ErrNotExist):
		return nil // such as too many open files: nothing about this one
	}
	return fmt.Errorf("the database %s was deleted or moved away: stop this process and restore it", d.Dir)
}
