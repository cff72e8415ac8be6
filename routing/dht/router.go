package dht

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"iter"
	"sync"
	"time"

	kaddht "github.com/libp2p/go-libp2p-kad-dht"
	pb "github.com/libp2p/go-libp2p-kad-dht/pb"
	"github.com/libp2p/go-libp2p-kad-dht/records"
	kbucket "github.com/libp2p/go-libp2p-kbucket"
	record "github.com/libp2p/go-libp2p-record"
	recpb "github.com/libp2p/go-libp2p-record/pb"
	"github.com/libp2p/go-libp2p/core/peer"

	"github.com/goipns/ipns"
	"github.com/goipns/ipns/routing"
)

const (
	// replicas is how many servers should hold a record: the closest to it.
	replicas = 20

	// putTimeout bounds what one server may take to store a record, the dial
	// included, and askTimeout what it may take to answer.
	putTimeout = 30 * time.Second
	askTimeout = 10 * time.Second
)

// Router is one DHT: it puts records on its servers and searches them.
type Router struct {
	// DHT finds the servers.
	DHT *kaddht.IpfsDHT

	// Network names this DHT in every Ack and Answer: "wan" or "lan".
	Network string

	// Opener verifies the records that servers answer with.
	Opener *routing.Opener

	own *records.ValueStore // what this node's own server answers with; may be nil
}

var _ routing.Router = (*Router)(nil)

// Put offers the record to the servers closest to its name, all at once. This
// node's own server keeps it too, which is not counted. For a name that does not
// contain its key the key is put beside it; the Acks do not tell of it, since
// the record contains the key as well.
func (r *Router) Put(ctx context.Context, rec *ipns.Record) iter.Seq2[routing.Ack, error] {
	return func(yield func(routing.Ack, error) bool) {
		ctx, cancel := context.WithCancel(ctx)
		var wg sync.WaitGroup
		defer wg.Wait()
		defer cancel()

		r.keepOwn(ctx, rec)
		key := string(rec.Name().RoutingKey())
		servers, err := r.closest(ctx, key)
		if err != nil {
			yield(routing.Ack{}, fmt.Errorf("putting %s: %w", rec.Name(), err))
			return
		}
		wg.Go(func() { r.putKey(ctx, rec) })
		acks := make(chan routing.Ack, len(servers))
		for _, p := range servers {
			wg.Go(func() {
				ack := r.offer(ctx, p, key, rec)
				ack.Of = len(servers)
				acks <- ack
			})
		}
		for range servers {
			if !yield(<-acks, nil) {
				return
			}
		}
		if err := ctx.Err(); err != nil {
			yield(routing.Ack{}, fmt.Errorf("putting %s: %w", rec.Name(), err))
			return
		}
		wg.Wait() // for the key: it is put even if every record has been answered
	}
}

// Search asks the servers closest to the name, all at once, and this node's own.
func (r *Router) Search(ctx context.Context, name ipns.Name) iter.Seq2[routing.Answer, error] {
	return func(yield func(routing.Answer, error) bool) {
		ctx, cancel := context.WithCancel(ctx)
		var wg sync.WaitGroup
		defer wg.Wait()
		defer cancel()

		if rec := r.ownRecord(ctx, name); rec != nil {
			if !yield(r.answer(r.DHT.PeerID(), rec), nil) {
				return
			}
		}
		key := string(name.RoutingKey())
		servers, err := r.closest(ctx, key)
		if err != nil {
			yield(routing.Answer{}, fmt.Errorf("searching %s: %w", name, err))
			return
		}
		type result struct {
			routing.Answer
			err error
		}
		results := make(chan result, len(servers))
		for _, p := range servers {
			wg.Go(func() {
				rec, err := r.ask(ctx, p, name)
				results <- result{r.answer(p, rec), err}
			})
		}
		answered := 0
		for range servers {
			res := <-results
			if res.err != nil {
				continue
			}
			answered++
			if !yield(res.Answer, nil) {
				return
			}
		}
		if err := ctx.Err(); err != nil {
			yield(routing.Answer{}, fmt.Errorf("searching %s: %w", name, err))
		} else if !enough(answered, len(servers)) {
			yield(routing.Answer{}, &routing.IncompleteError{Asked: len(servers), Answered: answered})
		}
	}
}

// enough reports whether so many answers tell that what none of them had does
// not exist: four fifths, which is kad-dht's quorum of 16 of 20.
func enough(answered, asked int) bool { return 5*answered >= 4*asked }

// closest finds the servers that should hold what is filed under key, 20 or all
// that there are.
func (r *Router) closest(ctx context.Context, key string) ([]peer.ID, error) {
	servers, err := r.DHT.GetClosestPeers(ctx, key)
	switch {
	case errors.Is(err, kbucket.ErrLookupFailure), err == nil && len(servers) == 0:
		return nil, routing.ErrNoTargets
	case err != nil:
		return nil, fmt.Errorf("finding servers: %w", err)
	}
	return servers[:min(len(servers), replicas)], nil
}

// offer puts the record on one server. A server that refuses does not say why,
// so it is asked what it has.
func (r *Router) offer(ctx context.Context, p peer.ID, key string, rec *ipns.Record) routing.Ack {
	ack := routing.Ack{Name: rec.Name(), Target: p.String(), Network: r.Network}
	start := time.Now()
	ack.Err = r.send(ctx, p, key, rec.Raw())
	ack.RTT = time.Since(start)
	if ack.Err != nil && ctx.Err() == nil {
		if have, err := r.ask(ctx, p, rec.Name()); err == nil && have != nil && ipns.Compare(have, rec) > 0 {
			ack.Newer = have
		}
	}
	return ack
}

func (r *Router) send(ctx context.Context, p peer.ID, key string, value []byte) error {
	ctx, cancel := context.WithTimeout(ctx, putTimeout)
	defer cancel()
	m := pb.NewMessage(pb.Message_PUT_VALUE, []byte(key), 0)
	m.Record = record.MakePutRecord(key, value)
	reply, err := r.DHT.MessageSender().SendRequest(ctx, p, m)
	if err != nil {
		return err
	}
	if !bytes.Equal(reply.GetRecord().GetValue(), value) {
		return errors.New("the server did not confirm the record")
	}
	return nil
}

// ask returns the record that a server has of the name, nil if it has none. What
// is no valid record counts as none.
func (r *Router) ask(ctx context.Context, p peer.ID, name ipns.Name) (*ipns.Record, error) {
	ctx, cancel := context.WithTimeout(ctx, askTimeout)
	defer cancel()
	key := name.RoutingKey()
	reply, err := r.DHT.MessageSender().SendRequest(ctx, p, pb.NewMessage(pb.Message_GET_VALUE, key, 0))
	if err != nil {
		return nil, err
	}
	have := reply.GetRecord()
	if have == nil || !bytes.Equal(have.GetKey(), key) {
		return nil, nil
	}
	rec, err := r.Opener.Open(name, have.GetValue())
	if err != nil {
		return nil, nil
	}
	return rec, nil
}

func (r *Router) answer(p peer.ID, rec *ipns.Record) routing.Answer {
	return routing.Answer{Record: rec, Source: p.String(), Network: r.Network, At: time.Now()}
}

// keepOwn gives the record to this node's own server. If that fails, or has a
// newer one, the network decides.
func (r *Router) keepOwn(ctx context.Context, rec *ipns.Record) {
	if r.own == nil {
		return
	}
	key := string(rec.Name().RoutingKey())
	_ = r.own.Put(ctx, key, &recpb.Record{Key: []byte(key), Value: rec.Raw()})
}

// ownRecord returns what this node's own server has of the name, or nil.
func (r *Router) ownRecord(ctx context.Context, name ipns.Name) *ipns.Record {
	if r.own == nil {
		return nil
	}
	have, err := r.own.Get(ctx, string(name.RoutingKey()))
	if err != nil || have == nil {
		return nil
	}
	rec, err := r.Opener.Open(name, have.GetValue())
	if err != nil {
		return nil
	}
	return rec
}

// putKey puts the public key of a name that does not contain it under /pk/.
// Whether that succeeds does not matter to the record.
func (r *Router) putKey(ctx context.Context, rec *ipns.Record) {
	name := rec.Name()
	if _, err := name.PublicKey(); !errors.Is(err, ipns.ErrNoPublicKey) {
		return
	}
	pub, err := rec.PublicKey()
	if err != nil {
		return
	}
	value, err := ipns.MarshalPublicKey(pub)
	if err != nil {
		return
	}
	key := "/pk/" + string(name.Binary())
	servers, err := r.closest(ctx, key)
	if err != nil {
		return
	}
	var wg sync.WaitGroup
	for _, p := range servers {
		wg.Go(func() { _ = r.send(ctx, p, key, value) })
	}
	wg.Wait()
}
