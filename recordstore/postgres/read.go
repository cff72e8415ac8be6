package postgres

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"iter"
	"math"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/goipns/ipns"
	"github.com/goipns/ipns/internal/keyspace"
	"github.com/goipns/ipns/recordstore"
	"github.com/goipns/ipns/recordstore/blob"
)

// Rows that one statement reads at once: no connection is held while they are used.
const (
	chunk        = 512
	dueChunk     = 2048 // each begins a join anew
	historyChunk = 32   // usually only the last few are needed
)

// Get implements recordstore.Store.
func (s *Store) Get(ctx context.Context, name ipns.Name) (recordstore.Entry, error) {
	e, err := s.stored(ctx, name.Kad())
	if err != nil {
		return recordstore.Entry{}, fmt.Errorf("get %s: %w", name, err)
	}
	return e.entry, nil
}

// located is a row of a range: what cannot be read of it is no reason to hide all others.
type located[T any] struct {
	k     keyspace.Key
	value T
	bad   error
}

// locate scans rows whose first column is the Kademlia id.
func locate[T any](scan func(pgx.Row) (T, error)) func(pgx.Row) (located[T], error) {
	return func(row pgx.Row) (l located[T], err error) {
		var k []byte
		l.value, err = scan(prefixed{row, []any{&k}})
		if bad := (unreadable{}); errors.As(err, &bad) {
			l.bad, err = err, nil
		}
		if err == nil && copy(l.k[:], k) != len(k) {
			err = unreadable{fmt.Errorf("key has %d bytes", len(k))}
		}
		return l, err
	}
}

// damaged reports an entry that reads leave out.
func (s *Store) damaged(k keyspace.Key, err error) {
	s.log.Error("record store: an entry cannot be read", "key", fmt.Sprintf("%x", k), "error", err)
}

const scanEntries = `select k, version, pos, entry from ipns.names where k >= $1 and k <= $2 order by k limit $3`

// Scan implements recordstore.Store.
func (s *Store) Scan(ctx context.Context, region recordstore.Region) iter.Seq2[recordstore.Entry, error] {
	return func(yield func(recordstore.Entry, error) bool) {
		to := region.Last()
		for from, more := region.First(), true; more; {
			found, err := list(ctx, s, locate(scanEntry), scanEntries, from[:], to[:], chunk)
			for _, e := range found {
				from, more = after(e.k)
				if e.bad != nil {
					s.damaged(e.k, e.bad)
				} else if !yield(e.value.entry, nil) {
					return
				}
			}
			if err != nil {
				yield(recordstore.Entry{}, fmt.Errorf("scan: %w", err))
				return
			}
			more = more && len(found) == chunk
		}
	}
}

// after returns the key that follows, if there is one.
func after(k keyspace.Key) (keyspace.Key, bool) {
	for i := len(k) - 1; i >= 0; i-- {
		if k[i]++; k[i] != 0 {
			return k, true
		}
	}
	return k, false
}

// dueEntries has the range twice, so that neither table is read as a whole.
const dueEntries = `select n.k, n.entry, u.body
	from (select k, entry from ipns.names where k >= $1 and k <= $2) n
	left join (select k, due, body from ipns.upkeep where k >= $1 and k <= $2) u on u.k = n.k
	where u.due is null or u.due < $3
	order by n.k limit $4`

// Due implements recordstore.Store.
func (s *Store) Due(ctx context.Context, region recordstore.Region, before time.Time) iter.Seq2[recordstore.Work, error] {
	return func(yield func(recordstore.Work, error) bool) {
		to := region.Last()
		for from, more := region.First(), true; more; {
			found, err := list(ctx, s, locate(scanDue), dueEntries, from[:], to[:], nanoseconds(before), dueChunk)
			for _, w := range found {
				from, more = after(w.k)
				if w.bad != nil {
					s.damaged(w.k, w.bad)
				} else if w.value.Entry.Record != nil && !yield(w.value, nil) {
					return
				}
			}
			if err != nil {
				yield(recordstore.Work{}, fmt.Errorf("due names: %w", err))
				return
			}
			more = more && len(found) == dueChunk
		}
	}
}

func scanDue(row pgx.Row) (w recordstore.Work, err error) {
	var entry, body []byte
	if err := row.Scan(&entry, &body); err != nil {
		return w, err
	}
	if w.Entry, err = blob.DecodeEntry(entry, recordstore.Generation{}); err != nil {
		return w, unreadable{fmt.Errorf("entry: %w", err)}
	}
	w.Upkeep.Name = w.Entry.Name
	if body != nil {
		if w.Upkeep, err = blob.DecodeUpkeep(body); err != nil {
			w.Upkeep = recordstore.Upkeep{Name: w.Entry.Name} // it is announced once more
		}
	}
	return w, nil
}

// nanoseconds since 1970, for times that only have to be compared.
func nanoseconds(t time.Time) int64 {
	switch {
	case t.Before(time.Unix(0, math.MinInt64)):
		return math.MinInt64
	case t.After(time.Unix(0, math.MaxInt64)):
		return math.MaxInt64
	}
	return t.UnixNano()
}

// History implements recordstore.Store. The newest versions are in the entry.
func (s *Store) History(ctx context.Context, name ipns.Name) iter.Seq2[recordstore.Past, error] {
	return func(yield func(recordstore.Past, error) bool) {
		fail := func(err error) { yield(recordstore.Past{}, fmt.Errorf("history of %s: %w", name, err)) }
		k := name.Kad()
		group, err := s.current(ctx, name)
		if err != nil {
			fail(err)
			return
		}
		shown := map[recordstore.PastKey]bool{}
		for _, p := range group {
			shown[recordstore.PastKeyOf(p.Record)] = true
		}
		// Versions with the same sequence are sorted together: rivals.
		before := bytes.Repeat([]byte{0xff}, len(recordstore.PastKey{})+1)
		if len(group) > 0 { // newer ones that were swapped meanwhile are not shown
			key := recordstore.PastKeyOf(group[0].Record)
			copy(before, key[:8])
		}
		for more := true; more; {
			past, err := list(ctx, s, scanPast(name), statementsOf(k).readHistory, k[:], before, historyChunk)
			if err != nil {
				fail(err)
				return
			}
			more = len(past) == historyChunk
			for _, p := range past {
				key := recordstore.PastKeyOf(p.Record)
				before = key[:]
				if shown[key] {
					continue
				}
				if len(group) > 0 && group[0].Record.Sequence() != p.Record.Sequence() {
					if !yieldAll(group, yield) {
						return
					}
					group = group[:0]
				}
				group = append(group, p)
			}
		}
		yieldAll(group, yield)
	}
}

func yieldAll(list []recordstore.Past, yield func(recordstore.Past, error) bool) bool {
	recordstore.NewestFirst(list)
	for _, p := range list {
		if !yield(p, nil) {
			return false
		}
	}
	return true
}

// current returns the versions in the entry.
func (s *Store) current(ctx context.Context, name ipns.Name) (list []recordstore.Past, err error) {
	e, err := s.Get(ctx, name)
	if isNotFound(err) {
		return nil, nil
	}
	if err != nil || e.Origin < recordstore.Hosted {
		return nil, err
	}
	for _, rec := range e.Kept() {
		list = append(list, recordstore.Past{Record: rec, At: e.Changed})
	}
	return list, nil
}

func scanPast(name ipns.Name) func(pgx.Row) (recordstore.Past, error) {
	return func(row pgx.Row) (p recordstore.Past, err error) {
		var at, past []byte
		if err := row.Scan(&at, &past); err != nil {
			return p, err
		}
		if p, err = blob.DecodePast(name, past); err == nil {
			if key := recordstore.PastKeyOf(p.Record); !bytes.Equal(key[:], at) {
				err = blob.ErrDamaged
			}
		}
		if err != nil {
			return p, unreadable{fmt.Errorf("version: %w", err)}
		}
		return p, nil
	}
}
