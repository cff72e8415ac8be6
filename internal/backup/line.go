package backup

import (
	"bytes"
	"context"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"iter"
	"time"

	"github.com/goipns/ipns"
	"github.com/goipns/ipns/names"
	"github.com/goipns/ipns/recordstore"
)

// Line is one thing that a store has. One field is set. Records are as they were signed,
// in base64.
type Line struct {
	Name *Name `json:",omitempty"`
	Past *Past `json:",omitempty"` // of the last Name before it
	Seen *Seen `json:",omitempty"`
	Row  *Row  `json:",omitempty"`
	Pin  *Pin  `json:",omitempty"`
	// Damage is what could not be read. It is not in a backup but by the user's leave.
	Damage string `json:",omitempty"`
	// End is the last line of what Dump writes, and not in a file.
	End *End `json:",omitempty"`
}

// Name is an entry of the store with its upkeep.
type Name struct {
	Name    string
	Origin  string
	Tenant  string `json:",omitempty"`
	Mark    *Mark  `json:",omitempty"`
	Next    uint64
	Record  []byte        `json:",omitempty"`
	Rivals  [][]byte      `json:",omitempty"`
	Forks   uint64        `json:",omitempty"`
	Staged  [][]byte      `json:",omitempty"`
	Rival   []byte        `json:",omitempty"`
	Pending []byte        `json:",omitempty"`
	Span    time.Duration `json:",omitempty"` // nanoseconds
	Changed time.Time
	Upkeep  *Upkeep `json:",omitempty"`
}

// Mark is a recordstore.Mark.
type Mark struct {
	Sequence uint64
	EOL      time.Time
	Hash     string // hex
}

// Upkeep is a recordstore.Upkeep without its receipt.
type Upkeep struct {
	Due, LastPut time.Time
	Announced    string // hex
	Holders      int
	LastErr      string `json:",omitempty"`
}

// Past is one version of a name.
type Past struct {
	Record []byte
	At     time.Time
}

// Seen is the mark of a name that was only looked up.
type Seen struct {
	Name  string
	Mark  Mark
	Until time.Time
}

// Row is a recordstore.Row. Keys may be any bytes.
type Row struct {
	Table, Key []byte
	Value      []byte
}

// Pin is what stays of a pin: its content is not in a backup.
type Pin struct {
	CID       string
	Recursive bool
	Name      string `json:",omitempty"`
}

// End says that all lines were written.
type End struct {
	Generation string // hex
	Lines      int
}

// Store is what a node knows of names.
type Store struct {
	Book *names.Book
	Rows recordstore.Rows
	// Pins yields the pins; nil: none.
	Pins iter.Seq2[Pin, error]
	// Damage yields what of the store cannot be read; nil: nothing.
	Damage iter.Seq2[string, error]
}

// Dump writes all that a store has as lines of JSON. Whatever was acknowledged before it
// began is in it; of what changes meanwhile, each name has one state.
func Dump(ctx context.Context, w io.Writer, s Store) error {
	d := &dumper{enc: json.NewEncoder(w)}
	d.enc.SetEscapeHTML(false)
	if err := d.all(ctx, s); err != nil {
		return fmt.Errorf("copy the store of names: %w", err)
	}
	return nil
}

type dumper struct {
	enc   *json.Encoder
	lines int
}

func (d *dumper) put(l Line) error {
	d.lines++
	return d.enc.Encode(l)
}

func (d *dumper) all(ctx context.Context, s Store) error {
	gen, err := s.Book.Store.Generation(ctx)
	if err != nil {
		return err
	}
	if s.Damage != nil {
		for what, err := range s.Damage {
			if err = errors.Join(err, d.put(Line{Damage: what})); err != nil {
				return err
			}
		}
	}
	for e, err := range s.Book.Scan(ctx, recordstore.Region{}) {
		if err == nil {
			err = d.name(ctx, s.Book, e)
		}
		if err != nil {
			return err
		}
	}
	for m, err := range s.Book.AllSeen(ctx) {
		if err == nil {
			err = d.put(Line{Seen: &Seen{Name: m.Name.String(), Mark: *markOf(m.Mark), Until: m.Until.UTC()}})
		}
		if err != nil {
			return err
		}
	}
	for r, err := range s.Rows.All(ctx) {
		if err == nil {
			err = d.put(Line{Row: &Row{Table: []byte(r.Table), Key: []byte(r.Key), Value: r.Value}})
		}
		if err != nil {
			return err
		}
	}
	if s.Pins != nil {
		for p, err := range s.Pins {
			if err = errors.Join(err, d.put(Line{Pin: &p})); err != nil {
				return err
			}
		}
	}
	return d.put(Line{End: &End{Generation: hex.EncodeToString(gen[:]), Lines: d.lines}})
}

func (d *dumper) name(ctx context.Context, b *names.Book, e recordstore.Entry) error {
	n := &Name{
		Name: e.Name.String(), Origin: e.Origin.String(), Tenant: e.Tenant, Mark: markOf(e.Mark), Next: e.Next, Forks: e.Forks,
		Record: rawOf(e.Record), Rivals: rawsOf(e.Rivals), Staged: rawsOf(e.Staged), Rival: rawOf(e.Rival), Pending: rawOf(e.Pending),
		Span: e.Span, Changed: e.Changed.UTC(),
	}
	u, err := b.Upkeep(ctx, e.Name)
	if err != nil {
		return err
	}
	if !u.Due.IsZero() || !u.LastPut.IsZero() {
		n.Upkeep = &Upkeep{Due: u.Due.UTC(), LastPut: u.LastPut.UTC(), Announced: hex.EncodeToString(u.Announced[:]), Holders: u.Holders, LastErr: u.LastErr}
	}
	if err := d.put(Line{Name: n}); err != nil {
		return err
	}
	for p, err := range b.History(ctx, e.Name) {
		if err == nil {
			err = d.put(Line{Past: &Past{Record: p.Record.Raw(), At: p.At.UTC()}})
		}
		if err != nil {
			return err
		}
	}
	return nil
}

func markOf(m recordstore.Mark) *Mark {
	if m.IsZero() {
		return nil
	}
	return &Mark{Sequence: m.Sequence, EOL: m.EOL.UTC(), Hash: hex.EncodeToString(m.Hash[:])}
}

func rawOf(r *ipns.Record) []byte {
	if r == nil {
		return nil
	}
	return r.Raw()
}

func rawsOf(list []*ipns.Record) (raws [][]byte) {
	for _, r := range list {
		raws = append(raws, r.Raw())
	}
	return raws
}

// parseLine reads one line, which must have exactly one field.
func parseLine(b []byte) (l Line, err error) {
	dec := json.NewDecoder(bytes.NewReader(b))
	dec.DisallowUnknownFields()
	if err := dec.Decode(&l); err != nil {
		return l, err
	}
	set := 0
	for _, is := range []bool{l.Name != nil, l.Past != nil, l.Seen != nil, l.Row != nil, l.Pin != nil, l.Damage != "", l.End != nil} {
		if is {
			set++
		}
	}
	if set != 1 || dec.More() {
		return l, errors.New("not one thing")
	}
	return l, nil
}
