package postgres

import (
	"context"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/goipns/ipns/internal/keyspace"
	"github.com/goipns/ipns/recordstore"
)

// Statements about leases. Each locks the rows of regions in their order, so that two
// daemons do not wait for each other.
const (
	// takeLeases extends the holder's leases, and takes those that have ended under a higher
	// epoch. The epoch is part of a unique index: so taking waits for swaps with the old lease
	// that have begun, which lock it FOR KEY SHARE, and extending waits for none, however many
	// there are.
	takeLeases = `with t as materialized (select clock_timestamp() as now),
		r as materialized (select prefix, bits from unnest($1::bytea[], $2::int2[]) as x (prefix, bits) order by prefix, bits),
		extended as (update ipns.leases l set until = clock_timestamp() + $4::interval from r, t
			where l.prefix = r.prefix and l.bits = r.bits and l.holder = $3 and l.until > t.now
			returning l.prefix, l.bits, l.epoch),
		taken as (insert into ipns.leases as had (prefix, bits, holder, epoch, until)
			select r.prefix, r.bits, $3, 1, clock_timestamp() + $4::interval from r, t
			where not exists (select from ipns.leases l where l.prefix = r.prefix and l.bits = r.bits and l.until > t.now)
			order by r.prefix, r.bits
			on conflict (prefix, bits) do update set
				holder = excluded.holder, until = clock_timestamp() + $4::interval, epoch = had.epoch + 1
			where had.until <= (select now from t)
			returning prefix, bits, epoch)
		select * from extended union all select * from taken`

	// releaseLeases keeps the epochs, so that the next are higher.
	releaseLeases = `with r as materialized (
			select l.prefix, l.bits from ipns.leases l
			join unnest($1::bytea[], $2::int2[], $4::int8[]) as o (prefix, bits, epoch) using (prefix, bits, epoch)
			where l.holder = $3 order by l.prefix, l.bits for update of l)
		update ipns.leases l set holder = '', until = '-infinity' from r where l.prefix = r.prefix and l.bits = r.bits`

	listLeases = `select prefix, bits, epoch, holder,
			case when until > clock_timestamp() then (extract(epoch from until - clock_timestamp()) * 1000000)::int8 else 0 end
		from ipns.leases order by prefix, bits`
)

// Lease implements recordstore.Leaser: the clock is that of the database.
func (s *Store) Lease(ctx context.Context, holder string, ttl time.Duration, regions ...recordstore.Region) (list []recordstore.Lease, err error) {
	if err := s.open(ctx); err != nil {
		return nil, err
	}
	if err := recordstore.CheckLease(holder, ttl); err != nil || len(regions) == 0 {
		return nil, err
	}
	prefixes, bits := columns(regions)
	err = s.write(ctx, func(ctx context.Context, conn *pgx.Conn) error {
		rows, err := conn.Query(ctx, takeLeases, prefixes, bits, holder, ttl)
		if err != nil {
			return err
		}
		list, err = pgx.CollectRows(rows, func(row pgx.CollectableRow) (l recordstore.Lease, err error) {
			l.Holder = holder
			l.Region, l.Epoch, err = scanLease(row)
			return l, err
		})
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("lease for %s: %w", holder, err)
	}
	return list, nil
}

// scanLease reads the columns prefix, bits and epoch, and those of more.
func scanLease(row pgx.Row, more ...any) (r recordstore.Region, epoch uint64, err error) {
	var prefix []byte
	var bits int16
	var number int64
	if err := row.Scan(append([]any{&prefix, &bits, &number}, more...)...); err != nil {
		return r, 0, err
	}
	if len(prefix) != len(r.Prefix) || bits < 0 || bits > keyspace.Bits {
		return r, 0, unreadable{fmt.Errorf("region has a prefix of %d bytes and %d bits", len(prefix), bits)}
	}
	return recordstore.Region{Prefix: keyspace.Key(prefix), Bits: int(bits)}, uint64(number), nil
}

func columns(regions []recordstore.Region) (prefixes [][]byte, bits []int16) {
	for _, r := range regions {
		prefixes, bits = append(prefixes, r.Prefix[:]), append(bits, int16(r.Bits))
	}
	return prefixes, bits
}

// Release implements recordstore.Leaser.
func (s *Store) Release(ctx context.Context, leases ...recordstore.Lease) error {
	if err := s.open(ctx); err != nil || len(leases) == 0 {
		return err
	}
	holder := leases[0].Holder
	var regions []recordstore.Region
	var epochs []int64
	for _, l := range leases {
		if l.Holder != holder {
			return fmt.Errorf("release leases of %s and %s: they must be of one holder", holder, l.Holder)
		}
		regions, epochs = append(regions, l.Region), append(epochs, int64(l.Epoch))
	}
	prefixes, bits := columns(regions)
	err := s.write(ctx, func(ctx context.Context, conn *pgx.Conn) error {
		_, err := conn.Exec(ctx, releaseLeases, prefixes, bits, holder, epochs)
		return err
	})
	if err != nil {
		return fmt.Errorf("release leases of %s: %w", holder, err)
	}
	return nil
}

// Leases implements recordstore.Leaser.
func (s *Store) Leases(ctx context.Context) ([]recordstore.Leased, error) {
	found, err := list(ctx, s, func(row pgx.Row) (l recordstore.Leased, err error) {
		var left int64
		l.Region, l.Epoch, err = scanLease(row, &l.Holder, &left)
		l.Left = time.Duration(left) * time.Microsecond
		return l, err
	}, listLeases)
	if err != nil {
		return nil, fmt.Errorf("list leases: %w", err)
	}
	return found, nil
}
