package node

import (
	"context"
	"net/http"

	"github.com/goipns/ipns"
	"github.com/goipns/ipns/hosting"
	"github.com/goipns/ipns/hosting/doors"
	"github.com/goipns/ipns/hosting/pins"
	"github.com/goipns/ipns/internal/repo"
)

// openHosting opens what is kept for others.
func (n *Node) openHosting() error {
	n.Hosting = &hosting.Host{
		Book: n.Book, Rows: n.Records.Rows(), Opener: &n.Opener, Router: n.Router,
		Resolver: n.Resolver, Keys: n.Keys, Publisher: n.Publisher, Log: n.Log,
		Encrypted: func() bool { return n.Identity.Store.Encrypt },
	}
	n.Republisher.Signers = n.Hosting.Signer
	s, err := hosting.FromConfig(&n.Settings.Hosting)
	if err != nil {
		return err
	}
	n.Hosting.Set(s)
	n.Hosting.Warned = func(ctx context.Context, risk hosting.Risk) error { return n.Webhooks.Warn(ctx, risk.Name) }
	n.Book.Forgotten = func(ctx context.Context, name ipns.Name) {
		n.Hosting.Forgotten(ctx, name)
		n.Watched.Forgotten(ctx, name)
	}
	return nil
}

func (n *Node) hostingHandler(c *repo.Config) (http.Handler, error) {
	s, err := hosting.FromConfig(&c.Hosting)
	if err != nil {
		return nil, err
	}
	n.Hosting.Set(s)
	return doors.New(doors.Options{Host: n.Hosting, Find: n.routingAPI().FindRecord, Names: n.Watched, Pins: n.Pins}), nil
}

// openPins opens what content is kept for tenants.
func (n *Node) openPins(ctx context.Context) error {
	n.Pins = &pins.Pins{Rows: n.Records.Rows(), Content: n.Content, Limit: n.Hosting.PinLimit, Host: n.Host, Self: n.Name.PeerID(), Shared: n.Book.Shared(), Log: n.Log}
	n.Garbage.Needed = n.Pins.Roots
	return n.Pins.Load(ctx)
}
