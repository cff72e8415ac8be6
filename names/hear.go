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
	maxConcurrentHears = 16               // incoming records processed at once
	hearQueue          = 64               // records waiting for that; more are dropped
	hearTimeout        = 10 * time.Second // for one of them
)

// hearing is the queue of Hear.
type hearing struct {
	once  sync.Once
	queue chan *ipns.Record
}

func (h *hearing) records() chan *ipns.Record {
	h.once.Do(func() { h.queue = make(chan *ipns.Record, hearQueue) })
	return h.queue
}

// Hear takes a record that a stranger has put on this node's server, if its name is
// own or hosted. The record must have been opened. Hear does not wait for the disk:
// Run does the work. When hearQueue is full, records are dropped; a search still finds
// them on the server.
func (b *Book) Hear(rec *ipns.Record) {
	select {
	case b.hearing.records() <- rec:
	default:
	}
}

// hear starts the goroutines that process what Hear has queued, until ctx ends. wait
// returns when they have ended.
func (b *Book) hear(ctx context.Context) (wait func()) {
	var running sync.WaitGroup
	for range maxConcurrentHears {
		running.Go(func() {
			for {
				select {
				case <-ctx.Done():
					return
				case rec := <-b.hearing.records():
					b.takeHeard(context.WithoutCancel(ctx), rec)
				}
			}
		})
	}
	return running.Wait
}

// takeHeard takes a record if its name has an entry. For other names it would only
// raise the mark.
func (b *Book) takeHeard(ctx context.Context, rec *ipns.Record) {
	ctx, cancel := context.WithTimeout(ctx, hearTimeout)
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
