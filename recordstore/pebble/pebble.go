// Package pebble is the record store that needs no server: names in a Pebble
// database of this process, which may hold other things beside them.
//
// Keys are the store's prefix, a letter for the kind, and the Kademlia id of
// the name, so that a region of the key space is a range of keys:
//
//	e id                 the entry
//	h id sequence value  one version of its history
//	u id                 upkeep
//	s id                 the mark of a merely seen name
//	g                    the generation of the store
//	o                    nothing: is written to learn how far the log has come
//
// A Swap is one batch, committed with an fsync that it shares with the swaps of
// other names which come at the same time. Pebble shows a batch to readers
// before it is on disk; here they get the entry before it until it is, so that
// nobody acts on what a crash would take back.
package pebble

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"sync/atomic"

	"github.com/cockroachdb/pebble/v2"

	"github.com/goipns/ipns"
	"github.com/goipns/ipns/recordstore"
)

// DefaultPrefix is what all keys begin with if the options do not say otherwise.
const DefaultPrefix = "names:"

// The kinds of key.
const (
	kindEntry      = 'e'
	kindHistory    = 'h'
	kindUpkeep     = 'u'
	kindSeen       = 's'
	kindGeneration = 'g'
	kindOpened     = 'o'
)

// Options says how a Store uses its database.
type Options struct {
	// Prefix is what all keys of the store begin with; empty: DefaultPrefix. It
	// must not begin with '/', where a datastore of content has its keys.
	Prefix string
	// Disk is where the database lives, if OpenDB opened it: with it, a full disk
	// is an error and not the end. Nil: unknown.
	Disk *Disk
	// Witness is a file outside of the database's directory that notices when the
	// store was restored from a copy; it is made if there is none. Backups should
	// leave it out. Empty: none, and whoever restores a copy calls Renew.
	Witness string
	// Outside are directories for small files that notice, beside the Witness, when the
	// volume that both lie on is put back as a whole, with the same file system on it.
	// One that lies on that volume too, or cannot be written to, is left out.
	Outside []string
	// Log is told of damaged values, which are left out of what is read; nil:
	// slog.Default().
	Log *slog.Logger
}

// Store is a recordstore.Store in a Pebble database. One database can have
// several, under prefixes that do not begin each other, each used by one Store
// value at a time.
type Store struct {
	db      *pebble.DB
	disk    *Disk // nil: unknown
	log     *slog.Logger
	prefix  []byte
	witness string
	outside []*outside

	testifying sync.Mutex   // held while the witness is written
	testified  atomic.Int64 // when it was, in Unix nanoseconds
	feed       recordstore.Feed
	locks      nameLocks
	seenMu     sync.Mutex // held from reading to writing seen marks

	use    sync.RWMutex // held for reading during every operation
	closed bool         // guarded by use

	// before is the generation in which entries of layout 1 came in: the one that
	// the store had when it was first opened by a version that writes layout 2.
	before recordstore.Generation

	genMu sync.Mutex // guards gen
	gen   recordstore.Generation
}

var _ recordstore.Store = (*Store)(nil)

// New returns the store in db. The database stays the caller's: it must be
// closed after the store.
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
	s := &Store{db: db, disk: o.Disk, log: o.Log, witness: o.Witness, prefix: []byte(o.Prefix)}
	if o.Witness != "" && o.Disk != nil {
		s.outside = newOutside(o.Outside, o.Disk.Dir)
	}
	if err := s.attest(); err != nil {
		return nil, fmt.Errorf("record store: %w", err)
	}
	return s, nil
}

// begin starts an operation; unless it fails, the caller calls use.RUnlock.
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

// beginWrite is begin for an operation that writes.
func (s *Store) beginWrite(ctx context.Context) error {
	if s.disk != nil && s.disk.Full() {
		return recordstore.ErrFull
	}
	return s.begin(ctx)
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

// get hands the stored value to f, which must not keep it.
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

// durable returns the newest entry that no crash can take back.
func (s *Store) durable(name ipns.Name) (recordstore.Entry, error) {
	// Read first, then ask: an entry whose swap ends in between was read as it is
	// or, if it was read before, is the one before.
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
		e, err = decodeEntry(b, s.before)
		return err
	})
	return e, err
}

// Swap implements recordstore.Store.
func (s *Store) Swap(ctx context.Context, e recordstore.Entry) (recordstore.Entry, error) {
	if err := s.beginWrite(ctx); err != nil {
		return recordstore.Entry{}, fmt.Errorf("swap %s: %w", e.Name, err)
	}
	l, err := s.locks.lock(ctx, e.Name)
	if err != nil {
		s.use.RUnlock()
		return recordstore.Entry{}, fmt.Errorf("swap %s: %w", e.Name, err)
	}
	old, next, b, err := s.prepare(e)
	if err != nil {
		s.locks.unlock(e.Name, l)
		s.use.RUnlock()
		return recordstore.Entry{}, err
	}
	s.locks.hold(l, old)
	// A crash up to here leaves the old entry, one during the commit leaves either,
	// one after it the new. Nobody is shown the new one before the commit is over.
	committed := make(chan error, 1)
	go func() {
		defer s.use.RUnlock()
		err := b.Commit(pebble.Sync)
		if err == nil {
			s.tellOutside(uint64(b.SeqNum()))
			s.locks.release(l)
			s.feed.Tell(next)
			err = b.Close()
		}
		s.locks.unlock(e.Name, l)
		committed <- err
		s.testifyNow()
	}()
	select {
	case err = <-committed:
	case <-s.filling():
		// The commit goes on when there is space; who asked need not wait for that.
		err = errors.Join(recordstore.ErrFull, recordstore.ErrDoubt)
	}
	if err != nil {
		return recordstore.Entry{}, fmt.Errorf("swap %s: %w", e.Name, err)
	}
	return next, nil
}

// prepare makes the batch that replaces the stored entry by e.
func (s *Store) prepare(e recordstore.Entry) (old, next recordstore.Entry, b *pebble.Batch, err error) {
	old, err = s.read(e.Name)
	if err != nil && !errors.Is(err, recordstore.ErrNotFound) {
		return old, next, nil, fmt.Errorf("swap %s: %w", e.Name, err)
	}
	if next, err = recordstore.Settle(old, e); err != nil {
		return old, next, nil, err
	}
	b = s.db.NewBatch()
	if err := s.fill(b, old, next); err != nil {
		return old, next, nil, errors.Join(fmt.Errorf("swap %s: %w", e.Name, err), b.Close())
	}
	return old, next, b, nil
}

// filling returns a channel that is closed when the disk is full.
func (s *Store) filling() <-chan struct{} {
	if s.disk == nil {
		return nil
	}
	return s.disk.filling()
}

// fill puts an entry and its history into a batch.
func (s *Store) fill(b *pebble.Batch, old, next recordstore.Entry) error {
	if err := b.Set(s.nameKey(kindEntry, next.Name), encodeEntry(next), nil); err != nil {
		return err
	}
	if next.Origin < recordstore.Hosted {
		return nil
	}
	return s.remember(b, old, next)
}

// Sync implements recordstore.Store.
func (s *Store) Sync(ctx context.Context) error {
	if err := s.beginWrite(ctx); err != nil {
		return err
	}
	defer s.use.RUnlock()
	if err := s.db.LogData(nil, pebble.Sync); err != nil {
		return fmt.Errorf("sync record store: %w", err)
	}
	return nil
}

// Close implements recordstore.Store. It waits for operations that are going on
// and leaves the database open.
//
// It moves what is in the log into tables. A bit that flips in a table is always
// noticed; at the end of a log it looks like a write that a power cut has torn.
func (s *Store) Close() error {
	s.use.Lock()
	defer s.use.Unlock()
	if s.closed {
		return nil
	}
	s.closed = true
	s.feed.Close()
	defer s.closeOutside()
	if s.disk != nil && s.disk.Full() {
		return nil
	}
	if err := errors.Join(s.testify(), s.db.Flush()); err != nil {
		return fmt.Errorf("close record store: %w", err)
	}
	return nil
}
