// Package storemove moves all that a node knows of names from one store to another: names
// with their history and upkeep, marks of seen names, and rows.
//
// The order is what makes a crash harmless:
//
//  1. Compare the stores. A conflict is refused, and neither store was changed.
//  2. Copy names. The old store is in use until here, and may go on being so.
//  3. Retire the old store, durably: from then on no process stores anything there.
//  4. Copy the rows, the marks, and what has changed since 2.
//  5. Verify: read both stores again, and compare everything.
//  6. The caller takes the new store into use, and calls [Move.Forget].
//
// A crash before 3 leaves the old store in use, one after it neither; never both are. The
// same move goes on from where it was: what is there already is compared, not copied again.
//
// Invariants:
//   - Nothing of the old store is changed, but that it is retired.
//   - No name of the new store goes back or is replaced, unless an earlier call of the same
//     move has put it there, or the new store was retired itself.
//
// Versions of entries and rows, positions of changes and generations are those of a store,
// and begin anew. What was known in the current generation of the old store is known in that
// of the new one: nothing can have been published in between.
package storemove

import (
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"iter"
	"strings"

	"github.com/goipns/ipns"
	"github.com/goipns/ipns/recordstore"
)

// Limits of a move.
const (
	chunk   = 512 // names that are compared, and loaded, at once
	readers = 8   // that read them concurrently
	maxTold = 20  // conflicts that an error lists
)

// ErrOther means that the old store is retired, and that it was not moved to the new one.
var ErrOther = errors.New("the names were moved to another store")

// Move is a move from one store to another. The caller keeps everybody else from using From.
type Move struct {
	From, To recordstore.Database
	// Damage yields what of From cannot be read; nil: nothing. Then there is no move.
	Damage iter.Seq2[string, error]
	// Retired says that From is retired: an earlier call of the same move came so far.
	Retired bool
	// Retire retires From.
	Retire func(context.Context) error
	// Clear removes all names and rows from To, which is retired itself and has what From
	// had once; the marks stay. It begins a new generation. nil: To is in use, or empty.
	Clear func(context.Context) error
	// Shared says that other daemons use To: they may change at once what is copied.
	Shared bool
	// Skip are tables of rows that belong to a store itself, and are not copied.
	Skip []string
	// Tell is called as the move goes on; nil: nobody is told.
	Tell func(Progress)
	// Step is called before each step, for tests: if it fails, the move ends there.
	Step func(step string) error
}

// Progress says how far a move is.
type Progress struct {
	Doing string // "comparing", "copying" or "verifying"
	Done  int    // names, marks and rows
}

// Report says what is in the new store.
type Report struct {
	Names, Versions, Marks, Rows int
	// Kept are names, marks and rows of which the new store knows as much or more: they stay
	// as they are there.
	Kept int `json:",omitempty"`
	// Digest is the SHA-256 of all that was compared and is the same, in the order of the old
	// store: see digest.
	Digest string
}

// Conflict means that the new store has something else than the old one.
type Conflict struct {
	Names []ipns.Name // the first ones
	Rows  []string    // the first ones
	More  int         // that are not listed
}

func (c *Conflict) Error() string {
	var list []string
	for _, name := range c.Names {
		list = append(list, name.String())
	}
	for _, row := range c.Rows {
		list = append(list, "row "+row)
	}
	text := "the new store has other things under the same names: " + strings.Join(list, ", ")
	if c.More > 0 {
		text += fmt.Sprintf(" and %d more", c.More)
	}
	return text
}

func (c *Conflict) name(name ipns.Name) {
	if len(c.Names)+len(c.Rows) < maxTold {
		c.Names = append(c.Names, name)
	} else {
		c.More++
	}
}

func (c *Conflict) row(r recordstore.Row) {
	if len(c.Names)+len(c.Rows) < maxTold {
		c.Rows = append(c.Rows, fmt.Sprintf("%q/%q", r.Table, r.Key))
	} else {
		c.More++
	}
}

// err returns c, or nil if there is no conflict.
func (c *Conflict) err() error {
	if len(c.Names)+len(c.Rows) == 0 {
		return nil
	}
	return c
}

// run is a call of Run.
type run struct {
	Move
	from, to recordstore.Generation
	kept     map[ipns.Name]bool // what To knew more of before
	raised   map[ipns.Name]bool // what came by swaps, not as a whole
	began    bool               // an earlier call of the same move has copied something
	report   Report
	digest   digest
	progress Progress
}

// Run makes the move up to the point where the new store can be taken into use.
func (m Move) Run(ctx context.Context) (Report, error) {
	r := &run{Move: m, kept: map[ipns.Name]bool{}, raised: map[ipns.Name]bool{}, digest: newDigest()}
	if err := r.run(ctx); err != nil {
		return Report{}, fmt.Errorf("move the names: %w", err)
	}
	return r.report, nil
}

func (r *run) run(ctx context.Context) (err error) {
	if r.from, err = r.From.Generation(ctx); err != nil {
		return fmt.Errorf("old store: %w", err)
	}
	if err := r.generation(ctx); err != nil {
		return err
	}
	if r.from == r.to {
		return errors.New("both are the same store")
	}
	if r.began, err = r.hasMarker(ctx); err != nil {
		return err
	}
	if r.Retired && !r.began {
		return ErrOther
	}
	if r.Damage != nil {
		for what, err := range r.Damage {
			if err == nil {
				err = fmt.Errorf("%s: it is damaged: repair it first", what)
			}
			return fmt.Errorf("old store: %w", err)
		}
	}
	steps := []struct {
		name string
		do   func(context.Context) error
	}{
		{"compare", r.compare},
		{"mark", r.setMarker},
		{"copy", r.copyNames},
		{"retire", r.retire},
		{"rows", r.copyRows},
		{"marks", r.copyMarks},
		{"sync", r.sync},
		{"verify", r.verify},
		{"done", func(context.Context) error { return nil }},
	}
	for _, step := range steps {
		if r.Step != nil {
			if err := r.Step(step.name); err != nil {
				return err
			}
		}
		if err := step.do(ctx); err != nil {
			return err
		}
	}
	return nil
}

// generation reads that of the new store.
func (r *run) generation(ctx context.Context) (err error) {
	if r.to, err = r.To.Generation(ctx); err != nil {
		return fmt.Errorf("new store: %w", err)
	}
	return nil
}

func (r *run) tell(doing string, done int) {
	if r.progress.Doing != doing {
		r.progress = Progress{Doing: doing}
	}
	r.progress.Done += done
	if r.Tell != nil {
		r.Tell(r.progress)
	}
}

func (r *run) retire(ctx context.Context) error {
	if r.Retired {
		return nil
	}
	if err := r.Retire(ctx); err != nil {
		return fmt.Errorf("retire the old store: %w", err)
	}
	return nil
}

func (r *run) sync(ctx context.Context) error {
	if err := r.To.Sync(ctx); err != nil {
		return fmt.Errorf("new store: %w", err)
	}
	return nil
}

// markerTable has a row in the new store while a move to it is not complete, under the
// generation of the old one: what is there may be an older copy.
const markerTable = "store-move"

func (r *run) hasMarker(ctx context.Context) (bool, error) {
	_, err := r.To.Rows().Get(ctx, markerTable, hex.EncodeToString(r.from[:]))
	if errors.Is(err, recordstore.ErrNotFound) {
		return false, nil
	}
	return err == nil, err
}

func (r *run) setMarker(ctx context.Context) error {
	if r.began {
		return nil
	}
	_, err := r.To.Rows().Swap(ctx, recordstore.Row{Table: markerTable, Key: hex.EncodeToString(r.from[:]), Value: []byte("copying")})
	return err
}

// Forget removes what the move has noted in the new store, which is in use. Without it, a
// later move from the same store would take what it finds for its own.
func (m Move) Forget(ctx context.Context) error {
	gen, err := m.From.Generation(ctx)
	if err != nil {
		return err
	}
	row, err := m.To.Rows().Get(ctx, markerTable, hex.EncodeToString(gen[:]))
	if errors.Is(err, recordstore.ErrNotFound) {
		return nil
	}
	if err == nil {
		row.Value = nil
		_, err = m.To.Rows().Swap(ctx, row)
	}
	return err
}
