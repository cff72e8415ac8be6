package postgres

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"iter"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/goipns/ipns"
	"github.com/goipns/ipns/recordstore"
	"github.com/goipns/ipns/recordstore/blob"
)

func isNotFound(err error) bool { return errors.Is(err, recordstore.ErrNotFound) }

// Upkeep implements recordstore.Notes.
func (s *Store) Upkeep(ctx context.Context, name ipns.Name) (recordstore.Upkeep, error) {
	u := recordstore.Upkeep{Name: name}
	k := name.Kad()
	var body []byte
	err := s.read(ctx, func(ctx context.Context, conn *pgx.Conn) error {
		return conn.QueryRow(ctx, statementsOf(k).readUpkeep, k[:]).Scan(&body)
	})
	switch {
	case isNotFound(err):
		return u, nil
	case err != nil:
		return u, fmt.Errorf("upkeep of %s: %w", name, err)
	}
	if noted, err := blob.DecodeUpkeep(body); err == nil {
		return noted, nil
	}
	return u, nil // as if it had never been noted: it is announced once more
}

// lazily runs statements in a transaction whose commit does not wait for the disk, in one
// round trip.
func (s *Store) lazily(ctx context.Context, queue func(*pgx.Batch)) error {
	return s.write(ctx, func(ctx context.Context, conn *pgx.Conn) error {
		var batch pgx.Batch
		batch.Queue(`select set_config('synchronous_commit', 'off', true)`)
		queue(&batch)
		return conn.SendBatch(ctx, &batch).Close()
	})
}

const setUpkeep = `insert into ipns.upkeep (k, due, body)
	select distinct on (k) k, due, body
	from unnest($1::bytea[], $2::int8[], $3::bytea[]) with ordinality as x (k, due, body, n)
	order by k, n desc
	on conflict (k) do update set due = excluded.due, body = excluded.body`

// SetUpkeep implements recordstore.Notes. Rows are written in the order of their keys, so
// that daemons that note the same names do not wait for each other in a circle.
func (s *Store) SetUpkeep(ctx context.Context, notes ...recordstore.Upkeep) error {
	if len(notes) == 0 {
		return s.open(ctx)
	}
	var ks, bodies [][]byte
	var due []int64
	for _, u := range notes {
		body, err := blob.EncodeUpkeep(u)
		if err != nil {
			return fmt.Errorf("upkeep of %s: %w", u.Name, err)
		}
		k := u.Name.Kad()
		ks, due, bodies = append(ks, bytes.Clone(k[:])), append(due, nanoseconds(u.Due)), append(bodies, body)
	}
	err := s.lazily(ctx, func(batch *pgx.Batch) { batch.Queue(setUpkeep, ks, due, bodies) })
	if err != nil {
		return fmt.Errorf("note upkeep: %w", err)
	}
	return nil
}

// Sync implements recordstore.Notes and recordstore.Marks: a commit that waits for the disk
// waits for all that was written before it. It has to write something, and this locks nothing.
func (s *Store) Sync(ctx context.Context) error {
	err := s.write(ctx, func(ctx context.Context, conn *pgx.Conn) error {
		_, err := conn.Exec(ctx, `select pg_logical_emit_message(true, 'ipns', '')`)
		return err
	})
	if err != nil {
		return fmt.Errorf("sync: %w", err)
	}
	return nil
}

// order returns bytes that are ordered as recordstore.Mark.Compare orders marks.
func order(m recordstore.Mark) []byte {
	if m.IsZero() {
		return []byte{}
	}
	b := binary.BigEndian.AppendUint64(nil, m.Sequence)
	b = binary.BigEndian.AppendUint64(b, uint64(m.EOL.Unix())^1<<63)
	return binary.BigEndian.AppendUint32(b, uint32(m.EOL.Nanosecond()))
}

// Seen implements recordstore.Marks.
func (s *Store) Seen(ctx context.Context, name ipns.Name) (recordstore.SeenMark, error) {
	k := name.Kad()
	var m recordstore.SeenMark
	err := s.read(ctx, func(ctx context.Context, conn *pgx.Conn) (err error) {
		m, err = scanSeen(conn.QueryRow(ctx, `select mark from ipns.seen where k = $1`, k[:]))
		return err
	})
	if err != nil {
		return recordstore.SeenMark{}, fmt.Errorf("mark of %s: %w", name, err)
	}
	return m, nil
}

func scanSeen(row pgx.Row) (m recordstore.SeenMark, err error) {
	var mark []byte
	if err := row.Scan(&mark); err != nil {
		return m, err
	}
	if m, err = blob.DecodeSeen(mark); err != nil {
		return m, unreadable{fmt.Errorf("seen mark: %w", err)}
	}
	return m, nil
}

const setSeen = `insert into ipns.seen (k, ord, keep_until, mark)
	select distinct on (k) k, ord, keep_until, mark
	from unnest($1::bytea[], $2::bytea[], $3::int8[], $4::bytea[]) with ordinality as x (k, ord, keep_until, mark, n)
	order by k, ord desc, n desc
	on conflict (k) do update set ord = excluded.ord, keep_until = excluded.keep_until, mark = excluded.mark
	where seen.ord <= excluded.ord`

// SetSeen implements recordstore.Marks.
func (s *Store) SetSeen(ctx context.Context, marks ...recordstore.SeenMark) error {
	if len(marks) == 0 {
		return s.open(ctx)
	}
	var ks, ords, bodies [][]byte
	var until []int64
	for _, m := range marks {
		k := m.Name.Kad()
		ks, ords = append(ks, bytes.Clone(k[:])), append(ords, order(m.Mark))
		until, bodies = append(until, nanoseconds(m.Until)), append(bodies, blob.EncodeSeen(m))
	}
	err := s.lazily(ctx, func(batch *pgx.Batch) { batch.Queue(setSeen, ks, ords, until, bodies) })
	if err != nil {
		return fmt.Errorf("note marks: %w", err)
	}
	return nil
}

const allSeen = `select mark from ipns.seen where k > $1 order by k limit $2`

// AllSeen implements recordstore.Marks.
func (s *Store) AllSeen(ctx context.Context) iter.Seq2[recordstore.SeenMark, error] {
	return func(yield func(recordstore.SeenMark, error) bool) {
		last := []byte{}
		for more := true; more; {
			found, err := list(ctx, s, scanSeen, allSeen, last, chunk)
			for _, m := range found {
				if !yield(m, nil) {
					return
				}
				k := m.Name.Kad()
				last = k[:]
			}
			if err != nil {
				yield(recordstore.SeenMark{}, fmt.Errorf("all seen marks: %w", err))
				return
			}
			more = len(found) == chunk
		}
	}
}

// Prunings pass over marks that others are writing, so that daemons which prune at once do
// not wait for each other in a circle. What they delete is chosen once: a subquery with a
// limit that locks may be run again by the same statement, and then chooses others.
const (
	pruneOld = `with old as materialized (select k from ipns.seen where keep_until < $1 for update skip locked)
		delete from ipns.seen s using old where s.k = old.k`

	// pruneMore deletes as many as there are above the limit, from those first due.
	pruneMore = `with old as materialized (select k from ipns.seen order by keep_until, k
			limit greatest(0, (select count(*) from ipns.seen) - $1) for update skip locked)
		delete from ipns.seen s using old where s.k = old.k`
)

// PruneSeen implements recordstore.Marks.
func (s *Store) PruneSeen(ctx context.Context, before time.Time, limit int) (left int, err error) {
	err = s.lazily(ctx, func(batch *pgx.Batch) {
		batch.Queue(pruneOld, nanoseconds(before))
		batch.Queue(pruneMore, int64(limit))
		batch.Queue(`select count(*) from ipns.seen`).QueryRow(func(row pgx.Row) error { return row.Scan(&left) })
	})
	if err != nil {
		return 0, fmt.Errorf("prune marks: %w", err)
	}
	return left, nil
}
