package testnet

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	ds "github.com/ipfs/go-datastore"
	dssync "github.com/ipfs/go-datastore/sync"
	"github.com/libp2p/go-libp2p"
	kaddht "github.com/libp2p/go-libp2p-kad-dht"
	"github.com/libp2p/go-libp2p-kad-dht/amino"
	pb "github.com/libp2p/go-libp2p-kad-dht/pb"
	"github.com/libp2p/go-libp2p-kad-dht/records"
	record "github.com/libp2p/go-libp2p-record"
	recpb "github.com/libp2p/go-libp2p-record/pb"
	"github.com/libp2p/go-libp2p/core/host"
	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/libp2p/go-libp2p/core/peerstore"
	"github.com/libp2p/go-libp2p/p2p/muxer/yamux"
	"github.com/libp2p/go-libp2p/p2p/security/noise"
	"github.com/libp2p/go-libp2p/p2p/transport/tcp"
	"google.golang.org/protobuf/proto"

	"github.com/goipns/ipns"
	"github.com/goipns/ipns/internal/keyspace"
	"github.com/goipns/ipns/routing/dht"
)

// Server is one server of the network.
type Server struct {
	host   host.Host
	dht    *kaddht.IpfsDHT
	gater  gater
	values *records.ValueStore // reads what the server has stored

	puts    atomic.Int64
	watch   atomic.Pointer[func(ipns.Name)]
	hear    atomic.Pointer[func(Asked)]
	refuses atomic.Bool
	delay   atomic.Int64 // nanoseconds

	stop func() error // at most once
}

// newServer starts a server with an empty routing table and a minimal host: one
// transport, no metrics, no resource limits.
func newServer() (*Server, error) {
	s := new(Server)
	h, err := libp2p.New(
		libp2p.ListenAddrStrings("/ip4/127.0.0.1/tcp/0"),
		libp2p.Transport(tcp.NewTCPTransport),
		libp2p.Security(noise.ID, noise.New),
		libp2p.Muxer(yamux.ID, yamux.DefaultTransport),
		libp2p.ResourceManager(&network.NullResourceManager{}),
		libp2p.ConnectionGater(&s.gater),
		libp2p.DisableMetrics(),
		libp2p.DisableRelay())
	if err != nil {
		return nil, err
	}
	store := &countingStore{Batching: dssync.MutexWrap(ds.NewMapDatastore()), server: s}
	valid := dht.Validator(nil)
	rules := refusing{valid, &s.refuses}
	d, err := kaddht.New(h,
		kaddht.Mode(kaddht.ModeServer),
		kaddht.V1ProtocolOverride(dht.ProtocolLAN),
		kaddht.ProtocolPrefix("/goipns/lan"),
		kaddht.Validator(rules),
		kaddht.ValueDatastore(store),
		kaddht.AddressFilter(nil),
		kaddht.DisableAutoRefresh(),
		kaddht.OnRequestHook(s.asked))
	if err != nil {
		return nil, errors.Join(err, h.Close())
	}
	s.host, s.dht = h, d
	s.values = records.NewValueStore(store, valid, amino.DefaultMaxRecordAge)
	s.stop = sync.OnceValue(func() error { return errors.Join(d.Close(), h.Close()) })
	return s, nil
}

// know adds another server to the routing table.
func (s *Server) know(other peer.AddrInfo) {
	s.host.Peerstore().AddAddrs(other.ID, other.Addrs, peerstore.PermanentAddrTTL)
	// An error means that the bucket is full, which is normal.
	_, _ = s.dht.RoutingTable().TryAddPeer(other.ID, true, false)
}

// ID returns the peer id.
func (s *Server) ID() peer.ID { return s.host.ID() }

// Info returns the peer id and the addresses.
func (s *Server) Info() peer.AddrInfo {
	return peer.AddrInfo{ID: s.host.ID(), Addrs: s.host.Addrs()}
}

// Addr returns the address with the peer id, as other programs accept it.
func (s *Server) Addr() string {
	return fmt.Sprintf("%s/p2p/%s", s.host.Addrs()[0], s.host.ID())
}

// Connect connects the server to a peer.
func (s *Server) Connect(ctx context.Context, p peer.AddrInfo) error { return s.host.Connect(ctx, p) }

// Puts returns the number of puts that the server has stored, including repeated ones.
func (s *Server) Puts() int { return int(s.puts.Load()) }

// Record returns the bytes of the record that the server holds of the name, or
// nil.
func (s *Server) Record(name ipns.Name) []byte {
	rec, err := s.values.Get(context.Background(), string(name.RoutingKey()))
	if err != nil || rec == nil {
		return nil
	}
	return rec.GetValue()
}

// Kill stops the server as if its machine had been switched off, and waits until
// it has stopped. It cannot be started again.
func (s *Server) Kill() error { return s.stop() }

// Slow delays the server's answers by d; zero undoes it.
func (s *Server) Slow(d time.Duration) { s.delay.Store(int64(d)) }

// Refuse makes the server refuse all records, or accept them again.
func (s *Server) Refuse(on bool) { s.refuses.Store(on) }

// Asked is a put that came to a server, which may refuse it.
type Asked struct {
	Server, From peer.ID
	Stream       string // that it came on: a visit has one
	Name         ipns.Name
	Record       []byte
}

// asked runs before each request is handled.
func (s *Server) asked(ctx context.Context, from network.Stream, m *pb.Message) {
	if f := s.hear.Load(); f != nil && m.GetType() == pb.Message_PUT_VALUE {
		if name, err := ipns.NameFromRoutingKey(m.GetKey()); err == nil {
			(*f)(Asked{s.ID(), from.Conn().RemotePeer(), from.ID(), name, m.GetRecord().GetValue()})
		}
	}
	d := time.Duration(s.delay.Load())
	if d <= 0 {
		return
	}
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
	case <-ctx.Done():
	}
}

// cutOff blocks connections with the given peers, and unblocks all others.
func (s *Server) cutOff(peers map[peer.ID]bool) {
	s.gater.cut.Store(&peers)
	for p := range peers {
		_ = s.host.Network().ClosePeer(p)
	}
}

// sortedBy returns the servers in the order of their distance to the key.
func sortedBy(servers []*Server, key keyspace.Key) []*Server {
	sorted := slices.Clone(servers)
	ids := make(map[*Server]keyspace.Key, len(sorted))
	for _, s := range sorted {
		ids[s] = keyspace.KeyOf([]byte(s.ID()))
	}
	slices.SortFunc(sorted, func(a, b *Server) int { return keyspace.Closer(key, ids[a], ids[b]) })
	return sorted
}

// countingStore counts the server's puts and calls the function set by Watch.
type countingStore struct {
	ds.Batching
	server *Server
}

func (s *countingStore) Put(ctx context.Context, key ds.Key, value []byte) error {
	if err := s.Batching.Put(ctx, key, value); err != nil {
		return err
	}
	s.server.puts.Add(1)
	if f := s.server.watch.Load(); f != nil {
		rec := new(recpb.Record)
		if err := proto.Unmarshal(value, rec); err != nil {
			return err
		}
		name, err := ipns.NameFromRoutingKey(rec.GetKey())
		if err != nil {
			return err
		}
		(*f)(name)
	}
	return nil
}

// refusing rejects all values while refuses is set.
type refusing struct {
	record.Validator
	refuses *atomic.Bool
}

var errRefused = errors.New("this server refuses everything")

func (r refusing) Validate(key string, value []byte) error {
	if r.refuses.Load() {
		return errRefused
	}
	return r.Validator.Validate(key, value)
}
