package pebble

import (
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

// DefaultReserve is the free space, in bytes, below which a Store refuses to
// write, on a disk that is not small.
const DefaultReserve = 64 << 20

const (
	reserveShare = 10      // a small disk keeps one part in so many free
	openCost     = 2 << 20 // bytes that opening writes, besides what is in the log

	fullPoll  = 50 * time.Millisecond  // how often a full disk is looked at
	cacheSize = 64 << 20               // bytes of blocks that a database keeps in memory
	usageKeep = 100 * time.Millisecond // how long a figure of free space is believed

	logSuffix = ".log"
)

// Disk is where a database lives, and what keeps a full disk from being the end
// of it. Pebble ends the process if its log cannot be written. On a Disk, a write
// that finds no space waits until there is some; a Store that knows the Disk
// refuses new writes with recordstore.ErrFull meanwhile, and goes on reading.
// Nothing has to be restarted when there is space again.
//
// Nobody waits with it: whoever writes through Do, opens with OpenDB or closes
// with CloseDB is told ErrFull, and what has begun goes on behind. The process
// may end meanwhile.
//
// A failed fsync is never tried again: what the kernel did with the data is then
// unknown. Failed tells of it; the process must end and read what is on disk.
type Disk struct {
	// Dir is the directory of the database.
	Dir string
	// FS holds it; nil: the file system of the machine.
	FS vfs.FS
	// Reserve is the free space, in bytes, below which a Store refuses to write;
	// 0: DefaultReserve, or a tenth of a disk that is smaller than ten times that;
	// negative: none.
	Reserve int64

	log      *slog.Logger // set by OpenDB and ReadDB
	readOnly bool         // set by ReadDB

	mu      sync.Mutex // guards all below
	waiting int        // writes that found no space
	full    chan struct{}
	going   int           // writes that have begun and are not over
	quiet   chan struct{} // closed when there are none; nil: nobody waits for that
	space   vfs.DiskUsage // when it was last asked
	gone    error         // what was wrong with the files then
	asked   time.Time     // when that was
	logName string        // of the log that is written to
	logFile uint64        // its identity; 0: unknown
	dead    chan struct{}
	died    error // why
}

// OpenDB opens the database of a disk, making it if there is none, with the
// options that a record store needs. It logs to log, nil: slog.Default(). Where
// there is too little space it returns recordstore.ErrFull and has changed
// nothing. The caller closes the database with CloseDB.
func OpenDB(ctx context.Context, d *Disk, log *slog.Logger) (*pebble.DB, error) {
	d.use(log)
	db, err := d.openInTime(ctx)
	if err != nil {
		return nil, fmt.Errorf("open the database %s: %w", d.Dir, err)
	}
	return db, nil
}

// ReadDB opens the database of a disk for reading alone. That writes nothing and
// needs no space; every write is refused with recordstore.ErrFull.
func ReadDB(d *Disk, log *slog.Logger) (*pebble.DB, error) {
	d.use(log)
	d.readOnly = true
	db, err := d.open()
	if err != nil {
		return nil, fmt.Errorf("read the database %s: %w", d.Dir, err)
	}
	return db, nil
}

func (d *Disk) use(log *slog.Logger) {
	if log == nil {
		log = slog.Default()
	}
	d.log = log
}

// openInTime opens the database unless there is too little space. On a disk that
// fills up meanwhile it is given up, and closed when it is open after all.
func (d *Disk) openInTime(ctx context.Context) (*pebble.DB, error) {
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
	cache := pebble.NewCache(cacheSize)
	defer cache.Unref() // the database holds it
	log := d.log
	o := &pebble.Options{
		Cache:              cache,
		FS:                 diskFS{FS: d.fs(), disk: d},
		ReadOnly:           d.readOnly,
		FormatMajorVersion: pebble.FormatNewest,
		Logger:             logger{d},
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
	return pebble.Open(d.Dir, o)
}

// CloseDB closes the database of a disk, after the writes that are going on. If
// they find no space it returns recordstore.ErrFull and leaves the database to the
// end of the process: what was acknowledged is in the log, which the next start
// reads.
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

// logger passes on what an operator should see. Pebble goes on after Fatalf as if
// the write had succeeded, so it must not return.
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

// Failed returns a channel that is closed when the database can write no more,
// for another reason than a full disk.
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

// setLog notes to which file the database writes its log.
func (d *Disk) setLog(name string, id uint64) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.logName, d.logFile = name, id
}

// present returns an error if the log is no longer where it was made: somebody
// has deleted or moved the database, and what is written is lost with the process.
func (d *Disk) present() error {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.gone = d.check()
	return d.gone
}

// check is present for who holds mu. A log is deleted only after setLog was told
// of the next one.
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
		return nil // too many open files say nothing of this one
	}
	return fmt.Errorf("the database %s was deleted or moved away: stop this process and restore it", d.Dir)
}
