package daemon

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
	apiDoor = door.Options{
		Conns: 2048, PerAddress: 128, Requests: 256, Reserve: 64,
		Class: classOf, Unhurried: unhurried,
	}
	gatewayDoor = door.Options{Conns: 2048, PerAddress: 256, NoBodies: true}
	metricsDoor = door.Options{Conns: 16, NoBodies: true}
)

// classOf says which commands of the API are answered while others crowd it.
func classOf(r *http.Request) door.Class {
	command, _ := strings.CutPrefix(r.URL.Path, rpc.Prefix)
	switch command {
	case "version", "shutdown", "config", "config/show", "key/list", "key/ls",
		"swarm/peers", "swarm/addrs", "swarm/addrs/local", "swarm/addrs/listen":
		return door.Instant
	case "republish/status": // --watch lasts
		return door.Ordinary
	case "id":
		if r.URL.RawQuery == "" {
			return door.Instant
		}
		return door.Control // it may ask another peer
	}
	group, _, _ := strings.Cut(command, "/")
	switch group {
	case "name", "key", "swarm":
		return door.Control
	}
	return door.Ordinary
}

// unhurried tells which commands read files as the client makes them.
func unhurried(r *http.Request) bool {
	command, _ := strings.CutPrefix(r.URL.Path, rpc.Prefix)
	switch command {
	case "add", "dag/import", "block/put", "dag/put":
		return true
	}
	return false
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
	n.log.Warn("the API obeys everybody who reaches its address, as API.AllowUnauthenticated in the config wants", "address", m)
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
