package dht

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/libp2p/go-libp2p/core/peerstore"

	"github.com/goipns/ipns/routing"
)

// A link sends calls to one server while it has any: it opens a stream, writes the calls,
// and gives each answer to the oldest unanswered call.
//
// A server that refuses a request resets the stream without giving a reason, and the
// answers in flight are lost. So after a reset with several calls in flight, they are
// sent again one at a time: a call that is reset while alone is the refused one. The
// others are then pipelined again, only a few at first in case more are refused. Sending
// a request twice does no harm.
type link struct {
	sender *sender
	peer   peer.ID
	wake   chan struct{} // signals a new call, or a caller that has left

	// Guarded by sender.mu.
	running bool
	queue   []*call       // not yet taken by run
	onIdle  func(peer.ID) // see sender.dropWhenIdle

	// Owned by run while it runs, by the sender while the link is idle.
	stream *stream

	// Owned by run.
	todo     []*call // to be written, in this order
	waiting  []*call // written, not answered, in this order
	width    int     // how many may be unanswered at a time; 0: window
	blamed   int     // calls one of which was refused: they are sent one at a time
	dropping bool    // onIdle is set: do not wait for answers without a caller
}

// poke wakes run. It never blocks.
func (l *link) poke() {
	select {
	case l.wake <- struct{}{}:
	default:
	}
}

// run processes calls until there are none.
func (l *link) run() {
	for {
		l.take()
		if len(l.todo) == 0 {
			if drop := l.sender.takeDrop(l); drop != nil {
				drop(l.peer)
				if l.stream != nil {
					l.stream.reset()
					l.stream = nil
				}
			} else if l.sender.park(l) {
				return
			}
			continue
		}
		if l.stream == nil {
			switch err := l.open(); {
			case errors.Is(err, errAbandoned):
				continue
			case err != nil:
				l.failAll(err)
				continue
			}
		}
		if err := l.converse(); err != nil {
			l.broken(err)
		}
	}
}

// take moves the queue to todo and drops calls whose caller has left.
func (l *link) take() {
	l.sender.mu.Lock()
	l.todo = append(l.todo, l.queue...)
	l.queue, l.dropping = nil, l.onIdle != nil
	l.sender.mu.Unlock()
	live := l.todo[:0]
	for _, c := range l.todo {
		if c.ctx.Err() == nil {
			live = append(live, c)
		}
	}
	clear(l.todo[len(live):])
	l.todo = live
}

// open dials the server and opens a stream. It gives up when no caller waits.
func (l *link) open() error {
	ctx, cancel := context.WithCancel(l.sender.ctx)
	defer cancel()
	type opened struct {
		s   *stream
		err error
	}
	result := make(chan opened, 1)
	l.sender.wg.Go(func() {
		s, err := l.sender.open(ctx, l.peer)
		result <- opened{s, err}
	})
	abandoned := false
	for {
		select {
		case o := <-result:
			l.stream = o.s
			if o.err != nil && abandoned {
				return errAbandoned
			}
			return o.err
		case <-l.wake:
			if l.take(); len(l.todo) == 0 {
				abandoned = true
				cancel()
			}
		}
	}
}

// errAbandoned says that no caller waits any more.
var errAbandoned = errors.New("no caller waits for the answer")

// open opens a stream to a server. It does not wait for identify, which would take
// another round trip.
func (s *sender) open(ctx context.Context, p peer.ID) (*stream, error) {
	s.host.Peerstore().AddAddrs(p, s.addrs(p), peerstore.TempAddrTTL)
	raw, err := s.host.Network().NewStream(ctx, p)
	if err != nil {
		return nil, fmt.Errorf("connecting: %w", err)
	}
	return newStream(raw, s.protocol)
}

// converse sends calls and reads answers on the stream until there is nothing to do
// or the stream breaks.
func (l *link) converse() error {
	expect := make(chan struct{}, window) // one token per frame to read
	frames := make(chan received, window)
	defer close(expect)
	s := l.stream
	l.sender.wg.Go(func() { readFrames(s, expect, frames) })
	silent := time.Now() // when the server last answered
	stall := time.NewTimer(l.patience())
	defer stall.Stop()
	for {
		if err := l.write(expect); err != nil {
			return err
		}
		if len(l.waiting) == 0 {
			return nil
		}
		select {
		case f := <-frames:
			if f.err != nil {
				return f.err
			}
			l.answered(f)
			silent = time.Now()
		case <-l.wake:
			if l.take(); l.overdue() || l.dropping && !l.wanted() {
				return errAbandoned
			}
		case <-stall.C:
			if !l.wanted() {
				return errAbandoned
			}
			return errStalled
		case <-l.sender.ctx.Done():
			return errClosed
		}
		stall.Reset(l.patience() - time.Since(silent))
	}
}

// overdue reports whether the oldest unanswered call, which blocks all others, has
// timed out.
func (l *link) overdue() bool {
	return errors.Is(l.waiting[0].ctx.Err(), context.DeadlineExceeded)
}

// wanted reports whether any caller waits for an answer on this stream.
func (l *link) wanted() bool {
	return slices.ContainsFunc(l.waiting, func(c *call) bool { return c.ctx.Err() == nil })
}

// patience is how long the server may stay silent. Even when no caller is left, it
// waits a little for outstanding answers, since a new stream would cost more.
func (l *link) patience() time.Duration {
	if len(l.waiting) > 0 && !l.wanted() {
		return drainTimeout
	}
	return stallTimeout
}

// readFrames reads one frame for each token in expect, until expect is closed or the
// stream breaks.
func readFrames(s *stream, expect <-chan struct{}, frames chan<- received) {
	for range expect {
		m, err := s.read()
		frames <- received{m, time.Now(), err}
		if err != nil {
			return
		}
	}
}

// write writes queued calls, as many as may be in flight, but for those that must not be sent
// any more, see routing.While.
func (l *link) write(expect chan<- struct{}) error {
	if l.width == 0 {
		l.width = window
	}
	for len(l.todo) > 0 && len(l.waiting) < l.width {
		c := l.todo[0]
		l.todo = l.todo[1:]
		if c.ctx.Err() != nil {
			continue
		}
		if err := routing.Allowed(c.ctx); err != nil { // the dial or calls before it took long
			c.end(answer{}, err)
			continue
		}
		c.sent = time.Now()
		l.waiting = append(l.waiting, c)
		if err := l.stream.write(c.frame); err != nil {
			return err
		}
		expect <- struct{}{}
	}
	return nil
}

// answered gives a frame to the oldest unanswered call.
func (l *link) answered(f received) {
	c := l.waiting[0]
	l.waiting = l.waiting[1:]
	l.stream.wasIdle = false
	if l.blamed > 1 {
		l.blamed--
	} else {
		l.blamed, l.width = 0, min(2*l.width, window)
	}
	if c.got != nil {
		c.got(f.msg)
	}
	c.end(answer{f.msg, f.at.Sub(c.sent)}, nil)
}

// broken handles the unanswered calls of a stream that broke: it fails them or
// queues them again.
func (l *link) broken(err error) {
	wasIdle, stands := l.stream.wasIdle, l.stream.connected()
	l.stream.reset()
	l.stream = nil
	again := l.waiting
	l.waiting = nil
	wasReset := stands && errors.Is(err, network.ErrReset)
	switch {
	case errors.Is(err, errStalled), errors.Is(err, errClosed):
		for _, c := range again {
			c.end(answer{}, err)
		}
		return
	case wasReset && !wasIdle && len(again) == 1:
		// Nothing else was in flight, and the stream had not been idle so long that the
		// server may have closed it: the request is to blame.
		again[0].end(answer{}, errRefused)
		l.blamed, l.width = 0, 2
		return
	case wasReset && wasIdle:
		// The server may have reset the stream for being idle: blame no request.
	case wasReset:
		l.blamed, l.width = len(again), 1
	}
	retry := again[:0]
	for _, c := range again {
		if !wasReset {
			c.losses++
		}
		switch {
		case c.ctx.Err() != nil: // its caller has left
		case c.losses == maxLosses:
			c.end(answer{}, err)
		default:
			retry = append(retry, c)
		}
	}
	l.todo = append(retry, l.todo...)
}

// failAll fails all calls that have not been written.
func (l *link) failAll(err error) {
	l.take()
	for _, c := range l.todo {
		c.end(answer{}, err)
	}
	l.todo = nil
}
