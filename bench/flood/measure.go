package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"path/filepath"
	"runtime"
	"slices"
	"time"

	"github.com/cockroachdb/pebble/v2"
	ds "github.com/ipfs/go-datastore"
	"github.com/ipfs/go-datastore/query"
	"github.com/libp2p/go-libp2p"
	"github.com/libp2p/go-libp2p/core/host"

	"github.com/goipns/ipns"
	"github.com/goipns/ipns/content"
	"github.com/goipns/ipns/names"
	store "github.com/goipns/ipns/recordstore/pebble"
	"github.com/goipns/ipns/routing"
	"github.com/goipns/ipns/routing/dht"
)

const (
	ownNames     = 200
	publishEvery = 20 * time.Millisecond
	watchEvery   = 500 * time.Millisecond
)

// row is what was measured.
type row struct {
	config
	taken          taken
	held, provided int   // in the end
	heldBytes      int64 // keys and values
	providedBytes  int64
	disk, heap     int64 // the most during the flood, above what was before
	idle, flood    []time.Duration
	lost           int
	took           time.Duration
}

func (r row) String() string {
	mib := func(n int64) string { return fmt.Sprintf("%.1f MiB", float64(n)/(1<<20)) }
	return fmt.Sprintf("| %d | %d | %d | %d | %.2f | %d | %d | %.2f | %s | %s | %s | %s | %d | %.0f |",
		r.peers, r.values, r.taken.Values, r.held, float64(r.heldBytes)/float64(r.limitOfValues.Bytes),
		r.providers, r.provided, float64(r.providedBytes)/float64(r.limitOfProvided.Bytes),
		mib(r.disk), mib(r.heap), quantiles(r.idle), quantiles(r.flood), r.lost, r.took.Seconds())
}

func quantiles(list []time.Duration) string {
	if len(list) == 0 {
		return "-"
	}
	slices.Sort(list)
	at := func(q float64) float64 { return float64(list[int(q*float64(len(list)-1))].Microseconds()) / 1000 }
	return fmt.Sprintf("%.1f / %.1f ms", at(0.5), at(0.99))
}

// node is what of a daemon takes part: database, Book, DHT server.
type node struct {
	dir  string
	db   *pebble.DB
	data ds.Batching
	book *names.Book
	host host.Host
	dht  *dht.DHT
	own  []ipns.Signer
	end  []func() error // from the last to the first
}

func start(ctx context.Context, c config, dir string) (n *node, err error) {
	n = &node{dir: filepath.Join(dir, "db")}
	defer func() {
		if err != nil {
			err = errors.Join(err, n.close())
		}
	}()
	quiet := slog.New(slog.DiscardHandler)
	disk := &store.Disk{Dir: n.dir}
	if n.db, err = store.OpenDB(ctx, disk, quiet); err != nil {
		return n, err
	}
	n.end = append(n.end, n.db.Close)
	records, err := store.New(n.db, store.Options{Disk: disk, Log: quiet})
	if err != nil {
		return n, err
	}
	n.end = append(n.end, records.Close)
	n.book = &names.Book{Store: records}
	if n.data, err = content.Datastore(n.db, disk.Spare); err != nil {
		return n, err
	}
	if n.host, err = libp2p.New(libp2p.ListenAddrStrings("/ip4/127.0.0.1/tcp/0"), libp2p.DisableRelay()); err != nil {
		return n, err
	}
	n.end = append(n.end, n.host.Close)
	n.dht, err = dht.New(n.host, dht.Config{
		Store: n.data, LoopbackOnLAN: true, Values: c.limitOfValues, Providers: c.limitOfProvided, Scarce: disk.Scarce,
	})
	if err != nil {
		return n, err
	}
	n.end = append(n.end, n.dht.Close)
	for range ownNames {
		key, err := ipns.GenerateKey(ipns.Ed25519, 0)
		if err != nil {
			return n, err
		}
		s := ipns.NewSigner(key)
		n.own = append(n.own, s)
		name, err := ipns.NameOf(key.GetPublic())
		if err == nil {
			err = n.book.Create(ctx, name)
		}
		if err != nil {
			return n, err
		}
	}
	return n, nil
}

func (n *node) close() error {
	var errs []error
	for _, end := range slices.Backward(n.end) {
		errs = append(errs, end())
	}
	return errors.Join(errs...)
}

// publish makes the next record of an own name durable and gives it to this node's
// own server. There is no other server.
func (n *node) publish(ctx context.Context, s ipns.Signer) error {
	name, err := ipns.NameOf(s.Public())
	if err != nil {
		return err
	}
	e, err := n.book.Get(ctx, name)
	if err != nil {
		return err
	}
	rec, err := ipns.Sign(ctx, s, ipns.Fields{
		Value: fmt.Sprintf("/ipfs/bafkqaaa/%d", e.Next), Sequence: e.Next, EOL: time.Now().Add(48 * time.Hour), TTL: time.Hour,
	}, ipns.V1V2)
	if err != nil {
		return err
	}
	if _, err := n.book.Enter(ctx, e, rec, names.Entrance{}); err != nil {
		return err
	}
	for _, err := range n.dht.LAN.Put(ctx, rec, routing.Look{}) {
		if err != nil && !errors.Is(err, routing.ErrNoTargets) && !errors.Is(err, routing.ErrAway) {
			return err
		}
	}
	return nil
}

// lost counts own names whose record the server does not have as it was published.
func (n *node) lost(ctx context.Context) (lost int, err error) {
	for _, s := range n.own {
		name, err := ipns.NameOf(s.Public())
		if err != nil {
			return 0, err
		}
		e, err := n.book.Get(ctx, name)
		if err != nil {
			return 0, err
		}
		served := false
		for a, err := range n.dht.LAN.Search(ctx, name) {
			if err == nil && a.Record != nil && e.Record != nil && a.Record.Hash() == e.Record.Hash() {
				served = true
			}
		}
		if !served {
			lost++
		}
	}
	return lost, nil
}

// time publishes until done is closed, and returns how long each took.
func (n *node) time(ctx context.Context, done <-chan struct{}) (took []time.Duration, err error) {
	tick := time.NewTicker(publishEvery)
	defer tick.Stop()
	for i := 0; ; i++ {
		begin := time.Now()
		if err := n.publish(ctx, n.own[i%len(n.own)]); err != nil {
			return took, err
		}
		took = append(took, time.Since(begin))
		select {
		case <-done:
			if i >= len(n.own) {
				return took, nil
			}
		case <-tick.C:
		}
	}
}

// held counts what is under a prefix.
func (n *node) held(ctx context.Context, prefix string) (count int, bytes int64, err error) {
	found, err := n.data.Query(ctx, query.Query{Prefix: prefix, KeysOnly: true, ReturnsSizes: true})
	if err != nil {
		return 0, 0, err
	}
	defer found.Close()
	for e := range found.Next() {
		if e.Error != nil {
			return 0, 0, e.Error
		}
		count++
		bytes += int64(len(e.Key) + e.Size)
	}
	return count, bytes, nil
}

// usage is what the database takes on disk and the process on the heap, as of the last
// collection.
func (n *node) usage() (disk, heap int64) {
	_ = filepath.WalkDir(n.dir, func(_ string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return nil // files come and go
		}
		if i, err := d.Info(); err == nil {
			disk += i.Size()
		}
		return nil
	})
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return disk, int64(m.HeapAlloc)
}

// watch returns the most that is used until done is closed.
func (n *node) watch(done <-chan struct{}) (disk, heap int64) {
	tick := time.NewTicker(watchEvery)
	defer tick.Stop()
	for {
		d, h := n.usage()
		disk, heap = max(disk, d), max(heap, h)
		select {
		case <-done:
			return disk, heap
		case <-tick.C:
		}
	}
}

// measure floods a node that has its database in dir.
func measure(ctx context.Context, c config, dir string) (r row, err error) {
	r.config = c
	n, err := start(ctx, c, dir)
	if err != nil {
		return r, err
	}
	defer func() { err = errors.Join(err, n.close()) }()
	rest := make(chan struct{})
	time.AfterFunc(c.idle, func() { close(rest) })
	if r.idle, err = n.time(ctx, rest); err != nil {
		return r, err
	}
	runtime.GC()
	disk, heap := n.usage()
	done, watched := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(watched)
		r.disk, r.heap = n.watch(done)
	}()
	begin := time.Now()
	var fault error
	go func() {
		defer close(done)
		r.taken, fault = c.attack(ctx, c, n.host.Peerstore().PeerInfo(n.host.ID()))
		r.took = time.Since(begin)
	}()
	r.flood, err = n.time(ctx, done)
	<-done
	<-watched
	runtime.GC()
	_, after := n.usage()
	r.disk, r.heap = r.disk-disk, after-heap
	if err = errors.Join(err, fault); err != nil {
		return r, err
	}
	if r.held, r.heldBytes, err = n.held(ctx, "/dht/ipns"); err != nil {
		return r, err
	}
	if r.provided, r.providedBytes, err = n.held(ctx, "/providers"); err != nil {
		return r, err
	}
	r.lost, err = n.lost(ctx)
	return r, err
}
