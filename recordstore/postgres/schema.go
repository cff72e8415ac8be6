package postgres

import "fmt"

// partitions is into how many ranges of the key space names are divided, by their first
// four bits, so that each range is vacuumed by itself.
const partitions = 16

// tables makes the tables of version 1. A name is found by its Kademlia id k, so that a
// region is a range. entry, past, body and mark are blobs (package blob).
//
//   - names.pos is that of the entry's last change: with it, a swap is certain that the
//     entry is the one that was read, even if the name was forgotten and made anew.
//   - history has the versions that are not in the entry itself.
//   - changes has one row for each name.
//   - seen.ord orders marks as recordstore.Mark.Compare does.
func tables() []string {
	all := []string{
		`create table ipns.meta (
			one      bool primary key default true check (one),
			version  int4 not null,
			oldest   int4 not null,
			gen      bytea not null,
			life     text not null,
			base     int8 not null default 0)`,
		`create sequence ipns.positions`,
		`create table ipns.names (
			k       bytea not null,
			version int8 not null,
			pos     int8 not null,
			entry   bytea not null,
			primary key (k)) partition by range (k)`,
		`create table ipns.history (
			k    bytea not null,
			at   bytea not null,
			past bytea not null,
			primary key (k, at)) partition by range (k)`,
		`create table ipns.upkeep (
			k    bytea not null,
			due  int8 not null,
			body bytea not null,
			primary key (k)) partition by range (k)`,
		`create table ipns.changes (
			xid xid8 not null default pg_current_xact_id(),
			pos int8 not null,
			k   bytea not null,
			primary key (pos)) with (fillfactor = 90, autovacuum_vacuum_scale_factor = 0.02)`,
		`create index on ipns.changes (xid, pos)`,
		`create table ipns.seen (
			k          bytea primary key,
			ord        bytea not null,
			keep_until int8 not null,
			mark       bytea not null)`,
		`create index on ipns.seen (keep_until)`,
		`create sequence ipns.row_versions`,
		`create table ipns.rows (
			tab     bytea not null,
			key     bytea not null,
			version int8 not null default nextval('ipns.row_versions'),
			value   bytea not null,
			primary key (tab, key))`,
		`create table ipns.leases (
			prefix bytea not null,
			bits   int2 not null,
			holder text not null,
			epoch  int8 not null,
			until  timestamptz not null,
			primary key (prefix, bits)) with (fillfactor = 50)`,
		`create unique index on ipns.leases (prefix, bits, epoch)`,
	}
	// An entry that is swapped, and upkeep that is noted again, find room in their page: then
	// no index changes. A version in the history does not change.
	all = append(all, partition("names", "entry", 90)...)
	all = append(all, partition("upkeep", "body", 85)...)
	all = append(all, partition("history", "past", 100)...)
	return all
}

// partition makes the partitions of a table, whose pages are filled to so many per cent.
func partition(table, stored string, full int) (list []string) {
	for i := range partitions {
		name := fmt.Sprintf("ipns.%s_%x", table, i)
		from, to := fmt.Sprintf(`'\x%x0'`, i), "maxvalue"
		if i == 0 {
			from = "minvalue"
		}
		if i < partitions-1 {
			to = fmt.Sprintf(`'\x%x0'`, i+1)
		}
		list = append(list,
			fmt.Sprintf(`create table %s partition of ipns.%s for values from (%s) to (%s) with (fillfactor = %d, autovacuum_vacuum_scale_factor = 0.05)`, name, table, from, to, full),
			fmt.Sprintf(`alter table %s alter %s set storage external`, name, stored)) // signatures do not compress
	}
	return list
}
