package backup

import (
	"bytes"
	"context"
	"errors"
	"io"
	"math"
	"os"
	"path/filepath"
	"strings"
	"sync"

	"github.com/goipns/ipns"
	"github.com/goipns/ipns/internal/durable"
	"github.com/goipns/ipns/internal/repo"
	"github.com/goipns/ipns/recordstore"
)

// Names is the store of names of a repo that is being restored.
type Names struct {
	Store recordstore.Store
	Notes recordstore.Notes
	Marks recordstore.Marks
	Rows  recordstore.Rows
}

const (
	fillers     = 32  // names entered concurrently: their swaps share an fsync
	fillerRoom  = 64  // lines that wait for one of them
	marksAtOnce = 512 // marks written at once
)

// The files of pins that a restore leaves in the repo: their content is not there.
const (
	pinsFile   = "restored-pins.txt"
	directFile = "restored-pins-direct.txt"
)

// builder is a target that makes a repo.
type builder struct {
	ctx   context.Context
	repo  repo.Repo
	names Names
	check checker // parses what is built
	fill  []chan filled
	to    chan filled // of the last name
	run   sync.WaitGroup
	marks []recordstore.SeenMark
	pins  [2]*os.File

	mu  sync.Mutex
	err error // the first of a filler
}

// filled is what a filler gets: an entry, or a version of the last one.
type filled struct {
	entry  *recordstore.Entry
	upkeep *recordstore.Upkeep
	past   recordstore.Past
}

func newBuilder(ctx context.Context, r repo.Repo, n Names) *builder {
	b := &builder{ctx: ctx, repo: r, names: n}
	for range fillers {
		c := make(chan filled, fillerRoom)
		b.fill = append(b.fill, c)
		b.run.Go(func() { b.enterAll(c) })
	}
	return b
}

// end waits until all was written. Without an error, it is durable.
func (b *builder) end() error {
	for _, c := range b.fill {
		close(c)
	}
	b.run.Wait()
	err := b.failed()
	if err == nil {
		err = b.setMarks(1)
	}
	if err == nil {
		err = errors.Join(b.names.Marks.Sync(b.ctx), b.names.Notes.Sync(b.ctx))
	}
	for _, f := range b.pins {
		if f != nil {
			err = errors.Join(err, f.Sync(), f.Close())
		}
	}
	return err
}

func (b *builder) failed() error {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.err
}

// file implements target.
func (b *builder) file(name string, mode int64, content io.Reader) error {
	path := filepath.Join(string(b.repo), filepath.FromSlash(name)) // limitOf knows the name
	if strings.HasPrefix(name, denyDir) {
		return b.large(path, content)
	}
	var small bytes.Buffer
	if err := b.check.file(name, mode, io.TeeReader(content, &small)); err != nil {
		return err
	}
	perm := os.FileMode(0o600)
	if strings.HasPrefix(name, keysDir) {
		perm = 0o400 | os.FileMode(mode&0o200)
	}
	return durable.Create(path, small.Bytes(), perm)
}

func (b *builder) large(path string, content io.Reader) error {
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		return err
	}
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o644)
	if err != nil {
		return err
	}
	_, err = io.Copy(f, content)
	return errors.Join(err, f.Sync(), f.Close())
}

// line implements target.
func (b *builder) line(l Line) error {
	if err := errors.Join(b.failed(), b.check.line(l)); err != nil {
		return err
	}
	switch c := &b.check; {
	case l.Name != nil:
		e, kad := c.entry, c.entry.Name.Kad()
		b.to = b.fill[int(kad[len(kad)-1])%fillers]
		b.to <- filled{entry: &e, upkeep: c.upkeep}
	case l.Past != nil:
		b.to <- filled{past: c.past}
	case l.Seen != nil:
		b.marks = append(b.marks, c.seen)
		return b.setMarks(marksAtOnce)
	case l.Row != nil:
		_, err := b.names.Rows.Swap(b.ctx, c.row)
		return err
	case l.Pin != nil:
		return b.pin(*l.Pin)
	}
	return nil
}

// setMarks writes the marks if there are at least that many.
func (b *builder) setMarks(least int) error {
	if len(b.marks) < least {
		return nil
	}
	err := b.names.Marks.SetSeen(b.ctx, b.marks...)
	b.marks = b.marks[:0]
	return err
}

// pin adds a pin to the list that is left in the repo.
func (b *builder) pin(p Pin) error {
	i, name := 0, pinsFile
	if !p.Recursive {
		i, name = 1, directFile
	}
	if b.pins[i] == nil {
		f, err := os.OpenFile(filepath.Join(string(b.repo), name), os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
		if err != nil {
			return err
		}
		b.pins[i] = f
	}
	_, err := io.WriteString(b.pins[i], p.CID+"\n")
	return err
}

// enterAll is a filler: it enters names, each with its versions.
func (b *builder) enterAll(from <-chan filled) {
	var e *recordstore.Entry // the last one, which is entered behind its versions
	var u *recordstore.Upkeep
	for f := range from {
		if b.failed() != nil {
			continue // until line has noticed
		}
		var err error
		if f.entry == nil {
			err = b.enterPast(e, f.past)
		} else {
			err = b.enter(e, u)
			e, u = f.entry, f.upkeep
		}
		b.fail(err)
	}
	if b.failed() == nil {
		b.fail(b.enter(e, u))
	}
}

func (b *builder) fail(err error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.err == nil {
		b.err = err
	}
}

// enterPast enters a version of a name into its history.
func (b *builder) enterPast(e *recordstore.Entry, p recordstore.Past) error {
	if mark := recordstore.MarkOf(p.Record); mark.Compare(e.Mark) > 0 {
		e.Mark = mark // the name changed while the backup was made
	}
	if e.Record == nil || ipns.Compare(p.Record, e.Record) > 0 {
		e.Record, e.Rivals, e.Changed = p.Record, nil, p.At
	}
	if p.Record.Hash() == e.Record.Hash() && p.At.Equal(e.Changed) {
		return nil // enter does it
	}
	stored, err := b.names.Store.Swap(b.ctx, recordstore.Entry{Name: e.Name, Origin: e.Origin, Record: p.Record, Changed: p.At, Version: e.Version}, recordstore.Lease{})
	e.Version = stored.Version
	return err
}

// enter enters a name. In which life of the store its sequence was known is left out: in
// this one, others must be asked.
func (b *builder) enter(e *recordstore.Entry, u *recordstore.Upkeep) error {
	if e == nil {
		return nil
	}
	if e.Record != nil && recordstore.MarkOf(e.Record).Compare(e.Mark) > 0 {
		e.Mark = recordstore.MarkOf(e.Record)
	}
	if !e.Mark.IsZero() && e.Mark.Sequence < math.MaxUint64 {
		e.Next = max(e.Next, e.Mark.Sequence+1)
	}
	if _, err := b.names.Store.Swap(b.ctx, *e, recordstore.Lease{}); err != nil {
		return err
	}
	if u == nil {
		return nil
	}
	return b.names.Notes.SetUpkeep(b.ctx, *u)
}
