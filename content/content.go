// Package content turns folders into CIDs and back: it imports files, keeps and pins their blocks, exchanges them with
// other nodes and announces who has them. It is the only package that uses boxo's content code; its CIDs are those of
// Kubo for the same input.
//
// A [Store] uses a Pebble database that it shares. All its keys begin with a byte from '!' (0x21) to '/' (0x2f); those of
// other users of the database must begin with later ones, so that no table of theirs overlaps one of blocks. With a libp2p host it exchanges blocks with other nodes; without one it uses local blocks
// only.
//
// Invariant: an [Added] with Root set, and a pin call that returned nil, survive a crash of the process and of the
// machine. Anything earlier may be lost, and leaves at most unreferenced blocks.
package content

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"github.com/cockroachdb/pebble/v2"
	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/ipfs/boxo/bitswap"
	"github.com/ipfs/boxo/blockservice"
	"github.com/ipfs/boxo/blockstore"
	"github.com/ipfs/boxo/exchange"
	"github.com/ipfs/boxo/exchange/offline"
	"github.com/ipfs/boxo/ipld/merkledag"
	pin "github.com/ipfs/boxo/pinning/pinner"
	"github.com/ipfs/boxo/pinning/pinner/dspinner"
	"github.com/ipfs/go-datastore"
	ipld "github.com/ipfs/go-ipld-format"
	"github.com/libp2p/go-libp2p/core/host"
	"github.com/libp2p/go-libp2p/core/routing"
)

// Limits of the exchange with other nodes.
const (
	sendWorkers      = 8       // messages to other nodes prepared at once
	readWorkers      = 32      // blocks read from disk at once for others
	bytesPerPeer     = 1 << 20 // sent to one node and not acknowledged
	wantsPerPeer     = 1024    // wanted blocks remembered for one node
	fetchConcurrency = 32      // blocks of one tree fetched at once

	searchAfter = 250 * time.Millisecond // connected nodes are asked for a block this long before the router is
)

// Options configure a [Store].
type Options struct {
	// DB holds blocks and pins. Required. The Store does not close it.
	DB *pebble.DB
	// Dir is the directory of DB, on the file system FS, where blocks are written before DB takes them. Required; FS nil
	// means that of the machine. It must not wait for space on a full disk.
	Dir string
	FS  vfs.FS
	// Writes runs all writes to DB, but for those that free space, which Freeing runs. nil: they are not wrapped.
	Writes, Freeing Writes
	// CacheMax is how many bytes of blocks from other nodes, which nothing needs, are worth the space. The Store only says
	// when to look: see [Store.FetchedMuch]. 0: it does not.
	CacheMax uint64
	// Host connects the Store with other nodes. nil: the Store is offline.
	Host host.Host
	// Router finds who has a block and announces that we have it.
	// nil: only connected nodes are asked, and nothing is announced. Without Host it is not used.
	Router routing.ContentRouting
	// NoServer gives no blocks to other nodes. NoBitswap fetches none from them either, but over HTTP, which is then required.
	NoServer, NoBitswap bool
	// HTTP fetches blocks from HTTP gateways too, which the Router has found. nil: it does not.
	HTTP *HTTP
	// Provider announces what the Strategy says: what is new at once. nil: nothing is announced except by [Store.Provide].
	Provider Provider
	Strategy Strategy
	// Deny names what is neither fetched nor given to anybody. nil: nothing.
	Deny Denylist
	// Log receives a line for each announcement that failed. nil: none are logged.
	Log *slog.Logger
}

// Store holds blocks and pins. Its methods are safe for concurrent use, but must not be called after [Store.Close].
type Store struct {
	router   routing.ContentRouting // nil: offline or no router
	log      *slog.Logger
	stored   *blockDB // without those that are in CIDs
	blocks   blockservice.BlockService
	exchange exchange.Interface
	dag      ipld.DAGService
	here     blockservice.BlockService // like blocks, but never asks other nodes
	local    ipld.DAGService           // the same for dag
	pins     pin.Pinner
	deny     Denylist // nil: nothing is denied
	db       *pebble.DB
	gate     *gate

	life      context.Context    // of the exchange, and of what is announced
	stop      context.CancelFunc // ends life
	providing sync.WaitGroup     // by ProvideSoon
	soon      chan struct{}      // one for each of these

	ds       datastore.Batching
	provider Provider // nil: nothing is announced
	strategy Strategy
}

// Open opens a Store over o.DB and, if there is a host, connects it with other nodes.
func Open(ctx context.Context, o Options) (*Store, error) {
	if o.Dir == "" {
		return nil, errors.New("a store of content needs the directory of its database")
	}
	ds, err := openShared(o.DB, o.Writes)
	if err != nil {
		return nil, err
	}
	s := &Store{ds: ds, db: o.DB, gate: &gate{}, log: o.Log, provider: o.Provider, strategy: o.Strategy, deny: o.Deny}
	if s.log == nil {
		s.log = slog.New(slog.DiscardHandler)
	}
	life, stop := context.WithCancel(context.WithoutCancel(ctx))
	s.life, s.stop, s.soon = life, stop, make(chan struct{}, soonAtOnce)

	if s.stored, err = openBlocks(ctx, o, ds, s.log); err != nil {
		stop()
		return nil, err
	}
	// Identity CIDs, which contain their block, are always there.
	bs := fetching{blockstore.NewIdStore(s.stored), s.stored}
	if o.Host == nil {
		s.exchange = offline.Exchange(bs)
	} else {
		s.router = o.Router
		s.exchange = newBitswap(life, o, bs)
	}
	s.blocks = s.shown(bs, s.exchange)
	s.dag = merkledag.NewDAGService(s.blocks)
	s.here = blockservice.New(bs, offline.Exchange(bs))
	s.local = merkledag.NewDAGService(s.here)
	s.pins, err = dspinner.New(ctx, ds, s.local)
	if err != nil {
		stop()
		return nil, errors.Join(fmt.Errorf("read the pins: %w", err), s.exchange.Close())
	}
	return s, nil
}

func newBitswap(ctx context.Context, o Options, bs blockstore.Blockstore) exchange.Interface {
	var finder routing.ContentDiscovery // a nil Router must stay a nil interface
	if o.Router != nil {
		finder = o.Router
	}
	options := append(given(o.Deny),
		bitswap.WithServerEnabled(!o.NoServer && !o.NoBitswap),
		bitswap.TaskWorkerCount(sendWorkers),
		bitswap.EngineTaskWorkerCount(sendWorkers),
		bitswap.EngineBlockstoreWorkerCount(readWorkers),
		bitswap.MaxOutstandingBytesPerPeer(bytesPerPeer),
		bitswap.MaxQueuedWantlistEntriesPerPeer(wantsPerPeer),
		bitswap.ProviderSearchDelay(searchAfter),
		bitswap.WithoutDuplicatedBlockStats(),
	)
	return bitswap.New(ctx, o.HTTP.network(o.Host, o.NoBitswap), finder, bs, options...)
}

// BlockService gives access to single blocks: local ones and, when online, those of other nodes.
func (s *Store) BlockService() blockservice.BlockService { return s.blocks }

// Offline returns the Store as it is without other nodes: what is not here is not found. It is a view, not to be closed.
func (s *Store) Offline() *Store {
	shown := s.shown(s.here.Blockstore(), s.here.Exchange())
	return &Store{
		log: s.log, life: s.life, stored: s.stored, deny: s.deny, blocks: shown, dag: merkledag.NewDAGService(shown), here: s.here, local: s.local,
		pins: s.pins, ds: s.ds, db: s.db, gate: s.gate, provider: s.provider, strategy: s.strategy,
	}
}

// Sync makes everything written to the Store so far durable. [Store.Add] and the pin methods call it themselves.
func (s *Store) Sync(ctx context.Context) error {
	if err := s.ds.Sync(ctx, datastore.NewKey("/")); err != nil {
		return fmt.Errorf("write blocks to disk: %w", err)
	}
	return nil
}

// closeTimeout bounds how long Close waits for a disk that does not respond.
const closeTimeout = 5 * time.Second

// Close stops announcements, exchange and pinner, in this order, and makes everything durable. The caller closes host,
// router and database after it.
func (s *Store) Close() error {
	s.stop()
	s.providing.Wait()
	ctx, cancel := context.WithTimeout(context.Background(), closeTimeout)
	defer cancel()
	errs := errors.Join(s.exchange.Close(), s.pins.Close(), s.Sync(ctx))
	s.stored.close()
	return errors.Join(errs, s.ds.Close())
}
