package routing

import (
	"context"
	"iter"
	"sync"
)

// merge runs several sequences concurrently and passes their items to one consumer. After
// stop, none of its goroutines is left.
type merge[T any] struct {
	ctx    context.Context
	cancel context.CancelFunc
	items  chan item[T]
	added  int // sequences
	wg     sync.WaitGroup
}

// item is one value, or the end of one sequence with the error it ended with.
type item[T any] struct {
	value T
	from  int // which sequence, in the order in which they were added
	err   error
	end   bool
}

func newMerge[T any](ctx context.Context) *merge[T] {
	m := &merge[T]{items: make(chan item[T])}
	m.ctx, m.cancel = context.WithCancel(ctx)
	return m
}

// add starts a sequence. stop waits for it.
func (m *merge[T]) add(seq iter.Seq2[T, error]) {
	from := m.added
	m.added++
	m.wg.Go(func() {
		end := item[T]{end: true, from: from}
		for v, err := range seq {
			if err != nil {
				end.err = err
				break
			}
			if !m.send(item[T]{value: v, from: from}) {
				return
			}
		}
		m.send(end)
	})
}

func (m *merge[T]) send(it item[T]) bool {
	select {
	case m.items <- it:
		return true
	case <-m.ctx.Done():
		return false
	}
}

// pass yields values until one of the sequences ends, and returns its end. ok is false
// if the consumer stopped. When the context ends, running sequences count as ended by
// it.
func (m *merge[T]) pass(yield func(T, error) bool) (end item[T], ok bool) {
	for {
		select {
		case it := <-m.items:
			if it.end {
				return it, true
			}
			if !yield(it.value, nil) {
				return it, false
			}
		case <-m.ctx.Done():
			return item[T]{from: -1, err: context.Cause(m.ctx), end: true}, true
		}
	}
}

// ended returns the error to end with: that of the context if it has ended, else err.
func (m *merge[T]) ended(err error) error {
	if m.ctx.Err() != nil {
		return context.Cause(m.ctx)
	}
	return err
}

func (m *merge[T]) stop() {
	m.cancel()
	m.wg.Wait()
}
