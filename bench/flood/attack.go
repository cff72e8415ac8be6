package main

import (
	"bufio"
	"context"
	"crypto/rand"
	"encoding/binary"
	"fmt"
	"io"
	"sync"
	"time"

	"github.com/libp2p/go-libp2p"
	pb "github.com/libp2p/go-libp2p-kad-dht/pb"
	recpb "github.com/libp2p/go-libp2p-record/pb"
	"github.com/libp2p/go-libp2p/core/host"
	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/peer"
	mh "github.com/multiformats/go-multihash"
	"google.golang.org/protobuf/proto"

	"github.com/goipns/ipns"
	"github.com/goipns/ipns/routing/dht"
)

const (
	streams     = 8   // of a flood, over all peers, or one for each peer
	pingEvery   = 256 // provider records, which are not answered, between two answers
	answerWaits = time.Minute
)

// flood puts values and provider records on a node, as fast as it takes them. Every
// second value has a megabyte of unknown fields now and then, and all are valid.
func flood(ctx context.Context, c config, node peer.AddrInfo) (taken, error) {
	var (
		wg    sync.WaitGroup
		mu    sync.Mutex
		sum   taken
		fault error
	)
	each := max(c.peers, streams)
	for i := range c.peers {
		h, err := libp2p.New(libp2p.NoListenAddrs, libp2p.DisableRelay(), libp2p.ResourceManager(&network.NullResourceManager{}))
		if err != nil {
			return sum, err
		}
		defer h.Close()
		if err := h.Connect(ctx, node); err != nil {
			return sum, err
		}
		for s := range max(1, streams/c.peers) {
			first := s == 0 && i == 0 // has the remainder
			values, providers := c.values/each, c.providers/each
			if first {
				values, providers = values+c.values%each, providers+c.providers%each
			}
			wg.Go(func() {
				f := &flooder{ctx: ctx, host: h, node: node.ID}
				err := f.put(values, providers)
				mu.Lock()
				defer mu.Unlock()
				sum.Values += f.taken.Values
				sum.Refused += f.taken.Refused
				sum.Providers += f.taken.Providers
				if fault == nil {
					fault = err
				}
			})
		}
	}
	wg.Wait()
	return sum, fault
}

// flooder is one stream to the node.
type flooder struct {
	ctx   context.Context
	host  host.Host
	node  peer.ID
	s     network.Stream // nil: to be opened
	in    *bufio.Reader
	taken taken
}

// put puts values and provider records in turns.
func (f *flooder) put(values, providers int) error {
	for i := range max(values, providers) {
		if i < values {
			if err := f.value(i); err != nil {
				return err
			}
		}
		if i < providers {
			if err := f.provide(i); err != nil {
				return err
			}
		}
	}
	return nil
}

func (f *flooder) value(i int) error {
	key, err := ipns.GenerateKey(ipns.Ed25519, 0)
	if err != nil {
		return err
	}
	rec, err := ipns.Sign(f.ctx, ipns.NewSigner(key), ipns.Fields{
		Value: fmt.Sprintf("/ipfs/bafkqaaa/%d", i), EOL: time.Now().Add(48 * time.Hour), TTL: time.Hour,
	}, ipns.V2Only)
	if err != nil {
		return err
	}
	m := pb.NewMessage(pb.Message_PUT_VALUE, rec.Name().RoutingKey(), 0)
	m.Record = &recpb.Record{Key: m.Key, Value: rec.Raw()}
	if i%1000 == 0 {
		junk := binary.AppendUvarint([]byte{15<<3 | 2}, 1<<20)
		m.Record.ProtoReflect().SetUnknown(append(junk, make([]byte, 1<<20)...))
	}
	if err := f.send(m, true); err != nil {
		f.taken.Refused++
		return f.close(f.ctx.Err())
	}
	f.taken.Values++
	return nil
}

func (f *flooder) provide(i int) error {
	digest := make([]byte, 32)
	_, _ = rand.Read(digest) // it never fails
	key, err := mh.Encode(digest, mh.SHA2_256)
	if err != nil {
		return err
	}
	m := pb.NewMessage(pb.Message_ADD_PROVIDER, key, 0)
	m.ProviderPeers = []*pb.Message_Peer{{Id: []byte(f.host.ID()), Addrs: [][]byte{someAddr}}}
	if err := f.send(m, false); err != nil {
		return f.close(err)
	}
	f.taken.Providers++
	if i%pingEvery == 0 {
		return f.send(pb.NewMessage(pb.Message_PING, nil, 0), true)
	}
	return nil
}

// someAddr is /ip4/192.0.2.1/tcp/1.
var someAddr = []byte{0x04, 192, 0, 2, 1, 0x06, 0, 1}

func (f *flooder) close(err error) error {
	if f.s != nil {
		_ = f.s.Reset()
		f.s = nil
	}
	return err
}

// send sends a message and waits for its answer.
func (f *flooder) send(m *pb.Message, answered bool) error {
	if f.s == nil {
		s, err := f.host.NewStream(f.ctx, f.node, dht.ProtocolLAN)
		if err != nil {
			return err
		}
		f.s, f.in = s, bufio.NewReader(s)
	}
	_ = f.s.SetDeadline(time.Now().Add(answerWaits))
	b, err := proto.Marshal(m)
	if err != nil {
		return err
	}
	if _, err := f.s.Write(append(binary.AppendUvarint(nil, uint64(len(b))), b...)); err != nil || !answered {
		return err
	}
	size, err := binary.ReadUvarint(f.in)
	if err != nil {
		return err
	}
	_, err = io.CopyN(io.Discard, f.in, int64(size))
	return err
}
