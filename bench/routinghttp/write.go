package main

import (
	"context"
	"errors"
	"fmt"
	"io"
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

// shelf has the entry of each writer, which only the writer's connection uses.
type shelf struct {
	store   *store.Store
	entries map[ipns.Name]*recordstore.Entry
}

func newShelf(s *store.Store, ws writers) shelf {
	entries := map[ipns.Name]*recordstore.Entry{}
	for _, w := range ws {
		name, _ := ipns.NameOf(w.signer.Public()) // of a key that was made here it has one
		entries[name] = &recordstore.Entry{Name: name, Origin: recordstore.Hosted}
	}
	return shelf{s, entries}
}

// put stores a record and does no more.
func (s shelf) put(ctx context.Context, rec *ipns.Record) (err error) {
	e := s.entries[rec.Name()]
	e.Record, e.Mark, e.Next, e.Changed = rec, recordstore.MarkOf(rec), rec.Sequence()+1, time.Now()
	*e, err = s.store.Swap(ctx, *e, recordstore.Lease{})
	return err
}

// ServeHTTP takes a record as a handler must at least: it verifies and stores it.
func (s shelf) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	name, err := ipns.ParseName(r.URL.Path[len(path):])
	var raw []byte
	if err == nil {
		raw, err = io.ReadAll(r.Body)
	}
	var rec *ipns.Record
	if err == nil {
		rec, err = ipns.Open(name, raw, time.Now())
	}
	if err == nil {
		err = s.put(r.Context(), rec)
	}
	if err != nil {
		w.WriteHeader(http.StatusInternalServerError)
	}
}

// swaps are durable writes of records that nobody has to verify.
func swaps(s shelf, ws writers) contender {
	one := func(ctx context.Context, i int) error {
		rec, err := ws[i].next()
		if err != nil {
			return err
		}
		return s.put(ctx, rec)
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
	for range 3 {
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
	h := &delegated.Handler{
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
	}
	list = []contender{swaps(newShelf(stores[0], all[0]), all[0])}
	for _, c := range []struct {
		name string
		h    http.Handler
		ws   writers
	}{{"ours, PUT", h, all[1]}, {"bare, PUT", newShelf(stores[2], all[2]), all[2]}} {
		addr, closer, err := serve(c.h)
		if err != nil {
			return nil, nil, err
		}
		closers = append(closers, closer)
		list = append(list, contender{c.name, c.ws.ready, requester{addr, c.ws.request, "HTTP/1.1 200"}.turn})
	}
	return list, done, nil
}

// request is a PUT of a writer's next record.
func (ws writers) request(conn, _ int) ([]byte, error) {
	rec, err := ws[conn].next()
	if err != nil {
		return nil, err
	}
	head := "PUT " + path + rec.Name().String() + " HTTP/1.1\r\nHost: bench\r\nContent-Type: " + ipns.RecordMediaType +
		"\r\nContent-Length: " + strconv.Itoa(len(rec.Raw())) + "\r\n\r\n"
	return append([]byte(head), rec.Raw()...), nil
}
