package postgres

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/jackc/pgx/v5"

	"github.com/goipns/ipns/internal/keyspace"
	"github.com/goipns/ipns/recordstore"
	"github.com/goipns/ipns/recordstore/blob"
)

// held answers whether a lease is the current one of its region. It keeps the lease from
// being given to another holder until the statement has committed, but not from being
// extended. The zero lease is none.
const held = `l as materialized (
	select 1 from ipns.leases
	where prefix = $1 and bits = $2 and holder = $3 and epoch = $4 and until > clock_timestamp()
	for key share)`

// statements are those about one name. They name the partition of its range of the key space:
// else a statement that is prepared would lock all partitions each time.
type statements struct {
	read, readUpkeep, readHistory string
	// Swaps, each one statement. $1 to $4 are the lease, whose epoch is 0 if there is none.
	// They return the position if the swap was made, and whether the lease was good.
	insert, update, remove string
}

// byPartition has the statements for the names of each partition.
var byPartition = func() (all [partitions]statements) {
	for i := range all {
		of := func(s string) string {
			return strings.NewReplacer(" names", fmt.Sprintf(" ipns.names_%x", i), " history", fmt.Sprintf(" ipns.history_%x", i), " upkeep", fmt.Sprintf(" ipns.upkeep_%x", i)).Replace(s)
		}
		all[i] = statements{
			read:        of(`select version, pos, entry from names where k = $1`),
			readUpkeep:  of(`select body from upkeep where k = $1`),
			readHistory: of(`select at, past from history where k = $1 and at < $2 order by at desc limit $3`),
			insert: of(`with ` + held + `,
				n as materialized (select nextval('ipns.positions') as pos),
				u as (insert into names (k, version, pos, entry)
					select $5, $6, n.pos, $7 from n where $4 = 0::int8 or exists (select from l)
					on conflict do nothing returning pos),
				c as (insert into ipns.changes (k, pos) select $5, pos from u)
				select (select pos from u), $4 = 0::int8 or exists (select from l)`),
			update: of(`with ` + held + `,
				n as materialized (select nextval('ipns.positions') as pos),
				u as (update names as had set version = $6, pos = n.pos, entry = $7 from n
					where k = $5 and version = $8 and had.pos = $9 and ($4 = 0::int8 or exists (select from l))
					returning had.pos),
				h as (insert into history (k, at, past)
					select $5, x.at, x.past from u, unnest($10::bytea[], $11::bytea[]) as x (at, past)
					on conflict (k, at) do update set past = excluded.past),
				o as (delete from history where $12 < ` + fmt.Sprint(unlimited) + ` and k = $5 and exists (select from u) and at in (
					select at from history where k = $5 and at <> all ($10::bytea[]) order by at desc offset $12)),
				d as (delete from ipns.changes where pos = $9 and exists (select from u)),
				c as (insert into ipns.changes (k, pos) select $5, pos from u)
				select (select pos from u), $4 = 0::int8 or exists (select from l)`),
			remove: of(`with ` + held + `,
				u as (delete from names
					where k = $5 and version = $6 and pos = $7 and ($4 = 0::int8 or exists (select from l))
					returning pos),
				h as (delete from history where k = $5 and exists (select from u)),
				p as (delete from upkeep where k = $5 and exists (select from u)),
				d as (delete from ipns.changes where pos = $7 and exists (select from u))
				select (select pos from u), $4 = 0::int8 or exists (select from l)`),
		}
	}
	return all
}()

func statementsOf(k keyspace.Key) *statements { return &byPartition[k[0]/(256/partitions)] }

// unlimited is the offset of a history that keeps all, which is not read for it.
const unlimited = int64(1) << 40

// Swap implements recordstore.Store.
func (s *Store) Swap(ctx context.Context, e recordstore.Entry, lease recordstore.Lease) (recordstore.Entry, error) {
	if err := s.open(ctx); err != nil {
		return recordstore.Entry{}, err
	}
	if lease != (recordstore.Lease{}) && (lease.Epoch == 0 || !lease.Region.Contains(e.Name.Kad())) {
		return recordstore.Entry{}, fmt.Errorf("swap %s: %w: it is not one of its region", e.Name, recordstore.ErrLease)
	}
	var old stored
	if e.Version != 0 { // else the statement shows whether there is one
		var err error
		if old, err = s.old(ctx, e); err != nil {
			return recordstore.Entry{}, fmt.Errorf("swap %s: %w", e.Name, err)
		}
	}
	next, err := recordstore.Settle(old.entry, e)
	if err != nil {
		return recordstore.Entry{}, err
	}
	if next, err = s.swap(ctx, old, next, lease); err != nil {
		return recordstore.Entry{}, fmt.Errorf("swap %s: %w", e.Name, err)
	}
	s.wake.swapped()
	return next, nil
}

// old returns the entry that is to be replaced, from memory if it has the right version.
func (s *Store) old(ctx context.Context, e recordstore.Entry) (stored, error) {
	k := e.Name.Kad()
	if old, ok := s.recent.get(k); ok && old.entry.Version == e.Version {
		return old, nil
	}
	old, err := s.stored(ctx, k)
	if isNotFound(err) {
		return stored{}, nil
	}
	return old, err
}

// swap stores next in place of old, and returns it.
func (s *Store) swap(ctx context.Context, old stored, next recordstore.Entry, lease recordstore.Lease) (recordstore.Entry, error) {
	k := next.Name.Kad()
	s.recent.forget(k)
	args := []any{lease.Region.Prefix[:], int16(lease.Region.Bits), lease.Holder, int64(lease.Epoch), k[:]}
	var pos *int64
	var good bool
	var gen recordstore.Generation
	err := s.write(ctx, func(ctx context.Context, conn *pgx.Conn) error {
		life := s.seenLife() // that of the connection, or a later one
		gen = life.gen
		statement := statementsOf(k).update
		switch {
		case next.Version == 0:
			statement = statementsOf(k).remove
			args = append(args, int64(old.entry.Version), old.pos)
		case old.entry.Version == 0:
			next.Version = max(next.Version, life.base)
			statement = statementsOf(k).insert
			args = append(args, int64(next.Version), blob.EncodeEntry(next))
		default:
			next.Version = max(next.Version, life.base)
			at, pasts := superseded(old.entry, next)
			offset := unlimited
			if next.Origin == recordstore.Hosted {
				offset = int64(max(0, recordstore.HostedHistory-len(next.Kept())-len(at)))
			}
			args = append(args, int64(next.Version), blob.EncodeEntry(next), int64(old.entry.Version), old.pos, at, pasts, offset)
		}
		return conn.QueryRow(ctx, statement, args...).Scan(&pos, &good)
	})
	switch {
	case err != nil:
		return next, err
	case pos == nil && !good:
		return next, recordstore.ErrLease
	case pos == nil:
		return next, recordstore.ErrConflict
	}
	if next.Version != 0 {
		s.noteChange(gen, uint64(*pos), next)
		s.recent.put(k, stored{next, *pos})
	}
	return next, nil
}

// superseded returns the versions that are in the entry old and no longer in next, with
// their keys: the history gets them. A renewal replaces the record that it renews.
func superseded(old, next recordstore.Entry) (at, pasts [][]byte) {
	at, pasts = [][]byte{}, [][]byte{} // not null
	var kept []recordstore.PastKey
	for _, rec := range next.Kept() {
		kept = append(kept, recordstore.PastKeyOf(rec))
	}
	if old.Origin < recordstore.Hosted {
		return at, pasts
	}
	for _, rec := range old.Kept() {
		if key := recordstore.PastKeyOf(rec); !slices.Contains(kept, key) {
			kept = append(kept, key)
			at = append(at, key[:])
			pasts = append(pasts, blob.EncodePast(recordstore.Past{Record: rec, At: old.Changed}))
		}
	}
	return at, pasts
}

// stored is an entry as it is stored.
type stored struct {
	entry recordstore.Entry
	pos   int64
}

// stored returns what is stored of a name, or ErrNotFound.
func (s *Store) stored(ctx context.Context, k keyspace.Key) (e stored, err error) {
	err = s.read(ctx, func(ctx context.Context, conn *pgx.Conn) (err error) {
		e, err = scanEntry(conn.QueryRow(ctx, statementsOf(k).read, k[:]))
		return err
	})
	if err == nil {
		s.recent.put(k, e)
	}
	return e, err
}

func scanEntry(row pgx.Row) (e stored, err error) {
	var version int64
	var body []byte
	if err := row.Scan(&version, &e.pos, &body); err != nil {
		return stored{}, err
	}
	if e.entry, err = blob.DecodeEntry(body, recordstore.Generation{}); err != nil {
		return stored{}, unreadable{fmt.Errorf("entry: %w", err)}
	}
	if e.entry.Version != uint64(version) {
		return stored{}, unreadable{fmt.Errorf("entry: version %d in place of %d: %w", e.entry.Version, version, blob.ErrDamaged)}
	}
	return e, nil
}
