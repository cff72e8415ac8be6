package postgres

import (
	"context"
	"errors"
	"fmt"

	"github.com/jackc/pgx/v5"
)

// ErrMoved means that the names of the database were moved to another store. Nothing is
// written any more, by any daemon, also by one that has been running since before.
var ErrMoved = errors.New("the names of this database were moved to another store")

// movedCode is the error of the server for each write after Retire.
const movedCode = "IPM01"

// How sessions are called, unless the URL says otherwise: those of a move are not those of a
// daemon.
const (
	daemonName = "ipns"
	movingName = "ipns-move"
)

// fence has every statement fail that writes to the tables, but those of a move. A daemon
// that slept through the move, or cannot see that it was made, fails at its next write, and
// what was not written does not leave it.
var fence = []string{
	`create table if not exists ipns.moved (to_store text not null, at timestamptz not null default now())`,
	`create or replace function ipns.refuse() returns trigger language plpgsql as $$
	begin
		if coalesce(current_setting('ipns.moving', true), '') <> 'on' then
			raise exception 'the names of this database were moved to another store' using errcode = '` + movedCode + `';
		end if;
		return null;
	end $$`,
}

// fenced are the tables that a daemon writes to, in the order in which Load does, so that
// neither waits for the other in a circle. Swaps name a partition of names, history and upkeep,
// whose trigger does not fire: each writes changes, whose trigger does.
var fenced = []string{"upkeep", "names", "history", "changes", "seen", "rows", "leases"}

// Retire puts the database out of use: its names are in another store, which to describes
// without any password. It waits for writes in flight. Once more, it changes nothing.
func (s *Store) Retire(ctx context.Context, to string) error {
	return s.fence(ctx, "retire", func(tx pgx.Tx, statements func(...string) error) error {
		if err := statements(fence...); err != nil {
			return err
		}
		for _, table := range fenced {
			err := statements(`drop trigger if exists refuse on ipns.`+table,
				`create trigger refuse before insert or update or delete on ipns.`+table+` for each statement execute function ipns.refuse()`)
			if err != nil {
				return err
			}
		}
		_, err := tx.Exec(ctx, `insert into ipns.moved (to_store) select $1 where not exists (select from ipns.moved)`, to)
		return err
	})
}

// Unretire puts it into use again.
func (s *Store) Unretire(ctx context.Context) error {
	return s.fence(ctx, "take into use", func(_ pgx.Tx, statements func(...string) error) error {
		for _, table := range fenced {
			if err := statements(`drop trigger if exists refuse on ipns.` + table); err != nil {
				return err
			}
		}
		return statements(`drop function if exists ipns.refuse()`, `drop table if exists ipns.moved`)
	})
}

// Clear removes all names and rows of a database that is retired, and begins a new
// generation. Marks of seen names stay.
func (s *Store) Clear(ctx context.Context) error {
	err := s.fence(ctx, "clear", func(_ pgx.Tx, statements func(...string) error) error {
		return statements(`lock table ipns.moved`, `truncate ipns.names, ipns.history, ipns.upkeep, ipns.changes, ipns.rows`)
	})
	if err != nil {
		return err
	}
	return s.Renew(ctx)
}

// fence runs statements that change what may be written, in one transaction.
func (s *Store) fence(ctx context.Context, what string, f func(pgx.Tx, func(...string) error) error) error {
	err := s.write(ctx, func(ctx context.Context, conn *pgx.Conn) error {
		return pgx.BeginFunc(ctx, conn, func(tx pgx.Tx) error {
			return f(tx, func(list ...string) error {
				for _, statement := range list {
					if _, err := tx.Exec(ctx, statement); err != nil {
						return err
					}
				}
				return nil
			})
		})
	})
	if err != nil {
		return fmt.Errorf("%s the database: %w", what, err)
	}
	return nil
}

// MovedTo returns where the names of the database are now; "": they are here.
func (s *Store) MovedTo(ctx context.Context) (to string, err error) {
	err = s.read(ctx, func(ctx context.Context, conn *pgx.Conn) error {
		to, err = movedTo(ctx, conn)
		return err
	})
	return to, err
}

func movedTo(ctx context.Context, conn *pgx.Conn) (to string, err error) {
	err = conn.QueryRow(ctx, `select to_store from ipns.moved`).Scan(&to)
	if errors.Is(err, pgx.ErrNoRows) || code(err) == undefinedTable || code(err) == undefinedSchema {
		return "", nil
	}
	return to, err
}

// refuseMoved returns ErrMoved if the names are elsewhere.
func (s *Store) refuseMoved(ctx context.Context) error {
	to, err := s.MovedTo(ctx)
	if err == nil && to != "" {
		err = fmt.Errorf("%w: %s", ErrMoved, to)
	}
	return err
}

// Users returns how many sessions of daemons the database has, as far as their names tell.
func (s *Store) Users(ctx context.Context) (n int, err error) {
	err = s.read(ctx, func(ctx context.Context, conn *pgx.Conn) error {
		return conn.QueryRow(ctx, `select count(*) from pg_stat_activity where datname = current_database() and application_name = $1`, daemonName).Scan(&n)
	})
	return n, err
}

// beginMoving lets a session write to a database that is retired.
func beginMoving(ctx context.Context, conn *pgx.Conn) error {
	_, err := conn.Exec(ctx, `select set_config('ipns.moving', 'on', false)`)
	return err
}
