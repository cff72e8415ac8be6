// Package provide announces content: what is new at once, and all again before others
// forget it. On the DHTs it sweeps the key space region by region; with
// Provide.DHT.SweepEnabled=false, or without a DHT, it announces CID by CID.
//
// Invariant: what waits to be announced, and where in its cycle the sweep is, survives a
// restart.
package provide

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	boxo "github.com/ipfs/boxo/provider"
	"github.com/ipfs/go-cid"
	"github.com/ipfs/go-datastore"
	"github.com/ipfs/go-datastore/namespace"
	"github.com/libp2p/go-libp2p-kad-dht/provider"
	"github.com/libp2p/go-libp2p-kad-dht/provider/buffered"
	"github.com/libp2p/go-libp2p-kad-dht/provider/keystore"
	"github.com/libp2p/go-libp2p-kad-dht/provider/stats"
	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/libp2p/go-libp2p/core/routing"
	mh "github.com/multiformats/go-multihash"

	"github.com/goipns/ipns/internal/repo"
	"github.com/goipns/ipns/routing/dht"
)

// Defaults of the config's Provide.DHT.
const (
	workers         = 16
	periodicWorkers = 2
	burstWorkers    = 1
	connsPerWorker  = 20
	keystoreBatch   = 1 << 14
	offlineDelay    = 2 * time.Hour
	sendTimeout     = 10 * time.Second

	maxDelay    = time.Hour   // by which a region may be late
	checkOnline = time.Minute // how often the network is looked for
	queueBatch  = 1 << 10     // new CIDs taken from the queue at once
	queueIdle   = time.Minute // after which the queue is written to disk
	prefixBits  = 16          // by which the keystore is divided
)

// Keys yields the CIDs that are to be announced.
type Keys = boxo.KeyChanFunc

// Options are what is not in the config.
type Options struct {
	DHT    *dht.DHT               // nil: there is none
	Router routing.ContentRouting // announces where there is no DHT
	Store  datastore.Batching
	Log    *slog.Logger
}

// Provider announces content. The zero value announces nothing.
type Provider struct {
	log      *slog.Logger
	interval time.Duration

	// One of both, or none.
	sweep  *buffered.SweepingProvider
	legacy boxo.System

	inner *both // within sweep
	keys  *keystore.ResettableKeystore
}

// Open opens what announces, as the config says. The caller must Close it, before the
// DHT; after an error, that does nothing.
func Open(c *repo.Config, o Options) (*Provider, error) {
	d := &c.Provide.DHT
	p := &Provider{log: o.Log, interval: repo.DefaultProvideInterval}
	if d.Interval != nil {
		p.interval = time.Duration(*d.Interval)
	}
	if !repo.On(c.Provide.Enabled) {
		return p, nil
	}
	var err error
	switch {
	case o.DHT != nil && repo.On(d.SweepEnabled) && c.Routing.Type != "custom":
		err = p.openSweep(d, o)
	case o.DHT != nil || c.Routing.Type == "custom":
		p.legacy, err = boxo.New(o.Store, boxo.Online(o.Router), boxo.ReproviderInterval(p.interval),
			boxo.ProvideWorkerCount(or(d.MaxWorkers, workers)))
	}
	if err != nil {
		return &Provider{}, fmt.Errorf("open what announces content: %w", err)
	}
	return p, nil
}

func (p *Provider) openSweep(d *repo.ProvideDHT, o Options) (err error) {
	store := namespace.Wrap(o.Store, datastore.NewKey("provider"))
	p.keys, err = keystore.NewResettableKeystore(namespace.Wrap(store, datastore.NewKey("keystore")),
		keystore.KeystoreOption(keystore.WithPrefixBits(prefixBits), keystore.WithBatchSize(or(d.KeystoreBatchSize, keystoreBatch))))
	if err != nil {
		return err
	}
	// What was announced lately was announced as this peer.
	same, err := samePeer(store, o.DHT.Dual.WAN.Host().ID())
	if err != nil { // the disk is full, perhaps: the node must open all the same
		p.log.Warn("noting which peer announces content", "err", err)
	}
	p.inner, err = openBoth(o.DHT, store, p.keys,
		provider.WithResumeCycle(same && repo.On(d.ResumeEnabled)),
		provider.WithReprovideInterval(p.interval),
		provider.WithMaxReprovideDelay(maxDelay),
		provider.WithOfflineDelay(or(d.OfflineDelay.Time(), offlineDelay)),
		provider.WithConnectivityCheckOnlineInterval(checkOnline),
		provider.WithSendProviderRecordTimeout(or(d.SendProviderRecordTimeout.Time(), sendTimeout)),
		provider.WithMaxWorkers(or(d.MaxWorkers, workers)),
		provider.WithDedicatedPeriodicWorkers(or(d.DedicatedPeriodicWorkers, periodicWorkers)),
		provider.WithDedicatedBurstWorkers(or(d.DedicatedBurstWorkers, burstWorkers)),
		provider.WithMaxProvideConnsPerWorker(or(d.MaxProvideConnsPerWorker, connsPerWorker)),
	)
	if err != nil {
		return errors.Join(err, p.keys.Close())
	}
	p.sweep = buffered.New(p.inner, store, buffered.WithBatchSize(queueBatch), buffered.WithIdleWriteTime(queueIdle))
	return nil
}

// samePeer reports whether the store was last used by the same peer, as far as is known, and
// notes which peer uses it now.
func samePeer(store datastore.Batching, id peer.ID) (bool, error) {
	ctx, key := context.Background(), datastore.NewKey("peer")
	was, err := store.Get(ctx, key)
	if err != nil && !errors.Is(err, datastore.ErrNotFound) {
		return false, err
	}
	if string(was) == string(id) {
		return true, nil
	}
	return was == nil, store.Put(ctx, key, []byte(id))
}

func or[T any](value *T, otherwise T) T {
	if value == nil {
		return otherwise
	}
	return *value
}

// Run announces the keys again and again, until ctx has ended and Close was called.
func (p *Provider) Run(ctx context.Context, keys Keys) {
	if p.legacy != nil {
		p.legacy.SetKeyProvider(keys)
		return
	}
	if p.sweep == nil || p.interval == 0 {
		return
	}
	for {
		if err := p.schedule(ctx, keys); err != nil && ctx.Err() == nil && !errors.Is(err, keystore.ErrClosed) {
			p.log.Warn("cannot schedule what is announced", "err", err, "again_in", p.interval)
		}
		select {
		case <-ctx.Done():
			return
		case <-time.After(p.interval):
		}
	}
}

// schedule takes over which keys are announced. Close ends it, too.
func (p *Provider) schedule(ctx context.Context, keys Keys) error {
	listing, cancel := context.WithCancel(ctx)
	defer cancel()
	list, err := keys(listing)
	if err != nil {
		return err
	}
	// The keystore must not be told that ctx has ended: if it is while it answers, its
	// Close waits forever. Nor may it take a list that was cut short for a whole one. So
	// the list then has no end, and Close ends the wait for it.
	whole := make(chan cid.Cid)
	go func() { // ends with listing
		for c := range list {
			select {
			case whole <- c:
			case <-listing.Done():
				return
			}
		}
		if listing.Err() == nil {
			close(whole)
		}
	}()
	if err := p.keys.ResetCids(context.WithoutCancel(ctx), whole); err != nil {
		return err
	}
	// Offline it cannot; it does itself once it is online.
	_ = p.sweep.RefreshSchedule()
	return nil
}

// StartProviding queues keys to be announced as soon as possible, and again from then on.
func (p *Provider) StartProviding(force bool, keys ...mh.Multihash) error {
	if p.sweep == nil || p.interval == 0 {
		return p.ProvideOnce(keys...)
	}
	return p.sweep.StartProviding(force, keys...)
}

// ProvideOnce queues keys to be announced as soon as possible, and not again.
func (p *Provider) ProvideOnce(keys ...mh.Multihash) error {
	switch {
	case p.sweep != nil:
		return p.sweep.ProvideOnce(keys...)
	case p.legacy != nil:
		for _, k := range keys {
			if err := p.legacy.Provide(context.Background(), cid.NewCidV1(cid.Raw, k), true); err != nil {
				return err
			}
		}
	}
	return nil
}

// Clear forgets what waits to be announced for the first time, and returns how much that
// was.
func (p *Provider) Clear() int {
	switch {
	case p.sweep != nil:
		return p.sweep.Clear()
	case p.legacy != nil:
		return p.legacy.Clear()
	}
	return 0
}

// ErrSweeping means that everything cannot be announced at once, as it is spread over
// time.
var ErrSweeping = errors.New("manual reprovide is not available with the sweep provider; set Provide.DHT.SweepEnabled=false to use the legacy provider, " +
	"or run 'ipns provide stat --all' to monitor the sweep schedule")

// Reprovide announces everything now, and waits for it.
func (p *Provider) Reprovide(ctx context.Context) error {
	if p.legacy == nil {
		return ErrSweeping
	}
	return p.legacy.Reprovide(ctx)
}

// Interval is the time between two announcements; 0: there is only one.
func (p *Provider) Interval() time.Duration { return p.interval }

// LegacyStats are about announcing CID by CID.
type LegacyStats = boxo.ReproviderStats

// Stats returns what was done: by sweeping one of the networks, or CID by CID. It is
// neither if nothing is announced.
func (p *Provider) Stats(ctx context.Context, lan bool) (sweep *stats.Stats, legacy *LegacyStats, err error) {
	switch {
	case p.legacy != nil:
		s, err := p.legacy.Stat()
		return nil, &s, err
	case p.sweep == nil:
		return nil, nil, nil
	}
	var of *provider.SweepingProvider
	if of = p.inner.wan; lan {
		of = p.inner.lan
	}
	s, err := of.Stats(ctx)
	return &s, nil, err
}

// Close stops announcing.
func (p *Provider) Close() error {
	switch {
	case p.sweep != nil:
		return errors.Join(p.sweep.Close(), p.keys.Close())
	case p.legacy != nil:
		return p.legacy.Close()
	}
	return nil
}
