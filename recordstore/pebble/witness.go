package pebble

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/cockroachdb/pebble/v2"
	"github.com/cockroachdb/pebble/v2/record"
	"github.com/cockroachdb/pebble/v2/vfs"

	"github.com/goipns/ipns/recordstore"
	"github.com/goipns/ipns/recordstore/blob"
)

// witnessed is the content of the witness file: how far the store had come, kept where
// a restored backup does not replace it.
type witnessed struct {
	gen      recordstore.Generation
	position uint64 // of the database's log
	file     uint64 // identity of the witness file itself; 0: unknown
	dir      uint64 // identity of the database's directory; 0: unknown
}

// witnessEvery is how often the witness is updated while the store is written to. If
// the store is restored in place after a crash, from a copy made after the last update,
// publishes since that copy may go unnoticed.
const witnessEvery = time.Minute

// generationLayout is that of the generation, since entries have layout 2: a version that
// does not know it reads the generation before anything else, and refuses the store as a
// whole instead of leaving names out.
const generationLayout = 2

// checkWitness checks whether the store is the one that the witness last saw, and if not,
// starts a new generation. A copy is recognized if it has come less far than the
// witness says, is in another directory, or has another generation, or if the witness
// was copied with it and is another file than the witness says.
func (s *Store) checkWitness() error {
	found, old := true, false
	err := s.get(s.key(kindGeneration), func(b []byte) error {
		d := blob.NewDecoderOf(generationLayout, b)
		copy(s.gen[:], d.Take(uint64(len(s.gen))))
		if s.before, old = s.gen, true; d.Layout() > 1 {
			copy(s.before[:], d.Take(uint64(len(s.before))))
			old = false
		}
		return d.Done()
	})
	switch {
	case errors.Is(err, recordstore.ErrNotFound), isDamage(err):
		found = false
	case err != nil:
		return err
	}
	if s.disk.readOnly {
		return nil
	}
	if !found {
		s.before = recordstore.Generation{}
		return s.Renew()
	}
	if old {
		// Before anything of layout 2 is written.
		if err := s.writeGeneration(s.gen); err != nil {
			return err
		}
	}
	if s.witness == "" {
		return nil
	}
	w, err := s.readWitness()
	reason := ""
	switch position, perr := s.position(); {
	case perr != nil:
		return perr
	case errors.Is(err, os.ErrNotExist):
		reason = "it came without its witness"
	case err != nil:
		reason = err.Error()
	case w.gen != s.gen:
		reason = "its witness saw another generation"
	case w.dir != 0 && w.dir != s.dirIdentity():
		reason = "it lies in another directory"
	case position <= w.position:
		reason = "its witness has seen more of it"
	default:
		for _, o := range s.outside {
			if reason = o.contradicts(s.gen, position); reason != "" {
				break
			}
		}
	}
	if reason == "" {
		s.beginOutside(s.gen, recordstore.Generation{})
		return s.updateWitness()
	}
	s.log.Warn("record store: this is a copy, or it has lost something; names are searched before they are published again", "reason", reason)
	return s.Renew()
}

// Renew starts a new generation: what was published since the store was copied is
// unknown. Whoever restores a backup without a witness must call it.
func (s *Store) Renew() error {
	if err := s.begin(context.Background()); err != nil {
		return err
	}
	defer s.use.RUnlock()
	var gen recordstore.Generation
	rand.Read(gen[:])
	if err := s.writeGeneration(gen); err != nil {
		return fmt.Errorf("begin a new generation: %w", err)
	}
	s.genMu.Lock()
	before := s.gen
	s.gen = gen
	s.genMu.Unlock()
	s.changes.renewed()
	s.beginOutside(gen, before)
	return s.updateWitness()
}

func (s *Store) writeGeneration(gen recordstore.Generation) error {
	w := blob.NewEncoderOf(generationLayout, 64)
	w.Fixed(gen[:])
	w.Fixed(s.before[:])
	key, value := s.key(kindGeneration), w.Sum()
	return s.disk.Do(context.Background(), func() error { return s.db.Set(key, value, pebble.Sync) })
}

// Generation implements recordstore.Store.
func (s *Store) Generation(ctx context.Context) (recordstore.Generation, error) {
	s.genMu.Lock()
	defer s.genMu.Unlock()
	return s.gen, ctx.Err()
}

// position returns how far the database's log has come.
func (s *Store) position() (uint64, error) {
	b := s.db.NewBatch()
	if err := b.Set(s.key(kindOpened), nil, nil); err != nil {
		return 0, err
	}
	var at uint64
	err := s.disk.Do(context.Background(), func() error {
		if err := b.Commit(pebble.Sync); err != nil {
			return err
		}
		at = uint64(b.SeqNum())
		return b.Close()
	})
	if err != nil {
		return 0, fmt.Errorf("position in the log: %w", err)
	}
	return at, nil
}

// updateWitnessIfDue updates the witness, if it is time.
func (s *Store) updateWitnessIfDue() {
	last := s.witnessTime.Load()
	now := time.Now().UnixNano()
	if s.witness == "" || now-last < int64(witnessEvery) || !s.witnessTime.CompareAndSwap(last, now) {
		return
	}
	s.disk.start(func() error {
		if err := s.updateWitness(); err != nil {
			s.log.Error("record store", "error", err)
		}
		return nil
	})
}

// updateWitness writes to the witness how far the store has come.
func (s *Store) updateWitness() error {
	if s.witness == "" {
		return nil
	}
	s.witnessMu.Lock()
	defer s.witnessMu.Unlock()
	s.witnessTime.Store(time.Now().UnixNano())
	position, err := s.position()
	if err != nil {
		return err
	}
	s.tellOutside(position)
	s.syncOutside()
	fs, next := s.fs(), s.witness+".new"
	f, err := fs.Create(next, vfs.WriteCategoryUnspecified)
	if err != nil {
		return fmt.Errorf("witness: %w", err)
	}
	e := blob.NewEncoder(64)
	gen, _ := s.Generation(context.Background())
	e.Fixed(gen[:])
	e.Uint(position)
	e.Uint(identity(f))
	e.Uint(s.dirIdentity())
	_, err = f.Write(e.Sum())
	if err = errors.Join(err, f.Sync(), f.Close()); err != nil {
		return fmt.Errorf("witness: %w", err)
	}
	if err := fs.Rename(next, s.witness); err != nil {
		return fmt.Errorf("witness: %w", err)
	}
	dir, err := fs.OpenDir(fs.PathDir(s.witness))
	if err != nil {
		return fmt.Errorf("witness: %w", err)
	}
	if err := errors.Join(dir.Sync(), dir.Close()); err != nil {
		return fmt.Errorf("witness: %w", err)
	}
	return nil
}

func (s *Store) readWitness() (w witnessed, err error) {
	f, err := s.fs().Open(s.witness)
	if err != nil {
		return w, err
	}
	defer f.Close()
	b, err := io.ReadAll(io.LimitReader(f, 1024))
	if err != nil {
		return w, err
	}
	d := blob.NewDecoder(b)
	copy(w.gen[:], d.Take(uint64(len(w.gen))))
	w.position, w.file, w.dir = d.Uint(), d.Uint(), d.Uint()
	if err := d.Done(); err != nil {
		return w, fmt.Errorf("witness: %w", err)
	}
	if id := identity(f); id != 0 && w.file != 0 && id != w.file {
		return w, errors.New("its witness was copied with it")
	}
	return w, nil
}

// dirIdentity returns the identity of the database's directory.
func (s *Store) dirIdentity() uint64 {
	if s.disk.Dir == "" {
		return 0
	}
	dir, err := s.fs().OpenDir(s.disk.Dir)
	if err != nil {
		return 0
	}
	defer dir.Close()
	return identity(dir)
}

func (s *Store) fs() vfs.FS { return s.disk.fs() }

// setAside keeps the files of a database whose manifest is lost or does not end properly, by
// linking them into a directory beside them. Pebble treats the readable part of the
// manifest as all of it and deletes every file not in it: right after a power cut, but
// the loss of everything after a flipped bit.
func (d *Disk) setAside() error {
	fs := d.fs()
	desc, err := pebble.Peek(d.Dir, fs)
	if errors.Is(err, os.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	whole := false
	if desc.Exists {
		whole, err = d.readManifest(desc.ManifestFilename)
	} else {
		// A new database, or one whose marker of the manifest is gone.
		whole, err = d.empty()
	}
	if err != nil || whole {
		return err
	}
	aside := d.Dir + asideSuffix
	d.log.Warn("database: the list of files is gone, or ends in the middle of a line; all files are kept", "in", aside)
	if err := fs.RemoveAll(aside); err != nil {
		return err
	}
	if err := fs.MkdirAll(aside, 0o755); err != nil {
		return err
	}
	files, err := fs.List(d.Dir)
	if err != nil {
		return err
	}
	for _, name := range files {
		// Directories cannot be linked, and hold nothing of a database.
		if err := fs.Link(fs.PathJoin(d.Dir, name), fs.PathJoin(aside, name)); err != nil {
			d.log.Warn("database: a file is not kept", "name", name, "error", err)
		}
	}
	return nil
}

// empty reports whether the directory of the database has no tables and logs.
func (d *Disk) empty() (bool, error) {
	files, err := d.fs().List(d.Dir)
	return !slices.ContainsFunc(files, func(name string) bool {
		return strings.HasSuffix(name, tableSuffix) || strings.HasSuffix(name, logSuffix)
	}), err
}

// readManifest reports whether a manifest can be read to its end.
func (d *Disk) readManifest(path string) (whole bool, err error) {
	f, err := d.fs().Open(path)
	if err != nil {
		return false, err
	}
	defer f.Close()
	r := record.NewReader(f, 0)
	for {
		var edit io.Reader
		if edit, err = r.Next(); err == nil {
			_, err = io.Copy(io.Discard, edit)
		}
		switch {
		case err == io.EOF:
			return true, nil
		case record.IsInvalidRecord(err):
			return false, nil
		case err != nil:
			return false, err
		}
	}
}
