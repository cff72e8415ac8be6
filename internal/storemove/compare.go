package storemove

import (
	"bytes"
	"context"
	"errors"
	"fmt"

	"github.com/goipns/ipns/recordstore"
)

// compare refuses what the new store would have to lose, before anything is written.
func (r *run) compare(ctx context.Context) error {
	switch {
	case r.Retired:
		return nil // it was compared before
	case r.Clear != nil && !r.began:
		if err := r.checkLoss(ctx); err != nil {
			return err
		}
		if err := r.Clear(ctx); err != nil {
			return fmt.Errorf("new store: %w", err)
		}
		return r.generation(ctx)
	}
	empty, err := isEmpty(ctx, r.To)
	if err != nil || empty {
		return err
	}
	var c Conflict
	err = r.names(ctx, func(pairs []pair) error {
		for _, p := range pairs {
			if p.verdict == other || p.verdict == behind && !r.began {
				c.name(p.old.Entry.Name)
			}
		}
		r.tell("comparing", len(pairs))
		return nil
	})
	if err != nil {
		return err
	}
	for row, err := range r.rows(ctx) {
		if err != nil {
			return err
		}
		there, err := r.To.Rows().Get(ctx, row.Table, row.Key)
		switch {
		case errors.Is(err, recordstore.ErrNotFound):
		case err != nil:
			return fmt.Errorf("new store: %w", err)
		case !bytes.Equal(row.Value, there.Value):
			c.row(row)
		}
		r.tell("comparing", 1)
	}
	return c.err()
}

func isEmpty(ctx context.Context, db recordstore.Database) (bool, error) {
	for _, err := range db.Scan(ctx, recordstore.Region{}) {
		return false, err
	}
	for _, err := range db.Rows().All(ctx) {
		return false, err
	}
	return true, nil
}

// checkLoss refuses to clear a new store of which the old one does not know everything:
// names of others that were forgotten since may go.
func (r *run) checkLoss(ctx context.Context) error {
	var c Conflict
	for e, err := range r.To.Scan(ctx, recordstore.Region{}) {
		if err != nil {
			return fmt.Errorf("new store: %w", err)
		}
		has, err := r.From.Get(ctx, e.Name)
		switch {
		case errors.Is(err, recordstore.ErrNotFound):
			if e.Origin == recordstore.Own {
				c.name(e.Name)
			}
		case err != nil:
			return fmt.Errorf("old store: %w", err)
		case has.Mark.Compare(e.Mark) < 0 || has.Next < e.Next || has.Origin < e.Origin:
			c.name(e.Name)
		}
		r.tell("comparing", 1)
	}
	return c.err()
}
