package nat

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"net"
	"net/http"
	"os"
	"slices"
	"strconv"
	"sync"
	"time"

	"github.com/ipfs/boxo/ipns"
	"github.com/ipfs/go-cid"
	ds "github.com/ipfs/go-datastore"
	dssync "github.com/ipfs/go-datastore/sync"
	"github.com/libp2p/go-libp2p"
	kaddht "github.com/libp2p/go-libp2p-kad-dht"
	"github.com/libp2p/go-libp2p-kad-dht/amino"
	pb "github.com/libp2p/go-libp2p-kad-dht/pb"
	kbucket "github.com/libp2p/go-libp2p-kbucket"
	"github.com/libp2p/go-libp2p/core/host"
	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/libp2p/go-msgio/pbio"
)

const (
	bootstraps   = 2  // the first servers
	relays       = 10 // the last servers
	maxServers   = 40
	askTimeout   = 15 * time.Second      // for one server to say whether it has a record
	maxProviders = 4                     // of one CID that the tests are told
	serverDelay  = 20 * time.Millisecond // before each answer: there is no netem everywhere
	hearing      = 1 << 20               // bytes of an answer
	protocol     = "/ipfs/kad/1.0.0"
)

// The process of the servers is this test's binary again, with these variables.
const (
	envServers = "IPNS_NAT_SERVERS" // how many
	envSocket  = "IPNS_NAT_SOCKET"  // where it is asked and told
)

// A server is one DHT server of the public network.
type server struct {
	host host.Host
	dht  *kaddht.IpfsDHT
	stop func() error // at most once
}

// public is all of them, and their DNS.
type public struct {
	servers []*server
	dns     *dnsServer
}

// peerAddrs is a server as the tests know it.
type peerAddrs struct {
	ID    string
	Addrs []string
}

// runServers is the process of the servers. It ends when its standard input does.
func runServers() error {
	n, err := strconv.Atoi(os.Getenv(envServers))
	if err != nil || n > maxServers {
		return fmt.Errorf("%s is %q", envServers, os.Getenv(envServers))
	}
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	go func() {
		_, _ = io.Copy(io.Discard, os.Stdin)
		cancel()
	}()
	p := &public{servers: make([]*server, n)}
	for i := range p.servers {
		if p.servers[i], err = newServer(i, i >= n-relays); err != nil {
			return err
		}
	}
	if err := p.meet(ctx); err != nil {
		return err
	}
	if p.dns, err = serveDNS(p.bootstrapNames()); err != nil {
		return err
	}
	l, err := net.Listen("unix", os.Getenv(envSocket))
	if err != nil {
		return err
	}
	go func() {
		<-ctx.Done()
		l.Close()
	}()
	if err := http.Serve(l, p.handler()); err != nil && ctx.Err() == nil {
		return err
	}
	return nil
}

func newServer(i int, relay bool) (*server, error) {
	options := []libp2p.Option{
		libp2p.ListenAddrStrings(
			"/ip4/"+address4(i)+"/tcp/4001", "/ip4/"+address4(i)+"/udp/4001/quic-v1",
			"/ip6/"+address6(i)+"/tcp/4001", "/ip6/"+address6(i)+"/udp/4001/quic-v1"),
		libp2p.ResourceManager(&network.NullResourceManager{}), libp2p.DisableMetrics(),
		libp2p.ForceReachabilityPublic(), libp2p.EnableNATService(), libp2p.EnableAutoNATv2(),
	}
	if relay {
		options = append(options, libp2p.EnableRelayService())
	}
	h, err := libp2p.New(options...)
	if err != nil {
		return nil, err
	}
	d, err := kaddht.New(h, kaddht.Mode(kaddht.ModeServer),
		kaddht.OnRequestHook(func(context.Context, network.Stream, *pb.Message) { time.Sleep(serverDelay) }),
		kaddht.ValueDatastore(dssync.MutexWrap(ds.NewMapDatastore())),
		kaddht.QueryFilter(kaddht.PublicQueryFilter), kaddht.RoutingTableFilter(kaddht.PublicRoutingTableFilter),
		kaddht.RoutingTablePeerDiversityFilter(kaddht.NewRTPeerDiversityFilter(h, amino.DefaultMaxPeersPerIPGroupPerCpl, amino.DefaultMaxPeersPerIPGroup)))
	if err != nil {
		return nil, errors.Join(err, h.Close())
	}
	return &server{h, d, sync.OnceValue(func() error { return errors.Join(d.Close(), h.Close()) })}, nil
}

// meet makes the servers know each other.
func (p *public) meet(ctx context.Context) error {
	first := p.servers[0].host
	for _, s := range p.servers[1:] {
		if err := s.host.Connect(ctx, peer.AddrInfo{ID: first.ID(), Addrs: first.Addrs()}); err != nil {
			return err
		}
	}
	for _, s := range p.servers[1:] {
		if err := <-s.dht.ForceRefresh(); err != nil {
			return err
		}
	}
	return nil
}

// bootstrapNames are the TXT records that lead to the bootstrap nodes.
func (p *public) bootstrapNames() (records []string) {
	for _, s := range p.servers[:bootstraps] {
		for _, a := range s.host.Addrs() {
			records = append(records, fmt.Sprintf("dnsaddr=%s/p2p/%s", a, s.host.ID()))
		}
	}
	return records
}

// handler is what the tests ask and tell.
func (p *public) handler() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /peers", func(w http.ResponseWriter, r *http.Request) {
		var all []peerAddrs
		for _, s := range p.servers {
			a := peerAddrs{ID: s.host.ID().String()}
			for _, m := range s.host.Addrs() {
				a.Addrs = append(a.Addrs, m.String())
			}
			all = append(all, a)
		}
		answer(w, all)
	})
	mux.HandleFunc("GET /holders", func(w http.ResponseWriter, r *http.Request) {
		name, err := ipns.NameFromString(r.URL.Query().Get("name"))
		if err != nil {
			http.Error(w, err.Error(), http.StatusBadRequest)
			return
		}
		answer(w, p.holders(r.Context(), name))
	})
	mux.HandleFunc("GET /providers", func(w http.ResponseWriter, r *http.Request) {
		c, err := cid.Decode(r.URL.Query().Get("cid"))
		if err != nil {
			http.Error(w, err.Error(), http.StatusBadRequest)
			return
		}
		ids := []string{}
		for p := range p.servers[len(p.servers)-1].dht.FindProvidersAsync(r.Context(), c, maxProviders) {
			ids = append(ids, p.ID.String())
		}
		answer(w, ids)
	})
	mux.HandleFunc("POST /stop", func(w http.ResponseWriter, r *http.Request) {
		for _, s := range p.servers[:bootstraps] {
			if err := s.stop(); err != nil {
				http.Error(w, err.Error(), http.StatusInternalServerError)
				return
			}
		}
	})
	mux.HandleFunc("POST /dns", func(w http.ResponseWriter, r *http.Request) {
		p.dns.silent.Store(r.URL.Query().Get("silent") == "true")
	})
	return mux
}

func answer(w http.ResponseWriter, v any) {
	if err := json.NewEncoder(w).Encode(v); err != nil {
		http.Error(w, err.Error(), http.StatusInternalServerError)
	}
}

// A holding says whether a server has a record.
type holding struct {
	ID  string
	Has bool
}

// holders says of each server whether it has the record of a name, the closest first. All are
// asked, and whoever they know: a home that others can connect to is a server too.
func (p *public) holders(ctx context.Context, name ipns.Name) []holding {
	key := string(name.RoutingKey())
	asker := p.servers[len(p.servers)-1]
	targets := make(map[peer.ID]bool)
	for _, s := range p.servers {
		targets[s.host.ID()] = true
	}
	for _, s := range p.servers {
		for _, id := range s.dht.RoutingTable().ListPeers() {
			targets[id] = true
			asker.host.Peerstore().AddAddrs(id, s.host.Peerstore().Addrs(id), time.Minute)
		}
	}
	ids := slices.Collect(maps.Keys(targets))
	ids = kbucket.SortClosestPeers(ids, kbucket.ConvertKey(key))
	all := make([]holding, len(ids))
	var asks sync.WaitGroup
	for i, id := range ids {
		asks.Go(func() {
			from := asker
			if id == asker.host.ID() {
				from = p.servers[len(p.servers)-2]
			}
			all[i] = holding{id.String(), from.asks(ctx, id, key)}
		})
	}
	asks.Wait()
	return all
}

// asks reports whether a peer answers with a record.
func (s *server) asks(ctx context.Context, id peer.ID, key string) bool {
	ctx, cancel := context.WithTimeout(ctx, askTimeout)
	defer cancel()
	st, err := s.host.NewStream(ctx, id, protocol)
	if err != nil {
		return false
	}
	defer st.Reset()
	if deadline, ok := ctx.Deadline(); ok {
		_ = st.SetDeadline(deadline)
	}
	if err := pbio.NewDelimitedWriter(st).WriteMsg(pb.NewMessage(pb.Message_GET_VALUE, []byte(key), 0)); err != nil {
		return false
	}
	var m pb.Message
	if err := pbio.NewDelimitedReader(st, hearing).ReadMsg(&m); err != nil {
		return false
	}
	return len(m.GetRecord().GetValue()) > 0
}
