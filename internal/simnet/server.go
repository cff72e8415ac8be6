package simnet

import (
	"bytes"
	"encoding/binary"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/goipns/ipns/internal/keyspace"
	pb "github.com/libp2p/go-libp2p-kad-dht/pb"
	recpb "github.com/libp2p/go-libp2p-record/pb"
	"github.com/libp2p/go-libp2p/core/peer"
	ma "github.com/multiformats/go-multiaddr"
)

// processing is how long a server takes to process one message.
const processing = 200 * time.Microsecond

// maxProviders bounds the providers that a server keeps for one key.
const maxProviders = 100

// A server is one modelled DHT server.
type server struct {
	net  *Network
	id   peer.ID
	key  keyspace.Key
	addr ma.Multiaddr
	wire *pb.Message_Peer // how other servers name it in their answers
	slot uint32           // see Network.instant
	salt uint64           // for rank
	gang []*server        // the accomplices of an Eclipsing server, itself included

	rtt       atomic.Int64  // time.Duration
	behaviour atomic.Uint32 // Behaviour

	mu        sync.Mutex
	table     table
	epoch     uint32 // of the network, when table was made
	requests  uint64
	values    map[string]*value
	providers map[string][]*pb.Message_Peer
}

func wirePeer(id peer.ID, addr ma.Multiaddr) *pb.Message_Peer {
	return &pb.Message_Peer{Id: []byte(id), Addrs: [][]byte{addr.Bytes()}, Connection: pb.Message_CAN_CONNECT}
}

func (s *server) is(b Behaviour) bool      { return Behaviour(s.behaviour.Load()) == b }
func (s *server) roundTrip() time.Duration { return time.Duration(s.rtt.Load()) }
func (s *server) unreachable() bool        { return s.is(Dead) }
func (s *server) nextRequest() (number uint64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.requests++
	return s.requests
}

// verdict is what becomes of a request.
type verdict int

const (
	answered verdict = iota // also for a message that needs no answer
	refused                 // the server resets the stream, as kad-dht does on every error
	silent                  // the stream is dead, without a reset
)

// handle serves one request. A nil answer with the verdict answered means that
// the message has none.
func (s *server) handle(from peer.ID, req *pb.Message) (*pb.Message, verdict) {
	number := s.nextRequest()
	if s.is(Dead) || s.is(Lossy) && s.net.random("lossy"+string(s.id), number).Float64() < lossyShare {
		return nil, silent
	}
	key := req.GetKey()
	if len(key) == 0 && req.GetType() != pb.Message_PING {
		return nil, refused
	}
	resp := pb.NewMessage(req.GetType(), key, req.GetClusterLevel())
	switch req.GetType() {
	case pb.Message_PING:
		return resp, answered
	case pb.Message_FIND_NODE:
		resp.Key = nil
		if peer.ID(key) == s.id {
			resp.CloserPeers = append(resp.CloserPeers, s.wire)
		}
	case pb.Message_GET_VALUE:
		resp.Record = s.get(string(key))
	case pb.Message_PUT_VALUE:
		if !bytes.Equal(key, req.GetRecord().GetKey()) || !s.put(string(key), req.GetRecord().GetValue()) {
			return nil, refused
		}
		resp.Record = req.GetRecord()
		return resp, answered
	case pb.Message_ADD_PROVIDER:
		if !s.addProvider(from, string(key), req.GetProviderPeers()) {
			return nil, refused
		}
		return nil, answered
	case pb.Message_GET_PROVIDERS:
		s.mu.Lock()
		resp.ProviderPeers = slices.Clone(s.providers[string(key)])
		s.mu.Unlock()
	default:
		return nil, refused
	}
	resp.CloserPeers = append(resp.CloserPeers, s.closer(key)...)
	return resp, answered
}

// closer returns the peers that s names when asked about the key.
func (s *server) closer(key []byte) []*pb.Message_Peer {
	target := keyspace.KeyOf(key)
	var list []*server
	switch Behaviour(s.behaviour.Load()) {
	case Lying:
		return s.invent(target)
	case Eclipsing:
		list = slices.DeleteFunc(slices.Clone(s.gang), func(g *server) bool { return g == s })
		sortByDistance(list, target)
		list = list[:min(BucketSize, len(list))]
	default:
		list = s.routes().nearest(s.key, target, BucketSize)
	}
	peers := make([]*pb.Message_Peer, len(list))
	for i, c := range list {
		peers[i] = c.wire
	}
	return peers
}

// invent names peers that do not exist, always the same ones for a target.
func (s *server) invent(target keyspace.Key) []*pb.Message_Peer {
	r := s.net.random("lie"+string(s.id), binary.BigEndian.Uint64(target[:8]))
	peers := make([]*pb.Message_Peer, BucketSize)
	for i := range peers {
		peers[i] = wirePeer(randomID(r), address(r.Uint32()))
	}
	return peers
}

func (s *server) get(key string) *recpb.Record {
	raw, at := s.heldSince(key)
	if raw == nil || s.is(Eclipsing) {
		return nil
	}
	if s.is(Lying) {
		raw = bytes.Clone(raw)
		raw[len(raw)/2] ^= 1
	}
	rec := &recpb.Record{Key: []byte(key), Value: raw}
	if !at.IsZero() {
		rec.TimeReceived = at.Add(time.Duration(s.net.ahead.Load())).UTC().Format(time.RFC3339Nano)
	}
	return rec
}

// put reports whether the record was stored, or the server claims so.
func (s *server) put(key string, raw []byte) bool {
	switch Behaviour(s.behaviour.Load()) {
	case Refusing:
		return false
	case Lying, Eclipsing:
		return true
	case Full:
		if s.held(key) == nil {
			return false
		}
	}
	return s.store(key, raw)
}

// addProvider stores those providers that are the sender itself.
func (s *server) addProvider(from peer.ID, key string, peers []*pb.Message_Peer) bool {
	if s.is(Refusing) {
		return false
	}
	taken := false
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, p := range peers {
		if peer.ID(p.GetId()) != from || len(p.GetAddrs()) == 0 {
			continue
		}
		taken = true
		list := slices.DeleteFunc(s.providers[key], func(q *pb.Message_Peer) bool { return bytes.Equal(q.GetId(), p.GetId()) })
		if len(list) < maxProviders && !s.is(Lying) && !s.is(Eclipsing) {
			if s.providers == nil {
				s.providers = map[string][]*pb.Message_Peer{}
			}
			s.providers[key] = append(list, p)
		}
	}
	return taken
}
