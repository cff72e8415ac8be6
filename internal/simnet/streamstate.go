package simnet

import (
	"errors"
	"strconv"
	"time"

	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/protocol"
)

func (s *stream) SetDeadline(t time.Time) error {
	return errors.Join(s.SetReadDeadline(t), s.SetWriteDeadline(t))
}

func (s *stream) SetReadDeadline(t time.Time) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.deadline.read = t
	s.kick()
	return nil
}

func (s *stream) SetWriteDeadline(t time.Time) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.deadline.write = t
	return nil
}

func (s *stream) Protocol() protocol.ID {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.protocol
}

func (s *stream) SetProtocol(p protocol.ID) error {
	if p != Protocol {
		return errors.New("simnet: servers only speak " + string(Protocol))
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.protocol = p
	return nil
}

func (s *stream) ID() string                 { return s.conn.ID() + "-" + strconv.FormatUint(s.number, 10) }
func (s *stream) Conn() network.Conn         { return s.conn }
func (s *stream) Scope() network.StreamScope { return &network.NullScope{} }

func (s *stream) Stat() network.Stats {
	return network.Stats{Direction: network.DirOutbound, Opened: s.conn.opened}
}
