package watch

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/goipns/ipns"
	"github.com/goipns/ipns/recordstore"
)

// letter is an event that waits to be sent, or was given up.
type letter struct {
	Kind   Kind
	Record []byte    // of the name; none if that is gone
	Since  time.Time // when it failed first; zero: not yet
	Next   time.Time // when to send it
	Tries  int
	Error  string `json:",omitempty"` // of the last try
	// At is the position of an event that has no record, to tell it from others like it.
	At recordstore.Position `json:",omitempty"`

	version uint64 // of its row, as it was read or written last; 0: there was none
}

// record returns the record, which was verified when it was stored.
func (l letter) record(name string) *ipns.Record {
	n, err := ipns.ParseName(name)
	if err != nil || len(l.Record) == 0 {
		return nil
	}
	rec, err := ipns.Load(n, l.Record)
	if err != nil {
		return nil
	}
	return rec
}

// newer returns what is to be sent in place of a letter, if the Book has a newer record.
func (r *receiver) newer(ctx context.Context, name string, l letter) (letter, error) {
	n, err := ipns.ParseName(name)
	if err != nil {
		return letter{}, nil // a gap
	}
	e, err := r.all.Names.Book.Get(ctx, n)
	rec := l.record(name)
	switch {
	case errors.Is(err, recordstore.ErrNotFound), err == nil && e.Record == nil:
		return letter{}, nil
	case err != nil:
		return letter{}, err
	case rec != nil && e.Mark.Compare(recordstore.MarkOf(rec)) <= 0:
		return letter{}, nil
	}
	l.Kind, l.Record, l.At = Changed, e.Record.Raw(), ""
	return l, nil
}

// DeadLetter is an event that was given up.
type DeadLetter struct {
	Webhook  string
	Name     string
	Type     string
	Sequence uint64
	Since    time.Time // the first failure
	Tries    int
	Error    string
}

// Dead returns the dead letters of a webhook, or of all if id is empty.
func (w *Webhooks) Dead(ctx context.Context, id string) ([]DeadLetter, error) {
	from, to := "", ""
	if id != "" {
		if _, err := w.get(ctx, id); err != nil {
			return nil, err
		}
		from, to = id+"/", id+"0"
	}
	var list []DeadLetter
	for row, err := range w.Rows.Range(ctx, deadTable, from, to) {
		var l letter
		if err == nil {
			err = json.Unmarshal(row.Value, &l)
		}
		if err != nil {
			return nil, fmt.Errorf("dead letters: %w", err)
		}
		hook, name := splitKey(row.Key)
		d := DeadLetter{Webhook: hook, Name: name, Type: l.Kind.String(), Since: l.Since, Tries: l.Tries, Error: l.Error}
		if rec := l.record(name); rec != nil {
			d.Sequence = rec.Sequence()
		}
		list = append(list, d)
	}
	return list, nil
}

// Replay sends the dead letters of a webhook again, or those of some names: each with what
// is newest of its name by then. It returns how many there are.
func (w *Webhooks) Replay(ctx context.Context, id string, names ...ipns.Name) (int, error) {
	hook, err := w.get(ctx, id)
	if err != nil {
		return 0, err
	}
	only := make(map[string]bool)
	for _, name := range names {
		only[name.String()] = true
	}
	list, err := w.Dead(ctx, id)
	if err != nil {
		return 0, err
	}
	replayed := 0
	for _, d := range list {
		if len(only) > 0 && !only[d.Name] {
			continue
		}
		err := w.order(ctx, hook, func(r *receiver) error { return r.revive(ctx, d.Name) })
		if err != nil {
			return replayed, fmt.Errorf("replay %s of %s: %w", d.Name, id, err)
		}
		replayed++
	}
	return replayed, nil
}

// giveUp makes an event a dead letter.
func (r *receiver) giveUp(ctx context.Context, name string, l letter) error {
	r.all.log().Warn("a webhook did not take an event for too long", "webhook", r.hook.ID, "name", name, "tries", l.Tries, "err", l.Error)
	if err := set(ctx, r.all.Rows, deadTable, r.hook.ID+"/"+name, l); err != nil {
		return err
	}
	return r.drop(ctx, name)
}

// revive has a dead letter wait again. What waits of its name already is newer.
func (r *receiver) revive(ctx context.Context, name string) error {
	key := r.hook.ID + "/" + name
	var l, newer letter
	if ok, err := load(ctx, r.all.Rows, deadTable, key, &l); err != nil || !ok {
		return err
	}
	waits, err := load(ctx, r.all.Rows, waitingTable, key, &newer)
	if err != nil {
		return err
	}
	if !waits {
		l.Since, l.Next, l.Tries = time.Time{}, time.Now(), 0
		if err := r.keep(ctx, name, l); err != nil {
			return err
		}
	}
	r.mu.Lock()
	r.paused = time.Time{} // somebody has mended the receiver
	r.mu.Unlock()
	return set(ctx, r.all.Rows, deadTable, key, nil)
}
