package node

import (
	"fmt"
	"net/http"
	"strings"

	ma "github.com/multiformats/go-multiaddr"
	manet "github.com/multiformats/go-multiaddr/net"

	"github.com/goipns/ipns/internal/door"
	"github.com/goipns/ipns/internal/repo"
	"github.com/goipns/ipns/rpc"
)

// The doors of a node, with their limits. The gateway's handler limits its
// requests itself.
var (
	gatewayDoor = door.Options{Conns: 2048, PerAddress: 256, NoBodies: true}
	metricsDoor = door.Options{Conns: 16, NoBodies: true}
)

// apiDoor is the door of an API. Its commands say themselves whether they are
// answered while others crowd it, and whether they read files as the client makes
// them.
func apiDoor(m *rpc.Mux) door.Options {
	command := func(r *http.Request) string { return strings.TrimPrefix(r.URL.Path, rpc.Prefix) }
	return door.Options{
		Conns: 2048, PerAddress: 128, Requests: 256, Reserve: 64,
		Class: func(r *http.Request) door.Class { return classOf(m, command(r)) },
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

// mayOpenAPI refuses an API that others than this machine's users reach and
// that asks for no secret, unless the config wants that.
func (n *Node) mayOpenAPI(c *repo.Config, m ma.Multiaddr) error {
	if isLocal(m) || len(c.API.Authorizations) > 0 {
		return nil
	}
	if !c.API.AllowUnauthenticated {
		return fmt.Errorf("the API on %s would obey everybody who reaches that address, and publish with every key. Choose one: "+
			"keep it here ('ipns config Addresses.API /ip4/127.0.0.1/tcp/5001'), ask for a secret (API.Authorizations), "+
			"or leave it open behind a firewall ('ipns config --json API.AllowUnauthenticated true')", m)
	}
	n.Log.Warn("the API obeys everybody who reaches its address, as API.AllowUnauthenticated in the config wants", "address", m)
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
