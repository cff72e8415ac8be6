package pubsub

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/libp2p/go-libp2p/core/protocol"

	"github.com/goipns/ipns"
)

// FetchProtocol is the protocol by which one peer asks another for its record of a name.
const FetchProtocol protocol.ID = "/libp2p/fetch/0.0.1"

// fetch asks a connected peer for its record of a name; nil: it has none. One that ended
// already is none.
func (r *Router) fetch(ctx context.Context, p peer.ID, name ipns.Name) (*ipns.Record, error) {
	raw, err := r.fetchRaw(ctx, p, name)
	if err != nil {
		return nil, fmt.Errorf("fetch %s from %s: %w", name, p, err)
	}
	r.counts.fetched.Add(1)
	if raw == nil {
		return nil, nil
	}
	rec, err := r.c.Opener.Open(name, raw)
	if errors.Is(err, ipns.ErrExpired) {
		return nil, nil
	}
	if err != nil {
		r.counts.invalid.Add(1)
		r.audience.strike(p)
		return nil, fmt.Errorf("fetch %s from %s: %w", name, p, err)
	}
	return rec, nil
}

func (r *Router) fetchRaw(ctx context.Context, p peer.ID, name ipns.Name) ([]byte, error) {
	ctx, cancel := context.WithTimeout(network.WithNoDial(ctx, "peers of a topic are connected"), fetchTimeout)
	defer cancel()
	s, err := r.host.NewStream(ctx, p, FetchProtocol)
	if err != nil {
		return nil, err
	}
	// Ends what waits below when ctx does. Closing a stream twice does nothing.
	defer context.AfterFunc(ctx, func() { _ = s.Reset() })()
	if _, err := s.Write(appendRequest(nil, name.RoutingKey())); err != nil {
		return nil, errors.Join(err, s.Reset())
	}
	if err := s.CloseWrite(); err != nil {
		return nil, errors.Join(err, s.Reset())
	}
	b, err := readMessage(s, maxFetchAnswer)
	if err != nil {
		return nil, errors.Join(err, s.Reset())
	}
	return parseAnswerClosing(s, b)
}

func parseAnswerClosing(s network.Stream, b []byte) ([]byte, error) {
	raw, err := parseAnswer(b)
	return raw, errors.Join(err, s.Close())
}

// serving counts the requests that are being answered.
type serving struct {
	running sync.WaitGroup

	mu    sync.Mutex
	over  bool
	all   int
	peers map[peer.ID]int
}

// begin reports whether a request of a peer may be answered; it must then be ended.
func (s *serving) begin(p peer.ID) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.over || s.all >= maxServing || s.peers[p] >= maxServingPeer {
		return false
	}
	s.all++
	s.peers[p]++
	s.running.Add(1)
	return true
}

func (s *serving) end(p peer.ID) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.all--
	if s.peers[p]--; s.peers[p] == 0 {
		delete(s.peers, p)
	}
	s.running.Done()
}

// close refuses all further requests and waits for the others, which have a deadline.
func (s *serving) close() {
	s.mu.Lock()
	s.over = true
	s.mu.Unlock()
	s.running.Wait()
}

// serve answers one request of a peer with a record that this node has.
func (r *Router) serve(s network.Stream) {
	from := s.Conn().RemotePeer()
	if !r.serving.begin(from) {
		r.counts.refused.Add(1)
		_ = s.Reset()
		return
	}
	defer r.serving.end(from)
	defer context.AfterFunc(r.ctx, func() { _ = s.Reset() })()
	if err := r.answer(s); err != nil {
		r.counts.refused.Add(1)
		_ = s.Reset()
		return
	}
	_ = s.Close() // whoever asked has the answer, or has gone
}

func (r *Router) answer(s network.Stream) error {
	// Not all streams have deadlines, those in memory have none: r.ctx ends those.
	_ = s.SetDeadline(time.Now().Add(fetchTimeout))
	b, err := readMessage(s, maxFetchRequest)
	if err != nil {
		return err
	}
	identifier, err := parseRequest(b)
	if err != nil {
		return err
	}
	var data []byte
	if name, err := ipns.NameFromRoutingKey(identifier); err == nil {
		rec, err := r.held(r.ctx, name)
		if err != nil {
			return err
		}
		if rec != nil {
			data = rec.Raw()
		}
	}
	if data == nil {
		r.counts.missed.Add(1)
	} else {
		r.counts.served.Add(1)
	}
	_, err = s.Write(appendAnswer(nil, data))
	return err
}
