// Package pebble is a record store that needs no server: it keeps names in a Pebble
// database of this process, which may hold other data too.
//
// A key is the store's prefix, a letter for its kind, and the Kademlia id of the name,
// so that a region of the key space is a range of keys:
//
//	e id                 the entry
//	h id sequence value  one version of its history
//	u id                 upkeep
//	s id                 the mark of a merely seen name
//	c number             a change: the name that was swapped
//	p id                 the number of its last change
//	r table 0 key        a row
//	g                    the generation of the store
//	n                    how often it was started, and which changes may be lost
//	o                    nothing: written to learn how far the log has come
//
// A Swap is one batch, committed with an fsync that it shares with concurrent swaps of
// other names. Pebble shows a batch to readers before it is on disk; this store shows
// them the previous entry until then, so that no one acts on what a crash would undo.
package pebble

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"github.com/cockroachdb/pebble/v2"

	"github.com/goipns/ipns"
	"github.com/goipns/ipns/recordstore"
	"github.com/goipns/ipns/recordstore/blob"
)

// DefaultPrefix is the prefix of all keys unless the options set another.
const DefaultPrefix = "names:"

// The kinds of key.
const (
	kindEntry      = 'e'
	kindHistory    = 'h'
	kindUpkeep     = 'u'
	kindSeen       = 's'
	kindGeneration = 'g'
	kindOpened     = 'o'
	kindChange     = 'c'
	kindChanged    = 'p'
	kindStarts     = 'n'
	kindRow        = 'r'
)

// Options are the options of a Store.
type Options struct {
	// Prefix is the prefix of all keys of the store; empty: DefaultPrefix. It must not
	// begin with '/', which the datastore of content uses.
	Prefix string
	// Disk holds the database, if it was opened by OpenDB or ReadDB: a full disk is
	// then an error and does not end the process. Nil: unknown.
	Disk *Disk
	// Witness is a file outside the database's directory, by which the store notices
	// that it was restored from a copy; it is created if missing. Backups should not
	// include it. Empty: none, and whoever restores a copy must call Renew.
	Witness string
	// Outside are directories for small files that, with the Witness, detect that the
	// whole volume of both was restored. One that is on that volume too, or not
	// writable, is ignored.
	Outside []string
	// Log receives damaged values, which reads leave out; nil: slog.Default().
	Log *slog.Logger
}

// Store is a recordstore.Store in a Pebble database. One database can have several, if
// no prefix is the beginning of another, each used by one Store value at a time.
type Store struct {
	db      *pebble.DB
	disk    *Disk
	log     *slog.Logger
	prefix  []byte
	witness string
	outside []*outside

	witnessMu   sync.Mutex   // held while the witness is written
	witnessTime atomic.Int64 // when it was last written, in Unix nanoseconds
	changes     changes
	locks       locks[ipns.Name, recordstore.Entry]
	rowLocks    locks[string, recordstore.Row]
	// rowVersions is the last version given to a row: above those of all earlier
	// starts.
	rowVersions atomic.Uint64
	seenMu      sync.Mutex // held from reading to writing marks of seen names

	use    sync.RWMutex // read-locked during every operation
	closed bool         // guarded by use

	// before is the generation given to entries of layout 1: that of the store when a
	// version that writes layout 2 first opened it.
	before recordstore.Generation

	genMu sync.Mutex // guards gen
	gen   recordstore.Generation
}

var _ recordstore.Database = (*Store)(nil)

// New returns the store in db, or ErrDamaged if too little of it can be read to begin. The database still belongs to the caller, who closes it
// after the store.
func New(db *pebble.DB, o Options) (*Store, error) {
	if o.Prefix == "" {
		o.Prefix = DefaultPrefix
	}
	if o.Prefix[0] == '/' {
		return nil, fmt.Errorf("record store: prefix %q begins with '/', as keys of content do", o.Prefix)
	}
	if o.Log == nil {
		o.Log = slog.Default()
	}
	if o.Disk == nil {
		o.Disk = &Disk{Reserve: -1, log: o.Log}
	}
	s := &Store{db: db, disk: o.Disk, log: o.Log, witness: o.Witness, prefix: []byte(o.Prefix)}
	if o.Witness != "" && o.Disk != nil {
		s.outside = newOutside(o.Outside, o.Disk.Dir)
	}
	if err := s.checkWitness(); err != nil {
		return nil, fmt.Errorf("record store: %w", asDamage(err))
	}
	if err := s.startChanges(); err != nil {
		return nil, fmt.Errorf("record store: %w", asDamage(err))
	}
	return s, nil
}

// begin starts an operation. Unless it fails, the caller must call use.RUnlock.
func (s *Store) begin(ctx context.Context) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	s.use.RLock()
	if s.closed {
		s.use.RUnlock()
		return recordstore.ErrClosed
	}
	return nil
}

// write runs f, which writes to the database. What f uses belongs to the write from
// then on: it may continue after write has returned ErrDoubt.
func (s *Store) write(ctx context.Context, f func() error) error {
	if err := s.disk.Room(); err != nil {
		return err
	}
	if err := s.begin(ctx); err != nil {
		return err
	}
	done := s.disk.start(f)
	s.use.RUnlock() // else readers would wait behind a Close that waits for the disk
	return s.disk.await(ctx, done)
}

// commit writes a batch, which must not be used afterwards.
func commit(b *pebble.Batch, o *pebble.WriteOptions) error {
	if err := b.Commit(o); err != nil {
		return err
	}
	return b.Close()
}

func (s *Store) key(kind byte, parts ...[]byte) []byte {
	k := make([]byte, 0, len(s.prefix)+1+48)
	k = append(append(k, s.prefix...), kind)
	for _, p := range parts {
		k = append(k, p...)
	}
	return k
}

func (s *Store) nameKey(kind byte, name ipns.Name) []byte {
	id := name.Kad()
	return s.key(kind, id[:])
}

// get passes the stored value to f, which must not keep it.
func (s *Store) get(key []byte, f func([]byte) error) error {
	b, closer, err := s.db.Get(key)
	if errors.Is(err, pebble.ErrNotFound) {
		return recordstore.ErrNotFound
	}
	if err != nil {
		return err
	}
	defer closer.Close()
	return f(b)
}

// Get implements recordstore.Store.
func (s *Store) Get(ctx context.Context, name ipns.Name) (recordstore.Entry, error) {
	if err := s.begin(ctx); err != nil {
		return recordstore.Entry{}, err
	}
	defer s.use.RUnlock()
	e, err := s.durable(name)
	if err != nil {
		return recordstore.Entry{}, fmt.Errorf("entry of %s: %w", name, err)
	}
	return e, nil
}

// durable returns the newest entry that no crash can undo.
func (s *Store) durable(name ipns.Name) (recordstore.Entry, error) {
	// Read before asking for a pending swap: if a swap ends in between, the read
	// returned its entry or the one before it, and both are durable.
	e, err := s.read(name)
	if old, pending := s.locks.before(name); pending {
		if old.Version == 0 {
			return recordstore.Entry{}, recordstore.ErrNotFound
		}
		return old, nil
	}
	return e, err
}

// read returns the newest entry, durable or not.
func (s *Store) read(name ipns.Name) (e recordstore.Entry, err error) {
	err = s.get(s.nameKey(kindEntry, name), func(b []byte) error {
		e, err = blob.DecodeEntry(b, s.before)
		return err
	})
	if isDamage(err) {
		return s.rebuild(name), nil
	}
	return e, err
}

// Swap implements recordstore.Store.
func (s *Store) Swap(ctx context.Context, e recordstore.Entry, lease recordstore.Lease) (next recordstore.Entry, err error) {
	if lease != (recordstore.Lease{}) {
		err = fmt.Errorf("%w: this store gives no leases", recordstore.ErrLease)
	} else {
		next, err = s.swap(ctx, e)
	}
	if err != nil {
		return recordstore.Entry{}, fmt.Errorf("swap %s: %w", e.Name, err)
	}
	return next, nil
}

func (s *Store) swap(ctx context.Context, e recordstore.Entry) (recordstore.Entry, error) {
	if err := s.disk.Room(); err != nil {
		return recordstore.Entry{}, err
	}
	l, err := s.locks.lock(ctx, e.Name, s.disk.filling())
	if err != nil {
		return recordstore.Entry{}, err
	}
	old, next, b, number, err := s.prepare(ctx, e)
	if err != nil {
		s.locks.unlock(e.Name, l)
		return recordstore.Entry{}, err
	}
	done := commitHeld(s, &s.locks, e.Name, l, old, b, func() { s.changes.done(number) })
	s.use.RUnlock()
	if err := s.disk.await(ctx, done); err != nil {
		return recordstore.Entry{}, err
	}
	s.updateWitnessIfDue()
	return next, nil
}

// commitHeld starts the commit of the batch that replaces old, and unlocks the key when
// it ends. A crash before the commit leaves the old value, one during it either, one
// after it the new value. No reader gets the new value before the commit has ended. If
// the outcome is unknown, readers get the old value until the process ends.
func commitHeld[K comparable, V any](s *Store, n *locks[K, V], key K, l *lock[V], old V, b *pebble.Batch, durable func()) <-chan error {
	n.hold(l, old)
	return s.disk.start(func() error {
		defer n.unlock(key, l)
		if err := b.Commit(pebble.Sync); err != nil {
			return err
		}
		if err := s.disk.present(); err != nil {
			return err
		}
		s.tellOutside(uint64(b.SeqNum()))
		n.release(l)
		durable()
		return b.Close()
	})
}

// prepare makes the batch that replaces the stored entry by e, and returns the number
// of its change. Unless it fails, the caller must call use.RUnlock.
func (s *Store) prepare(ctx context.Context, e recordstore.Entry) (old, next recordstore.Entry, b *pebble.Batch, number uint64, err error) {
	if err := s.begin(ctx); err != nil {
		return old, next, nil, 0, err
	}
	defer func() {
		if err != nil {
			s.use.RUnlock()
		}
	}()
	old, err = s.read(e.Name)
	if err != nil && !errors.Is(err, recordstore.ErrNotFound) {
		return old, next, nil, 0, err
	}
	if next, err = recordstore.Settle(old, e); err != nil {
		return old, next, nil, 0, err
	}
	last := uint64(0)
	if old.Version != 0 {
		if last, err = s.changed(e.Name); err != nil {
			return old, next, nil, 0, err
		}
	}
	if old.Damaged {
		s.log.Warn("record store: a damaged entry is replaced", "name", e.Name)
	}
	number = s.changes.begin(last)
	b = s.db.NewBatch()
	if err := errors.Join(s.fill(b, old, next), s.fillChange(b, next, last, number)); err != nil {
		s.changes.done(number)
		return old, next, nil, 0, errors.Join(err, b.Close())
	}
	return old, next, b, number, nil
}

// fill adds an entry and its history to a batch, or deletes all of the name.
func (s *Store) fill(b *pebble.Batch, old, next recordstore.Entry) error {
	if next.Version == 0 {
		from, to := s.historyBounds(next.Name)
		return errors.Join(
			b.Delete(s.nameKey(kindEntry, next.Name), nil),
			b.DeleteRange(from, to, nil),
			b.Delete(s.nameKey(kindUpkeep, next.Name), nil))
	}
	if err := b.Set(s.nameKey(kindEntry, next.Name), blob.EncodeEntry(next), nil); err != nil {
		return err
	}
	if next.Origin < recordstore.Hosted {
		return nil
	}
	return s.remember(b, old, next)
}

// Sync implements recordstore.Store.
func (s *Store) Sync(ctx context.Context) error {
	err := s.write(ctx, func() error {
		if err := s.db.LogData(nil, pebble.Sync); err != nil {
			return err
		}
		return s.disk.present()
	})
	if err != nil {
		return fmt.Errorf("sync record store: %w", err)
	}
	return nil
}

// closeTimeout bounds how long Close waits for a disk that does not respond.
const closeTimeout = 5 * time.Second

// Close implements recordstore.Store. It waits for running operations, except those
// held up by a full disk, and leaves the database open: see CloseDB.
//
// It moves the log's contents into tables. A flipped bit in a table is always detected;
// at the end of a log it looks like a write torn by a power cut.
func (s *Store) Close() error {
	s.use.Lock()
	closed := s.closed
	s.closed = true
	s.use.Unlock()
	if closed {
		return nil
	}
	s.changes.close()
	defer s.closeOutside()
	ctx, cancel := context.WithTimeout(context.Background(), closeTimeout)
	defer cancel()
	err := s.disk.settle(ctx)
	if err == nil {
		err = s.disk.Do(ctx, func() error { return errors.Join(s.updateWitness(), s.db.Flush()) })
	}
	// What a full disk does not take stays in the log.
	if err != nil && !errors.Is(err, recordstore.ErrFull) {
		return fmt.Errorf("close record store: %w", err)
	}
	return nil
}
