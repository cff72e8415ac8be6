package main

import (
	"context"
	"errors"
	"io/fs"
	"iter"
	"os"
	"path/filepath"
	"sync"
	"time"

	"github.com/goipns/ipns"
	"github.com/goipns/ipns/routing"
)

// folder is a routing.Router: a network with one target, which is a folder. It holds the
// newest record of each name in a file called like the name.
type folder struct {
	dir string
	mu  sync.Mutex // held from reading a record until a newer one is in its place
}

// Put implements routing.Router. A target that has something newer refuses.
func (f *folder) Put(ctx context.Context, rec *ipns.Record, _ routing.Look) iter.Seq2[routing.Ack, error] {
	return func(yield func(routing.Ack, error) bool) {
		if err := ctx.Err(); err != nil {
			yield(routing.Ack{}, err)
			return
		}
		begin := time.Now()
		ack := routing.Ack{Name: rec.Name(), Target: f.dir, Network: "folder", Of: 1}
		ack.Newer, ack.Err = f.put(rec)
		ack.RTT = time.Since(begin)
		yield(ack, nil)
	}
}

func (f *folder) put(rec *ipns.Record) (newer *ipns.Record, err error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	have, err := f.get(rec.Name())
	if err != nil {
		return nil, err
	}
	if have != nil && ipns.Compare(have, rec) > 0 {
		return have, routing.ErrRefused
	}
	file := filepath.Join(f.dir, rec.Name().String())
	if err := os.WriteFile(file+".new", rec.Raw(), 0o644); err != nil {
		return nil, err
	}
	return nil, os.Rename(file+".new", file)
}

// Search implements routing.Router. An answer without a record says that there is none.
func (f *folder) Search(ctx context.Context, name ipns.Name) iter.Seq2[routing.Answer, error] {
	return func(yield func(routing.Answer, error) bool) {
		rec, err := f.get(name)
		if err = errors.Join(ctx.Err(), err); err != nil {
			yield(routing.Answer{}, err)
			return
		}
		yield(routing.Answer{Record: rec, Source: f.dir, Network: "folder", At: time.Now()}, nil)
	}
}

// get reads the record of a name; nil: there is none that is valid. Whoever can write to
// the folder can write anything: ipns.Open believes only what the key has signed.
func (f *folder) get(name ipns.Name) (*ipns.Record, error) {
	raw, err := os.ReadFile(filepath.Join(f.dir, name.String()))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	rec, err := ipns.Open(name, raw, time.Now())
	if err != nil {
		return nil, nil // damaged, forged or expired
	}
	return rec, nil
}
