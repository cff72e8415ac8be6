// Package routingtest is for tests of Routers and with Routers. It has a [Network] of
// fake servers that misbehave on request, and [TestRouter], the contract of
// [routing.Router] as a test for every implementation.
package routingtest

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"net/netip"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/goipns/ipns"
	"github.com/goipns/ipns/internal/keyspace"
	"github.com/goipns/ipns/routing"
)

// Fault is one way to misbehave.
type Fault int

const (
	// Honest servers work as they should. It is the zero value.
	Honest Fault = iota
	// Dead servers take requests and never answer.
	Dead
	// Refusing servers answer every put with an error, and searches as usual.
	Refusing
	// Forgetful servers claim to take records and store nothing.
	Forgetful
	// Denying servers claim to have no record of any name.
	Denying
	// Stuck servers keep the first record of a name, whatever comes later, and claim to
	// have taken the later ones.
	Stuck
	// Forging servers return bytes that no key has signed.
	Forging
	// Limiting servers refuse every request as one too many.
	Limiting
)

// Errors that targets of a Network report in their Acks.
var (
	ErrOlder   = fmt.Errorf("%w: have a newer record", routing.ErrRefused)
	ErrRefused = routing.ErrRefused
	ErrTimeout = errors.New("no answer in time")
)

// Server is one fake server. Set its exported fields while no request runs.
type Server struct {
	ID    string
	Fault Fault
	Delay time.Duration // from request to answer
	Clock time.Duration // how far its clock is ahead of the network's

	kad     keyspace.Key
	mu      sync.Mutex
	records map[ipns.Name][]byte
}

// Network is a Router over fake servers in memory. As on a DHT, a record belongs on the
// servers closest to its name. Set its exported fields before first use.
type Network struct {
	Name    string       // the Network of Acks and Answers; empty: "wan"
	On      routing.Road // their road
	Servers []*Server
	// Replicas is how many servers should hold a record. 0: 20
	Replicas int
	// Quorum is how many of the servers asked must answer for a search to be complete. 0:
	// three quarters.
	Quorum int
	// Timeout is how long to wait for an answer. 0: 10 s
	Timeout time.Duration
	// Expected says that the network should have servers: if none answers, operations end
	// with routing.ErrAway.
	Expected bool
	// Fail ends every operation at once with this error.
	Fail error
	Now  func() time.Time // nil: time.Now

	// Opener verifies what servers return. nil: a new one.
	Opener *routing.Opener

	once   sync.Once
	mu     sync.Mutex
	counts Counts
}

// Counts counts calls.
type Counts struct {
	Puts     int // calls of Put
	Searches int // calls of Search
}

// New returns a network of n honest servers, whose ids are the same in every run.
func New(n int) *Network {
	net := &Network{}
	for i := range n {
		net.Servers = append(net.Servers, &Server{ID: fmt.Sprintf("server-%03d", i)})
	}
	return net
}

// Counts returns the counts so far.
func (n *Network) Counts() Counts {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.counts
}

// Closest returns the servers that should hold a record of the name, closest
// first.
func (n *Network) Closest(name ipns.Name) []*Server {
	n.init()
	servers := slices.Clone(n.Servers)
	target := keyspace.Key(name.Kad())
	slices.SortFunc(servers, func(a, b *Server) int { return keyspace.Closer(target, a.kad, b.kad) })
	return servers[:min(n.Replicas, len(servers))]
}

// Road implements routing.Roader.
func (n *Network) Road() routing.Road { return n.On }

// Holders returns how many servers hold exactly this record.
func (n *Network) Holders(rec *ipns.Record) int {
	count := 0
	for _, s := range n.Servers {
		if slices.Equal(s.Held(rec.Name()), rec.Raw()) {
			count++
		}
	}
	return count
}

func (n *Network) init() {
	n.once.Do(func() {
		if n.Name == "" {
			n.Name = "wan"
		}
		if n.Replicas == 0 {
			n.Replicas = 20
		}
		if n.Timeout == 0 {
			n.Timeout = 10 * time.Second
		}
		if n.Now == nil {
			n.Now = time.Now
		}
		if n.Opener == nil {
			n.Opener = &routing.Opener{Now: n.Now}
		}
		for _, s := range n.Servers {
			s.kad = keyspace.KeyOf([]byte(s.ID))
		}
	})
}

// Put implements routing.Router.
func (n *Network) Put(ctx context.Context, rec *ipns.Record, look routing.Look) iter.Seq2[routing.Ack, error] {
	return func(yield func(routing.Ack, error) bool) {
		n.init()
		n.mu.Lock()
		n.counts.Puts++
		n.mu.Unlock()
		targets := n.Closest(rec.Name())
		var reached atomic.Bool
		put := func(ctx context.Context, s *Server) routing.Ack {
			start := time.Now()
			before, newer, err := s.put(ctx, rec, n.Now())
			if !errors.Is(err, ErrTimeout) {
				reached.Store(true)
			}
			ack := routing.Ack{
				Name: rec.Name(), Target: s.ID, Network: n.Name, Road: n.On, Of: len(targets),
				Err: err, Newer: newer, RTT: time.Since(start),
			}
			if look.Before {
				ack.Before = before
			}
			if look.Clock && err == nil {
				ack.Clock = &routing.Clock{Time: n.Now().Add(s.Clock), Group: group(s)}
			}
			return ack
		}
		each(ctx, n, targets, put, yield, func() error {
			if n.Expected && !reached.Load() {
				return &routing.AwayError{Network: n.Name, Road: n.On}
			}
			return nil
		})
	}
}

// Search implements routing.Router.
func (n *Network) Search(ctx context.Context, name ipns.Name) iter.Seq2[routing.Answer, error] {
	return func(yield func(routing.Answer, error) bool) {
		n.init()
		n.mu.Lock()
		n.counts.Searches++
		n.mu.Unlock()
		sources := n.Closest(name)
		quorum := n.Quorum
		if quorum == 0 {
			quorum = (3*len(sources) + 3) / 4
		}
		search := func(ctx context.Context, s *Server) *routing.Answer {
			return n.ask(ctx, s, name)
		}
		answered := 0
		answer := func(a *routing.Answer, err error) bool {
			switch {
			case err != nil:
				return yield(routing.Answer{}, err)
			case a == nil:
				return true
			}
			answered++
			return yield(*a, nil)
		}
		each(ctx, n, sources, search, answer, func() error {
			switch {
			case answered == 0 && n.Expected:
				return &routing.AwayError{Network: n.Name, Road: n.On}
			case answered < quorum:
				return &routing.IncompleteError{Asked: len(sources), Answered: answered}
			}
			return nil
		})
	}
}

// ask returns the answer of one server; nil if there is none or it does not verify.
func (n *Network) ask(ctx context.Context, s *Server, name ipns.Name) *routing.Answer {
	raw, err := s.get(ctx, name)
	if err != nil {
		return nil
	}
	a := &routing.Answer{Source: s.ID, Network: n.Name, Road: n.On, At: n.Now()}
	if raw != nil {
		if a.Record, err = n.Opener.Open(name, raw); err != nil {
			// A server with an expired record answers, honestly, that it has none; bytes
			// that do not verify are no answer.
			if !errors.Is(err, ipns.ErrExpired) {
				return nil
			}
			a.Record = nil
		}
	}
	return a
}

// each asks all servers at once, yields their answers as they come, and then the error
// with which the operation ends.
func each[T any](ctx context.Context, n *Network, servers []*Server, ask func(context.Context, *Server) T, yield func(T, error) bool, end func() error) {
	var zero T
	switch {
	case n.Fail != nil:
		yield(zero, n.Fail)
		return
	case len(servers) == 0 && n.Expected:
		yield(zero, &routing.AwayError{Network: n.Name, Road: n.On})
		return
	case len(servers) == 0:
		yield(zero, routing.ErrNoTargets)
		return
	}
	inner, cancel := context.WithTimeout(ctx, n.Timeout)
	var wg sync.WaitGroup
	defer wg.Wait()
	defer cancel()
	answers := make(chan T, len(servers))
	for _, s := range servers {
		wg.Go(func() { answers <- ask(inner, s) })
	}
	for range servers {
		select {
		case a := <-answers:
			if ctx.Err() != nil {
				yield(zero, ctx.Err())
				return
			}
			if !yield(a, nil) {
				return
			}
		case <-ctx.Done():
			yield(zero, ctx.Err())
			return
		}
	}
	if err := end(); err != nil {
		yield(zero, err)
	}
}

// Held returns the bytes that the server holds for the name; nil: none.
func (s *Server) Held(name ipns.Name) []byte {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.records[name]
}

// Hold makes the server hold these bytes, valid or not; nil: none.
func (s *Server) Hold(name ipns.Name, raw []byte) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.hold(name, raw)
}

func (s *Server) hold(name ipns.Name, raw []byte) {
	if s.records == nil {
		s.records = map[ipns.Name][]byte{}
	}
	s.records[name] = raw
}

// Become changes the Fault of a server that is in use.
func (s *Server) Become(fault Fault) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.Fault = fault
}

func (s *Server) fault() Fault {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.Fault
}

// wait waits for the delay of the server.
func (s *Server) wait(ctx context.Context) error {
	late := time.NewTimer(s.Delay)
	defer late.Stop()
	answer := late.C
	if s.fault() == Dead {
		answer = nil
	}
	select {
	case <-answer:
		return nil
	case <-ctx.Done():
		return ErrTimeout
	}
}

// group returns a separate IP group for each server.
func group(s *Server) netip.Prefix {
	return netip.PrefixFrom(netip.AddrFrom4([4]byte{s.kad[0], s.kad[1]}), 16)
}

// put also returns the record that the server held before, if it is a different one.
func (s *Server) put(ctx context.Context, rec *ipns.Record, now time.Time) (before, newer *ipns.Record, err error) {
	if err := s.wait(ctx); err != nil {
		return nil, nil, err
	}
	s.mu.Lock() // throughout: of two concurrent puts, the newer must win
	defer s.mu.Unlock()
	held := s.records[rec.Name()]
	if held != nil && !slices.Equal(held, rec.Raw()) {
		before, _ = ipns.Open(rec.Name(), held, now)
	}
	switch {
	case s.Fault == Refusing, s.Fault == Limiting:
		return before, nil, ErrRefused
	case s.Fault == Forgetful, s.Fault == Stuck && held != nil:
		return before, nil, nil
	case rec.Expired(now):
		return before, nil, ipns.ErrExpired
	}
	if before != nil && ipns.Compare(before, rec) > 0 {
		return before, before, ErrOlder
	}
	s.hold(rec.Name(), rec.Raw())
	return before, nil, nil
}

func (s *Server) get(ctx context.Context, name ipns.Name) ([]byte, error) {
	if err := s.wait(ctx); err != nil {
		return nil, err
	}
	switch s.fault() {
	case Denying:
		return nil, nil
	case Forging:
		return []byte("not signed by anybody"), nil
	case Limiting:
		return nil, ErrRefused
	}
	return s.Held(name), nil
}
