package postgres

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"strings"

	"github.com/jackc/pgx/v5"

	"github.com/goipns/ipns/recordstore"
)

// step makes one version of the tables from the one before.
type step struct {
	version int // from 1 on
	// oldest is the version of the oldest program that may use them. A running program that
	// is older notices within one poll, so a step that it must not survive for so long
	// changes the tables such that its statements fail.
	oldest     int
	statements []string
}

// schema is what a program knows of the tables: the steps to its version, in order. It
// reads and writes tables of that version, and of later ones that allow it.
type schema []step

// current is the schema of this program.
var current = schema{{version: 1, oldest: 1, statements: tables()}}

func (known schema) version() int { return known[len(known)-1].version }

// errOutdated means that a newer program has changed the tables.
var errOutdated = errors.New("a newer version of this program has changed the tables of the database: install it")

// migrationLock is the key of the advisory lock under which tables are made.
const migrationLock = 0x69706e73 // "ipns"

// migrate brings the tables to the version of the program, if they are older. The first
// daemon does it, in one transaction; others wait.
func (s *Store) migrate(ctx context.Context) error {
	if err := s.open(ctx); err != nil {
		return err
	}
	conn, err := s.pool.Acquire(ctx)
	if err != nil {
		return away(err)
	}
	defer conn.Release()
	version, oldest, err := tableVersion(ctx, conn.Conn())
	if err == nil && version < s.schema.version() {
		err = pgx.BeginFunc(ctx, conn, func(tx pgx.Tx) error {
			// What others do under the lock, or a step does, may take long.
			if _, err := tx.Exec(ctx, `select set_config('lock_timeout', '0', true), set_config('statement_timeout', '0', true)`); err != nil {
				return err
			}
			if _, err := tx.Exec(ctx, `select pg_advisory_xact_lock($1)`, migrationLock); err != nil {
				return err
			}
			if version, oldest, err = tableVersion(ctx, tx.Conn()); err != nil {
				return err
			}
			return s.steps(ctx, tx, &version, &oldest)
		})
	}
	switch {
	case err != nil:
		return s.readError(ctx, err)
	case oldest > s.schema.version():
		return fmt.Errorf("%w (they have version %d, this program knows %d)", errOutdated, version, s.schema.version())
	}
	return s.checkLife(ctx, conn.Conn())
}

// tableVersion returns the version of the tables, and that of the oldest program that may
// use them. Both are 0 if there are none.
func tableVersion(ctx context.Context, conn *pgx.Conn) (version, oldest int, err error) {
	var exists bool
	if err := conn.QueryRow(ctx, `select to_regclass('ipns.meta') is not null`).Scan(&exists); err != nil || !exists {
		return 0, 0, err
	}
	err = conn.QueryRow(ctx, `select version, oldest from ipns.meta`).Scan(&version, &oldest)
	return version, oldest, err
}

// steps makes the tables of the program's version from those of another.
func (s *Store) steps(ctx context.Context, tx pgx.Tx, version, oldest *int) error {
	if *version == 0 {
		// A role that may not make schemas can be given one.
		var exists bool
		err := tx.QueryRow(ctx, `select exists (select from pg_namespace where nspname = 'ipns')`).Scan(&exists)
		if err == nil && !exists {
			_, err = tx.Exec(ctx, `create schema ipns`)
		}
		if err != nil {
			return fmt.Errorf("make the tables: %w", err)
		}
	}
	for _, step := range s.schema {
		if step.version <= *version {
			continue
		}
		if _, err := tx.Exec(ctx, strings.Join(step.statements, ";\n")); err != nil {
			return fmt.Errorf("make version %d of the tables: %w", step.version, err)
		}
		if *version == 0 {
			gen := newGeneration()
			_, err := tx.Exec(ctx, `insert into ipns.meta (version, oldest, gen, life) values (0, 0, $1, `+lifeQuery+`)`, gen[:])
			if err != nil {
				return err
			}
		}
		*version, *oldest = step.version, max(*oldest, step.oldest)
		if _, err := tx.Exec(ctx, `update ipns.meta set version = $1, oldest = $2`, *version, *oldest); err != nil {
			return err
		}
	}
	return nil
}

func newGeneration() (gen recordstore.Generation) {
	_, _ = rand.Read(gen[:])
	return gen
}
