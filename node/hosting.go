package node

import (
	"net/http"

	"github.com/goipns/ipns/hosting"
	"github.com/goipns/ipns/hosting/doors"
	"github.com/goipns/ipns/internal/repo"
)

// openHosting opens what is kept for others.
func (n *Node) openHosting() error {
	n.Hosting = &hosting.Host{
		Book: n.Book, Rows: n.records.Rows(), Opener: &n.Opener, Router: n.Router,
		Resolver: n.Resolver, Keys: n.Keys, Publisher: n.Publisher, Log: n.Log,
	}
	s, err := hosting.FromConfig(&n.Settings.Hosting)
	if err != nil {
		return err
	}
	n.Hosting.Set(s)
	n.Book.Forgotten = n.Hosting.Forgotten
	return nil
}

func (n *Node) hostingHandler(c *repo.Config) (http.Handler, error) {
	s, err := hosting.FromConfig(&c.Hosting)
	if err != nil {
		return nil, err
	}
	n.Hosting.Set(s)
	return doors.New(doors.Options{Host: n.Hosting, Find: n.routingAPI().FindRecord}), nil
}
