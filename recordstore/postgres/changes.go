package postgres

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"math"
	"slices"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/goipns/ipns/recordstore"
)

// The change log is ordered by the transaction that wrote a change and the number that it
// gave it. A number alone is not enough: it is assigned before the commit, so that a reader
// may have passed it when the change appears. Read are only changes of transactions below
// the oldest one that runs; none of those can appear later.

const (
	pollEvery    = 5 * time.Second       // if no notification comes
	gatherFor    = 50 * time.Millisecond // between two looks while changes come
	unsettledFor = time.Second / 2       // at most, while older transactions run: a long one must not cost much
	notifyEvery  = 50 * time.Millisecond // at most; a notification in the swap's own transaction would serialize all commits
	listenAgain  = time.Second / 2       // after the connection was lost; doubled each time, to pollEvery
	channel      = "ipns"
)

// place is where a reader of the changes is.
type place struct {
	gen recordstore.Generation
	recordstore.Place
}

func (p place) position() recordstore.Position { return recordstore.PositionOf(p.gen, p.Place) }

// args are what statements take of a place. A number that no sequence gives out is as far in
// the future as can be.
func (p place) args() (xid string, pos int64) {
	return strconv.FormatUint(p.Transaction, 10), int64(min(p.Number, math.MaxInt64))
}

const (
	// status comes before the changes are read: what is settled then is read then.
	status = `select gen, oldest, pg_snapshot_xmin(pg_current_snapshot())::text, (select last_value from ipns.positions),
		exists (select from ipns.changes where xid >= pg_snapshot_xmin(pg_current_snapshot()) and (xid, pos) > ($1::text::xid8, $2))
		from ipns.meta`

	readChanges = `select n.k, c.xid::text, c.pos, n.version, n.pos, n.entry
		from (select xid, pos, k from ipns.changes
			where (xid, pos) > ($1::text::xid8, $2) and xid < pg_snapshot_xmin(pg_current_snapshot())
			order by xid, pos limit $3) c
		join ipns.names n on n.k = c.k
		order by c.xid, c.pos`
)

// Changes implements recordstore.Store.
func (s *Store) Changes(ctx context.Context, since recordstore.Position) iter.Seq2[recordstore.Change, error] {
	return func(yield func(recordstore.Change, error) bool) {
		fail := func(err error) {
			yield(recordstore.Change{}, fmt.Errorf("changes of the record store: %w", err))
		}
		at, err := s.start(ctx, since)
		if err != nil {
			fail(err)
			return
		}
		if since == "" && !yield(recordstore.Change{Position: at.position()}, nil) {
			return
		}
		pause := gatherFor
		for {
			woken := s.wake.next()
			list, unsettled, err := s.changesAfter(ctx, at)
			for _, c := range list {
				at.Place = c.value.at
				if c.bad != nil {
					s.damaged(c.k, c.bad)
					continue
				}
				s.noteChange(at.gen, at.Number, c.value.entry)
				if !yield(recordstore.Change{Position: at.position(), Entry: c.value.entry}, nil) {
					return
				}
			}
			if err != nil {
				fail(err)
				return
			}
			wait := pollEvery
			switch {
			case len(list) == chunk:
				continue
			case len(list) > 0: // more will have come meanwhile
				woken, pause, wait = nil, gatherFor, gatherFor
			case unsettled:
				pause, wait = min(2*pause, unsettledFor), pause
			}
			timer := time.NewTimer(wait)
			select {
			case <-woken:
			case <-timer.C:
			case <-ctx.Done():
			case <-s.life.Done():
			}
			timer.Stop()
			if err := s.open(ctx); err != nil {
				fail(err)
				return
			}
		}
	}
}

// start returns the place from which to read.
func (s *Store) start(ctx context.Context, since recordstore.Position) (place, error) {
	now, err := s.now(ctx)
	if err != nil || since == "" {
		return now, err
	}
	at := place{gen: now.gen}
	if at.Place, err = since.In(now.gen); err == nil && at.Number > now.Number {
		err = recordstore.ErrGap
	}
	return at, err
}

// now returns the place after which later changes come.
func (s *Store) now(ctx context.Context) (now place, err error) {
	err = s.read(ctx, func(ctx context.Context, conn *pgx.Conn) (err error) {
		xid, pos := place{}.args()
		if now, _, err = s.scanStatus(conn.QueryRow(ctx, status, xid, pos)); err != nil {
			return err
		}
		return s.meet(ctx, conn, now.gen)
	})
	return now, err
}

func (s *Store) scanStatus(row pgx.Row) (now place, unsettled bool, err error) {
	var gen []byte
	var xmin string
	var last int64
	var oldest int
	if err := row.Scan(&gen, &oldest, &xmin, &last, &unsettled); err != nil {
		return now, false, err
	}
	if oldest > s.schema.version() {
		s.outdated()
		return now, false, unreadable{errOutdated}
	}
	if now.gen, err = generation(gen); err != nil {
		return now, false, err
	}
	oldestXid, err := strconv.ParseUint(xmin, 10, 64)
	now.Place = recordstore.Place{Transaction: oldestXid - 1, Number: uint64(last)} // there is no transaction 0
	return now, unsettled, err
}

type change struct {
	at    recordstore.Place
	entry recordstore.Entry
}

// changesAfter returns some changes after a place, and whether there are more that cannot
// be read yet.
func (s *Store) changesAfter(ctx context.Context, at place) (list []located[change], unsettled bool, err error) {
	err = s.read(ctx, func(ctx context.Context, conn *pgx.Conn) (err error) {
		xid, pos := at.args()
		var batch pgx.Batch
		batch.Queue(status, xid, pos)
		batch.Queue(readChanges, xid, pos, chunk)
		results := conn.SendBatch(ctx, &batch)
		defer func() { err = errors.Join(err, results.Close()) }()
		now, more, err := s.scanStatus(results.QueryRow())
		if err != nil {
			return err
		}
		if unsettled = more; now.gen != at.gen {
			if err := results.Close(); err != nil {
				return err
			}
			return errors.Join(s.meet(ctx, conn, now.gen), recordstore.ErrGap)
		}
		rows, err := results.Query()
		if err != nil {
			return err
		}
		list, err = pgx.CollectRows(rows, func(row pgx.CollectableRow) (located[change], error) { return locate(scanChange)(row) })
		return err
	})
	return list, unsettled, err
}

func scanChange(row pgx.Row) (c change, err error) {
	var xid string
	var pos int64
	stored, err := scanEntry(prefixed{row, []any{&xid, &pos}})
	c.entry = stored.entry
	if xid != "" {
		var errXID error
		c.at.Number = uint64(pos)
		c.at.Transaction, errXID = strconv.ParseUint(xid, 10, 64)
		err = errors.Join(err, errXID)
	}
	return c, err
}

// prefixed is a row whose first columns are scanned as well.
type prefixed struct {
	row   pgx.Row
	first []any
}

func (p prefixed) Scan(rest ...any) error {
	return p.row.Scan(append(slices.Clone(p.first), rest...)...)
}

// wake wakes readers of Changes, of this process and, by notifications, of others. The zero
// value is ready to use.
type wake struct {
	mu    sync.Mutex
	more  chan struct{} // closed when there may be more to read
	dirty chan struct{} // has one value when others are to be notified

	swaps, told atomic.Uint64 // by this process; and those of which others were notified
}

func (w *wake) init() {
	if w.more == nil {
		w.more, w.dirty = make(chan struct{}), make(chan struct{}, 1)
	}
}

// next returns a channel that is closed when there may be more to read.
func (w *wake) next() <-chan struct{} {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.init()
	return w.more
}

// all wakes the readers of this process.
func (w *wake) all() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.init()
	close(w.more)
	w.more = make(chan struct{})
}

// swapped wakes all readers.
func (w *wake) swapped() {
	w.swaps.Add(1)
	w.all()
	select {
	case w.dirty <- struct{}{}:
	default:
	}
}

func (w *wake) changed() <-chan struct{} {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.init()
	return w.dirty
}

// notify tells other daemons of swaps, until ctx ends. What it fails to tell they find with
// their next poll.
func (s *Store) notify(ctx context.Context) {
	dirty := s.wake.changed()
	for {
		select {
		case <-ctx.Done():
			return
		case <-dirty:
		}
		if err := s.tell(ctx); err != nil && ctx.Err() == nil {
			s.log.Debug("telling other daemons of changes", "error", err)
		}
		select {
		case <-ctx.Done():
			return
		case <-time.After(notifyEvery):
		}
	}
}

// untold reports whether others were not notified of a swap.
func (w *wake) untold() bool { return w.told.Load() < w.swaps.Load() }

// tell notifies others of the swaps of this process.
func (s *Store) tell(ctx context.Context) error {
	swaps := s.wake.swaps.Load()
	err := s.read(ctx, func(ctx context.Context, conn *pgx.Conn) error {
		_, err := conn.Exec(ctx, `select pg_notify($1, '')`, channel)
		return err
	})
	if err == nil {
		s.wake.told.Store(swaps)
	}
	return err
}

const isBehind = `select gen, exists (select from ipns.changes where (xid, pos) > ($1::text::xid8, $2)),
	(select last_value from ipns.positions) from ipns.meta`

// Behind implements recordstore.Shared.
func (s *Store) Behind(ctx context.Context, since recordstore.Position) (behind bool, err error) {
	err = s.read(ctx, func(ctx context.Context, conn *pgx.Conn) error {
		at := place{gen: s.seenLife().gen}
		var err error
		if at.Place, err = since.In(at.gen); errors.Is(err, recordstore.ErrGap) { // or another daemon has begun its generation
			if err := s.checkLife(ctx, conn); err != nil {
				return err
			}
			at.gen = s.seenLife().gen
			at.Place, err = since.In(at.gen)
		}
		if err != nil {
			return unreadable{err}
		}
		var b []byte
		var last int64
		xid, pos := at.args()
		if err := conn.QueryRow(ctx, isBehind, xid, pos).Scan(&b, &behind, &last); err != nil {
			return err
		}
		gen, err := generation(b)
		if err == nil {
			err = s.meet(ctx, conn, gen)
		}
		if err == nil && (gen != at.gen || pos > last) {
			behind, err = false, recordstore.ErrGap
		}
		return err
	})
	if behind {
		s.wake.all()
	}
	if err != nil {
		err = fmt.Errorf("changes of the record store: %w", err)
	}
	return behind, err
}

// listen wakes readers when another daemon has swapped, until ctx ends.
func (s *Store) listen(ctx context.Context) {
	pause := listenAgain
	for ctx.Err() == nil {
		heard, err := s.hear(ctx)
		s.wake.all() // what came meanwhile was not heard
		if ctx.Err() != nil {
			return
		}
		if s.log.Debug("listening for changes by other daemons", "error", err); heard {
			pause = listenAgain
		}
		select {
		case <-ctx.Done():
		case <-time.After(pause):
		}
		pause = min(2*pause, pollEvery)
	}
}

// hear listens on a connection of its own until that is lost, and says whether it had one.
func (s *Store) hear(ctx context.Context) (heard bool, err error) {
	connecting, cancel := context.WithTimeout(ctx, dialLimit)
	defer cancel()
	conn, err := pgx.ConnectConfig(connecting, s.pool.Config().ConnConfig)
	if err != nil {
		return false, err
	}
	defer conn.Close(context.WithoutCancel(ctx))
	if err := s.begin(connecting, conn); err != nil {
		return false, err
	}
	if _, err := conn.Exec(connecting, `listen `+channel); err != nil {
		return false, err
	}
	s.wake.all()
	for {
		if _, err := conn.WaitForNotification(ctx); err != nil {
			return true, err
		}
		s.wake.all()
	}
}
