// Package watch gives the changes of names to readers that stay, such as a page in a
// browser, and bounds what they cost.
//
// A reader gets every name that changes after its position, with its newest entry: values
// in between may be left out, an older one never follows a newer one. It resumes from the
// position of what it got last, in this run of the node or in a later one. While nothing
// changes it gets a heartbeat, so that both ends notice a connection that is gone.
//
// A reader that is slow holds one change; the others wait in the store.
package watch

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"sync/atomic"
	"time"

	"github.com/goipns/ipns"
	"github.com/goipns/ipns/names"
	"github.com/goipns/ipns/recordstore"
)

const (
	// MaxReaders bounds the readers at one time.
	MaxReaders = 64
	// Heartbeat is how often a reader gets something.
	Heartbeat = 15 * time.Second
)

// ErrFull means that there are MaxReaders already.
var ErrFull = fmt.Errorf("%d readers watch names already", MaxReaders)

// Event is a change of a name, or a heartbeat.
type Event struct {
	// Position is where to resume.
	Position recordstore.Position
	// Entry is that of the name that has changed. Its name is zero in a heartbeat, and in
	// the first event of a reader.
	Entry recordstore.Entry
	// Gap says that changes before this position are not known any more: what the reader
	// knows of names may be old.
	Gap bool
}

// Names are the names that readers watch.
type Names struct {
	Book     *names.Book
	Stopping <-chan struct{} // closed when readers are to leave; nil: never

	readers atomic.Int64
}

// Read yields the changes after a position of some names, or of all if none are given,
// until ctx ends, which is an error, or the node stops, which is none. The first event comes
// at once and has only the position after which changes are yielded.
func (n *Names) Read(ctx context.Context, since recordstore.Position, of ...ipns.Name) iter.Seq2[Event, error] {
	return func(yield func(Event, error) bool) {
		if n.readers.Add(1) > MaxReaders {
			n.readers.Add(-1)
			yield(Event{}, ErrFull)
			return
		}
		defer n.readers.Add(-1)
		if since != "" && !yield(Event{Position: since}, nil) {
			return
		}
		for gap := false; ; gap, since = true, "" {
			err := n.read(ctx, &since, gap, of, yield)
			if !errors.Is(err, recordstore.ErrGap) {
				if err != nil {
					yield(Event{}, err)
				}
				return
			}
		}
	}
}

// found is a change that the store has yielded, or its error.
type found struct {
	change recordstore.Change
	err    error
}

// read yields the changes after a position, which it advances. It returns the error that
// ended it, or nil if the reader or the node did.
func (n *Names) read(ctx context.Context, since *recordstore.Position, gap bool, of []ipns.Name, yield func(Event, error) bool) error {
	ctx, cancel := context.WithCancel(ctx)
	changes := make(chan found)
	from := *since
	go func() { // ends by cancel; its channel is read until it is closed
		defer close(changes)
		for c, err := range n.Book.Watch(ctx, from, of...) {
			select {
			case changes <- found{c, err}:
			case <-ctx.Done():
				return
			}
		}
	}()
	defer func() {
		cancel()
		for range changes {
		}
	}()
	beat := time.NewTicker(Heartbeat)
	defer beat.Stop()
	for {
		event := Event{Position: *since}
		select {
		case <-n.Stopping:
			return nil
		case <-beat.C:
		case f, open := <-changes:
			if !open {
				return ctx.Err()
			}
			if f.err != nil {
				return f.err
			}
			*since = f.change.Position
			event = Event{Position: f.change.Position, Entry: f.change.Entry, Gap: gap}
			gap = false
		}
		if !yield(event, nil) {
			return nil
		}
	}
}
