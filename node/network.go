package node

import (
	"context"
	"fmt"
	"time"

	kaddht "github.com/libp2p/go-libp2p-kad-dht"
	"github.com/libp2p/go-libp2p/core/peer"
)

// dhtMode reads the config's Routing.Type.
func dhtMode(kind string) (kaddht.ModeOpt, error) {
	switch kind {
	case "", "auto", "dht":
		return kaddht.ModeAuto, nil
	case "dhtclient", "autoclient":
		return kaddht.ModeClient, nil
	case "dhtserver":
		return kaddht.ModeServer, nil
	}
	return 0, fmt.Errorf("config Routing.Type is %q: use auto, dht, dhtclient or dhtserver", kind)
}

// settleTime bounds how long Settle waits until a new peer that serves a
// DHT is known to it, so that what is published next reaches it.
const settleTime = time.Second

// Settle waits until a connected peer that serves a DHT is in its table.
func (n *Node) Settle(ctx context.Context, p peer.ID) {
	ctx, cancel := context.WithTimeout(ctx, settleTime)
	defer cancel()
	for {
		serves, err := n.Host.Peerstore().SupportsProtocols(p, "/ipfs/kad/1.0.0", "/ipfs/lan/kad/1.0.0")
		known := n.DHT.Dual.LAN.RoutingTable().Find(p) != "" || n.DHT.Dual.WAN.RoutingTable().Find(p) != ""
		if err != nil || len(serves) > 0 && known {
			return
		}
		select {
		case <-ctx.Done():
			return
		case <-time.After(5 * time.Millisecond):
		}
	}
}
