package pubsub

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"log/slog"
	"sync"
	"time"

	"github.com/ipfs/go-cid"
	gossip "github.com/libp2p/go-libp2p-pubsub"
	"github.com/libp2p/go-libp2p/core/host"
	"github.com/libp2p/go-libp2p/core/peer"

	"github.com/goipns/ipns"
	"github.com/goipns/ipns/routing"
)

// Network is the name of this network in every Ack and Answer.
const Network = "pubsub"

// Config says what a Router works with. The zero value works, remembers nothing after a
// restart, and meets only peers that are connected otherwise.
type Config struct {
	// Held returns the record of a name that this node vouches for; nil: none. Nil: it
	// vouches for none.
	Held func(context.Context, ipns.Name) (*ipns.Record, error)
	// Take stores a record from another peer that is better than what the Router and
	// Held have. It reports whether the record is the newest that is known here, and is
	// passed on only then. Nil: it always is.
	Take func(context.Context, *ipns.Record) (newest bool, err error)

	// Provide tells others that this node listens to the topic that the CID stands
	// for, and Find finds peers that do. Nil: nobody is told, and none is found.
	Provide func(context.Context, cid.Cid) error
	Find    func(context.Context, cid.Cid, int) iter.Seq[peer.AddrInfo]

	// File is where the hot names rest with their records, and the highest sequence
	// number of messages. "": nowhere.
	File string

	Opener *routing.Opener  // verifies records. Nil: a new one
	Log    *slog.Logger     // nil: nothing is logged
	Now    func() time.Time // nil: time.Now
}

// Router is this node's part in IPNS over PubSub. The caller must Close it.
type Router struct {
	c        Config
	host     host.Host
	gossip   *gossip.PubSub
	audience *audience
	sender   *sender
	counts   counts

	ctx     context.Context // ends with Close
	stop    context.CancelFunc
	running sync.WaitGroup
	serving serving
	wake    chan struct{} // has an element when there is work for tend
	settle  time.Duration // settleTime
	finds   chan struct{} // one element for each look for peers
	tells   chan struct{} // and for each provide

	turn    sync.Mutex // whoever makes names hot or cold has it
	handles handles

	mu     sync.Mutex // guards all below; never held while gossipsub or Config is called
	closed bool
	topics map[ipns.Name]*topic // of the hot names
	dirty  bool                 // the file is not up to date
	joins  []join
	joined chan struct{} // has an element when joins is not empty
	cold   map[ipns.Name]*coldName
}

var (
	_ routing.Router  = (*Router)(nil)
	_ routing.Sweeper = (*Router)(nil)
	_ routing.Asker   = (*Router)(nil)
	_ routing.Watcher = (*Router)(nil)
	_ routing.Roader  = (*Router)(nil)
)

// New starts IPNS over PubSub on a host, with the hot names of its last run.
func New(h host.Host, c Config) (*Router, error) {
	if c.Held == nil {
		c.Held = func(context.Context, ipns.Name) (*ipns.Record, error) { return nil, nil }
	}
	if c.Take == nil {
		c.Take = func(context.Context, *ipns.Record) (bool, error) { return true, nil }
	}
	if c.Log == nil {
		c.Log = slog.New(slog.DiscardHandler)
	}
	if c.Now == nil {
		c.Now = time.Now
	}
	if c.Opener == nil {
		c.Opener = &routing.Opener{Now: c.Now}
	}
	r := &Router{
		c: c, host: h,
		wake: make(chan struct{}, 1), joined: make(chan struct{}, 1), settle: settleTime,
		finds: make(chan struct{}, findsAtOnce), tells: make(chan struct{}, provideAtOnce),
		topics: map[ipns.Name]*topic{}, cold: map[ipns.Name]*coldName{},
	}
	r.serving.peers = map[peer.ID]int{}
	saved, err := r.read()
	if err != nil {
		c.Log.Warn("names that were listened to are not known any more", "err", err)
	}
	if r.sender, err = newSender(h, max(saved.Sequence+1, uint64(c.Now().UnixNano()))); err != nil {
		return nil, err
	}
	r.ctx, r.stop = context.WithCancel(context.Background())
	r.audience = newAudience(h.Network(), c.Now)
	r.audience.hot = func(name ipns.Name) bool { return r.topic(name) != nil }
	r.audience.joined = r.begins
	r.audience.refused = func() { r.counts.tooMany.Add(1) }
	if err := r.start(saved); err != nil {
		return nil, errors.Join(err, r.Close())
	}
	return r, nil
}

// start joins the network and what was saved.
func (r *Router) start(saved saved) (err error) {
	r.gossip, err = gossip.NewGossipSub(r.ctx, r.host,
		gossip.WithFloodPublish(true),
		gossip.WithSubscriptionFilter(r.audience),
		gossip.WithBlacklist(r.audience),
		gossip.WithAppSpecificRpcInspector(r.inspect),
		// One validator for all topics: it is there before any is subscribed to.
		gossip.WithDefaultValidator(gossip.ValidatorEx(r.validate), gossip.WithValidatorInline(true)),
		gossip.WithValidateWorkers(validateWorkers),
		gossip.WithValidateQueueSize(validateQueue),
		gossip.WithPeerOutboundQueueSize(outboundQueue),
		gossip.WithRawTracer(tracer{r.sender, &r.counts}),
	)
	if err != nil {
		return fmt.Errorf("start gossipsub: %w", err)
	}
	r.restore(saved)
	// Before the first message: the sequence numbers of this run are below what the
	// file says, whatever happens.
	r.dirty = true
	r.save()
	r.host.SetStreamHandler(FetchProtocol, r.serve)
	for range joiners {
		r.running.Go(r.lookAfterJoins)
	}
	r.running.Go(r.tend)
	return nil
}

// Close leaves all topics, saves what is to be known after a restart, and waits for what
// is going on. It leaves the host open.
func (r *Router) Close() error {
	r.mu.Lock()
	if r.closed {
		r.mu.Unlock()
		return nil
	}
	r.closed = true
	r.mu.Unlock()
	r.host.RemoveStreamHandler(FetchProtocol)
	r.stop()
	r.running.Wait()
	r.serving.close()
	r.audience.close()
	r.save()
	return nil
}

// held returns the newest record of a name that is known here and valid; nil: none.
func (r *Router) held(ctx context.Context, name ipns.Name) (*ipns.Record, error) {
	vouched, err := r.c.Held(ctx, name)
	if err != nil {
		return nil, fmt.Errorf("what this node has of %s: %w", name, err)
	}
	now := r.c.Now()
	r.mu.Lock()
	defer r.mu.Unlock()
	if t := r.topics[name]; t != nil && t.rec != nil && better(t.rec, vouched, now) {
		vouched = t.rec
	}
	if vouched == nil || vouched.Expired(now) {
		return nil, nil
	}
	return vouched, nil
}

// better reports whether rec is to replace old, which may be nil.
func better(rec, old *ipns.Record, now time.Time) bool {
	return old == nil || old.Expired(now) && !rec.Expired(now) || ipns.Compare(rec, old) > 0
}

// wakeUp lets tend look for work.
func (r *Router) wakeUp() {
	select {
	case r.wake <- struct{}{}:
	default:
	}
}

// tend does what is due on its own, until Close.
func (r *Router) tend() {
	ticks := time.NewTicker(tick)
	defer ticks.Stop()
	saved := r.c.Now()
	for {
		select {
		case <-r.ctx.Done():
			return
		case <-ticks.C:
		case <-r.wake:
		}
		now := r.c.Now()
		r.publishChanged()
		r.announceCold(now)
		r.coolDown(now)
		r.rebroadcast(now)
		r.discover(now)
		if now.Sub(saved) >= saveEvery {
			saved = now
			r.save()
		}
	}
}
