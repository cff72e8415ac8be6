package pubsub

import (
	"context"
	"encoding/binary"
	"errors"
	"maps"
	"slices"
	"sync"
	"time"

	gossip "github.com/libp2p/go-libp2p-pubsub"
	pb "github.com/libp2p/go-libp2p-pubsub/pb"
	"github.com/libp2p/go-libp2p/core/crypto"
	"github.com/libp2p/go-libp2p/core/host"
	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/libp2p/go-libp2p/core/protocol"
	"google.golang.org/protobuf/proto"
)

// sender gives the messages of this node their sequence numbers, and follows to whom
// each is sent.
//
// Gossipsub numbers messages from the clock at its start, and has no way to say
// otherwise. So a message whose number is not above all that this node has used gets
// another one, and a new signature, in the validator: gossipsub calls it before it sends
// the message or gives it an id.
type sender struct {
	self peer.ID
	key  crypto.PrivKey

	turn sync.Mutex // held while a message is made: they leave in the order of their numbers
	last time.Time  // when the last one left; guarded by turn

	mu         sync.Mutex
	first      uint64               // the lowest sequence number of this run
	next       uint64               // the lowest that is free
	deliveries map[uint64]*delivery // by sequence number, while they go on
}

// reserved is how many sequence numbers the file says are used, beyond the first: more
// than a run has messages, and four seconds of the clock from which they come.
const reserved = 1 << 32

func newSender(h host.Host, first uint64) (*sender, error) {
	key := h.Peerstore().PrivKey(h.ID())
	if key == nil {
		return nil, errors.New("the host's key is not known, and messages must be signed")
	}
	return &sender{self: h.ID(), key: key, first: first, next: first, deliveries: map[uint64]*delivery{}}, nil
}

// delivery is one message on its way to the peers of its topic.
type delivery struct {
	seq   uint64
	begin time.Time
	sent  chan sentTo // has room for each peer

	mu      sync.Mutex
	waiting map[peer.ID]struct{} // not sent to yet
}

// sentTo says that the message was sent to a peer, or dropped.
type sentTo struct {
	peer peer.ID
	err  error
	took time.Duration
}

// errQueue says that too many messages wait for a peer, or that there is no stream to it
// yet.
var errQueue = errors.New("not sent: the peer's queue is full, or it was connected just now")

func newDelivery(peers []peer.ID) *delivery {
	d := &delivery{begin: time.Now(), sent: make(chan sentTo, len(peers)), waiting: make(map[peer.ID]struct{}, len(peers))}
	for _, p := range peers {
		d.waiting[p] = struct{}{}
	}
	return d
}

// to notes that the message was sent to a peer or dropped, once for each.
func (d *delivery) to(p peer.ID, err error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if _, ok := d.waiting[p]; ok {
		delete(d.waiting, p)
		d.sent <- sentTo{p, err, time.Since(d.begin)}
	}
}

// rest returns the peers to which the message was not sent so far.
func (d *delivery) rest() []peer.ID {
	d.mu.Lock()
	defer d.mu.Unlock()
	return slices.Collect(maps.Keys(d.waiting))
}

// publish sends a record to the topic. The delivery, if there is one, must be ended.
func (s *sender) publish(ctx context.Context, h *handle, raw []byte, d *delivery) error {
	s.turn.Lock()
	defer s.turn.Unlock()
	if wait := publishGap - time.Since(s.last); wait > 0 {
		time.Sleep(wait)
	}
	err := h.Publish(ctx, raw, gossip.WithValidatorData(d))
	s.last = time.Now()
	return err
}

// end forgets a delivery.
func (s *sender) end(d *delivery) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.deliveries, d.seq)
}

// number gives a message of this node its sequence number.
func (s *sender) number(msg *gossip.Message) error {
	if len(msg.Seqno) != 8 {
		return errors.New("message without a sequence number")
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	given := binary.BigEndian.Uint64(msg.Seqno)
	seq := max(given, s.next)
	if seq != given {
		if err := s.sign(msg.Message, seq); err != nil {
			return err
		}
		msg.ID = "" // made from the number
	}
	s.next = seq + 1
	if d, ok := msg.ValidatorData.(*delivery); ok && d != nil {
		d.seq = seq
		s.deliveries[seq] = d
	}
	return nil
}

// sign signs a message under another sequence number, as the specification of pubsub
// says.
func (s *sender) sign(m *pb.Message, seq uint64) error {
	m.Seqno = binary.BigEndian.AppendUint64(nil, seq)
	key := m.Key
	m.Signature, m.Key = nil, nil
	unsigned, err := proto.Marshal(m)
	if err != nil {
		return err
	}
	m.Key = key
	m.Signature, err = s.key.Sign(append([]byte(gossip.SignPrefix), unsigned...))
	return err
}

// reservedUntil is above all sequence numbers that this run uses.
func (s *sender) reservedUntil() uint64 {
	s.mu.Lock()
	defer s.mu.Unlock()
	return max(s.first, s.next) + reserved
}

// delivery returns that of a message of this node; nil: nobody follows it.
func (s *sender) delivery(m *pb.Message) *delivery {
	if string(m.From) != string(s.self) || len(m.Seqno) != 8 {
		return nil
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.deliveries[binary.BigEndian.Uint64(m.Seqno)]
}

// tracer tells the sender and the counts what gossipsub does.
type tracer struct {
	s *sender
	c *counts
}

// SendRPC implements gossip.RawTracer.
func (t tracer) SendRPC(rpc *gossip.RPC, p peer.ID) { t.each(rpc, p, nil) }

// DropRPC implements gossip.RawTracer.
func (t tracer) DropRPC(rpc *gossip.RPC, p peer.ID) { t.each(rpc, p, errQueue) }

func (t tracer) each(rpc *gossip.RPC, p peer.ID, err error) {
	for _, m := range rpc.Publish {
		if d := t.s.delivery(m); d != nil {
			d.to(p, err)
		}
		if err == nil {
			t.c.sent.Add(1)
		} else {
			t.c.dropped.Add(1)
		}
	}
}

// RejectMessage implements gossip.RawTracer: those that the validator did not see.
func (t tracer) RejectMessage(_ *gossip.Message, reason string) {
	switch reason {
	case gossip.RejectValidationFailed, gossip.RejectValidationIgnored:
	default:
		t.c.invalid.Add(1)
	}
}

// The rest of gossip.RawTracer tells nothing that is used.

func (tracer) OnNewOutboundStream(peer.ID, protocol.ID) {}
func (tracer) OnClosedOutboundStream(peer.ID)           {}
func (tracer) Join(string)                              {}
func (tracer) Leave(string)                             {}
func (tracer) Graft(peer.ID, string)                    {}
func (tracer) Prune(peer.ID, string)                    {}
func (tracer) ValidateMessage(*gossip.Message)          {}
func (tracer) DeliverMessage(*gossip.Message)           {}
func (tracer) DuplicateMessage(*gossip.Message)         {}
func (tracer) ThrottlePeer(peer.ID)                     {}
func (tracer) RecvRPC(*gossip.RPC)                      {}
func (tracer) UndeliverableMessage(*gossip.Message)     {}
