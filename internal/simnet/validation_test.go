package simnet

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"math"
	"math/rand/v2"
	"net"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/goipns/ipns"
	"github.com/goipns/ipns/internal/keyspace"
	boxoipns "github.com/ipfs/boxo/ipns"
	"github.com/libp2p/go-libp2p"
	dht "github.com/libp2p/go-libp2p-kad-dht"
	pb "github.com/libp2p/go-libp2p-kad-dht/pb"
	record "github.com/libp2p/go-libp2p-record"
	"github.com/libp2p/go-libp2p/core/crypto"
	"github.com/libp2p/go-libp2p/core/host"
	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/libp2p/go-libp2p/core/peerstore"
	"github.com/libp2p/go-libp2p/x/simlibp2p"
	packets "github.com/marcopolo/simnet"
	ma "github.com/multiformats/go-multiaddr"
)

const (
	realServers = 50
	realDead    = 8 // more servers, which exist only in routing tables
	realNames   = 40
	tolerance   = 0.10
)

// TestModelAgainstRealServers runs the same kad-dht client against real servers
// (go-libp2p over QUIC on simulated packets, kad-dht in server mode) and against the
// model of servers with the same ids, and compares the costs of publishing and resolving.
func TestModelAgainstRealServers(t *testing.T) {
	if testing.Short() {
		t.Skip("50 real libp2p hosts take ten seconds and more: not with -short")
	}
	var ids []peer.ID
	var real, model costs
	synctest.Test(t, func(t *testing.T) { ids, real = measureReal(t) })
	synctest.Test(t, func(t *testing.T) { model = measureModel(t, ids) })
	for _, c := range []struct {
		what string
		of   func(cost) float64
	}{
		{"seconds", func(c cost) float64 { return c.took.Seconds() / realNames }},
		{"requests", func(c cost) float64 { return float64(c.rpcs) / realNames }},
		{"dials", func(c cost) float64 { return float64(c.dials) / realNames }},
	} {
		for _, op := range operations {
			r, m := c.of(real[op]), c.of(model[op])
			t.Logf("%-14s %-9s real %6.2f  model %6.2f", op, c.what, r, m)
			if math.Abs(m-r) > tolerance*r {
				t.Errorf("%s: the model needs %.2f %s, real servers %.2f: more than %.0f %% apart", op, m, c.what, r, 100*tolerance)
			}
		}
	}
}

// realRTT is the round-trip time to server i, from 60 to 158 ms, all different. With
// equal times, kad-dht's next step would depend on the order in which it sees
// simultaneous answers.
func realRTT(i int) time.Duration { return time.Duration(60+i*37%realServers*2) * time.Millisecond }

var operations = []string{"publish, cold", "publish, warm", "resolve, cold", "resolve, warm"}

// cost is the total for all names.
type cost struct {
	took        time.Duration
	rpcs, dials int64
}

type costs map[string]cost

// site is a client and its request counter.
type site struct {
	host host.Host
	dht  *dht.IpfsDHT
	rpcs func() int64
}

// costsOf publishes and resolves all names, first without connections at the start of
// each operation, then with connections to all servers.
func costsOf(t *testing.T, s site, servers []peer.AddrInfo) costs {
	t.Helper()
	all := costs{}
	var dials atomic.Int64 // those that succeeded
	s.host.Network().Notify(&network.NotifyBundle{ConnectedF: func(network.Network, network.Conn) { dials.Add(1) }})
	counts := func() (int64, int64) { return s.rpcs(), dials.Load() }
	for _, warm := range []bool{false, true} {
		state := "cold"
		if warm {
			state = "warm"
		}
		for i := range realNames {
			key, rec := realRecord(t, i, warm)
			s.connect(t, servers, warm)
			all.add(t, "publish, "+state, counts, func() error { return s.dht.PutValue(t.Context(), key, rec) })
			s.connect(t, servers, warm)
			all.add(t, "resolve, "+state, counts, func() error { return resolveReal(t.Context(), s.dht, key) })
		}
	}
	return all
}

// connect opens or closes the connections to all servers.
func (s site) connect(t *testing.T, servers []peer.AddrInfo, warm bool) {
	t.Helper()
	for _, p := range servers[:realServers] {
		if !warm {
			s.host.Network().ClosePeer(p.ID)
		} else if err := s.host.Connect(t.Context(), p); err != nil {
			t.Fatal(err)
		}
	}
	time.Sleep(5 * time.Second)
}

func (c costs) add(t *testing.T, what string, counts func() (rpcs, dials int64), do func() error) {
	t.Helper()
	rpcs, dials := counts()
	start := time.Now()
	if err := do(); err != nil {
		t.Fatalf("%s: %v", what, err)
	}
	sum := c[what]
	sum.took += time.Since(start)
	time.Sleep(5 * time.Second) // requests and answers in flight arrive
	rpcsAfter, dialsAfter := counts()
	sum.rpcs += rpcsAfter - rpcs
	sum.dials += dialsAfter - dials
	c[what] = sum
}

func resolveReal(ctx context.Context, d *dht.IpfsDHT, key string) error {
	values, err := d.SearchValue(ctx, key, dht.Quorum(16))
	if err != nil {
		return err
	}
	found := 0
	for range values {
		found++
	}
	if found == 0 {
		return fmt.Errorf("not found")
	}
	return nil
}

// seeded returns the key of a host or a name, the same one every time.
func seeded(t *testing.T, what string, i int) crypto.PrivKey {
	t.Helper()
	key, _, err := crypto.GenerateEd25519Key(io.LimitReader(strings.NewReader(fmt.Sprintf("%-32s", fmt.Sprint(what, i))), 32))
	if err != nil {
		t.Fatal(err)
	}
	return key
}

func realRecord(t *testing.T, i int, warm bool) (key string, raw []byte) {
	t.Helper()
	signer := ipns.NewSigner(seeded(t, fmt.Sprint("name ", warm), i))
	r, err := ipns.Sign(t.Context(), signer, ipns.Fields{EOL: time.Now().Add(24 * time.Hour)}, ipns.V1V2)
	if err != nil {
		t.Fatal(err)
	}
	return string(r.Name().RoutingKey()), r.Raw()
}

// dhtOn starts kad-dht on a host, with the servers in its routing table.
func dhtOn(t *testing.T, h host.Host, servers []peer.AddrInfo, mode dht.ModeOpt, hook dht.Option) *dht.IpfsDHT {
	t.Helper()
	d, err := dht.New(h, dht.Mode(mode), dht.DisableAutoRefresh(), hook, dht.Validator(record.NamespacedValidator{
		"pk": record.PublicKeyValidator{}, "ipns": boxoipns.Validator{KeyBook: h.Peerstore()},
	}))
	if err != nil {
		t.Fatal(err)
	}
	self := keyspace.KeyOf([]byte(h.ID()))
	order := rand.New(rand.NewChaCha8(self)).Perm(len(servers))
	for _, i := range order {
		p := servers[i]
		if p.ID == h.ID() {
			continue
		}
		h.Peerstore().AddAddrs(p.ID, p.Addrs, peerstore.PermanentAddrTTL)
		d.RoutingTable().TryAddPeer(p.ID, true, false) // a full bucket refuses
	}
	return d
}

func measureReal(t *testing.T) ([]peer.ID, costs) {
	oneWay := map[string]time.Duration{}
	for i := range realServers {
		oneWay[packets.IntToPublicIPv4(i).String()] = realRTT(i) / 2
	}
	wires := &packets.Simnet{LatencyFunc: func(p *packets.Packet) time.Duration {
		return max(oneWay[p.From.(*net.UDPAddr).IP.String()], oneWay[p.To.(*net.UDPAddr).IP.String()])
	}}
	wires.Logger = slog.New(slog.DiscardHandler) // packets to dead servers are dropped
	wires.Start()
	defer wires.Close()
	newHost := func(what string, i int) host.Host {
		link := packets.LinkSettings{BitsPerSecond: 1000 * simlibp2p.OneMbps}
		h, err := libp2p.New(
			libp2p.Identity(seeded(t, what, i)),
			libp2p.ListenAddrStrings(fmt.Sprintf("/ip4/%s/udp/8000/quic-v1", packets.IntToPublicIPv4(i))),
			simlibp2p.QUICSimnet(wires, packets.NodeBiDiLinkSettings{Downlink: link, Uplink: link}),
			libp2p.ResourceManager(&network.NullResourceManager{}),
			libp2p.DisableIdentifyAddressDiscovery(), libp2p.DisableMetrics(), libp2p.DisableRelay(),
			libp2p.UDPBlackHoleSuccessCounter(nil), // with warm connections only dead servers are dialled
		)
		if err != nil {
			t.Fatal(err)
		}
		return h
	}
	var servers []peer.AddrInfo
	var ids []peer.ID
	var hosts []host.Host
	for i := range realServers {
		h := newHost("server ", i)
		hosts = append(hosts, h)
		servers = append(servers, peer.AddrInfo{ID: h.ID(), Addrs: h.Addrs()})
	}
	client := newHost("client ", realServers)
	for i := range realDead {
		id, err := peer.IDFromPrivateKey(seeded(t, "dead ", i))
		if err != nil {
			t.Fatal(err)
		}
		nowhere := ma.StringCast(fmt.Sprintf("/ip4/%s/udp/8000/quic-v1", packets.IntToPublicIPv4(1000+i)))
		servers = append(servers, peer.AddrInfo{ID: id, Addrs: []ma.Multiaddr{nowhere}})
	}
	for _, p := range servers {
		ids = append(ids, p.ID)
	}
	var rpcs atomic.Int64
	count := dht.OnRequestHook(func(_ context.Context, s network.Stream, _ *pb.Message) {
		if s.Conn().RemotePeer() == client.ID() {
			rpcs.Add(1)
		}
	})
	var closers []io.Closer
	for _, h := range hosts {
		closers = append(closers, dhtOn(t, h, servers, dht.ModeServer, count), h)
	}
	d := dhtOn(t, client, servers, dht.ModeClient, count)
	result := costsOf(t, site{client, d, rpcs.Load}, servers)
	for _, c := range append(closers, d, client) {
		if err := c.Close(); err != nil {
			t.Error(err)
		}
	}
	return ids, result
}

func measureModel(t *testing.T, ids []peer.ID) costs {
	n := New(Config{Servers: 1})
	n.servers, n.byID = nil, map[peer.ID]*server{}
	var servers []peer.AddrInfo
	for i, id := range ids {
		how := Honest
		if i >= realServers {
			how = Dead
		}
		s := n.newServer(id, temper{rtt: realRTT(i), behaviour: how})
		n.add(s)
		servers = append(servers, s.info())
	}
	n.changed()
	defer n.Close()
	client := newHost(t, n, "client")
	d := dhtOn(t, client, servers, dht.ModeClient, dht.OnRequestHook(func(context.Context, network.Stream, *pb.Message) {}))
	defer d.Close()
	return costsOf(t, site{client, d, func() int64 { return n.Stats(client).RPCs() }}, servers)
}
