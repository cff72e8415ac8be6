package postgres

import (
	"context"
	"fmt"

	"github.com/jackc/pgx/v5"

	"github.com/goipns/ipns/internal/keyspace"
	"github.com/goipns/ipns/recordstore"
)

// dataQuery tells these tables from others: a dump that was restored, or a copy of the
// database, has other ones.
const dataQuery = `((select system_identifier from pg_control_system())
	|| '-' || (select oid from pg_database where datname = current_database())
	|| '-' || 'ipns.meta'::regclass::oid)`

// lifeQuery tells one life of the data from another: a standby that was promoted, or a
// database that was restored to a point in time, is on another timeline. The one of
// pg_control_checkpoint is the old one until the first checkpoint after a promotion; the name
// of the log file has the current one.
const lifeQuery = `(` + dataQuery + ` || '-' || left(pg_walfile_name(pg_current_wal_lsn()), 8))`

// point is how far a life of the data has come.
type point struct {
	data string // which tables it is of
	gen  recordstore.Generation
	// base is below the versions of all entries that are swapped in this life, and above
	// those of lives before, also of swaps that were lost: a version never has two meanings.
	base   uint64
	number uint64       // of a change that is committed; 0: none is known
	of     keyspace.Key // the name that the change is of, if it is known
	own    bool         // which is an own one, and never forgotten
}

// behind reports whether data that has come to p lacks something that had come to q. Files
// that were restored without a point in time begin no new timeline, but have less in them.
// A sequence does not tell all of it: after a crash it is up to 32 numbers ahead. So last is
// the number of the last change of q.of; 0: that name is not there.
func (p point) behind(q point, last uint64) bool {
	less := p.number < q.number || last < q.number && (last != 0 || q.own)
	return p.data == q.data && (p.base < q.base || p.gen == q.gen && less)
}

const (
	readLife = `select ` + dataQuery + `, gen, base, oldest, life = ` + lifeQuery + `, (select last_value from ipns.positions),
		(select coalesce(max(pos), 0) from ipns.changes), coalesce((select pos from ipns.names where k = $1), 0) from ipns.meta`

	// beginLife is done by one of those who see that the life is another. The base grows with
	// the clock, so that it also differs from that of a life that was lost, and is above the
	// one that is known of such a life, $3, whatever the clock says. A million swaps of one
	// name in a second do not reach it.
	beginLife = `update ipns.meta set gen = $2, life = ` + lifeQuery + `,
		base = greatest(base + 1, $3::int8 + 1, extract(epoch from clock_timestamp())::int8 << 20) where gen = $1`

	// forgetChanges is for positions of the new generation, which are all later. In a dump
	// that was restored, the transactions of changes are those of another server.
	forgetChanges = `truncate ipns.changes`
)

// found is what the database says of its life.
type found struct {
	point            // number is the last one given out
	committed uint64 // the number of the last change that is committed
	last      uint64 // that of the last change of a name, see point.behind
	same      bool   // the life is the one that was noted in the database
}

// checkLife begins a new generation if the database has another life than it had when
// anybody used it last, and notes the current generation.
func (s *Store) checkLife(ctx context.Context, conn *pgx.Conn) error {
	seen := s.seenLife() // before it is read how far the data has come
	if seen == (point{}) {
		seen = s.began
	}
	now, err := s.readLife(ctx, conn, seen.of)
	if code(err) == undefinedTable || code(err) == undefinedSchema {
		return nil // migrate makes it
	}
	if err != nil {
		return err
	}
	if !now.same || now.behind(seen, now.last) {
		err := pgx.BeginFunc(ctx, conn, func(tx pgx.Tx) error {
			gen := newGeneration()
			tag, err := tx.Exec(ctx, beginLife, now.gen[:], gen[:], now.above(seen))
			if err != nil || tag.RowsAffected() == 0 {
				return err
			}
			_, err = tx.Exec(ctx, forgetChanges)
			return err
		})
		if err != nil {
			return fmt.Errorf("begin a new generation: %w", err)
		}
		if now, err = s.readLife(ctx, conn, keyspace.Key{}); err != nil {
			return err
		}
		s.wake.swapped() // other daemons meet it at once
	}
	s.noteLife(now)
	return nil
}

// above returns what the next base has to be above of.
func (p point) above(q point) int64 {
	if p.data != q.data {
		return int64(p.base)
	}
	return int64(max(p.base, q.base))
}

// meet notes the life that another daemon has begun, if gen is not the one that is noted.
func (s *Store) meet(ctx context.Context, conn *pgx.Conn, gen recordstore.Generation) error {
	if gen == s.seenLife().gen {
		return nil
	}
	return s.checkLife(ctx, conn)
}

// readLife returns how far the data has come, and the name of.
func (s *Store) readLife(ctx context.Context, conn *pgx.Conn, of keyspace.Key) (f found, err error) {
	var gen []byte
	var base, number, committed, last int64
	var oldest int
	if err := conn.QueryRow(ctx, readLife, of[:]).Scan(&f.data, &gen, &base, &oldest, &f.same, &number, &committed, &last); err != nil {
		return f, err
	}
	if oldest > s.schema.version() {
		return f, errOutdated
	}
	f.base, f.number, f.committed, f.last = uint64(base), uint64(number), uint64(committed), uint64(last)
	f.gen, err = generation(gen)
	return f, err
}

func generation(b []byte) (gen recordstore.Generation, err error) {
	if len(b) != len(gen) {
		return gen, unreadable{fmt.Errorf("generation has %d bytes", len(b))}
	}
	return recordstore.Generation(b), nil
}

// noteLife notes the life that the data has, unless a later one was noted meanwhile.
func (s *Store) noteLife(now found) {
	s.mu.Lock()
	was := s.seen
	later := now.gen != was.gen && (now.data != was.data || now.base > was.base)
	if later {
		s.seen = now.point
		s.seen.number = now.committed // the last one given out may not be used
	}
	s.mu.Unlock()
	if later && was != (point{}) {
		s.log.Warn("the database was restored from a copy, or a standby has taken over: what was published since may be unknown here, so the network is asked first")
		s.wake.all()
	}
}

// noteChange notes a change of a name that is committed. A number that was only given out may
// be given out once more after a crash.
func (s *Store) noteChange(gen recordstore.Generation, number uint64, e recordstore.Entry) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if gen == s.seen.gen && number > s.seen.number {
		s.seen.number, s.seen.of, s.seen.own = number, e.Name.Kad(), e.Origin == recordstore.Own
	}
}

// seenLife returns how far the data had come.
func (s *Store) seenLife() point {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.seen
}

// Generation implements recordstore.Store. It is that of the last connection that was made,
// or that readers of Changes have met since.
func (s *Store) Generation(ctx context.Context) (recordstore.Generation, error) {
	if err := s.open(ctx); err != nil {
		return recordstore.Generation{}, err
	}
	return s.seenLife().gen, nil
}

// Renew begins a new generation by hand, as after a restore that nothing shows.
func (s *Store) Renew(ctx context.Context) error {
	err := s.write(ctx, func(ctx context.Context, conn *pgx.Conn) error {
		was, gen := s.seenLife(), newGeneration()
		if _, err := conn.Exec(ctx, beginLife, was.gen[:], gen[:], was.above(was)); err != nil {
			return err
		}
		now, err := s.readLife(ctx, conn, keyspace.Key{})
		if err == nil {
			s.noteLife(now)
		}
		return err
	})
	if err == nil {
		s.wake.swapped()
	}
	if err != nil {
		return fmt.Errorf("begin a new generation: %w", err)
	}
	return nil
}
