package kubo

import (
	"errors"
	"iter"

	"github.com/syndtr/goleveldb/leveldb"
	"github.com/syndtr/goleveldb/leveldb/opt"
	"github.com/syndtr/goleveldb/leveldb/util"
)

// level is a LevelDB, in which Kubo keeps everything but blocks.
type level struct{ db *leveldb.DB }

func openLevel(dir string, writable bool) (store, error) {
	db, err := leveldb.OpenFile(dir, &opt.Options{ReadOnly: !writable, ErrorIfMissing: true})
	if err != nil {
		return nil, err
	}
	return level{db}, nil
}

func (l level) get(key string) ([]byte, error) {
	b, err := l.db.Get([]byte(key), nil)
	if errors.Is(err, leveldb.ErrNotFound) {
		return nil, errNone
	}
	return b, err
}

func (l level) scan(prefix string) iter.Seq2[entry, error] {
	return func(yield func(entry, error) bool) {
		it := l.db.NewIterator(util.BytesPrefix([]byte(prefix)), nil)
		defer it.Release()
		for it.Next() {
			if !yield(entry{string(it.Key()), append([]byte(nil), it.Value()...)}, nil) {
				return
			}
		}
		if err := it.Error(); err != nil {
			yield(entry{}, err)
		}
	}
}

func (l level) put(entries []entry) error {
	batch := new(leveldb.Batch)
	for _, e := range entries {
		batch.Put([]byte(e.key), e.value)
	}
	return l.db.Write(batch, &opt.WriteOptions{Sync: true})
}

func (l level) close() error { return l.db.Close() }
