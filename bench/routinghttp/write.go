package main

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"sync"
	"time"

	"github.com/goipns/ipns"
	"github.com/goipns/ipns/names"
	"github.com/goipns/ipns/recordstore"
	store "github.com/goipns/ipns/recordstore/pebble"
	"github.com/goipns/ipns/routing"
	"github.com/goipns/ipns/routing/delegated"
)

// writer signs the records of one name ahead of time, one after the other.
type writer struct {
	signer   ipns.Signer
	signed   []*ipns.Record
	sequence uint64
	used     int // since the last turn began
}

// Limits of what is signed for a turn, for each writer.
const (
	leastReady = 200
	spare      = 2 // times what the turn before took
)

// writers are one contender's, one for each connection.
type writers []*writer

func newWriters(count int) (writers, error) {
	var list writers
	for range count {
		key, err := ipns.GenerateKey(ipns.Ed25519, 0)
		if err != nil {
			return nil, err
		}
		list = append(list, &writer{signer: ipns.NewSigner(key)})
	}
	return list, nil
}

// ready signs for the next turn.
func (ws writers) ready(ctx context.Context) error {
	for _, w := range ws {
		count := max(leastReady, (1+spare)*w.used)
		w.used = 0
		for len(w.signed) < count {
			rec, err := ipns.Sign(ctx, w.signer, ipns.Fields{
				Value:    fmt.Sprintf("/ipfs/bafybeigdyrzt5sfp7udm7hu76uh7y26nf3efuylqabf3oclgtqy55fbzdi/%d", w.sequence),
				Sequence: w.sequence, EOL: time.Now().Add(48 * time.Hour), TTL: time.Hour,
			}, ipns.V1V2)
			if err != nil {
				return err
			}
			w.sequence++
			w.signed = append(w.signed, rec)
		}
	}
	return nil
}

// next is the next record. Each writer is one goroutine's.
func (w *writer) next() (*ipns.Record, error) {
	if len(w.signed) == 0 {
		return nil, errors.New("no more records are signed: use shorter turns")
	}
	rec := w.signed[0]
	w.signed = w.signed[1:]
	w.used++
	return rec, nil
}

// openStore opens a store in a new folder.
func openStore() (*store.Store, func(), error) {
	dir, err := os.MkdirTemp("", "routinghttp")
	if err != nil {
		return nil, nil, err
	}
	remove := func() { _ = os.RemoveAll(dir) }
	disk := &store.Disk{Dir: filepath.Join(dir, "db")}
	db, err := store.OpenDB(context.Background(), disk, nil)
	if err != nil {
		remove()
		return nil, nil, err
	}
	s, err := store.New(db, store.Options{Disk: disk, Witness: filepath.Join(dir, "witness")})
	if err != nil {
		_ = db.Close()
		remove()
		return nil, nil, err
	}
	return s, func() { _ = s.Close(); _ = db.Close(); remove() }, nil
}

// swaps are durable writes of records that nobody has to verify.
func swaps(s *store.Store, ws writers) contender {
	entries := make([]recordstore.Entry, len(ws))
	for i, w := range ws {
		name, _ := ipns.NameOf(w.signer.Public()) // of a key that was made here it has one
		entries[i] = recordstore.Entry{Name: name, Origin: recordstore.Hosted}
	}
	one := func(ctx context.Context, i int) error {
		rec, err := ws[i].next()
		if err != nil {
			return err
		}
		e := entries[i]
		e.Record, e.Mark, e.Next, e.Changed = rec, recordstore.MarkOf(rec), rec.Sequence()+1, time.Now()
		entries[i], err = s.Swap(ctx, e, recordstore.Lease{})
		return err
	}
	return contender{name: "store", ready: ws.ready, turn: func(ctx context.Context, conns int, length time.Duration) (int, error) {
		end := time.Now().Add(length)
		counts, errs := make([]int, conns), make([]error, conns)
		var wg sync.WaitGroup
		for i := range conns {
			wg.Go(func() {
				for time.Now().Before(end) && errs[i] == nil {
					errs[i] = one(ctx, i)
					counts[i]++
				}
			})
		}
		wg.Wait()
		total := 0
		for _, n := range counts {
			total += n
		}
		return total, errors.Join(errs...)
	}}
}

// writeContenders are those who take a record and have it on disk when they answer.
func writeContenders(conns int) (list []contender, done func(), err error) {
	var closers []func()
	done = func() {
		for i := len(closers) - 1; i >= 0; i-- {
			closers[i]()
		}
	}
	defer func() {
		if err != nil {
			done()
		}
	}()
	var stores []*store.Store
	var all []writers
	for range 2 {
		s, closer, err := openStore()
		if err != nil {
			return nil, nil, err
		}
		closers = append(closers, closer)
		ws, err := newWriters(conns)
		if err != nil {
			return nil, nil, err
		}
		stores, all = append(stores, s), append(all, ws)
	}
	book := &names.Book{Store: stores[1]}
	addr, closer, err := serve(&delegated.Handler{
		Find: func(context.Context, ipns.Name) (*ipns.Record, time.Time, error) {
			return nil, time.Time{}, delegated.ErrNotFound
		},
		Opener: new(routing.Opener),
		Take: func(r *http.Request, rec *ipns.Record) error {
			outcome, err := book.Take(r.Context(), rec, names.Entrance{Origin: recordstore.Hosted})
			if err == nil && outcome != names.New {
				err = fmt.Errorf("a fresh record is %s", outcome)
			}
			return err
		},
	})
	if err != nil {
		return nil, nil, err
	}
	closers = append(closers, closer)
	put := requester{addr: addr, status: "HTTP/1.1 200", request: func(conn, _ int) ([]byte, error) {
		rec, err := all[1][conn].next()
		if err != nil {
			return nil, err
		}
		head := "PUT " + path + rec.Name().String() + " HTTP/1.1\r\nHost: bench\r\nContent-Type: " + ipns.RecordMediaType +
			"\r\nContent-Length: " + strconv.Itoa(len(rec.Raw())) + "\r\n\r\n"
		return append([]byte(head), rec.Raw()...), nil
	}}
	return []contender{swaps(stores[0], all[0]), {name: "ours, PUT", ready: all[1].ready, turn: put.turn}}, done, nil
}
