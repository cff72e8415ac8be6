package serve

import (
	"errors"
	"fmt"
	"net/http"
	"strings"

	ma "github.com/multiformats/go-multiaddr"
	manet "github.com/multiformats/go-multiaddr/net"

	"github.com/goipns/ipns/internal/door"
	"github.com/goipns/ipns/internal/guard"
	"github.com/goipns/ipns/internal/page"
	"github.com/goipns/ipns/internal/repo"
	"github.com/goipns/ipns/rpc"
)

// apiDoor is the door of an API. Its commands say themselves whether they are
// answered while others crowd it, and whether they read files as the client makes
// them.
func apiDoor(m *rpc.Mux) door.Options {
	command := func(r *http.Request) string { return strings.TrimPrefix(r.URL.Path, rpc.Prefix) }
	return door.Options{
		Conns: 2048, PerAddress: 128, Requests: 256, Reserve: 64,
		Class: func(r *http.Request) door.Class {
			if isHealth(r) {
				return door.Instant
			}
			return classOf(m, command(r))
		},
		Unhurried: func(r *http.Request) bool {
			_, uploads, _ := m.Describe(command(r))
			return uploads
		},
	}
}

// classOf says how soon a command is answered while others crowd the API.
func classOf(m *rpc.Mux, command string) door.Class {
	group, _, _ := strings.Cut(command, "/")
	switch info, _, _ := m.Describe(command); {
	case info.Instant:
		return door.Instant
	case group == "name", group == "key", group == "swarm", group == "id":
		return door.Control
	}
	return door.Ordinary
}

// ErrOpen means that an API would be open to others than this machine's users, and asks
// for no secret.
var ErrOpen = errors.New("would obey everybody who reaches that address, and publish with every key")

// mayOpen refuses to serve such an API, unless the config wants that.
func (s *Servers) mayOpen(c *repo.Config) error {
	if isLocal(s.API) || len(c.API.Authorizations) > 0 {
		return nil
	}
	if !c.API.AllowUnauthenticated {
		return fmt.Errorf("the API on %s %w", s.API, ErrOpen)
	}
	s.o.Log.Warn("the API obeys everybody who reaches its address, as API.AllowUnauthenticated in the config wants", "address", s.API)
	return nil
}

// isLocal tells whether only this machine reaches an address.
func isLocal(m ma.Multiaddr) bool {
	if _, err := m.ValueForProtocol(ma.P_UNIX); err == nil {
		return true
	}
	ip, err := manet.ToIP(m)
	return err == nil && ip.IsLoopback()
}

// guarded is the API behind its guard.
func (s *Servers) guarded(c *repo.Config) (*guard.Guard, error) {
	g := &guard.Guard{Page: page.Handler(guard.PagePath), Next: withDebug(s.o.API, s.o.Metrics)}
	g.SetHeaders(c.API.HTTPHeaders)
	for name, a := range c.API.Authorizations {
		authorization, err := guard.NewAuthorization(a.AuthSecret, a.AllowedPaths)
		if err != nil {
			return nil, fmt.Errorf("config setting API.Authorizations.%s: %w", name, err)
		}
		g.Authorizations = append(g.Authorizations, authorization)
	}
	return g, nil
}
