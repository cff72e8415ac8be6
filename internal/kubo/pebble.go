package kubo

import (
	"errors"
	"io"
	"iter"
	"os"

	"github.com/cockroachdb/pebble/v2"
	"github.com/cockroachdb/pebble/v2/vfs"
)

// stones is a Pebble database.
type stones struct{ db *pebble.DB }

func openPebble(dir string, writable bool) (store, error) {
	desc, err := pebble.Peek(dir, vfs.Default)
	if err == nil && !desc.Exists {
		err = errors.New("there is no database")
	}
	if err != nil {
		return nil, err
	}
	var files vfs.FS = vfs.Default
	if !writable {
		files = readOnly{vfs.Default}
	}
	db, err := pebble.Open(dir, &pebble.Options{
		FS:                 files,
		ReadOnly:           !writable,
		FormatMajorVersion: desc.FormatMajorVersion, // a newer one might keep Kubo out
		ErrorIfNotExists:   true,
		Logger:             quiet{},
	})
	if err != nil {
		return nil, err
	}
	return stones{db}, nil
}

func (s stones) get(key string) ([]byte, error) {
	b, closer, err := s.db.Get([]byte(key))
	if errors.Is(err, pebble.ErrNotFound) {
		return nil, errNone
	}
	if err != nil {
		return nil, err
	}
	return append([]byte(nil), b...), closer.Close()
}

func (s stones) scan(prefix string) iter.Seq2[entry, error] {
	return func(yield func(entry, error) bool) {
		end := []byte(prefix)
		end[len(end)-1]++ // a prefix ends with '/'
		it, err := s.db.NewIter(&pebble.IterOptions{LowerBound: []byte(prefix), UpperBound: end})
		if err != nil {
			yield(entry{}, err)
			return
		}
		defer it.Close()
		for ok := it.First(); ok; ok = it.Next() {
			if !yield(entry{string(it.Key()), append([]byte(nil), it.Value()...)}, nil) {
				return
			}
		}
		if err := it.Error(); err != nil {
			yield(entry{}, err)
		}
	}
}

func (s stones) put(entries []entry) error {
	batch := s.db.NewBatch()
	defer batch.Close()
	for _, e := range entries {
		if err := batch.Set([]byte(e.key), e.value, nil); err != nil {
			return err
		}
	}
	return batch.Commit(pebble.Sync)
}

func (s stones) close() error { return s.db.Close() }

// readOnly locks a database without writing its lock file, as Pebble would.
type readOnly struct{ vfs.FS }

func (readOnly) Lock(name string) (io.Closer, error) {
	f, err := os.Open(name)
	if err != nil {
		return nil, err
	}
	if err := share(f); err != nil {
		return nil, errors.Join(err, f.Close())
	}
	return f, nil
}

// quiet drops what Pebble logs: its errors are returned, too.
type quiet struct{}

func (quiet) Infof(string, ...any)  {}
func (quiet) Errorf(string, ...any) {}
func (quiet) Fatalf(format string, args ...any) {
	pebble.DefaultLogger.Fatalf(format, args...)
}
