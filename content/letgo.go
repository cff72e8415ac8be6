package content

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"time"

	"github.com/ipfs/go-cid"
	"github.com/ipfs/go-datastore"
	"github.com/ipfs/go-datastore/query"
)

// letGoPrefix is where what was let go is remembered: by CID, when.
var letGoPrefix = datastore.NewKey("/letgo")

func letGoKey(c cid.Cid) datastore.Key { return letGoPrefix.ChildString(c.String()) }

// LetGo remembers that somebody has unpinned a tree by hand, who then wants its space back: it is no longer kept for
// having been the value of a name. Pinning it again takes that back.
func (s *Store) LetGo(ctx context.Context, c cid.Cid) error {
	ctx = context.WithValue(ctx, freesKey{}, true)
	if err := s.ds.Put(ctx, letGoKey(c), binary.BigEndian.AppendUint64(nil, uint64(time.Now().Unix()))); err != nil {
		return fmt.Errorf("remember that %s was let go: %w", c, err)
	}
	return s.Sync(ctx)
}

// WasLetGo reports whether a tree was let go.
func (s *Store) WasLetGo(ctx context.Context, c cid.Cid) (bool, error) {
	return s.ds.Has(ctx, letGoKey(c))
}

// keepAgain takes LetGo back.
func (s *Store) keepAgain(ctx context.Context, c cid.Cid) error {
	if err := s.ds.Delete(ctx, letGoKey(c)); err != nil && !errors.Is(err, datastore.ErrNotFound) {
		return fmt.Errorf("keep %s again: %w", c, err)
	}
	return nil
}

// ForgetLetGo forgets what was let go longer ago than age, so that the memory stays small.
func (s *Store) ForgetLetGo(ctx context.Context, age time.Duration) error {
	ctx = context.WithValue(ctx, freesKey{}, true)
	found, err := s.ds.Query(ctx, query.Query{Prefix: letGoPrefix.String()})
	if err != nil {
		return fmt.Errorf("read what was let go: %w", err)
	}
	defer found.Close()
	for r := range found.Next() {
		if r.Error != nil {
			return fmt.Errorf("read what was let go: %w", r.Error)
		}
		if len(r.Value) == 8 && time.Since(time.Unix(int64(binary.BigEndian.Uint64(r.Value)), 0)) <= age {
			continue
		}
		if err := s.ds.Delete(ctx, datastore.NewKey(r.Key)); err != nil {
			return fmt.Errorf("forget what was let go: %w", err)
		}
	}
	return nil
}
