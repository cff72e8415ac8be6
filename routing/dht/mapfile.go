package dht

import (
	"bufio"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"os"
	"slices"
	"time"

	"github.com/libp2p/go-libp2p/core/peer"

	"github.com/goipns/ipns/internal/durable"
	"github.com/goipns/ipns/internal/keyspace"
)

// The format of a saved Map. All numbers are uvarints:
//
//	"ipns dht map 1\n"
//	count
//	count times: id length, id, addresses, addresses times: length, multiaddr,
//	             last answer (Unix seconds, 0: never), last named, RTT (µs)
//	CRC-32 (IEEE) of all before, 4 bytes big-endian
//
// Servers that have failed since they last answered are left out.
const mapMagic = "ipns dht map 1\n"

// maxIDBytes is the longest valid peer id.
const maxIDBytes = 64

var errMapDamaged = errors.New("the saved map is damaged")

// Save writes the Map to a file. An empty Map never overwrites a file: the servers in
// it may come back.
func (m *Map) Save(file string) error {
	if m.Len() == 0 {
		return nil
	}
	if err := durable.Replace(file, m.encode(), 0o644); err != nil {
		return fmt.Errorf("saving the map: %w", err)
	}
	return nil
}

// Load adds the servers of a saved Map. The file is only a cache: if it is missing or
// damaged, the cost is a few round trips.
func (m *Map) Load(file string) error {
	f, err := os.Open(file)
	if err != nil {
		return err
	}
	defer f.Close()
	_, err = m.ReadFrom(f)
	return err
}

func (m *Map) encode() []byte {
	m.mu.RLock()
	defer m.mu.RUnlock()
	live := slices.DeleteFunc(slices.Clone(m.sorted), func(s *server) bool { return s.failures > 0 })
	b := binary.AppendUvarint([]byte(mapMagic), uint64(len(live)))
	for _, s := range live {
		b = appendServer(b, s)
	}
	return binary.BigEndian.AppendUint32(b, crc32.ChecksumIEEE(b))
}

func appendServer(b []byte, s *server) []byte {
	b = binary.AppendUvarint(b, uint64(len(s.id)))
	b = append(b, s.id...)
	b = binary.AppendUvarint(b, uint64(len(s.addrs)))
	for _, a := range s.addrs {
		b = append(binary.AppendUvarint(b, uint64(len(a))), a...)
	}
	b = binary.AppendUvarint(b, unixSeconds(s.answered))
	b = binary.AppendUvarint(b, unixSeconds(s.lastNamed))
	return binary.AppendUvarint(b, uint64(s.rtt.Microseconds()))
}

func unixSeconds(t time.Time) uint64 {
	if t.IsZero() {
		return 0
	}
	return uint64(max(t.Unix(), 0))
}

// ReadFrom adds the servers of a saved Map. If the data is damaged it adds none.
func (m *Map) ReadFrom(r io.Reader) (int64, error) {
	in := &mapReader{r: bufio.NewReader(r), sum: crc32.NewIEEE()}
	servers, err := in.servers()
	if err != nil {
		return in.n, fmt.Errorf("reading the map: %w", err)
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, s := range servers {
		if have := m.byID[s.id]; have != nil || len(s.addrs) == 0 {
			continue
		}
		s.key, s.group = keyspace.KeyOf([]byte(s.id)), groupOf(unpackAddrs(s.addrs))
		m.add(s, s.lastNamed)
	}
	return in.n, nil
}

// mapReader reads a saved Map. It keeps the first error.
type mapReader struct {
	r   *bufio.Reader
	sum interface {
		io.Writer
		Sum32() uint32
	}
	n   int64
	err error
}

func (in *mapReader) servers() ([]*server, error) {
	if string(in.bytes(len(mapMagic))) != mapMagic {
		in.fail(errMapDamaged)
	}
	count := in.number(MaxServers)
	var servers []*server
	for range count {
		s := &server{id: peer.ID(in.bytes(int(in.number(maxIDBytes))))}
		for range in.number(maxAddrs) {
			s.addrs = append(s.addrs, in.bytes(int(in.number(maxAddrBytes))))
		}
		s.answered, s.lastNamed = in.time(), in.time()
		s.rtt = time.Duration(in.number(uint64(time.Hour/time.Microsecond))) * time.Microsecond
		if in.err != nil {
			return nil, in.err
		}
		servers = append(servers, s)
	}
	want := in.sum.Sum32()
	if got := in.bytes(4); in.err == nil && binary.BigEndian.Uint32(got) != want {
		in.fail(errMapDamaged)
	}
	return servers, in.err
}

func (in *mapReader) fail(err error) {
	if in.err == nil {
		in.err = err
	}
}

// bytes reads n bytes, which are zero after an error.
func (in *mapReader) bytes(n int) []byte {
	b := make([]byte, n)
	if in.err != nil {
		return b
	}
	read, err := io.ReadFull(in.r, b)
	in.n += int64(read)
	if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
		err = errMapDamaged
	}
	if err != nil {
		in.fail(err)
	}
	_, _ = in.sum.Write(b[:read]) // a hash never fails
	return b
}

// ReadByte implements io.ByteReader for binary.ReadUvarint.
func (in *mapReader) ReadByte() (byte, error) {
	b := in.bytes(1)
	return b[0], in.err
}

// number reads a number that is at most most.
func (in *mapReader) number(most uint64) uint64 {
	n, err := binary.ReadUvarint(in)
	if err != nil || n > most {
		in.fail(errMapDamaged)
	}
	if in.err != nil {
		return 0
	}
	return n
}

func (in *mapReader) time() time.Time {
	const year9999 = 253402300799
	if n := in.number(year9999); n > 0 {
		return time.Unix(int64(n), 0)
	}
	return time.Time{}
}
