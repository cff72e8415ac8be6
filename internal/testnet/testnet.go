// Package testnet runs a private DHT of real libp2p servers in this process, on
// loopback.
//
// The servers speak the LAN protocol, /ipfs/lan/kad/1.0.0, over TCP and validate records
// with package routing/dht. Any client that knows the address of one server can join:
// this program's daemon, or Kubo with `ipfs swarm connect`. Tests can make servers
// misbehave.
package testnet

import (
	"context"
	"errors"
	"fmt"
	"sync"

	"github.com/libp2p/go-libp2p/core/host"
	"github.com/libp2p/go-libp2p/core/peer"

	"github.com/goipns/ipns"
	"github.com/goipns/ipns/internal/keyspace"
)

// MaxServers is the largest network that Start accepts: each server takes about a
// megabyte and a few dozen goroutines.
const MaxServers = 200

// Network is a running network. Its methods are safe for concurrent use.
type Network struct {
	servers []*Server
}

// Start starts n servers that all know each other. They run until Close.
func Start(ctx context.Context, n int) (*Network, error) {
	if n < 1 || n > MaxServers {
		return nil, fmt.Errorf("a test network has 1 to %d servers, not %d", MaxServers, n)
	}
	nw := &Network{servers: make([]*Server, n)}
	for i := range nw.servers {
		if err := ctx.Err(); err != nil {
			return nil, errors.Join(err, nw.Close())
		}
		s, err := newServer()
		if err != nil {
			return nil, errors.Join(fmt.Errorf("starting server %d: %w", i, err), nw.Close())
		}
		nw.servers[i] = s
	}
	nw.introduce()
	return nw, nil
}

// introduce adds every server to every routing table without dialling. The network is
// complete at once, and servers connect as needed.
func (nw *Network) introduce() {
	for _, s := range nw.servers {
		for _, other := range nw.servers {
			if s != other {
				s.know(other.Info())
			}
		}
	}
}

// Len returns the number of servers started.
func (nw *Network) Len() int { return len(nw.servers) }

// Server returns server i, 0 to Len-1.
func (nw *Network) Server(i int) *Server { return nw.servers[i] }

// Addrs returns an address for each server, with its peer id, as other programs
// take it: /ip4/127.0.0.1/tcp/4001/p2p/12D3Koo….
func (nw *Network) Addrs() []string {
	addrs := make([]string, len(nw.servers))
	for i, s := range nw.servers {
		addrs[i] = s.Addr()
	}
	return addrs
}

// Infos returns the peer id and addresses of each server.
func (nw *Network) Infos() []peer.AddrInfo {
	infos := make([]peer.AddrInfo, len(nw.servers))
	for i, s := range nw.servers {
		infos[i] = s.Info()
	}
	return infos
}

// Join connects a host to the first server, from which its DHT learns the rest.
func (nw *Network) Join(ctx context.Context, h host.Host) error {
	if err := h.Connect(ctx, nw.servers[0].Info()); err != nil {
		return fmt.Errorf("joining the test network: %w", err)
	}
	return nil
}

// Puts returns the number of puts that the servers have stored, including repeated ones.
func (nw *Network) Puts() int {
	n := 0
	for _, s := range nw.servers {
		n += s.Puts()
	}
	return n
}

// Watch sets f to be called whenever a server has stored a record, before the server
// answers. Several servers may call f concurrently.
func (nw *Network) Watch(f func(ipns.Name)) {
	for _, s := range nw.servers {
		s.watch.Store(&f)
	}
}

// Hear sets f to be called for each put that comes to a server, before it is looked at.
// Several servers may call f concurrently.
func (nw *Network) Hear(f func(Asked)) {
	for _, s := range nw.servers {
		s.hear.Store(&f)
	}
}

// Holders returns the servers that hold a record of the name, the closest to it
// first.
func (nw *Network) Holders(name ipns.Name) []*Server {
	var holders []*Server
	for _, s := range nw.Closest(name) {
		if s.Record(name) != nil {
			holders = append(holders, s)
		}
	}
	return holders
}

// Closest returns all servers, the closest to the name first.
func (nw *Network) Closest(name ipns.Name) []*Server {
	return sortedBy(nw.servers, keyspace.Key(name.Kad()))
}

// Partition splits the network: servers for which side is true cannot connect to the
// others. Outside hosts reach both sides. Partition(nil) undoes it.
func (nw *Network) Partition(side func(i int) bool) {
	for i, s := range nw.servers {
		cut := make(map[peer.ID]bool)
		for j, other := range nw.servers {
			if side != nil && side(i) != side(j) {
				cut[other.ID()] = true
			}
		}
		s.cutOff(cut)
	}
}

// Close stops all servers and waits until they have stopped.
func (nw *Network) Close() error {
	errs := make([]error, len(nw.servers))
	var wg sync.WaitGroup
	for i, s := range nw.servers {
		if s != nil {
			wg.Go(func() { errs[i] = s.Kill() })
		}
	}
	wg.Wait()
	return errors.Join(errs...)
}
