package watch

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"

	"github.com/goipns/ipns/recordstore"
)

// The rows of a receiver are replaced by their versions: a process that was stopped, and whose
// sector another one has by now, neither deletes nor replaces what waits there since. It gets
// recordstore.ErrConflict, and reads them again.

// keep has an event wait, in place of an earlier one of its name.
func (r *receiver) keep(ctx context.Context, name string, l letter) error {
	value, err := json.Marshal(l)
	if err != nil {
		return fmt.Errorf("row %s/%s: %w", waitingTable, name, err)
	}
	if r.waiting != nil {
		l.version = r.waiting[name].version
	}
	row, err := r.all.Rows.Swap(ctx, recordstore.Row{Table: waitingTable, Key: r.hook.ID + "/" + name, Value: value, Version: l.version})
	if err != nil {
		return err
	}
	l.version = row.Version
	if r.waiting != nil {
		r.waiting[name] = l
	}
	return nil
}

// drop forgets what waits of a name.
func (r *receiver) drop(ctx context.Context, name string) error {
	l, waits := r.waiting[name]
	if !waits {
		return nil
	}
	_, err := r.all.Rows.Swap(ctx, recordstore.Row{Table: waitingTable, Key: r.hook.ID + "/" + name, Version: l.version})
	if err == nil {
		delete(r.waiting, name)
	}
	return err
}

// waits returns what waits of a name, also for a receiver that another process serves.
func (r *receiver) waits(ctx context.Context, name string) (l letter, waits bool, err error) {
	if r.waiting != nil {
		l, waits = r.waiting[name]
		return l, waits, nil
	}
	row, err := r.all.Rows.Get(ctx, waitingTable, r.hook.ID+"/"+name)
	if errors.Is(err, recordstore.ErrNotFound) {
		return letter{}, false, nil
	}
	if err == nil {
		err = json.Unmarshal(row.Value, &l)
	}
	if err != nil {
		return letter{}, false, fmt.Errorf("row %s/%s: %w", waitingTable, name, err)
	}
	l.version = row.Version
	return l, true, nil
}

// errToldNewer means that something newer was sent.
var errToldNewer = errors.New("something newer was sent")

// tell notes what was sent of a name, unless something newer was.
func (r *receiver) tell(ctx context.Context, name string, t told) error {
	err := recordstore.ChangeRow(ctx, r.all.Rows, toldTable, r.hook.ID+"/"+name, func(value []byte) ([]byte, error) {
		next := t
		if value != nil {
			var before told
			if err := json.Unmarshal(value, &before); err != nil {
				return nil, fmt.Errorf("row %s/%s: %w", toldTable, name, err)
			}
			switch d := before.Mark.Compare(t.Mark); {
			case d > 0:
				return nil, errToldNewer
			case d == 0 && before.Mark.Hash == t.Mark.Hash:
				next.Kind |= before.Kind
			}
		}
		return json.Marshal(next)
	})
	if errors.Is(err, errToldNewer) {
		return nil
	}
	return err
}
