package storemove

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"iter"
	"slices"

	"golang.org/x/sync/errgroup"

	"github.com/goipns/ipns/recordstore"
	"github.com/goipns/ipns/recordstore/blob"
)

// rows yields the rows of the old store that are copied.
func (r *run) rows(ctx context.Context) iter.Seq2[recordstore.Row, error] {
	return func(yield func(recordstore.Row, error) bool) {
		for row, err := range r.From.Rows().All(ctx) {
			if err != nil {
				err = fmt.Errorf("old store: %w", err)
			}
			if err == nil && (row.Table == markerTable || slices.Contains(r.Skip, row.Table)) {
				continue
			}
			if !yield(row, err) {
				return
			}
		}
	}
}

// copyRows copies rows. The old store is retired, and what it has was compared with the new
// one: where that has something else now, it was changed there since.
func (r *run) copyRows(ctx context.Context) error {
	for row, err := range r.rows(ctx) {
		if err != nil {
			return err
		}
		row.Version = 0
		if _, err := r.To.Rows().Swap(ctx, row); err != nil && !errors.Is(err, recordstore.ErrConflict) {
			return fmt.Errorf("new store: %w", err)
		}
		r.tell("copying", 1)
	}
	return nil
}

// copyMarks copies the marks of seen names; of two, the higher one stays.
func (r *run) copyMarks(ctx context.Context) error {
	return r.marks(ctx, func(list []recordstore.SeenMark) error {
		if err := r.To.SetSeen(ctx, list...); err != nil {
			return fmt.Errorf("new store: %w", err)
		}
		r.tell("copying", len(list))
		return nil
	})
}

// marks passes the marks of seen names to f, some at once.
func (r *run) marks(ctx context.Context, f func([]recordstore.SeenMark) error) error {
	var list []recordstore.SeenMark
	for m, err := range r.From.AllSeen(ctx) {
		if err != nil {
			return fmt.Errorf("old store: %w", err)
		}
		if list = append(list, m); len(list) == chunk {
			if err := f(list); err != nil {
				return err
			}
			list = list[:0]
		}
	}
	if len(list) == 0 {
		return nil
	}
	return f(list)
}

// verify reads both stores, and compares everything. Names that were changed in the old
// store while they were copied are copied again.
func (r *run) verify(ctx context.Context) error {
	there := newDigest()
	both := func(kind byte, old, new []byte) {
		r.digest.add(kind, old)
		there.add(kind, new)
	}
	for _, part := range []func(context.Context, func(byte, []byte, []byte)) error{r.verifyNames, r.verifyRows, r.verifyMarks} {
		if err := part(ctx, both); err != nil {
			return err
		}
	}
	if r.report.Digest = r.digest.String(); there.String() != r.report.Digest {
		return errors.New("the new store does not have what the old one has: their digests differ")
	}
	return nil
}

func (r *run) verifyNames(ctx context.Context, both func(byte, []byte, []byte)) error {
	return r.names(ctx, func(pairs []pair) error {
		late := func(p pair) bool { return p.verdict == missing || p.verdict == behind || p.verdict == stale }
		if slices.ContainsFunc(pairs, late) {
			err := r.bring(ctx, pairs)
			if err == nil {
				pairs, err = r.again(ctx, pairs)
			}
			if err != nil {
				return err
			}
		}
		for _, p := range pairs {
			if err := r.verifyName(p, both); err != nil {
				return err
			}
		}
		r.tell("verifying", len(pairs))
		return nil
	})
}

func (r *run) verifyName(p pair, both func(byte, []byte, []byte)) error {
	r.report.Names++
	switch {
	case p.verdict == same || p.verdict == noted:
		was, err := r.bytes(p.old, r.from)
		now, nerr := r.bytes(p.new, r.to)
		if err := errors.Join(err, nerr); err != nil {
			return err
		}
		if p.verdict == same {
			u, err := upkeepBytes(p.old.Upkeep)
			v, verr := upkeepBytes(p.new.Upkeep)
			if err := errors.Join(err, verr); err != nil {
				return err
			}
			was, now = append(was, u...), append(now, v...)
		}
		both('n', was, now)
		r.report.Versions += len(p.old.Past)
	case p.verdict == ahead && (r.kept[p.old.Entry.Name] || r.Shared || r.Retired):
		r.report.Kept++ // it was there, or another daemon has changed it since
	default:
		return fmt.Errorf("the new store does not have the name %s as the old one does", p.old.Entry.Name)
	}
	return nil
}

func (r *run) verifyRows(ctx context.Context, both func(byte, []byte, []byte)) error {
	for row, err := range r.rows(ctx) {
		if err != nil {
			return err
		}
		there, err := r.To.Rows().Get(ctx, row.Table, row.Key)
		if err != nil && !errors.Is(err, recordstore.ErrNotFound) {
			return fmt.Errorf("new store: %w", err)
		}
		r.report.Rows++
		switch {
		case err == nil && bytes.Equal(there.Value, row.Value):
			both('r', rowBytes(row), rowBytes(there))
		case r.Shared || r.Retired && err == nil: // it was changed there since it was copied
			r.report.Kept++
		default:
			return fmt.Errorf("the new store does not have the row %q/%q as the old one does", row.Table, row.Key)
		}
		r.tell("verifying", 1)
	}
	return nil
}

func (r *run) verifyMarks(ctx context.Context, both func(byte, []byte, []byte)) error {
	var old, new markSum
	err := r.marks(ctx, func(list []recordstore.SeenMark) error {
		there := make([]recordstore.SeenMark, len(list))
		g, ctx := errgroup.WithContext(ctx)
		g.SetLimit(readers)
		for i, m := range list {
			g.Go(func() (err error) {
				there[i], err = r.To.Seen(ctx, m.Name)
				return err
			})
		}
		if err := g.Wait(); err != nil {
			return fmt.Errorf("new store: %w", err)
		}
		for i, m := range list {
			r.report.Marks++
			switch was, now := blob.EncodeSeen(m), blob.EncodeSeen(there[i]); {
			case bytes.Equal(was, now):
				old.add(was)
				new.add(now)
			case there[i].Mark.Compare(m.Mark) >= 0:
				r.report.Kept++
			default:
				return fmt.Errorf("the new store has a lower mark of %s", m.Name)
			}
		}
		r.tell("verifying", len(list))
		return nil
	})
	both('s', old[:], new[:])
	return err
}
