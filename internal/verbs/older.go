package verbs

import (
	"context"
	"errors"
	"fmt"

	"github.com/goipns/ipns"
	"github.com/goipns/ipns/recordstore"
)

// olderError says which newer record made this one older.
func (n *verbs) olderError(ctx context.Context, rec *ipns.Record) error {
	e, err := n.Book.Get(ctx, rec.Name())
	if err != nil {
		return err
	}
	return olderError(e.Mark.Sequence, rec)
}

func olderError(known uint64, rec *ipns.Record) error {
	return fmt.Errorf("existing IPNS record has sequence %d >= new record sequence %d; a record that is known is never replaced by an older one", known, rec.Sequence())
}

// newer returns the record that is known of a name if it is above rec, or has the same
// sequence and says something else; nil: rec may be put.
func (n *verbs) newer(ctx context.Context, rec *ipns.Record) (*ipns.Record, error) {
	e, err := n.Book.Get(ctx, rec.Name())
	switch {
	case errors.Is(err, recordstore.ErrNotFound), err == nil && e.Record == nil:
		return nil, nil
	case err != nil:
		return nil, err
	}
	above := e.Record.Sequence() > rec.Sequence()
	differs := e.Record.Sequence() == rec.Sequence() && e.Record.Value() != rec.Value()
	if above || differs {
		return e.Record, nil
	}
	return nil, nil
}
