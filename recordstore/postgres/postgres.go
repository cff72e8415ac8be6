// Package postgres keeps names in a PostgreSQL database, which several daemons share.
//
// It is a [recordstore.Store] with its Notes, Marks and Rows, and a [recordstore.Leaser].
// A swap is one statement outside of any transaction block, so that no daemon that stops
// in the middle holds a lock: it compares the version, checks the lease, and writes the
// entry, its history and its change together. It is acknowledged when the server has
// committed it, with synchronous_commit at least on.
//
// Invariants:
//   - The version decides: of two swaps from the same version exactly one succeeds,
//     whichever daemons make them, with leases or without.
//   - A swap with a lease succeeds only while that lease is the current one of its region,
//     by the clock of the database.
//   - Nothing is read from a standby.
//   - Data that may lack something it had before begins a new generation: after a dump or a
//     copy was restored, a standby was promoted, or less is in it than a daemon has seen. No
//     version of an entry is used again after that.
//   - Readers of Changes see each committed swap, also of other daemons: at once when
//     notified, else with the next poll.
//
// An answer that was lost leaves the swap in doubt ([recordstore.ErrDoubt]): the entry that
// is read next shows whether it was made. A database that cannot be reached gives
// [ErrAway], one that takes no writes [ErrReadOnly], and nothing is acknowledged.
package postgres

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/goipns/ipns/recordstore"
)

// Limits of one store.
const (
	DefaultConns     = 16               // connections of one daemon, at most
	statementLimit   = 20 * time.Second // of one statement, by the server
	lockLimit        = 10 * time.Second // that a statement waits for a lock
	idleLimit        = 20 * time.Second // of a transaction that does nothing
	unansweredLimit  = 15 * time.Second // that sent bytes stay unacknowledged
	dialLimit        = 10 * time.Second
	healthCheckEvery = 15 * time.Second
)

// Options of a Store.
type Options struct {
	// Conns bounds the connections; 0: DefaultConns.
	Conns int
	// Moving is for a move: it writes to a database that is retired, too.
	Moving bool
	// Witness is a file in which the store notes how far its data has come, so that a daemon
	// that starts notices if the database was put back; "": none.
	Witness string
	Log     *slog.Logger // nil: nothing is logged
}

// Store is the store in one database. It is safe for concurrent use, also by several
// processes.
type Store struct {
	pool   *pgxpool.Pool
	log    *slog.Logger
	schema schema
	moving bool

	witness string // a file; "": none
	began   point  // what that said when the store was opened

	mu     sync.Mutex // guards the fields below
	seen   point
	closed error // why nothing works any more; nil: all does

	health  health
	recent  recent
	wake    wake
	running sync.WaitGroup
	life    context.Context // of what runs while the store is open
	stop    context.CancelFunc
}

var (
	_ recordstore.Database = (*Store)(nil)
	_ recordstore.Leaser   = (*Store)(nil)
)

// Open connects to a database and makes or migrates the tables. The URL is as libpq takes it,
// may name several hosts, of which the primary is used, and may have pool_max_conns. Open
// returns ErrAway if the database cannot be reached.
func Open(ctx context.Context, url string, o Options) (*Store, error) {
	return open(ctx, url, o, current)
}

func open(ctx context.Context, url string, o Options, known schema) (*Store, error) {
	config, err := configOf(url, o)
	if err != nil {
		return nil, fmt.Errorf("open store: %w", err)
	}
	s := &Store{log: o.Log, schema: known, moving: o.Moving, witness: o.Witness}
	if s.log == nil {
		s.log = slog.New(slog.DiscardHandler)
	}
	s.began = s.readWitness()
	s.life, s.stop = context.WithCancel(context.Background())
	config.AfterConnect = s.begin
	if s.pool, err = pgxpool.NewWithConfig(ctx, config); err != nil {
		return nil, fmt.Errorf("open store: %w", err)
	}
	err = s.migrate(ctx)
	if err == nil && !o.Moving {
		err = s.refuseMoved(ctx)
	}
	if err != nil {
		s.stop()
		s.pool.Close()
		return nil, fmt.Errorf("open store: %w", err)
	}
	s.running.Go(func() { s.listen(s.life) })
	s.running.Go(func() { s.notify(s.life) })
	s.running.Go(func() { s.testify(s.life) })
	return s, nil
}

// configOf is how connections are made. The errors of pgx leave the password out.
func configOf(url string, o Options) (*pgxpool.Config, error) {
	plain, err := pgx.ParseConfig(url)
	if err != nil {
		return nil, err
	}
	config, err := pgxpool.ParseConfig(url)
	if err != nil {
		return nil, err
	}
	if _, bounded := plain.RuntimeParams["pool_max_conns"]; o.Conns > 0 {
		config.MaxConns = int32(o.Conns)
	} else if !bounded {
		config.MaxConns = DefaultConns
	}
	if hasPassword(config.ConnConfig) {
		return nil, errors.New("a host of the URL has an @ in it: in a password, write it as %40")
	}
	config.HealthCheckPeriod = healthCheckEvery
	config.MaxConnIdleTime = 5 * time.Minute
	conn := config.ConnConfig
	conn.ConnectTimeout = dialLimit
	conn.DialFunc = dialer().DialContext
	conn.OnNotice = onNotice
	if conn.ValidateConnect == nil { // the URL has no target_session_attrs
		conn.ValidateConnect = pgconn.ValidateConnectTargetSessionAttrsPrimary
	}
	if o.Moving {
		conn.RuntimeParams["application_name"] = movingName
	} else if conn.RuntimeParams["application_name"] == "" {
		conn.RuntimeParams["application_name"] = daemonName
	}
	return config, nil
}

// hasPassword reports whether a host begins with the end of a password that has an @: it would
// be asked for at name servers, and shown in errors.
func hasPassword(c *pgx.ConnConfig) bool {
	hosts := []string{c.Host}
	for _, f := range c.Fallbacks {
		hosts = append(hosts, f.Host)
	}
	return slices.ContainsFunc(hosts, func(host string) bool {
		return !strings.HasPrefix(host, "/") && strings.LastIndex(host, "@") > 0 // a socket may have one
	})
}

func dialer() *net.Dialer {
	return &net.Dialer{Timeout: dialLimit, KeepAlive: healthCheckEvery, Control: boundUnanswered}
}

// settings of each session. They are set by a statement, since poolers refuse most of them
// when a connection begins. Commits wait for the disk, at least. A part of a region is read in
// the order of its index, not a whole partition for it.
const settings = `select pg_is_in_recovery(), pg_backend_pid(),
	set_config('statement_timeout', $1, false), set_config('lock_timeout', $2, false),
	set_config('idle_in_transaction_session_timeout', $3, false), set_config('tcp_user_timeout', $4, false),
	set_config('default_transaction_isolation', 'read committed', false),
	set_config('jit', 'off', false), set_config('random_page_cost', '1.1', false), set_config('timezone', 'UTC', false),
	set_config('synchronous_commit', case when current_setting('synchronous_commit') in ('off', 'local')
		then 'on' else current_setting('synchronous_commit') end, false)`

// begin prepares a new connection.
func (s *Store) begin(ctx context.Context, conn *pgx.Conn) error {
	ctx, cancel := context.WithTimeout(ctx, dialLimit)
	defer cancel()
	milliseconds := func(d time.Duration) string { return fmt.Sprint(d.Milliseconds()) }
	var recovering bool
	var pid uint32
	err := conn.QueryRow(ctx, settings, milliseconds(statementLimit), milliseconds(lockLimit), milliseconds(idleLimit), milliseconds(unansweredLimit)).
		Scan(&recovering, &pid, nil, nil, nil, nil, nil, nil, nil, nil, nil)
	if err != nil {
		return err
	}
	if recovering {
		return errors.New("it is a standby, and the primary is needed")
	}
	if s.moving {
		if err := beginMoving(ctx, conn); err != nil {
			return err
		}
	}
	if pid != conn.PgConn().PID() {
		s.log.Debug("a pooler is before the database: it must pool sessions, not transactions")
	}
	return s.checkLife(ctx, conn)
}

// Close implements recordstore.Store.
func (s *Store) Close() error {
	if s.wake.untold() { // or others would have to wait for their next poll
		ctx, cancel := context.WithTimeout(context.Background(), brief)
		_ = s.tell(ctx)
		cancel()
	}
	s.mu.Lock()
	was := errors.Is(s.closed, recordstore.ErrClosed)
	s.closed = recordstore.ErrClosed
	s.mu.Unlock()
	if was {
		return nil
	}
	s.stop()
	s.wake.all()
	s.running.Wait()
	s.pool.Close()
	return nil
}

// open returns an error if the store is closed or ctx is over.
func (s *Store) open(ctx context.Context) error {
	s.mu.Lock()
	closed := s.closed
	s.mu.Unlock()
	if closed != nil {
		return closed
	}
	return ctx.Err()
}

// outdated has every later call refused.
func (s *Store) outdated() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed == nil {
		s.closed = errOutdated
	}
}
