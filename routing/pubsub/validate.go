package pubsub

import (
	"bytes"
	"context"
	"errors"

	gossip "github.com/libp2p/go-libp2p-pubsub"
	"github.com/libp2p/go-libp2p/core/peer"
	"google.golang.org/protobuf/proto"

	"github.com/goipns/ipns"
)

// inspect takes messages that are too large out of what a peer sent, before they wait to
// be verified.
func (r *Router) inspect(from peer.ID, rpc *gossip.RPC) error {
	kept := rpc.Publish[:0]
	for _, m := range rpc.Publish {
		if proto.Size(m) > maxMessage {
			r.counts.invalid.Add(1)
			r.audience.strike(from)
			continue
		}
		kept = append(kept, m)
	}
	rpc.Publish = kept
	return nil
}

// validate judges a message before it is passed on: one of this node gets its sequence
// number, and a better record from others is taken. It is the only way by which messages
// come in.
func (r *Router) validate(ctx context.Context, from peer.ID, msg *gossip.Message) gossip.ValidationResult {
	if from == r.host.ID() {
		// Whoever publishes has compared the record.
		if err := r.sender.number(msg); err != nil {
			r.c.Log.Error("message is not signed again", "err", err)
			return gossip.ValidationIgnore
		}
		return gossip.ValidationAccept
	}
	name, ok := parseTopic(msg.GetTopic())
	if !ok {
		return r.invalid(from)
	}
	rec, err := r.c.Opener.Open(name, msg.GetData())
	if errors.Is(err, ipns.ErrExpired) {
		return r.late(from, name, msg.GetData())
	}
	if err != nil {
		return r.invalid(from)
	}
	held, err := r.held(ctx, name)
	if err != nil {
		r.c.Log.Warn("record that came by pubsub is not compared", "err", err)
		return gossip.ValidationIgnore
	}
	t := r.topic(name)
	if t == nil || held != nil && (bytes.Equal(held.Raw(), rec.Raw()) || !better(rec, held, r.c.Now())) || !r.enter(ctx, t, rec) {
		r.counts.repeated.Add(1)
		return gossip.ValidationIgnore
	}
	r.counts.taken.Add(1)
	return gossip.ValidationAccept
}

// invalid refuses a message that is no record, and counts it against its sender.
func (r *Router) invalid(from peer.ID) gossip.ValidationResult {
	r.counts.invalid.Add(1)
	r.audience.strike(from)
	return gossip.ValidationReject
}

// late judges a record that has expired: it may have done so on its way.
func (r *Router) late(from peer.ID, name ipns.Name, raw []byte) gossip.ValidationResult {
	rec, err := ipns.Reopen(name, raw)
	if err != nil || rec.Expired(r.c.Now().Add(-lateGrace)) {
		return r.invalid(from)
	}
	r.counts.late.Add(1)
	return gossip.ValidationIgnore
}
