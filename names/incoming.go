package names

import (
	"context"
	"errors"
	"sync"
	"time"

	"github.com/goipns/ipns"
	"github.com/goipns/ipns/recordstore"
)

const (
	incomingWorkers = 16               // incoming records taken at once
	maxIncoming     = 64               // incoming records waiting; more are dropped
	incomingTimeout = 10 * time.Second // for taking one of them
)

// incoming is the queue of records passed to Hear.
type incoming struct {
	once  sync.Once
	queue chan *ipns.Record
}

func (q *incoming) records() chan *ipns.Record {
	q.once.Do(func() { q.queue = make(chan *ipns.Record, maxIncoming) })
	return q.queue
}

// Hear queues a record that a stranger put on this node's server; Run takes it if its
// name is own or hosted, and otherwise leaves it to the server. The record must have
// been opened. Hear never waits for the disk. If the queue is full the record is
// dropped: a search still finds it on the server.
func (b *Book) Hear(rec *ipns.Record) {
	select {
	case b.incoming.records() <- rec:
	default:
	}
}

// takeIncoming starts the workers that take queued records until ctx ends. wait
// returns when they have stopped.
func (b *Book) takeIncoming(ctx context.Context) (wait func()) {
	var running sync.WaitGroup
	for range incomingWorkers {
		running.Go(func() {
			for {
				select {
				case <-ctx.Done():
					return
				case rec := <-b.incoming.records():
					b.takeIfKept(context.WithoutCancel(ctx), rec)
				}
			}
		})
	}
	return running.Wait
}

// takeIfKept takes a record if its name has an entry: for other names it would only
// raise the mark.
func (b *Book) takeIfKept(ctx context.Context, rec *ipns.Record) {
	ctx, cancel := context.WithTimeout(ctx, incomingTimeout)
	defer cancel()
	_, err := b.Get(ctx, rec.Name())
	if errors.Is(err, recordstore.ErrNotFound) {
		return
	}
	if err == nil {
		_, err = b.Take(ctx, rec, Entrance{Origin: recordstore.Seen})
	}
	if err != nil && b.Log != nil {
		b.Log.Warn("record that was put here is not kept", "name", rec.Name(), "err", err)
	}
}
