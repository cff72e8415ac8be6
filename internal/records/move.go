package records

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"log/slog"
	"time"

	"github.com/goipns/ipns/internal/cluster"
	"github.com/goipns/ipns/internal/repo"
	"github.com/goipns/ipns/internal/storemove"
	store "github.com/goipns/ipns/recordstore/pebble"
	"github.com/goipns/ipns/recordstore/postgres"
)

var (
	// ErrThere means that the names are already where they are to be moved.
	ErrThere = errors.New("the names are there already")
	// ErrMoved means that the names of a database were moved to another store.
	ErrMoved = postgres.ErrMoved
	// ErrInUse means that other daemons use the database that names are to be moved from.
	ErrInUse = errors.New("other daemons use the database")
)

// Moved is what a move did.
type Moved struct {
	From, To string // as [Place] shows them
	storemove.Report
	Daemons bool // others use the new store
}

// MoveOptions say how names are moved.
type MoveOptions struct {
	Tell func(storemove.Progress) // nil: nobody is told
	Step func(step string) error  // for tests: see storemove.Move
	Log  *slog.Logger             // nil: nothing is logged
}

// Place says where names are, without any password: url is as Ipns.Store of the config.
func Place(url string) string {
	if url == "" {
		return "the database of this repo"
	}
	return repo.ShownStore(url)
}

// Move moves the names of a repo whose lock the caller holds to another store, and has the
// config name that: to is as Ipns.Store. After an error, or a crash, the same call goes on; in
// between, either the old store is in use, or none.
func Move(ctx context.Context, r repo.Repo, to string, o MoveOptions) (m Moved, err error) {
	config, err := r.Config()
	if err != nil {
		return m, err
	}
	at, isMoving, err := r.NamesAt()
	if err != nil {
		return m, err
	}
	if err := repo.CheckStore(to); err != nil {
		return m, err
	}
	if isMoving && at != repo.ShownStore(to) {
		return m, fmt.Errorf("%w: %s", storemove.ErrOther, at)
	}
	from := config.Ipns.Store
	if isMoving || at == "" && to != "" { // out of the repo, whatever the config says by now
		from = ""
	}
	if from == to {
		return m, ErrThere
	}
	if from == "" && !isMoving && at != "" {
		return m, fmt.Errorf("%w: in %s", ErrElsewhere, at)
	}
	mv := &mover{repo: r, from: from, to: to, at: at, isMoving: isMoving, MoveOptions: o}
	if mv.Log == nil {
		mv.Log = slog.New(slog.DiscardHandler)
	}
	defer func() { err = errors.Join(err, mv.close()) }()
	if err := mv.open(ctx); err != nil {
		return m, err
	}
	m.From, m.To, m.Daemons = Place(from), Place(to), mv.move.Shared
	if m.Report, err = mv.move.Run(ctx); err != nil {
		return m, err
	}
	return m, mv.use(ctx)
}

// mover has both stores of a move open.
type mover struct {
	MoveOptions
	repo     repo.Repo
	from, to string
	at       string // where the names are, by the repo
	isMoving bool

	disk     Store // of which Own is opened if a side is in the repo
	old, new *postgres.Store
	move     storemove.Move
}

func (mv *mover) open(ctx context.Context) (err error) {
	mv.move = storemove.Move{Skip: []string{cluster.Table}, Tell: mv.Tell, Step: mv.Step}
	if mv.from == "" || mv.to == "" {
		if err := mv.openOwn(ctx); err != nil {
			return err
		}
	}
	if mv.from == "" {
		mv.move.From, mv.move.Retired, mv.move.Damage = mv.disk.Own, mv.isMoving, damage(ctx, mv.disk.Own)
		mv.move.Retire = func(context.Context) error { return mv.repo.SetNamesMoving(mv.to) }
	} else if err := mv.openOld(ctx); err != nil {
		return err
	}
	if mv.to != "" {
		return mv.openNew(ctx)
	}
	mv.move.To = mv.disk.Own
	if mv.at != "" { // what is here is what was moved away once
		mv.move.Clear = mv.disk.Own.Clear
	} else if !mv.move.Retired {
		return ErrLeft // and was never moved to the database
	}
	return nil
}

// openOwn opens the store in the repo.
func (mv *mover) openOwn(ctx context.Context) (err error) {
	o := Options{Log: mv.Log}
	mv.disk.Disk = &store.Disk{Dir: mv.repo.Database()}
	if mv.disk.DB, err = openDB(ctx, mv.disk.Disk, o); err != nil {
		return err
	}
	mv.disk.Own, err = mv.disk.openOwn(mv.repo, o)
	return err
}

// openOld opens the database that names are moved from.
func (mv *mover) openOld(ctx context.Context) (err error) {
	if mv.old, err = openShared(ctx, mv.from, postgres.Options{Moving: true, Log: mv.Log}); err != nil {
		return err
	}
	moved, err := mv.old.MovedTo(ctx)
	if err != nil {
		return err
	}
	if moved != "" && moved != mv.whereTo() {
		return fmt.Errorf("%s: %w: %s", repo.ShownStore(mv.from), storemove.ErrOther, moved)
	}
	users, err := usersOf(ctx, mv.old)
	if err != nil {
		return err
	}
	if users > 0 && moved == "" {
		return fmt.Errorf("%s: %w, by %d connections", repo.ShownStore(mv.from), ErrInUse, users)
	}
	mv.move.From, mv.move.Retired = mv.old, moved != ""
	mv.move.Retire = func(ctx context.Context) error { return mv.old.Retire(ctx, mv.whereTo()) }
	return nil
}

const (
	lingerLimit = 2 * time.Second // for a server to notice that a client has gone
	lingerAgain = 20 * time.Millisecond
)

// usersOf returns how many sessions of daemons a database has. Those of a daemon that has just
// ended are there for a moment longer: they do not count.
func usersOf(ctx context.Context, s *postgres.Store) (n int, err error) {
	for end := time.Now().Add(lingerLimit); ; {
		if n, err = s.Users(ctx); err != nil || n == 0 || time.Now().After(end) {
			return n, err
		}
		select {
		case <-time.After(lingerAgain):
		case <-ctx.Done():
			return n, ctx.Err()
		}
	}
}

// whereTo says for daemons of the old database where the names are.
func (mv *mover) whereTo() string {
	if mv.to != "" {
		return repo.ShownStore(mv.to)
	}
	return "the repo of one daemon"
}

// openNew opens the database that names are moved to.
func (mv *mover) openNew(ctx context.Context) (err error) {
	if mv.new, err = openShared(ctx, mv.to, postgres.Options{Moving: true, Log: mv.Log}); err != nil {
		return err
	}
	moved, err := mv.new.MovedTo(ctx)
	if err != nil {
		return err
	}
	if moved != "" {
		mv.move.Clear = mv.new.Clear
	}
	users, err := usersOf(ctx, mv.new)
	mv.move.To, mv.move.Shared = mv.new, users > 0
	return err
}

// use takes the new store into use. The old one is retired: a crash in between leaves none in
// use, and the same move again comes here again.
func (mv *mover) use(ctx context.Context) error {
	if mv.new != nil {
		if err := mv.new.Unretire(ctx); err != nil {
			return err
		}
	}
	// In this order: what the repo says of itself contradicts the config in between.
	steps := []func() error{
		func() error { _, err := mv.repo.Set("Ipns.Store", mv.to); return err },
		func() error { return mv.repo.SetNamesAt(mv.to) },
	}
	if mv.to == "" {
		steps[0], steps[1] = steps[1], steps[0]
	}
	for i, step := range steps {
		if mv.Step != nil {
			if err := mv.Step(fmt.Sprintf("use %d", i)); err != nil {
				return err
			}
		}
		if err := step(); err != nil {
			return err
		}
	}
	return mv.move.Forget(ctx)
}

func (mv *mover) close() (err error) {
	for _, s := range []*postgres.Store{mv.old, mv.new} {
		if s != nil {
			err = errors.Join(err, s.Close())
		}
	}
	if mv.disk.Own != nil {
		err = errors.Join(err, mv.disk.Own.Close())
	}
	if mv.disk.DB != nil {
		err = errors.Join(err, mv.disk.closeDB())
	}
	return err
}

// damage yields what of a store cannot be read.
func damage(ctx context.Context, s *store.Store) iter.Seq2[string, error] {
	return func(yield func(string, error) bool) {
		for d, err := range s.Check(ctx) {
			if !yield(d.String(), err) {
				return
			}
		}
	}
}
