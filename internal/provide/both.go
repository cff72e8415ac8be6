package provide

import (
	"context"
	"errors"
	"fmt"

	"github.com/ipfs/go-cid"
	"github.com/ipfs/go-datastore"
	"github.com/ipfs/go-datastore/namespace"
	kaddht "github.com/libp2p/go-libp2p-kad-dht"
	"github.com/libp2p/go-libp2p-kad-dht/provider"
	"github.com/libp2p/go-libp2p-kad-dht/provider/keystore"
	mh "github.com/multiformats/go-multihash"

	"github.com/goipns/ipns/routing/dht"
)

// both sweeps the WAN and the LAN with one list of keys. It is kad-dht's own of the same
// kind, but for what sends.
type both struct {
	wan, lan *provider.SweepingProvider
	keys     keystore.Keystore
}

// openBoth opens both sweeps. They share the options, but for where they keep their state.
func openBoth(d *dht.DHT, store datastore.Batching, keys keystore.Keystore, options ...provider.Option) (b *both, err error) {
	b = &both{keys: keys}
	if b.lan, err = openOne(d.Dual.LAN, d.LAN, "lan", provider.DefaultLoggerName+"/lan", store, keys, options); err != nil {
		return nil, err
	}
	if b.wan, err = openOne(d.Dual.WAN, d.WAN, "wan", provider.DefaultLoggerName, store, keys, options); err != nil {
		return nil, errors.Join(err, b.lan.Close())
	}
	return b, nil
}

func openOne(d *kaddht.IpfsDHT, r *dht.Router, kind, logger string, store datastore.Batching, keys keystore.Keystore, options []provider.Option) (*provider.SweepingProvider, error) {
	near := &nearest{MessageSender: d.MessageSender(), dht: r}
	p, err := provider.New(append([]provider.Option{
		provider.WithHost(d.Host()),
		provider.WithReplicationFactor(d.BucketSize()),
		provider.WithSelfAddrs(d.FilteredAddrs),
		provider.WithRouter(near),
		provider.WithMessageSender(near),
		provider.WithAddLocalRecord(func(ctx context.Context, h mh.Multihash) error {
			return d.Provide(ctx, cid.NewCidV1(cid.Raw, h), false)
		}),
		provider.WithKeystore(keys),
		provider.WithDatastore(namespace.Wrap(store, datastore.NewKey(kind))),
		provider.WithLoggerName(logger),
		provider.WithDhtType(kind),
	}, options...)...)
	if err != nil {
		return nil, fmt.Errorf("sweep of the %s: %w", kind, err)
	}
	return p, nil
}

// each calls f with both at once.
func (b *both) each(f func(*provider.SweepingProvider) error) error {
	lan := make(chan error, 1)
	go func() { lan <- f(b.lan) }() // is waited for
	wan := f(b.wan)
	return errors.Join(wan, <-lan)
}

func (b *both) StartProviding(force bool, keys ...mh.Multihash) error {
	added, err := b.keys.Put(context.Background(), keys...)
	if err != nil {
		return err
	}
	// Offline they can't; they do so themselves once they are online.
	_ = b.each(func(p *provider.SweepingProvider) error { return p.AddToSchedule(added...) })
	if !force {
		keys = added
	}
	return b.ProvideOnce(keys...)
}

func (b *both) StopProviding(keys ...mh.Multihash) error {
	return b.keys.Delete(context.Background(), keys...)
}

func (b *both) ProvideOnce(keys ...mh.Multihash) error {
	return b.each(func(p *provider.SweepingProvider) error { return p.ProvideOnce(keys...) })
}

func (b *both) RefreshSchedule() error {
	return b.each(func(p *provider.SweepingProvider) error { return p.RefreshSchedule() })
}

func (b *both) Clear() int { return b.lan.Clear() + b.wan.Clear() }

func (b *both) Close() error {
	return b.each(func(p *provider.SweepingProvider) error { return p.Close() })
}
