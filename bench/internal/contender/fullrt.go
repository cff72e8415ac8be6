package contender

import (
	"context"
	"errors"
	"fmt"
	"time"

	dht "github.com/libp2p/go-libp2p-kad-dht"
	"github.com/libp2p/go-libp2p-kad-dht/fullrt"
)

// fullRT is kad-dht's accelerated client: it crawls the whole network once an
// hour and knows every server. PutMany puts many records at once; neither Kubo
// nor boxo calls it for names.
var fullRT = Contender{
	Name:   "fullrt",
	Sweeps: true,
	Start:  startFullRT,
}

type fullRTClient struct{ dht *fullrt.FullRT }

func startFullRT(_ context.Context, s Setup) (Client, error) {
	d, err := fullrt.NewFullRT(s.Host, dht.DefaultPrefix, fullrt.DHTOption(
		dht.Validator(validators(s.Host.Peerstore())),
		dht.BootstrapPeers(s.Bootstrap...),
		dht.BucketSize(20),
	))
	if err != nil {
		return nil, fmt.Errorf("starting fullrt: %w", err)
	}
	return &fullRTClient{d}, nil
}

func (c *fullRTClient) Close() error { return c.dht.Close() }

// Explore waits for the crawl, which begins when the client is made.
func (c *fullRTClient) Explore(ctx context.Context) error {
	for !c.dht.Ready() {
		select {
		case <-time.After(10 * time.Millisecond):
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	return nil
}

// Republish ignores PutMany's error, which tells of any single record that got
// fewer copies than hoped for: the copies are counted by others.
func (c *fullRTClient) Republish(ctx context.Context, names []*Name) error {
	if err := c.Explore(ctx); err != nil {
		return err
	}
	keys, values := make([]string, len(names)), make([][]byte, len(names))
	for i, n := range names {
		keys[i], values[i] = string(n.Last.Name().RoutingKey()), n.Last.Raw()
	}
	err := c.dht.PutMany(ctx, keys, values)
	if errors.Is(err, context.Canceled) || errors.Is(err, context.DeadlineExceeded) {
		return err
	}
	return nil
}
