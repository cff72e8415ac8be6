package main

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"net/http"
	"net/http/httptest"
	"time"

	boxoipns "github.com/ipfs/boxo/ipns"
	"github.com/ipfs/boxo/routing/http/server"
	corerouting "github.com/libp2p/go-libp2p/core/routing"
	"github.com/prometheus/client_golang/prometheus"

	"github.com/goipns/ipns"
	"github.com/goipns/ipns/names"
	"github.com/goipns/ipns/recordstore"
	"github.com/goipns/ipns/resolver"
	"github.com/goipns/ipns/routing"
	"github.com/goipns/ipns/routing/delegated"
)

const path = "/routing/v1/ipns/"

// newRecords signs a record of each of so many new names.
func newRecords(ctx context.Context, count int) ([]*ipns.Record, error) {
	var list []*ipns.Record
	for i := range count {
		key, err := ipns.GenerateKey(ipns.Ed25519, 0)
		if err != nil {
			return nil, err
		}
		rec, err := ipns.Sign(ctx, ipns.NewSigner(key), ipns.Fields{
			Value: fmt.Sprintf("/ipfs/bafybeigdyrzt5sfp7udm7hu76uh7y26nf3efuylqabf3oclgtqy55fbzdi/%d", i),
			EOL:   time.Now().Add(48 * time.Hour), TTL: time.Hour,
		}, ipns.V1V2)
		if err != nil {
			return nil, err
		}
		list = append(list, rec)
	}
	return list, nil
}

// archive is a network that has all records.
type archive map[ipns.Name]*ipns.Record

func (a archive) Put(context.Context, *ipns.Record, routing.Look) iter.Seq2[routing.Ack, error] {
	return func(func(routing.Ack, error) bool) {}
}

func (a archive) Search(_ context.Context, name ipns.Name) iter.Seq2[routing.Answer, error] {
	return func(yield func(routing.Answer, error) bool) {
		yield(routing.Answer{Record: a[name], Source: "archive", Network: "archive", At: time.Now()}, nil)
	}
}

// ours is the handler as a node has it: records come from the resolver's cache.
func ours(records []*ipns.Record) (*delegated.Handler, func(), error) {
	all := archive{}
	for _, rec := range records {
		all[rec.Name()] = rec
	}
	r := &resolver.Resolver{Book: &names.Book{Store: recordstore.NewMemory()}, Router: all, CacheSize: len(records)}
	h := &delegated.Handler{Find: func(ctx context.Context, name ipns.Name) (*ipns.Record, time.Time, error) {
		hop, err := r.Lookup(ctx, name, resolver.Options{})
		if err != nil {
			return nil, time.Time{}, err
		}
		return hop.Record, hop.LastModified(), nil
	}}
	for _, rec := range records {
		w := httptest.NewRecorder()
		h.ServeHTTP(w, httptest.NewRequest(http.MethodGet, path+rec.Name().String(), nil))
		if w.Code != http.StatusOK || w.Body.Len() != len(rec.Raw()) {
			return nil, nil, fmt.Errorf("%s: %d %q", rec.Name(), w.Code, w.Body)
		}
	}
	return h, func() { _ = r.Close() }, nil
}

// bare writes what h answers to each name, and does no more.
func bare(h http.Handler, records []*ipns.Record) http.Handler {
	type prepared struct {
		head http.Header
		body []byte
	}
	all := map[string]prepared{}
	for _, rec := range records {
		w := httptest.NewRecorder()
		h.ServeHTTP(w, httptest.NewRequest(http.MethodGet, path+rec.Name().String(), nil))
		all[path+rec.Name().String()] = prepared{w.Header(), w.Body.Bytes()}
	}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		p := all[r.URL.Path]
		head := w.Header()
		for key, values := range p.head {
			head[key] = values
		}
		_, _ = w.Write(p.body) // the client may be gone
	})
}

// inMemory is what boxo's server asks.
type inMemory struct {
	server.DelegatedRouter // nil: nothing else is asked
	records                map[boxoipns.Name]*boxoipns.Record
}

func (m inMemory) GetIPNS(_ context.Context, name boxoipns.Name) (*boxoipns.Record, error) {
	rec := m.records[name]
	if rec == nil {
		return nil, corerouting.ErrNotFound
	}
	return rec, nil
}

func boxo(records []*ipns.Record) (http.Handler, error) {
	m := inMemory{records: map[boxoipns.Name]*boxoipns.Record{}}
	for _, rec := range records {
		name, err := boxoipns.NameFromString(rec.Name().String())
		if err != nil {
			return nil, err
		}
		if m.records[name], err = boxoipns.UnmarshalRecord(rec.Raw()); err != nil {
			return nil, err
		}
	}
	return server.Handler(m, server.WithPrometheusRegistry(prometheus.NewRegistry())), nil
}

// readContenders are those who answer a GET.
func readContenders(ctx context.Context, records []*ipns.Record) (list []contender, done func(), err error) {
	h, closeOurs, err := ours(records)
	if err != nil {
		return nil, nil, err
	}
	other, err := boxo(records)
	if err != nil {
		return nil, nil, err
	}
	closers := []func(){closeOurs}
	done = func() {
		for _, c := range closers {
			c()
		}
	}
	requests := func(extra func(*ipns.Record) string) func(conn, n int) ([]byte, error) {
		all := make([][]byte, len(records))
		for i, rec := range records {
			all[i] = []byte("GET " + path + rec.Name().String() + " HTTP/1.1\r\nHost: bench\r\nAccept: " + ipns.RecordMediaType + "\r\n" + extra(rec) + "\r\n")
		}
		return func(conn, n int) ([]byte, error) {
			return all[(conn*7919+n)%len(all)], nil // each connection begins elsewhere
		}
	}
	plain := requests(func(*ipns.Record) string { return "" })
	conditional := requests(func(rec *ipns.Record) string {
		w := httptest.NewRecorder()
		h.ServeHTTP(w, httptest.NewRequest(http.MethodGet, path+rec.Name().String(), nil))
		return "If-None-Match: " + w.Header().Get("Etag") + "\r\n"
	})
	for _, c := range []struct {
		name    string
		h       http.Handler
		request func(conn, n int) ([]byte, error)
		status  string
	}{
		{"bare", bare(h, records), plain, "HTTP/1.1 200"},
		{"ours", h, plain, "HTTP/1.1 200"},
		{"ours, 304", h, conditional, "HTTP/1.1 304"},
		{"boxo", other, plain, "HTTP/1.1 200"},
	} {
		addr, closer, err := serve(c.h)
		if err != nil {
			return nil, nil, errors.Join(err, ctx.Err())
		}
		closers = append(closers, closer)
		list = append(list, contender{name: c.name, turn: requester{addr, c.request, c.status}.turn})
	}
	return list, done, nil
}
