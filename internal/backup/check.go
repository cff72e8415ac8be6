package backup

import (
	"encoding/hex"
	"errors"
	"fmt"
	"io"

	"github.com/goipns/ipns"
	"github.com/goipns/ipns/internal/repo"
	"github.com/goipns/ipns/recordstore"
)

// checker is a target that writes nothing. It turns lines into what a store takes, and
// refuses what none would.
type checker struct {
	entry  recordstore.Entry // of the last Name
	upkeep *recordstore.Upkeep
	past   recordstore.Past // the last ones
	seen   recordstore.SeenMark
	row    recordstore.Row
}

// file implements target.
func (c *checker) file(name string, _ int64, content io.Reader) error {
	if name != "config" {
		_, err := io.Copy(io.Discard, content)
		return err
	}
	b, err := io.ReadAll(content)
	if err != nil {
		return err
	}
	if _, err := repo.ParseConfig(b); err != nil {
		return fmt.Errorf("the config in the backup: %w", err)
	}
	return nil
}

// line implements target.
func (c *checker) line(l Line) (err error) {
	switch {
	case l.Name != nil:
		if c.entry, c.upkeep, err = entryOf(l.Name); err != nil {
			err = fmt.Errorf("the name %.100q: %w", l.Name.Name, err)
		}
	case l.Past != nil:
		c.past.At = l.Past.At
		if c.past.Record, err = ipns.Reopen(c.entry.Name, l.Past.Record); err != nil {
			err = fmt.Errorf("a version of %s: %w", c.entry.Name, err)
		}
	case l.Seen != nil:
		if c.seen, err = seenOf(l.Seen); err != nil {
			err = fmt.Errorf("the mark of %.100q: %w", l.Seen.Name, err)
		}
	case l.Row != nil:
		c.row = recordstore.Row{Table: string(l.Row.Table), Key: string(l.Row.Key), Value: l.Row.Value}
		if c.row.Value == nil {
			c.row.Value = []byte{}
		}
		if err = recordstore.CheckRowKey(c.row.Table, c.row.Key); err == nil && len(c.row.Value) > recordstore.MaxRow {
			err = fmt.Errorf("row %.80q/%.80q: it has %d bytes", c.row.Table, c.row.Key, len(c.row.Value))
		}
	}
	return err
}

// entryOf is the entry to store for a name. What was to be signed again when the backup
// was made is left out: the other holder of its key may have published since.
func entryOf(n *Name) (e recordstore.Entry, u *recordstore.Upkeep, err error) {
	if e.Name, err = ipns.ParseName(n.Name); err != nil {
		return e, nil, err
	}
	switch n.Origin {
	case recordstore.Own.String():
		e.Origin = recordstore.Own
	case recordstore.Hosted.String():
		e.Origin = recordstore.Hosted
	default:
		return e, nil, fmt.Errorf("its origin is %.20q", n.Origin)
	}
	e.Tenant, e.Next, e.Forks, e.Span, e.Changed = n.Tenant, n.Next, n.Forks, n.Span, n.Changed
	if n.Mark != nil {
		if e.Mark, err = n.Mark.mark(); err != nil {
			return e, nil, err
		}
	}
	open := func(raw []byte) *ipns.Record {
		if len(raw) == 0 || err != nil {
			return nil
		}
		var rec *ipns.Record
		rec, err = ipns.Reopen(e.Name, raw)
		return rec
	}
	if len(n.Rivals) > recordstore.MaxRivals || len(n.Staged) > recordstore.MaxStaged {
		return e, nil, fmt.Errorf("it has %d rivals and %d staged records", len(n.Rivals), len(n.Staged))
	}
	e.Record, e.Rival = open(n.Record), open(n.Rival)
	open(n.Pending)
	for _, raw := range n.Rivals {
		e.Rivals = append(e.Rivals, open(raw))
	}
	for _, raw := range n.Staged {
		e.Staged = append(e.Staged, open(raw))
	}
	if err == nil && n.Upkeep != nil {
		u = &recordstore.Upkeep{Name: e.Name, Due: n.Upkeep.Due, LastPut: n.Upkeep.LastPut, Holders: n.Upkeep.Holders, LastErr: n.Upkeep.LastErr}
		u.Announced, err = hash(n.Upkeep.Announced)
	}
	return e, u, err
}

func (m Mark) mark() (mark recordstore.Mark, err error) {
	mark = recordstore.Mark{Sequence: m.Sequence, EOL: m.EOL}
	if m.EOL.IsZero() {
		return mark, errors.New("a mark without EOL")
	}
	mark.Hash, err = hash(m.Hash)
	return mark, err
}

func hash(text string) (h [32]byte, err error) {
	b, err := hex.DecodeString(text)
	if err == nil && len(b) != len(h) {
		err = fmt.Errorf("a hash of %d bytes", len(b))
	}
	copy(h[:], b)
	return h, err
}

func seenOf(s *Seen) (m recordstore.SeenMark, err error) {
	if m.Name, err = ipns.ParseName(s.Name); err != nil {
		return m, err
	}
	m.Until = s.Until
	m.Mark, err = s.Mark.mark()
	return m, err
}
