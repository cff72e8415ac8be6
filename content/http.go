package content

import (
	"github.com/ipfs/boxo/bitswap/network"
	"github.com/ipfs/boxo/bitswap/network/bsnet"
	"github.com/ipfs/boxo/bitswap/network/httpnet"
	"github.com/libp2p/go-libp2p/core/host"
)

// HTTP configures fetching blocks from HTTP gateways. Each block is verified, as those of any node.
type HTTP struct {
	Allow, Deny []string // host names; no Allow: all
	Workers     int      // requests at once; 0: 16
	MaxBlock    int64    // bytes; 0: 2 MiB
	Insecure    bool     // any certificate is taken: for tests
	UserAgent   string
}

// Defaults of HTTP.
const (
	httpWorkers  = 16
	httpMaxBlock = 2 << 20
)

// network connects bitswap with other nodes, unless it is to use gateways alone, and, unless h is nil, with gateways.
func (h *HTTP) network(with host.Host, alone bool) network.BitSwapNetwork {
	if h == nil {
		return bsnet.NewFromIpfsHost(with)
	}
	events := network.NewConnectEventManager()
	workers, maxBlock := h.Workers, h.MaxBlock
	if workers == 0 {
		workers = httpWorkers
	}
	if maxBlock == 0 {
		maxBlock = httpMaxBlock
	}
	var nodes network.BitSwapNetwork
	if !alone {
		nodes = bsnet.NewFromIpfsHost(with, bsnet.WithConnectEventManager(events))
	}
	return network.New(with.Peerstore(), nodes, httpnet.New(with,
		httpnet.WithHTTPWorkers(workers),
		httpnet.WithAllowlist(h.Allow),
		httpnet.WithDenylist(h.Deny),
		httpnet.WithInsecureSkipVerify(h.Insecure),
		httpnet.WithMaxBlockSize(maxBlock),
		httpnet.WithUserAgent(h.UserAgent),
		httpnet.WithMetricsLabelsForEndpoints(h.Allow),
		httpnet.WithConnectEventManager(events),
	))
}
