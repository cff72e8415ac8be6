package pebble

import (
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"hash/crc32"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"time"

	"github.com/goipns/ipns/recordstore"
	"github.com/goipns/ipns/recordstore/blob"
)

// maxGenerations is how many files are kept in one outside directory; the oldest are deleted.
const maxGenerations = 1024

// outside is a directory on another volume than the database, with a file for each
// generation of the store that records how far its log has come. If the database's
// volume is restored as a whole, including the witness, these files are not.
//
// It is updated after every swap, once that is durable and before it is acknowledged,
// but synced only with the witness: what it records may be less than the truth, never
// more.
type outside struct {
	dir  string // of the files
	path string // of the database, as part of file names

	mu  sync.Mutex // guards all below
	f   *os.File   // of the current generation; nil: it could not be opened
	max uint64
}

// newOutside returns those of the given directories that are not on the volume of the
// database.
func newOutside(places []string, database string) (list []*outside) {
	abs, err := filepath.Abs(database)
	if err != nil {
		return nil
	}
	sum := sha256.Sum256([]byte(abs))
	of, known := volume(database)
	for _, dir := range places {
		if os.MkdirAll(dir, 0o700) != nil {
			continue // cannot be written to
		}
		if v, ok := volume(dir); ok && known && v == of {
			continue
		}
		list = append(list, &outside{dir: dir, path: hex.EncodeToString(sum[:8])})
	}
	return list
}

func (o *outside) file(gen recordstore.Generation) string {
	return filepath.Join(o.dir, hex.EncodeToString(gen[:]))
}

// over is the file that marks the end of a generation of the store.
func (o *outside) over(gen recordstore.Generation) string { return o.file(gen) + "-" + o.path }

// contradicts returns why a store with the given generation and log position cannot be
// the one last seen; empty if it can.
func (o *outside) contradicts(gen recordstore.Generation, position uint64) string {
	if _, err := os.Lstat(o.over(gen)); err == nil {
		return "a later generation of it was seen here"
	}
	b, err := os.ReadFile(o.file(gen))
	if err != nil {
		return "" // never seen, or not by this machine
	}
	// A line torn by a power cut means nothing.
	if seen, ok := decodePosition(b); ok && seen >= position {
		return o.dir + " has seen more of it"
	}
	return ""
}

// begin opens the file of a generation, and marks the previous one, unless it is zero,
// as ended.
func (o *outside) begin(gen, before recordstore.Generation) error {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.f != nil {
		o.f.Close()
		o.f, o.max = nil, 0
	}
	o.prune()
	if before != (recordstore.Generation{}) && before != gen {
		f, err := os.OpenFile(o.over(before), os.O_CREATE|os.O_WRONLY, 0o600)
		if err != nil {
			return err
		}
		if err := errors.Join(f.Sync(), f.Close()); err != nil {
			return err
		}
	}
	f, err := os.OpenFile(o.file(gen), os.O_CREATE|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	o.f = f
	return nil
}

// write writes how far the log has come.
func (o *outside) write(position uint64) error {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.f == nil || position <= o.max {
		return nil
	}
	o.max = position
	_, err := o.f.WriteAt(encodePosition(position), 0)
	return err
}

// sync makes the file durable.
func (o *outside) sync() error {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.f == nil {
		return nil
	}
	return o.f.Sync()
}

func (o *outside) close() {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.f != nil {
		o.f.Close()
		o.f = nil
	}
}

// prune removes the files least recently written, if there are too many.
func (o *outside) prune() {
	list, err := os.ReadDir(o.dir)
	if err != nil || len(list) < maxGenerations {
		return
	}
	written := make(map[string]time.Time, len(list))
	for _, d := range list {
		if info, err := d.Info(); err == nil {
			written[d.Name()] = info.ModTime()
		}
	}
	slices.SortFunc(list, func(a, b os.DirEntry) int { return written[a.Name()].Compare(written[b.Name()]) })
	for _, d := range list[:len(list)-maxGenerations+1] {
		if d.Type().IsRegular() {
			_ = os.Remove(filepath.Join(o.dir, d.Name()))
		}
	}
}

func encodePosition(position uint64) []byte {
	b := binary.BigEndian.AppendUint64([]byte{blob.Layout}, position)
	return binary.BigEndian.AppendUint32(b, crc32.Checksum(b, blob.Castagnoli))
}

func decodePosition(b []byte) (position uint64, ok bool) {
	if len(b) != 13 || b[0] != blob.Layout || crc32.Checksum(b[:9], blob.Castagnoli) != binary.BigEndian.Uint32(b[9:]) {
		return 0, false
	}
	return binary.BigEndian.Uint64(b[1:]), true
}

// A failure here means only that a later restore may go unnoticed, which is no reason
// to refuse a write.

// beginOutside starts a generation in all outside directories.
func (s *Store) beginOutside(gen, before recordstore.Generation) {
	for _, o := range s.outside {
		s.blind(o.begin(gen, before))
	}
}

// tellOutside writes to all outside directories how far the log has come.
func (s *Store) tellOutside(position uint64) {
	for _, o := range s.outside {
		s.blind(o.write(position))
	}
}

func (s *Store) syncOutside() {
	for _, o := range s.outside {
		s.blind(o.sync())
	}
}

func (s *Store) closeOutside() {
	for _, o := range s.outside {
		o.close()
	}
}

func (s *Store) blind(err error) {
	if err != nil {
		s.log.Info("record store: a snapshot that is put back may go unnoticed", "error", fmt.Errorf("witness: %w", err))
	}
}
