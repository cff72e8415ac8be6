package dht

import (
	"bufio"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"time"

	pb "github.com/libp2p/go-libp2p-kad-dht/pb"
	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/protocol"
	"github.com/multiformats/go-multistream"
	"google.golang.org/protobuf/proto"
)

// maxFrame bounds the size of an answer; kad-dht sends no larger ones.
const maxFrame = network.MessageSizeMax

// stream is a stream of frames to one server.
type stream struct {
	network.Stream
	rw io.ReadWriteCloser // negotiates the protocol with the first frame
	r  *bufio.Reader

	wasIdle bool // has been idle since the last frame: the server may have ended it
}

// newStream starts the protocol on a stream without an extra round trip: whether the
// server supports the protocol shows only with its first answer.
func newStream(s network.Stream, p protocol.ID) (*stream, error) {
	if err := s.SetProtocol(p); err != nil {
		return nil, errors.Join(err, s.Reset())
	}
	rw := multistream.NewMSSelect(s, p)
	return &stream{Stream: s, rw: rw, r: bufio.NewReader(rw)}, nil
}

func (s *stream) write(frame []byte) error {
	_, err := s.rw.Write(frame)
	return err
}

// read reads one frame.
func (s *stream) read() (*pb.Message, error) {
	size, err := binary.ReadUvarint(s.r)
	if err != nil {
		return nil, err
	}
	if size > maxFrame {
		return nil, fmt.Errorf("an answer of %d bytes is too large", size)
	}
	buf := make([]byte, size)
	if _, err := io.ReadFull(s.r, buf); err != nil {
		return nil, err
	}
	m := new(pb.Message)
	if err := proto.Unmarshal(buf, m); err != nil {
		return nil, fmt.Errorf("decoding answer: %w", err)
	}
	return m, nil
}

func (s *stream) close() { _ = s.rw.Close() }
func (s *stream) reset() { _ = s.Reset() }

// connected reports whether the underlying connection is still open.
func (s *stream) connected() bool { return !s.Conn().IsClosed() }

// encodeFrame encodes a message with a length prefix.
func encodeFrame(m *pb.Message) ([]byte, error) {
	frame := binary.AppendUvarint(nil, uint64(proto.Size(m)))
	return proto.MarshalOptions{}.MarshalAppend(frame, m)
}

// received is one result of reading a frame.
type received struct {
	msg *pb.Message
	at  time.Time
	err error
}
