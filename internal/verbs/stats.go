package verbs

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"slices"
	"time"

	kaddht "github.com/libp2p/go-libp2p-kad-dht"
	kbucket "github.com/libp2p/go-libp2p-kbucket"
	"github.com/libp2p/go-libp2p/core/metrics"
	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/libp2p/go-libp2p/core/peerstore"
	"github.com/libp2p/go-libp2p/core/protocol"
	"github.com/libp2p/go-libp2p/p2p/protocol/ping"

	"github.com/goipns/ipns/api"
	"github.com/goipns/ipns/content"
	"github.com/goipns/ipns/rpc"
)

func (n *verbs) handleStats(m *rpc.Mux) {
	rpc.Handle(m, api.Ping, n.ping)
	rpc.Handle(m, api.BitswapStat, rpc.One(n.bitswapStat))
	rpc.Handle(m, api.BitswapWantlist, rpc.One(n.bitswapWantlist))
	rpc.Handle(m, api.BitswapLedger, rpc.One(n.bitswapLedger))
	rpc.Handle(m, api.StatsBandwidth, n.statsBandwidth)
	rpc.Handle(m, api.StatsDHT, n.statsDHT)
}

// pingTimeout bounds the search for a peer, and each ping.
const pingTimeout = 10 * time.Second

// maxPings bounds how often one command pings.
const maxPings = 100_000

// ping implements the command.
func (n *verbs) ping(ctx context.Context, req api.PingRequest) iter.Seq2[api.Pong, error] {
	return func(yield func(api.Pong, error) bool) {
		p, err := n.pingable(req)
		if err != nil {
			yield(api.Pong{}, err)
			return
		}
		say := func(format string, args ...any) bool {
			return yield(api.Pong{Success: true, Text: fmt.Sprintf(format, args...)}, nil)
		}
		if len(n.Host.Peerstore().Addrs(p)) == 0 {
			if !say("Looking up peer %s", p) {
				return
			}
			finding, cancel := context.WithTimeout(ctx, pingTimeout)
			info, err := n.Finder.FindPeer(finding, p)
			cancel()
			if err != nil {
				yield(api.Pong{}, fmt.Errorf("peer lookup failed: %w", err))
				return
			}
			n.Host.Peerstore().AddAddrs(p, info.Addrs, peerstore.TempAddrTTL)
		}
		if say("PING %s.", p) {
			n.pings(ctx, p, req.Count, yield)
		}
	}
}

// pingable returns the peer that is to be pinged.
func (n *verbs) pingable(req api.PingRequest) (peer.ID, error) {
	if n.Host == nil {
		return "", api.ErrNotOnline
	}
	text := req.Peers[0]
	p, err := peer.Decode(text)
	if len(text) > 0 && text[0] == '/' {
		var info *peer.AddrInfo
		if info, err = peer.AddrInfoFromString(text); err == nil {
			p = info.ID
			n.Host.Peerstore().AddAddrs(p, info.Addrs, peerstore.TempAddrTTL)
		}
	}
	switch {
	case err != nil:
		return "", fmt.Errorf("failed to parse peer address '%s': %w", text, err)
	case p == n.Host.ID():
		return "", errors.New("error: can't ping self")
	case req.Count <= 0:
		return "", fmt.Errorf("ping count must be greater than 0, was %d", req.Count)
	}
	return p, nil
}

// pings pings a peer, once a second.
func (n *verbs) pings(ctx context.Context, p peer.ID, count int, yield func(api.Pong, error) bool) {
	ctx, cancel := context.WithTimeout(ctx, pingTimeout*time.Duration(min(count, maxPings)))
	defer cancel()
	answers := ping.Ping(ctx, n.Host, p)
	second := time.NewTicker(time.Second)
	defer second.Stop()
	got, total := 0, time.Duration(0)
	for range count {
		r, ok := <-answers
		if !ok {
			break
		}
		pong := api.Pong{Success: r.Error == nil, Time: r.RTT}
		if r.Error != nil {
			pong.Text = fmt.Sprintf("Ping error: %s", r.Error)
		} else {
			got++
			total += r.RTT
		}
		if !yield(pong, nil) {
			return
		}
		select {
		case <-second.C:
		case <-ctx.Done():
			yield(api.Pong{}, ctx.Err())
			return
		}
	}
	if got == 0 {
		yield(api.Pong{}, errors.New("ping failed"))
		return
	}
	yield(api.Pong{Success: true, Text: fmt.Sprintf("Average latency: %.2fms", total.Seconds()*1000/float64(got))}, nil)
}

// errBitswapOffline is Kubo's text.
var errBitswapOffline = rpc.Refuse(fmt.Errorf("unable to run offline: %w", api.ErrNotOnline))

// bitswapStat implements the command.
func (n *verbs) bitswapStat(context.Context, api.BitswapStatRequest) (api.BitswapStats, error) {
	s, err := n.Content.Exchanged()
	if err != nil {
		return api.BitswapStats{}, online(err, errBitswapOffline)
	}
	out := api.BitswapStats{
		Wantlist: s.Wantlist, Peers: append([]string{}, slices.Sorted(slices.Values(s.Peers))...),
		BlocksReceived: s.BlocksReceived, DataReceived: s.DataReceived,
		DupBlksReceived: s.DupBlksReceived, DupDataReceived: s.DupDataReceived, MessagesReceived: s.MessagesReceived,
		BlocksSent: s.BlocksSent, DataSent: s.DataSent,
	}
	return out, nil
}

// bitswapWantlist implements the command.
func (n *verbs) bitswapWantlist(_ context.Context, req api.BitswapWantlistRequest) (api.Wantlist, error) {
	var by peer.ID
	if req.Peer != "" {
		p, err := peer.Decode(req.Peer)
		if err != nil {
			return api.Wantlist{}, err
		}
		if n.Host != nil && p != n.Host.ID() {
			by = p
		}
	}
	keys, err := n.Content.Wanted(by)
	return api.Wantlist{Keys: keys}, online(err, api.ErrNotOnline)
}

// bitswapLedger implements the command.
func (n *verbs) bitswapLedger(_ context.Context, req api.BitswapLedgerRequest) (api.Ledger, error) {
	p, err := peer.Decode(req.Peer)
	if err != nil {
		return api.Ledger{}, err
	}
	l, err := n.Content.Ledger(p)
	if err != nil {
		return api.Ledger{}, online(err, api.ErrNotOnline)
	}
	return api.Ledger{Peer: l.Peer, Value: l.Value, Sent: l.Sent, Recv: l.Recv, Exchanged: l.Exchanged}, nil
}

// online replaces the error of an offline node.
func online(err, offline error) error {
	if errors.Is(err, content.ErrOffline) {
		return offline
	}
	return err
}

// statsBandwidth implements the command.
func (n *verbs) statsBandwidth(ctx context.Context, req api.BandwidthRequest) iter.Seq2[api.Bandwidth, error] {
	return func(yield func(api.Bandwidth, error) bool) {
		p, err := peer.ID(""), error(nil)
		switch {
		case n.Host == nil:
			err = errBitswapOffline
		case n.Settings.Swarm.DisableBandwidthMetrics:
			err = errors.New("bandwidth reporter disabled in config")
		case req.Peer != "" && req.Protocol != "":
			err = rpc.Refuse(errors.New("please only specify peer OR protocol"))
		case req.Peer != "":
			p, err = peer.Decode(req.Peer)
		}
		if err != nil {
			yield(api.Bandwidth{}, err)
			return
		}
		for {
			counter := n.Network.Host.Bandwidth
			var s metrics.Stats
			switch {
			case p != "":
				s = counter.GetBandwidthForPeer(p)
			case req.Protocol != "":
				s = counter.GetBandwidthForProtocol(protocol.ID(req.Protocol))
			default:
				s = counter.GetBandwidthTotals()
			}
			if !yield(api.Bandwidth{TotalIn: s.TotalIn, TotalOut: s.TotalOut, RateIn: s.RateIn, RateOut: s.RateOut}, nil) || !req.Poll {
				return
			}
			select {
			case <-time.After(max(req.Interval, time.Millisecond)):
			case <-ctx.Done():
				yield(api.Bandwidth{}, ctx.Err())
				return
			}
		}
	}
}

// statsDHT implements the command.
func (n *verbs) statsDHT(_ context.Context, req api.DHTStatRequest) iter.Seq2[api.DHTStat, error] {
	return func(yield func(api.DHTStat, error) bool) {
		if n.Host == nil || n.DHT == nil {
			err := errNoDHT
			if n.Host == nil {
				err = api.ErrNotOnline
			}
			yield(api.DHTStat{}, err)
			return
		}
		names := req.DHTs
		if len(names) == 0 {
			names = []string{"wan", "lan"}
		}
		for _, name := range names {
			var d *kaddht.IpfsDHT
			switch name {
			case "wan", "wanserver":
				d = n.DHT.Dual.WAN
			case "lan", "lanserver":
				d = n.DHT.Dual.LAN
			default:
				yield(api.DHTStat{}, rpc.Refuse(fmt.Errorf("unknown dht type: %s", name)))
				return
			}
			if !yield(api.DHTStat{Name: name, Buckets: n.buckets(d)}, nil) {
				return
			}
		}
	}
}

// buckets are the peers of a routing table, by their distance.
func (n *verbs) buckets(d *kaddht.IpfsDHT) []api.DHTBucket {
	table := d.RoutingTable()
	refreshed := table.GetTrackedCplsForRefresh()
	list := make([]api.DHTBucket, 0, len(refreshed))
	self := kbucket.ConvertPeerID(n.Host.ID())
	for _, p := range table.GetPeerInfos() {
		at := kbucket.CommonPrefixLen(self, kbucket.ConvertPeerID(p.Id))
		for len(list) <= at {
			list = append(list, api.DHTBucket{})
		}
		info := api.DHTPeer{
			ID: p.Id.String(), Connected: n.Host.Network().Connectedness(p.Id) == network.Connected,
			LastUsefulAt: stamp(p.LastUsefulAt), LastQueriedAt: stamp(p.LastSuccessfulOutboundQueryAt),
		}
		if v, err := n.Host.Peerstore().Get(p.Id, "AgentVersion"); err == nil {
			info.AgentVersion, _ = v.(string)
		}
		list[at].Peers = append(list[at].Peers, info)
	}
	for i := range min(len(list), len(refreshed)) {
		list[i].LastRefresh = stamp(refreshed[i])
	}
	return list
}

func stamp(t time.Time) string {
	if t.IsZero() {
		return ""
	}
	return t.Format(time.RFC3339)
}
