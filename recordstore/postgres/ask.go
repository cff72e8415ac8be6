package postgres

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"github.com/goipns/ipns/recordstore"
)

var (
	// ErrAway means that the database cannot be reached, or does not answer in time. Nothing
	// was written.
	ErrAway = recordstore.ErrAway

	// ErrReadOnly means that the database takes no writes at present. Nothing was written.
	ErrReadOnly = recordstore.ErrReadOnly
)

// answerLimit bounds how long a caller waits for a connection and an answer: longer than
// the server's own limits, for one that does nothing at all.
const answerLimit = statementLimit + 5*time.Second

// ask runs f, which asks the database something, on a connection. failed makes an error of
// what f returns.
func (s *Store) ask(ctx context.Context, failed func(context.Context, error) error, f func(context.Context, *pgx.Conn) error) error {
	if err := s.open(ctx); err != nil {
		return err
	}
	if err := s.health.begin(time.Now()); err != nil {
		return err
	}
	err := s.asked(ctx, failed, f)
	switch {
	case s.open(ctx) != nil:
		s.health.gaveUp()
	case errors.Is(err, ErrAway), errors.Is(err, recordstore.ErrDoubt):
		s.health.end(time.Now(), err)
	default:
		s.health.end(time.Now(), nil)
	}
	if errors.Is(err, recordstore.ErrFull) {
		s.health.isFull(time.Now())
	}
	return err
}

// asked is ask of a database that answers, as far as is known.
func (s *Store) asked(ctx context.Context, failed func(context.Context, error) error, f func(context.Context, *pgx.Conn) error) error {
	within, cancel := context.WithTimeout(ctx, answerLimit)
	defer cancel()
	defer context.AfterFunc(s.life, cancel)()
	conn, err := s.pool.Acquire(within)
	if err != nil { // nothing was sent
		if err := s.open(ctx); err != nil {
			return err
		}
		return away(err)
	}
	defer conn.Release()
	err = f(within, conn.Conn())
	if code(err) == readOnlyTransaction {
		// Its server may have become a standby: the next connection goes to the primary.
		_ = conn.Conn().Close(within)
	}
	return failed(ctx, err)
}

// read runs statements that change nothing.
func (s *Store) read(ctx context.Context, f func(context.Context, *pgx.Conn) error) error {
	return s.ask(ctx, s.readError, f)
}

// write runs one statement, or one transaction, that writes. Without an error it is
// committed, and on the synchronous standbys as far as the server is told to wait for them.
func (s *Store) write(ctx context.Context, f func(context.Context, *pgx.Conn) error) error {
	return s.ask(ctx, s.writeError, func(ctx context.Context, conn *pgx.Conn) error {
		noted := conn.PgConn().CustomData()
		delete(noted, unreplicated)
		if err := f(ctx, conn); err != nil {
			return err
		}
		if noted[unreplicated] != nil {
			return errUnreplicated
		}
		return nil
	})
}

// unreplicated is under which a connection notes that the server no longer waits for its
// standbys: then it has committed something that a standby may not have, and says so by a
// warning alone.
const unreplicated = "ipns: commit is not replicated"

var errUnreplicated = errors.New("committed, but perhaps not on the standby")

func onNotice(conn *pgconn.PgConn, n *pgconn.Notice) {
	if n.SeverityUnlocalized == "WARNING" && (n.Code == warning || n.Code == adminShutdown) {
		conn.CustomData()[unreplicated] = true
	}
}

// unreadable is the error of stored bytes that cannot be read. The database is not away.
type unreadable struct{ error }

func (u unreadable) Unwrap() error { return u.error }

// readError is the error of statements that change nothing.
func (s *Store) readError(ctx context.Context, err error) error {
	var bytes unreadable
	switch {
	case err == nil, errors.As(err, &bytes), errors.Is(err, recordstore.ErrGap):
		return err
	case errors.Is(err, pgx.ErrNoRows):
		return recordstore.ErrNotFound
	case s.open(ctx) != nil:
		return s.open(ctx)
	}
	return serverError(err, away)
}

// writeError is the error of a statement that writes.
func (s *Store) writeError(ctx context.Context, err error) error {
	var bytes unreadable
	switch {
	case err == nil, errors.Is(err, pgx.ErrNoRows), errors.As(err, &bytes):
		return err
	case pgconn.SafeToRetry(err): // it was not sent
		return s.readError(ctx, err)
	}
	return serverError(err, func(err error) error { return fmt.Errorf("%w: %w", recordstore.ErrDoubt, err) })
}

// serverError is the error that a server returned for a statement; lost makes it of one that
// was lost together with the answer.
func serverError(err error, lost func(error) error) error {
	switch c := code(err); {
	case c == "" || isShutdown(c):
		return lost(err)
	case c == diskFull:
		return fmt.Errorf("%w: %w", recordstore.ErrFull, err)
	case c == readOnlyTransaction:
		return fmt.Errorf("%w: %w", ErrReadOnly, err)
	case c == movedCode:
		return ErrMoved
	case c == queryCanceled, c == lockNotAvailable: // the server rolled it back
		return away(err)
	}
	return err
}

// away is the error of a database that does not answer.
func away(err error) error {
	if errors.Is(err, context.DeadlineExceeded) {
		return fmt.Errorf("%w: no answer within %v", ErrAway, answerLimit) // the caller's context goes on
	}
	return fmt.Errorf("%w: %w", ErrAway, err)
}

// Error codes of the server.
const (
	warning             = "01000"
	readOnlyTransaction = "25006"
	uniqueViolation     = "23505"
	diskFull            = "53100"
	tooManyClients      = "53300"
	lockNotAvailable    = "55P03"
	queryCanceled       = "57014"
	adminShutdown       = "57P01"
	crashShutdown       = "57P02"
	cannotConnect       = "57P03"
	databaseDropped     = "57P04"
	idleSessionTimeout  = "57P05"
	undefinedSchema     = "3F000"
	undefinedTable      = "42P01"
	connectionClass     = "08"
)

// code returns the code of an error of the server; "" if the error is not one.
func code(err error) string {
	var server *pgconn.PgError
	if errors.As(err, &server) {
		return server.Code
	}
	return ""
}

// isShutdown reports whether the server, or a pooler before it, has ended the connection, or
// takes none: a statement may have been committed before.
func isShutdown(code string) bool {
	switch code {
	case adminShutdown, crashShutdown, cannotConnect, databaseDropped, idleSessionTimeout, tooManyClients:
		return true
	}
	return strings.HasPrefix(code, connectionClass)
}

// list reads the rows of a statement, up to the first that cannot be read.
func list[T any](ctx context.Context, s *Store, scan func(pgx.Row) (T, error), statement string, args ...any) (found []T, err error) {
	err = s.read(ctx, func(ctx context.Context, conn *pgx.Conn) error {
		rows, err := conn.Query(ctx, statement, args...)
		if err != nil {
			return err
		}
		defer rows.Close()
		for rows.Next() {
			one, err := scan(rows)
			if err != nil {
				return err
			}
			found = append(found, one)
		}
		return rows.Err()
	})
	return found, err
}
